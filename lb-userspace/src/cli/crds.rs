//! `trigon crds`

use std::process::ExitCode;

use super::{
    args::{Cli, OutputFormat},
    outcome::Outcome,
};
use crate::objects::crds;

pub fn run(cli: &Cli) -> Outcome {
    let text = match cli.output {
        OutputFormat::Text => yaml()?,
        OutputFormat::Json => list_as_json()?,
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// One document for each kind.
fn yaml() -> anyhow::Result<String> {
    let documents = crds::definitions().iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}

/// A List, as `kubectl get -o json` prints it.
fn list_as_json() -> anyhow::Result<String> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": crds::definitions()});
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_manifests_have_the_definitions_of_this_release() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/crds/trigon.dev.yaml");
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == yaml().unwrap(), "{}: run `cargo xtask crds`", path.display());
    }
}
