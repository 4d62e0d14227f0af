//! The control groups of a node: in each hierarchy of the machine, a directory of the node's name, below which its
//! kubelet keeps those of Pods.
//!
//! Version 1 is tried; version 2, where a machine has no other, is written by the documentation of the kernel
//! (cgroup-v2.rst) and not tried yet.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Where they are mounted.
pub const ROOT: &str = "/sys/fs/cgroup";
/// How long it may take until the processes in them, which have been killed, are gone.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// One that the machine has mounted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hierarchy {
    /// `cgroup`, or `cgroup2`.
    pub file_system: String,
    /// With which it is mounted: `cpu,cpuacct`, `none,name=systemd`.
    pub options: String,
    pub mount_point: PathBuf,
}

/// Makes the groups of a node; the hierarchies in which they are.
pub fn create(name: &str) -> Result<Vec<Hierarchy>> {
    let told = fs::read_to_string("/proc/self/cgroup").context("reading /proc/self/cgroup")?;
    let hierarchies = parse(&told);
    for hierarchy in &hierarchies {
        hierarchy.create_group(name).with_context(|| format!("the control group {name}"))?;
    }
    Ok(hierarchies)
}

/// Removes the groups of a node whose processes have been killed, and all below them.
pub fn remove(name: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let told = fs::read_to_string("/proc/self/cgroup").context("reading /proc/self/cgroup")?;
    for hierarchy in parse(&told) {
        let group = hierarchy.mount_point.join(name);
        while let Err(error) = remove_below(&group) {
            ensure!(Instant::now() < deadline, "removing {}: {error}", group.display());
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Of `/proc/self/cgroup` (cgroups(7)): a number, controllers and a path in each line. Where there are hierarchies of
/// version 1, that of version 2 has no controllers.
fn parse(told: &str) -> Vec<Hierarchy> {
    let controllers = told.lines().filter_map(|line| line.split(':').nth(1));
    let v1: Vec<_> = controllers.filter(|names| !names.is_empty()).map(Hierarchy::version_1).collect();
    if v1.is_empty() { vec![Hierarchy::version_2()] } else { v1 }
}

impl Hierarchy {
    fn version_1(controllers: &str) -> Self {
        let named = controllers.strip_prefix("name=");
        Self {
            file_system: "cgroup".to_owned(),
            options: named.map_or_else(|| controllers.to_owned(), |_| format!("none,{controllers}")),
            mount_point: Path::new(ROOT).join(named.unwrap_or(controllers)),
        }
    }

    fn version_2() -> Self {
        Self { file_system: "cgroup2".to_owned(), options: String::new(), mount_point: ROOT.into() }
    }

    fn create_group(&self, name: &str) -> Result<()> {
        let root = &self.mount_point;
        if !root.is_dir() {
            bail!("{} is not mounted", root.display());
        }
        if self.file_system == "cgroup2" {
            self.enable_controllers()?;
        }
        let group = root.join(name);
        fs::create_dir_all(&group).with_context(|| format!("creating {}", group.display()))?;
        // In version 1 a group has no processors and no memory until it is told which.
        if self.options.split(',').any(|controller| controller == "cpuset") {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let all = fs::read_to_string(root.join(file)).with_context(|| format!("reading {file}"))?;
                fs::write(group.join(file), all).with_context(|| format!("writing {file}"))?;
            }
        }
        Ok(())
    }

    /// For all groups below the root of version 2.
    fn enable_controllers(&self) -> Result<()> {
        let file = |name: &str| self.mount_point.join(name);
        let available = fs::read_to_string(file("cgroup.controllers")).context("cgroup.controllers")?;
        let all: Vec<_> = available.split_whitespace().map(|controller| format!("+{controller}")).collect();
        fs::write(file("cgroup.subtree_control"), all.join(" ")).context("cgroup.subtree_control")
    }
}

/// A directory is removed if there is none in it; the files in it are the kernel's.
fn remove_below(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_version_1_are_where_systemd_mounts_them() {
        let found = parse("9:name=systemd:/\n4:memory:/user\n3:cpu,cpuacct:/\n0::/init\n");
        let hierarchy = |options: &str, path: &str| Hierarchy {
            file_system: "cgroup".to_owned(),
            options: options.to_owned(),
            mount_point: Path::new(ROOT).join(path),
        };
        let expected = [
            hierarchy("none,name=systemd", "systemd"),
            hierarchy("memory", "memory"),
            hierarchy("cpu,cpuacct", "cpu,cpuacct"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn version_2_is_taken_where_there_is_no_other() {
        let found = parse("0::/user.slice/session-1.scope\n");
        assert_eq!(found, [Hierarchy::version_2()]);
    }
}
