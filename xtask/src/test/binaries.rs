//! The binaries of integration tests, as cargo builds and names them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shell::{self, cargo};

/// A file of `tests/`, built.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Binary {
    /// Where its package is: tests run there, as under `cargo test`.
    pub package: PathBuf,
    pub name: String,
    pub path: PathBuf,
}

/// Builds those that `targets`, options of `cargo test`, select; in a fixed order.
pub fn build(targets: &[&str]) -> Result<Vec<Binary>> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    parse(&shell::stdout(command.args(targets))?)
}

/// A line of cargo's, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Message {
    /// None for libraries, for programs that the tests run, and for all other messages.
    fn into_test_binary(self) -> Option<Binary> {
        let path = self.executable.filter(|_| self.profile.is_some_and(|profile| profile.test))?;
        let package = self.manifest_path.as_deref().and_then(Path::parent)?.to_owned();
        Some(Binary { package, name: self.target?.name, path })
    }
}

fn parse(messages: &str) -> Result<Vec<Binary>> {
    let parsed: Result<Vec<Message>, _> = messages.lines().map(serde_json::from_str).collect();
    let parsed = parsed.context("what cargo says of the tests it built")?;
    let mut binaries: Vec<Binary> = parsed.into_iter().filter_map(Message::into_test_binary).collect();
    binaries.sort();
    Ok(binaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_binaries_are_told_from_programs_and_sorted() {
        let said = r#"{"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","target":{"kind":["test"],"name":"trust"},"profile":{"test":true},"executable":"/w/target/debug/deps/trust-1"}
{"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","target":{"kind":["bin"],"name":"tool"},"profile":{"test":false},"executable":"/w/target/debug/tool"}
{"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","target":{"kind":["lib"],"name":"b"},"profile":{"test":false},"executable":null}
{"reason":"build-script-executed","package_id":"path+file:///w/b#0.1.0","env":[]}
{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{"kind":["test"],"name":"packets"},"profile":{"test":true},"executable":"/w/target/debug/deps/packets-2"}
{"reason":"build-finished","success":true}"#;
        let binary = |package: &str, name: &str, path: &str| Binary {
            package: package.into(),
            name: name.into(),
            path: path.into(),
        };
        let expected = [
            binary("/w/a", "packets", "/w/target/debug/deps/packets-2"),
            binary("/w/b", "trust", "/w/target/debug/deps/trust-1"),
        ];
        assert_eq!(parse(said).expect("cargo's messages"), expected);
    }
}
