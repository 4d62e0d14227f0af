//! The file system that a kernel starts with: busybox, our programs, what they
//! run, and modules.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::debian::{Kernel, module_paths};
use crate::shell::{find_program, run_quietly, stdout};

/// What is to be in it, whatever the kernel.
pub struct Contents<'a> {
    /// A directory of this name, beside the programs, has everything of this
    /// run: archives and logs.
    pub name: &'static str,
    /// The script that is the first process.
    pub init: &'static str,
    /// Our own programs, built beside us.
    pub programs: &'static [&'static str],
    /// Files for `/`.
    pub files: &'a [PathBuf],
    /// What busybox has that `init` runs.
    pub applets: &'static [&'static str],
    /// What it has not.
    pub tools: &'static [&'static str],
}

/// What is the same for all kernels.
pub struct Base {
    dir: PathBuf,
    archive: PathBuf,
}

impl Base {
    pub fn build(contents: &Contents<'_>) -> Result<Self> {
        let dir = path_beside_us(contents.name)?;
        let root = make_empty_directory(&dir.join("root"))?;
        for name in ["bin", "dev", "proc", "run", "sys", "tmp"] {
            fs::create_dir_all(root.join(name))?;
        }
        write_executable(&root.join("init"), contents.init)?;
        for file in contents.files {
            let name = file.file_name().context("a file without name")?;
            fs::copy(file, root.join(name)).with_context(|| format!("copying {}", file.display()))?;
        }
        for program in contents.programs {
            install_program(&root, &path_beside_us(program)?)?;
        }
        for name in contents.tools.iter().chain(&["busybox"]) {
            install_program(&root, &find_program(name).with_context(|| format!("no program {name}"))?)?;
        }
        for applet in contents.applets {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        let archive = pack_archive(&root, &dir.join("base.cpio"))?;
        Ok(Self { dir, archive })
    }

    /// The whole, for a kernel: the archive of its modules behind the other. A
    /// kernel may lack some of `names`: it has them built in, or in another module.
    pub fn with_modules(&self, kernel: &Kernel, names: &[&str]) -> Result<PathBuf> {
        let root = make_empty_directory(&self.dir.join("modules"))?;
        copy_modules(kernel, names, &root.join("modules"))?;
        let archive = pack_archive(&root, &self.dir.join("modules.cpio"))?;
        let mut whole = fs::read(&self.archive)?;
        whole.extend(fs::read(archive)?);
        let path = self.dir.join(format!("{}.cpio", kernel.version));
        fs::write(&path, whole).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// The file for a machine's output.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }
}

/// A path in the directory of this program, where cargo puts all that it builds.
pub fn path_beside_us(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe().context("finding our own path")?.with_file_name(name))
}

/// A program without its symbols, and its libraries where it looks for them.
fn install_program(root: &Path, program: &Path) -> Result<()> {
    let name = program.file_name().context("a program without name")?;
    let to = root.join("bin").join(name);
    run_quietly(Command::new("strip").arg("-o").arg(&to).arg(program))?;
    for library in library_paths(program)? {
        let to = root.join(library.trim_start_matches('/'));
        if !to.exists() {
            fs::create_dir_all(to.parent().context("a library without directory")?)?;
            fs::copy(&library, &to).with_context(|| format!("copying {library}"))?;
        }
    }
    Ok(())
}

/// The paths that ldd prints; none of a static program.
fn library_paths(program: &Path) -> Result<Vec<String>> {
    let said = crate::shell::output(Command::new("ldd").arg(program))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    Ok(said.lines().filter_map(path).collect())
}

/// Uncompressed, as insmod of busybox wants them, and in a file the order in
/// which they have to be loaded.
fn copy_modules(kernel: &Kernel, names: &[&str], to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let (mut seen, mut order) = (BTreeSet::new(), String::new());
    for name in names {
        for module in module_paths(kernel, name)? {
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

/// Copies a module, uncompressed, into the directory `to`; returns its name there.
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

fn pack_archive(root: &Path, archive: &Path) -> Result<PathBuf> {
    let script = "cd \"$1\" && find . | cpio -o -H newc --quiet >\"$2\"";
    stdout(Command::new("sh").args(["-c", script, "pack"]).arg(root).arg(archive))?;
    Ok(archive.to_path_buf())
}

fn make_empty_directory(dir: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir.to_path_buf())
}

fn write_executable(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
