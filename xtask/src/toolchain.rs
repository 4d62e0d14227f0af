//! A compiler that can build `core` for BPF, and the linker that goes with it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    apt::{self, Package},
    shell::{find_program, output, run_quietly, say, stdout},
};

/// Where the distribution's compiler is, beside any that rustup has.
const DISTRIBUTION: &str = "/usr/bin";
/// The LLVM that the linker is built with. It reads what a compiler with this
/// or an older one writes.
const LLVM_MAJOR: u32 = 22;
const LLVM: &str = "/usr/lib/llvm-22";
const LINKER: &str = "bpf-linker";
const LINKER_VERSION: &str = "0.13.0";

/// Debian 12's own compiler, with the source of its library.
const COMPILER: &[Package] = &[
    Package::new("rustc-web", "/usr/bin/rustc"),
    Package::new("cargo-web", "/usr/bin/cargo"),
    Package::new("rust-web-src", "/usr/lib/rustlib/src"),
];

/// What the linker is built with.
const LLVM_PACKAGES: &[Package] = &[
    Package::new("llvm-22-dev", "/usr/lib/llvm-22/bin/llvm-config"),
    Package::new("libpolly-22-dev", "/usr/lib/llvm-22/lib/libPolly.a"),
    Package::new("libzstd-dev", "/usr/include/zstd.h"),
    Package::new("zlib1g-dev", "/usr/include/zlib.h"),
    Package::new("g++", "g++"),
];

/// A compiler with the source of its library.
pub struct Toolchain {
    name: String,
    cargo: PathBuf,
    rustc: PathBuf,
    linker: PathBuf,
}

impl Toolchain {
    /// The first that can build for BPF: one that rustup has, one to which rustup
    /// can add the library source, the distribution's.
    pub fn find() -> Result<Self> {
        let linker = ensure_linker()?;
        if let Some((name, sysroot)) = rustup_toolchain() {
            let bin = |program| sysroot.join("bin").join(program);
            return Ok(Self { name, cargo: bin("cargo"), rustc: bin("rustc"), linker });
        }
        apt::install(COMPILER, "building eBPF (no rustup toolchain here can, and has or gets rust-src)")?;
        let bin = |program| Path::new(DISTRIBUTION).join(program);
        Ok(Self { name: "the distribution's".into(), cargo: bin("cargo"), rustc: bin("rustc"), linker })
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        format!("{} ({}, {})", self.name, self.rustc.display(), self.linker.display())
    }

    /// The compiler's version.
    pub fn version(&self) -> Result<String> {
        Ok(stdout(Command::new(&self.rustc).arg("--version"))?.trim().to_owned())
    }

    /// A cargo command that builds for BPF.
    pub fn cargo(&self) -> Command {
        self.command(&self.cargo)
    }

    /// One that lints, if it came with the toolchain. Not as a subcommand: cargo would
    /// find rustup's, which is of another toolchain.
    pub fn clippy(&self) -> Option<Command> {
        let clippy = self.cargo.with_file_name("cargo-clippy");
        clippy.is_file().then(|| {
            let mut command = self.command(&clippy);
            command.env("CARGO", &self.cargo).arg("clippy");
            command
        })
    }

    fn command(&self, program: &Path) -> Command {
        let flags = ["-Cdebuginfo=2", "-Clink-arg=--btf", &format!("-Clinker={}", self.linker.display())];
        let mut command = Command::new(program);
        command
            .env("RUSTC", &self.rustc)
            // -Z build-std on a compiler that is not a nightly.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            // Set by rustup and the outer cargo: they would select other programs and directories.
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTC_WRAPPER");
        command
    }
}

/// The library source, without which `core` cannot be built.
fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src").is_dir()
}

/// Name and sysroot of a rustup toolchain with source, and with an LLVM that
/// the linker understands. Nightly ones first: they are what BPF is tested with.
fn rustup_toolchain() -> Option<(String, PathBuf)> {
    let rustup = find_program("rustup")?;
    let list = stdout(Command::new(&rustup).args(["toolchain", "list"])).ok()?;
    let mut names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_by_key(|name| !name.starts_with("nightly"));
    let rustc = |name: &str, words: &[&str]| {
        stdout(Command::new(&rustup).args(["run", name, "rustc"]).args(words)).ok()
    };
    names.retain(|name| {
        rustc(name, &["-vV"]).and_then(|text| llvm_major(&text)).is_some_and(|v| v <= LLVM_MAJOR)
    });
    let complete = |name: &&str| {
        let sysroot = PathBuf::from(rustc(name, &["--print", "sysroot"])?.trim());
        has_source(&sysroot).then(|| ((*name).to_owned(), sysroot))
    };
    names.iter().find_map(complete).or_else(|| {
        let name = names.first()?;
        say(format!("adding rust-src to the rustup toolchain {name}"));
        let added = output(Command::new(&rustup).args(["component", "add", "rust-src", "--toolchain", name]));
        if !added.is_ok_and(|output| output.status.success()) {
            say("rustup cannot get rust-src; taking the distribution's toolchain");
        }
        complete(name)
    })
}

/// From what `rustc -vV` prints.
fn llvm_major(version: &str) -> Option<u32> {
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.parse().ok()
}

/// bpf-linker, installed if it is missing or of another version.
fn ensure_linker() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let installed = home.context("neither CARGO_HOME nor HOME is set")?.join("bin").join(LINKER);
    let candidates = [find_program(LINKER), Some(installed.clone())];
    if let Some(linker) = candidates.into_iter().flatten().find(|path| has_linker_version(path)) {
        return Ok(linker);
    }
    apt::install(LLVM_PACKAGES, "building bpf-linker")?;
    say(format!("installing {LINKER} {LINKER_VERSION} (about a minute)"));
    let mut command = crate::shell::cargo();
    command.args(["install", LINKER, "--version", LINKER_VERSION, "--locked", "--quiet", "--force"]);
    command.args(["--no-default-features", "--features", &format!("llvm-{LLVM_MAJOR}")]);
    run_quietly(command.env("LLVM_PREFIX", LLVM).env("LLVM_SYS_221_PREFIX", LLVM))?;
    Ok(installed)
}

fn has_linker_version(linker: &Path) -> bool {
    stdout(Command::new(linker).arg("--version")).is_ok_and(|text| text.contains(LINKER_VERSION))
}
