//! The programs of Kubernetes: those that `KUBEBUILDER_ASSETS` names, or those that `cargo xtask kubernetes`
//! has built from the Go module of this crate; and Helm, built from its own.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    ffi::OsString,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// A directory with at least `etcd`, `kube-apiserver` and `kubectl`, as tests of other projects have it.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The Go package of Helm.
pub const HELM: &str = "helm.sh/helm/v4/cmd/helm";
/// Its version. In the Go module of this crate, it would change what Kubernetes is built of.
pub const HELM_VERSION: &str = "v4.3.1";

/// Where they are.
#[derive(Clone, Debug)]
pub enum Programs {
    /// Each a file of its own.
    Directory(PathBuf),
    /// All in one.
    One(PathBuf),
}

impl Programs {
    /// An error that says what to run, if there are none.
    pub fn find() -> Result<Self> {
        Self::find_in(env::var_os(ASSETS), built_program)
    }

    /// What the environment names goes first.
    fn find_in(assets: Option<OsString>, built: impl FnOnce() -> Result<PathBuf>) -> Result<Self> {
        if let Some(dir) = assets {
            return Ok(Self::Directory(dir.into()));
        }
        let built = built()?;
        if !built.is_file() {
            bail!("there is no {}: run `cargo xtask kubernetes`, which builds it", built.display());
        }
        Ok(Self::One(built))
    }

    /// None: they can't be had here, since there is no Go to build them with. That is said; in CI it is an error.
    pub fn find_or_skip() -> Result<Option<Self>> {
        or_skip(Self::find())
    }

    /// An error unless all of these are there: directories for the tests of other projects have no controllers.
    pub fn ensure_has(&self, names: &[&'static str]) -> Result<()> {
        for name in names {
            let (path, _) = self.command(name);
            if !path.is_file() {
                bail!(
                    "{ASSETS} has no `{name}`: unset it, and run `cargo xtask kubernetes`, which builds it"
                );
            }
        }
        Ok(())
    }

    /// What to start for one of them, and its first argument, if that is its name.
    pub fn command(&self, name: &'static str) -> (PathBuf, Option<&'static str>) {
        match self {
            Self::Directory(dir) => (dir.join(name), None),
            Self::One(path) => (path.clone(), Some(name)),
        }
    }
}

/// The first Go that is new enough to get the one that the module asks for.
pub fn find_go() -> Option<PathBuf> {
    let is_new_enough = |go: &PathBuf| {
        let told = Command::new(go).arg("version").output().ok();
        told.and_then(|told| go_minor(&String::from_utf8_lossy(&told.stdout)))
            .is_some_and(|minor| minor >= 21)
    };
    [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")].into_iter().find(is_new_enough)
}

/// From `go version go1.26.8 linux/amd64`.
fn go_minor(told: &str) -> Option<u32> {
    let version = told.split_whitespace().nth(2)?.strip_prefix("go1.")?;
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The Go module that they are built from.
pub fn module_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes"))
}

/// Where what is built is kept: outside of the repository, so that it is built once.
fn cache_dir() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("trigon"))
}

/// Where this version of Helm is once it is built.
pub fn built_helm() -> Result<PathBuf> {
    Ok(cache_dir()?.join("helm").join(HELM_VERSION).join("helm"))
}

/// Helm. An error that says what to run, if it is not there.
pub fn find_helm() -> Result<PathBuf> {
    let helm = built_helm()?;
    if !helm.is_file() {
        bail!("there is no {}: run `cargo xtask kubernetes`, which builds it", helm.display());
    }
    Ok(helm)
}

/// The same; None as that of [`Programs::find_or_skip`].
pub fn find_helm_or_skip() -> Result<Option<PathBuf>> {
    or_skip(find_helm())
}

fn or_skip<T>(found: Result<T>) -> Result<Option<T>> {
    let may_lack = found.is_err() && env::var_os("CI").is_none() && find_go().is_none();
    skip_where(may_lack, found)
}

fn skip_where<T>(may_lack: bool, found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if may_lack => {
            println!("skipped: {error:#}");
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// Where what is built from this version of the module is.
pub fn built_program() -> Result<PathBuf> {
    let mut version = DefaultHasher::new();
    for path in files_below(module_dir())? {
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        text.hash(&mut version);
    }
    Ok(cache_dir()?.join(format!("kubernetes/{:016x}/kube", version.finish())))
}

/// All files below a directory, in one order.
pub(super) fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("reading {}", dir.display());
    let entries = fs::read_dir(dir).with_context(reading)?.collect::<Result<Vec<_>, _>>();
    let mut paths: Vec<_> = entries.with_context(reading)?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    let below = paths.into_iter().map(|path| if path.is_dir() { files_below(&path) } else { Ok(vec![path]) });
    Ok(below.collect::<Result<Vec<_>>>()?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_those_of_the_environment_or_those_that_were_built() {
        let missing = || Ok(PathBuf::from("/nowhere/kube"));
        let of_assets = Programs::find_in(Some("/opt/assets".into()), missing).unwrap();
        assert_eq!(of_assets.command("etcd"), (PathBuf::from("/opt/assets/etcd"), None));
        let error = of_assets.ensure_has(&["kube-controller-manager"]).unwrap_err().to_string();
        assert!(error.contains(ASSETS) && error.contains("`kube-controller-manager`"), "{error}");

        let there = env::current_exe().unwrap();
        let built = Programs::find_in(None, || Ok(there.clone())).unwrap();
        assert_eq!(built.command("etcd"), (there, Some("etcd")));
        let error = Programs::find_in(None, missing).unwrap_err().to_string();
        assert!(error.contains("cargo xtask kubernetes"), "{error}");
    }

    #[test]
    fn what_is_missing_is_skipped_only_where_it_may_be() {
        let missing = || -> Result<()> { bail!("there is none") };
        assert!(skip_where(true, missing()).unwrap().is_none());
        assert!(skip_where(false, missing()).is_err());
        assert!(skip_where(true, Ok(())).unwrap().is_some());
    }

    #[test]
    fn the_minor_version_of_go_is_read() {
        assert_eq!(go_minor("go version go1.26.8 linux/amd64"), Some(26));
        assert_eq!(go_minor("go version go1.21rc2 linux/amd64"), Some(21));
        assert_eq!(go_minor("go: no such thing"), None);
    }
}
