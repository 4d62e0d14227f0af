//! `cargo xtask crds`

use std::fs;

use anyhow::{Context, Result};

use crate::shell::{self, cargo, say, workspace_root};

pub fn run() -> Result<()> {
    let text = shell::stdout(cargo().args(["run", "--quiet", "--package", "lb-userspace", "--", "crds"]))?;
    let path = workspace_root().join("manifests/crds/trigon.dev.yaml");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    say(format!("the definitions are in {}", path.display()));
    Ok(())
}
