//! `kubernetes-node`: the first process of a node's namespaces. It mounts what the node is to have for itself, starts
//! the node's programs, and ends with the first of them that does.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use lb_testbed::cluster::{CGROUPS, Hierarchy, NodeSetup, Program};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::wait::wait,
};

/// For containerd to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Of containerd, for what kubelet starts.
const IMAGES: &str = "k8s.io";

#[derive(Args)]
pub struct KubernetesNodeArgs {
    /// A file that says what it is to be like
    setup: PathBuf,
}

pub fn run(options: &KubernetesNodeArgs) -> Result<()> {
    ensure!(std::process::id() == 1, "a node needs namespaces of its own, also for processes");
    let path = &options.setup;
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let setup: NodeSetup = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    isolate(&setup)?;
    let mut programs = vec![start(&setup, &setup.runtime)?];
    wait_for_runtime(&setup)?;
    for image in &setup.images {
        ctr(&setup, &["--namespace", IMAGES, "images", "import", &image.display().to_string()])?;
    }
    for service in &setup.services {
        programs.push(start(&setup, service)?);
    }
    println!("started");
    wait_for_end(&programs)
}

/// After this, nothing that the node's programs do to files is seen outside of the node, but below its own directory.
fn isolate(setup: &NodeSetup) -> Result<()> {
    fs::write("/proc/sys/kernel/hostname", &setup.name).context("setting the host name")?;
    // The devices of this network namespace.
    mount_new("sysfs", "/sys", "")?;
    mount_cgroups(&setup.hierarchies)?;
    // What is pinned is the node's.
    mount_new("bpf", "/sys/fs/bpf", "")?;
    for (number, (name, value)) in setup.pretended.iter().enumerate() {
        let file = setup.scratch.join(format!("pretended-{number}"));
        fs::write(&file, value).with_context(|| format!("writing {}", file.display()))?;
        bind(&file, &Path::new("/proc/sys").join(name))?;
    }
    // Directories are made in here, not on the machine.
    for directory in ["/run", "/var/lib"] {
        mount_new("tmpfs", directory, "")?;
    }
    for directory in ["/run/netns", "/run/lock"] {
        create_dir(Path::new(directory))?;
    }
    for (kept, place) in &setup.directories {
        create_dir(place)?;
        bind(kept, place)?;
    }
    // Mounts of kubelet reach containers, and the other way round.
    mount_flags("/", MsFlags::MS_REC | MsFlags::MS_SHARED)
}

fn mount_cgroups(hierarchies: &[Hierarchy]) -> Result<()> {
    if hierarchies.iter().any(|hierarchy| hierarchy.mount_point != Path::new(CGROUPS)) {
        mount_new("tmpfs", CGROUPS, "")?;
    }
    for hierarchy in hierarchies {
        create_dir(&hierarchy.mount_point)?;
        mount_new(&hierarchy.file_system, &hierarchy.mount_point, &hierarchy.options)?;
    }
    Ok(())
}

fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))
}

fn mount_new(file_system: &str, place: impl AsRef<Path>, options: &str) -> Result<()> {
    let (place, options) = (place.as_ref(), Some(options).filter(|options| !options.is_empty()));
    mount(Some(file_system), place, Some(file_system), MsFlags::empty(), options)
        .with_context(|| format!("mounting {file_system} at {}", place.display()))
}

fn bind(source: &Path, place: &Path) -> Result<()> {
    mount(Some(source), place, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("mounting {} at {}", source.display(), place.display()))
}

fn mount_flags(place: &str, flags: MsFlags) -> Result<()> {
    mount(None::<&str>, place, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("changing the mount at {place}"))
}

fn start(setup: &NodeSetup, program: &Program) -> Result<Child> {
    let (name, arguments) = program.words.split_first().context("a program without a name")?;
    let log = File::options().create(true).append(true).open(&program.log);
    let log = log.with_context(|| format!("opening {}", program.log.display()))?;
    let mut command = Command::new(find(setup, name)?);
    command.args(arguments).env("PATH", &setup.search_path);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("starting {name}"))
}

/// By the node's path, and not by ours.
fn find(setup: &NodeSetup, name: &str) -> Result<PathBuf> {
    let mut places = std::env::split_paths(&setup.search_path).map(|dir| dir.join(name));
    let found = places.find(|path| path.is_file());
    found.with_context(|| format!("no program {name} in {}", setup.search_path))
}

fn wait_for_runtime(setup: &NodeSetup) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = ctr(setup, &["version"]) {
        if Instant::now() > deadline {
            let log = fs::read_to_string(&setup.runtime.log).unwrap_or_default();
            bail!("containerd is not ready: {error:#}; it wrote:\n{log}");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn ctr(setup: &NodeSetup, words: &[&str]) -> Result<()> {
    let mut command = Command::new(find(setup, "ctr")?);
    command.arg("--address").arg(&setup.socket).args(words).env("PATH", &setup.search_path);
    let told = command.stdin(Stdio::null()).output().context("running ctr")?;
    let stderr = String::from_utf8_lossy(&told.stderr);
    ensure!(told.status.success(), "ctr {}: {}", words.join(" "), stderr.trim());
    Ok(())
}

/// Also of children that others have left to the first process: they are forgotten.
fn wait_for_end(programs: &[Child]) -> Result<()> {
    loop {
        let ended = match wait() {
            Err(Errno::EINTR) => continue,
            status => status.context("waiting for the node's programs")?,
        };
        let ended_id = ended.pid().and_then(|pid| u32::try_from(pid.as_raw()).ok());
        if let Some(place) = programs.iter().position(|program| ended_id == Some(program.id())) {
            bail!("program {place} of the node ended: {ended:?}");
        }
    }
}
