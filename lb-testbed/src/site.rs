//! What one testbed calls its own on this machine: a name prefix, a directory
//! of files and a directory of pinned BPF objects.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result, bail};

/// All testbeds' files.
const FILES: &str = "/tmp/trigon-testbed";
/// Namespaces, as `ip netns` keeps them.
pub const NAMESPACES: &str = "/run/netns";
/// The name of a file that says: not to be reaped when its builder is gone.
const KEPT: &str = "kept";

/// Identifies a testbed: `tg<pid>x<n>`, the n-th one of process pid.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Prefix(String);

impl Prefix {
    /// The next one of this process.
    fn next() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        Self(format!("tg{}x{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// From the name of a namespace or a directory, if it is one of ours.
    pub fn of_name(name: &str) -> Option<Self> {
        let prefix = name.split('-').next()?;
        let (pid, count) = prefix.strip_prefix("tg")?.split_once('x')?;
        pid.parse::<u32>().ok()?;
        count.parse::<u32>().ok()?;
        Some(Self(prefix.to_owned()))
    }

    /// The process that built it.
    pub fn pid(&self) -> Option<u32> {
        self.0.strip_prefix("tg")?.split_once('x')?.0.parse().ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn dir(&self) -> PathBuf {
        Path::new(FILES).join(&self.0)
    }

    pub fn bpffs(&self) -> PathBuf {
        PathBuf::from(format!("/sys/fs/bpf/trigon-{}", self.0))
    }

    /// Its builder is dead.
    pub fn is_abandoned(&self) -> bool {
        !self.pid().is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
    }

    /// Its builder is dead and did not ask for it to be left standing.
    pub fn is_stale(&self) -> bool {
        self.is_abandoned() && !self.dir().join(KEPT).exists()
    }

    /// Every testbed that left a trace on this machine.
    pub fn all() -> Vec<Self> {
        let mut found: Vec<_> = [NAMESPACES, FILES].into_iter().flat_map(prefixes_in).collect();
        found.sort();
        found.dedup();
        found
    }
}

fn prefixes_in(dir: &str) -> Vec<Prefix> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| Prefix::of_name(&entry.file_name().to_string_lossy())).collect()
}

/// A testbed's place, shared by everything in it.
#[derive(Debug)]
pub struct Site {
    pub prefix: Prefix,
    /// Configurations, logs, sockets.
    pub dir: PathBuf,
    /// Processes are not to be killed when their handles go.
    keep: AtomicBool,
}

impl Site {
    pub fn new(keep: bool) -> Result<Arc<Self>> {
        let prefix = Prefix::next();
        let dir = prefix.dir();
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        Ok(Arc::new(Self { prefix, dir, keep: AtomicBool::new(keep) }))
    }

    pub fn is_kept(&self) -> bool {
        self.keep.load(Ordering::Relaxed)
    }

    /// Keeps processes whose handles are dropped, and the testbed when its builder is gone.
    pub fn keep(&self) -> Result<()> {
        self.keep.store(true, Ordering::Relaxed);
        self.write(KEPT, "").map(drop)
    }

    /// Writes a file of the testbed; its path.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// One of the project's programs: the path in the environment variable, else
/// what lies beside this program or, as for tests, one directory above it.
pub fn locate_program(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Ok(path.into());
    }
    let own = env::current_exe().context("finding this program's own path")?;
    let mut places = own.ancestors().skip(1).take(2).map(|dir| dir.join(name));
    match places.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("no program `{name}` beside {}: build it, or set {variable}", own.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_recognised_in_names() {
        let prefix = Prefix::of_name("tg12x3-director1").unwrap();
        assert_eq!((prefix.as_str(), prefix.pid()), ("tg12x3", Some(12)));
    }

    #[test]
    fn names_of_others_are_left_alone() {
        for name in ["tgx1-a", "tg1-a", "tg1xa-b", "cni-1", ""] {
            assert_eq!(Prefix::of_name(name), None, "{name}");
        }
    }
}
