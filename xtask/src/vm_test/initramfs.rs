//! The file system that the kernels start with: busybox, our programs, what
//! they run, and modules.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::debian::{Kernel, modules};
use crate::shell::{find, run_quietly, stdout};

const INIT: &str = include_str!("init.sh");
/// What `init.sh` and the testbed run that busybox has.
const APPLETS: &[&str] = &["sh", "mount", "insmod", "poweroff", "rm", "sleep"];
/// What the testbed runs that it has not.
const TOOLS: &[&str] = &["ip", "tc", "nft", "ethtool"];
/// Links, the rules that a CNI would have on a node, and filters at egress. No
/// kernel has all of them: some build one in, or made two into one.
const MODULES: &[&str] = &[
    "veth",
    "bridge",
    "nf_tables",
    "nft_ct",
    "nft_chain_nat",
    "nft_masq",
    "nft_counter",
    "nft_objref",
    "sch_ingress",
    "cls_bpf",
];

/// What is the same for all kernels.
pub struct Base {
    /// Everything of this run: archives and logs.
    dir: PathBuf,
    programs: Vec<PathBuf>,
    archive: PathBuf,
}

impl Base {
    pub fn build(programs: &[PathBuf], object: &Path) -> Result<Self> {
        let first = programs.first().context("no programs")?;
        let dir = first.with_file_name("vm-test");
        let root = fresh(&dir.join("root"))?;
        for name in ["bin", "dev", "proc", "run", "sys", "tmp"] {
            fs::create_dir_all(root.join(name))?;
        }
        executable(&root.join("init"), INIT)?;
        fs::copy(object, root.join("trigon.o")).with_context(|| format!("copying {}", object.display()))?;
        for program in programs {
            install(&root, program)?;
        }
        for name in TOOLS.iter().chain(&["busybox"]) {
            install(&root, &find(name).with_context(|| format!("no program {name}"))?)?;
        }
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        let archive = pack(&root, &dir.join("base.cpio"))?;
        Ok(Self { dir, programs: programs.to_vec(), archive })
    }

    /// The whole, for a kernel: the archive of its modules behind the other.
    pub fn with_modules(&self, kernel: &Kernel) -> Result<PathBuf> {
        let root = fresh(&self.dir.join("modules"))?;
        copy_modules(kernel, &root.join("modules"))?;
        let archive = pack(&root, &self.dir.join("modules.cpio"))?;
        let mut whole = fs::read(&self.archive)?;
        whole.extend(fs::read(archive)?);
        let path = self.dir.join("initramfs.cpio");
        fs::write(&path, whole).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// One of our own programs.
    pub fn program(&self, name: &str) -> PathBuf {
        let found = self.programs.iter().find(|path| path.ends_with(name));
        found.cloned().unwrap_or_else(|| PathBuf::from(name))
    }

    /// Where what a machine says goes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }
}

/// A program without its symbols, and its libraries where it looks for them.
fn install(root: &Path, program: &Path) -> Result<()> {
    let name = program.file_name().context("a program without name")?;
    let to = root.join("bin").join(name);
    run_quietly(Command::new("strip").arg("-o").arg(&to).arg(program))?;
    for library in libraries(program)? {
        let to = root.join(library.trim_start_matches('/'));
        if !to.exists() {
            fs::create_dir_all(to.parent().context("a library without directory")?)?;
            fs::copy(&library, &to).with_context(|| format!("copying {library}"))?;
        }
    }
    Ok(())
}

/// The paths that ldd tells; none of a static program.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let said = crate::shell::output(Command::new("ldd").arg(program))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    Ok(said.lines().filter_map(path).collect())
}

/// Uncompressed, as insmod of busybox wants them, and in a file the order in
/// which they have to be loaded.
fn copy_modules(kernel: &Kernel, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let (mut seen, mut order) = (BTreeSet::new(), String::new());
    for name in MODULES {
        for module in modules(kernel, name)? {
            let file = module.file_name().context("a module without name")?.to_string_lossy().into_owned();
            if !seen.insert(file.clone()) {
                continue;
            }
            order += &copy_module(&module, &file, to)?;
            order.push('\n');
        }
    }
    fs::write(to.join("order"), order)?;
    Ok(())
}

/// Its name there.
fn copy_module(module: &Path, file: &str, to: &Path) -> Result<String> {
    match file.strip_suffix(".xz") {
        Some(name) => {
            let script = "exec xz -dc \"$1\" >\"$2\"";
            run_quietly(Command::new("sh").args(["-c", script, "xz"]).arg(module).arg(to.join(name)))?;
            Ok(name.to_owned())
        }
        None => {
            fs::copy(module, to.join(file)).with_context(|| format!("copying {}", module.display()))?;
            Ok(file.to_owned())
        }
    }
}

fn pack(root: &Path, archive: &Path) -> Result<PathBuf> {
    let script = "cd \"$1\" && find . | cpio -o -H newc --quiet >\"$2\"";
    stdout(Command::new("sh").args(["-c", script, "pack"]).arg(root).arg(archive))?;
    Ok(archive.to_path_buf())
}

fn fresh(dir: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir.to_path_buf())
}

fn executable(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
