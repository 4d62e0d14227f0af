//! Kernels from Debian's packages: fetched and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::shell::{output, run_quietly, say, stdout};

/// Small, with everything that virtual machines need. The package of this name
/// has none itself, but depends on the newest one.
const META: &str = "linux-image-cloud-amd64";
/// What this machine gets its own packages from; the first one that exists.
const SOURCES: &[&str] = &["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

/// A kernel, unpacked.
pub struct Kernel {
    /// `6.1.0-56-cloud-amd64`
    pub version: String,
    pub image: PathBuf,
    /// Below it is `lib/modules`.
    pub base: PathBuf,
}

/// The kernel of a release: of an earlier run, or fetched.
pub fn get_kernel(release: &str, refresh: bool) -> Result<Kernel> {
    let cache = cache_directory()?.join(release);
    if refresh || !cache.exists() {
        let partial = cache.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fetch_kernel(release, &partial)
            .with_context(|| format!("the kernel of Debian {release} cannot be had"))?;
        let _ = fs::remove_dir_all(&cache);
        fs::rename(&partial, &cache).with_context(|| format!("renaming {}", partial.display()))?;
    }
    read_unpacked(&cache).with_context(|| format!("{}: remove it, and try again", cache.display()))
}

/// The directory of unpacked kernels: outside the repository, and kept.
fn cache_directory() -> Result<PathBuf> {
    let dir = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let dir = dir.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    Ok(dir.context("neither XDG_CACHE_HOME nor HOME is set")?.join("trigon/kernels"))
}

fn read_unpacked(dir: &Path) -> Result<Kernel> {
    let boot = fs::read_dir(dir.join("boot"))?.collect::<Result<Vec<_>, _>>()?;
    let mut names = boot.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let image = names.find(|name| name.starts_with("vmlinuz-")).context("no kernel in it")?;
    // Since trixie, packages know no /lib beside /usr/lib.
    let bases = [dir.join("usr"), dir.to_path_buf()];
    let base =
        bases.into_iter().find(|base| base.join("lib/modules").exists()).context("no modules in it")?;
    Ok(Kernel {
        version: image.trim_start_matches("vmlinuz-").to_owned(),
        image: dir.join("boot").join(image),
        base,
    })
}

fn fetch_kernel(release: &str, to: &Path) -> Result<()> {
    say(format!("getting the kernel of Debian {release}"));
    fs::create_dir_all(to.join("apt/lists/partial")).with_context(|| format!("creating {}", to.display()))?;
    let apt = Apt::new(release, &to.join("apt"))?;
    run_quietly(apt.command("apt-get").args(["update", "-qq"]))?;
    let depends = stdout(apt.command("apt-cache").args(["depends", META]))?;
    let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let name = name.with_context(|| format!("{META} depends on no kernel"))?;
    let mut download = apt.command("apt-get");
    download.args(["download", "-qq"]).arg(format!("linux-image-{name}"));
    run_quietly(download.current_dir(to))?;
    let package = fs::read_dir(to)?.flatten().map(|entry| entry.path());
    let package = package.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = package.context("apt-get left no package")?;
    run_quietly(Command::new("dpkg").arg("-x").arg(&package).arg(to))?;
    fs::remove_file(package)?;
    fs::remove_dir_all(to.join("apt"))?;
    let kernel = read_unpacked(to)?;
    run_quietly(Command::new("depmod").arg("-b").arg(kernel.base).arg(kernel.version))
}

/// apt with sources and lists of its own, so that the system's stay as they are.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(release: &str, dir: &Path) -> Result<Self> {
        let architecture = stdout(Command::new("dpkg").arg("--print-architecture"))?;
        ensure!(architecture.trim() == "amd64", "this machine is {}, not amd64", architecture.trim());
        let sources = write_sources(release, dir)?;
        let dir = dir.display();
        Ok(Self {
            options: vec![
                format!("Dir::Etc::SourceList={}", sources.display()),
                "Dir::Etc::SourceParts=/dev/null".to_owned(),
                format!("Dir::State::Lists={dir}/lists"),
                // Else it keeps an index of what these lists say beside the system's.
                "Dir::Cache::PkgCache=".to_owned(),
                "Dir::Cache::SrcPkgCache=".to_owned(),
                "Acquire::Languages=none".to_owned(),
                // apt's own user may not write to root's cache.
                "APT::Sandbox::User=root".to_owned(),
            ],
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }
}

/// The release of Debian that runs here, if it is Debian.
pub fn own_release() -> Option<String> {
    let system = fs::read_to_string("/etc/os-release").ok()?;
    let value = |name: &str| Some(system.lines().find_map(|line| line.strip_prefix(name))?.trim_matches('"'));
    (value("ID=")? == "debian").then(|| value("VERSION_CODENAME=").map(str::to_owned))?
}

/// This machine's own sources, with the other release's name in them.
fn write_sources(release: &str, dir: &Path) -> Result<PathBuf> {
    let own = own_release();
    let own =
        own.context("kernels come from Debian's packages, and this system is not a release of Debian")?;
    let found = SOURCES.iter().find(|path| Path::new(path).exists()).context("apt has no sources here")?;
    let text = fs::read_to_string(found).with_context(|| format!("reading {found}"))?;
    // apt tells the format from the name.
    let path = dir.join(Path::new(found).file_name().context("no name")?);
    fs::write(&path, text.replace(&own, release)).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// The modules that come with `name`, those it needs first; none if this
/// kernel has it built in, or not at all.
pub fn module_paths(kernel: &Kernel, name: &str) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("modprobe");
    command.arg("-d").arg(&kernel.base).args(["-S", &kernel.version, "--show-depends", name]);
    let said = output(&mut command)?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let paths = said.lines().filter_map(|line| line.strip_prefix("insmod "));
    Ok(paths.map(|path| PathBuf::from(path.trim())).collect())
}
