//! Debian packages: installed if missing; an error names them where there is no apt-get.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, bail};

use crate::shell::{find_program, need_root, run_quietly, say};

/// A package, and a file or a program that tells that it is there.
pub struct Package {
    pub name: &'static str,
    /// A path if it has a slash, else a program.
    pub evidence: &'static str,
}

impl Package {
    pub const fn new(name: &'static str, evidence: &'static str) -> Self {
        Self { name, evidence }
    }

    fn is_there(&self) -> bool {
        if self.evidence.contains('/') {
            Path::new(self.evidence).exists()
        } else {
            find_program(self.evidence).is_some()
        }
    }
}

/// Install what is missing of `packages`.
pub fn install(packages: &[Package], what_for: &str) -> Result<()> {
    let missing: Vec<_> = packages.iter().filter(|p| !p.is_there()).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if find_program("apt-get").is_none() {
        bail!(
            "{what_for} needs packages that this system's package manager must install; \
             their names on Debian: {names}"
        );
    }
    need_root()?;
    say(format!("{what_for}: installing {names}"));
    let _no_services = NoServices::begin();
    let apt = |words: &[&str]| {
        run_quietly(Command::new("apt-get").args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-qq"])?;
    let mut words = vec!["install", "-y", "-qq", "--no-install-recommends"];
    words.extend(&missing);
    apt(&words)
}

/// Packages of servers start them unless told otherwise (policy-rc.d).
struct NoServices {
    is_ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Self {
        let is_ours = !Path::new(POLICY).exists() && fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok();
        if is_ours {
            use std::os::unix::fs::PermissionsExt;
            let _ = fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755));
        }
        Self { is_ours }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
