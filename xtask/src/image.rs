//! `cargo xtask image`: a container image of one static program, made without a daemon.

pub mod archive;
mod elf;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    build_ebpf,
    output::Output,
    shell::{self, cargo, say, workspace_root},
};
use archive::{Archive, Image};

/// In no registry: what is not on the node already is pulled from nowhere. The manifests have the same.
const NAME: &str = "localhost/trigon";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(clap::Args)]
pub struct ImageArgs {
    /// Where to write the archive; `target/trigon-image.tar` if not given.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The image's name, with the registry that it is for. Its tag is the version.
    #[arg(long, default_value = NAME)]
    name: String,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// What was made.
#[derive(Serialize)]
struct Report {
    file: PathBuf,
    /// Of the archive, in bytes.
    bytes: usize,
    /// Name and tag.
    image: String,
    /// Of the manifest, by which registries know it.
    digest: String,
    architecture: &'static str,
    revision: Option<String>,
}

pub fn run(args: ImageArgs) -> Result<()> {
    let image = describe_trigon(args.name)?;
    let archive = Archive::new(&image, &build_trigon()?)?;
    let file = args.file.unwrap_or_else(|| workspace_root().join("target/trigon-image.tar"));
    write(&file, &archive.bytes)?;
    let report = Report {
        file: file.canonicalize().unwrap_or(file),
        bytes: archive.bytes.len(),
        image: image.reference(),
        digest: archive.digest,
        architecture: image.architecture,
        revision: image.revision,
    };
    match args.output {
        Output::Text => print!("{}", text(&report)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

/// The image of the load balancer.
pub fn describe_trigon(name: String) -> Result<Image> {
    Ok(Image {
        program: "trigon",
        arguments: &[],
        description: "A layer-4 load balancer with Direct Server Return",
        name,
        version: VERSION.to_owned(),
        revision: revision(),
        architecture: architecture()?,
    })
}

/// Its program, with a new eBPF object.
pub fn build_trigon() -> Result<Vec<u8>> {
    build_ebpf::run()?;
    build_static("lb-userspace", "trigon")
}

/// The word of the OCI image specification (Go's `GOARCH`) for this machine.
fn architecture() -> Result<&'static str> {
    match env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("images are made on x86_64 and aarch64, not on {other}"),
    }
}

/// The commit, marked if what is built is not quite that; None outside of a repository.
fn revision() -> Option<String> {
    let mut git = Command::new("git");
    let describe = git.current_dir(workspace_root()).args(["describe", "--always", "--dirty", "--abbrev=40"]);
    // Tags would come first.
    let text = shell::stdout(describe.arg("--exclude=*")).ok()?;
    Some(text.trim().to_owned())
}

/// A line of cargo's, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds a program without anything that it would have to find in its image: glibc is linked into it. (With musl, it
/// would have another allocator than what is tested and measured.)
pub fn build_static(package: &str, program: &str) -> Result<Vec<u8>> {
    let target = host_target()?;
    let (root, home) = (workspace_root().canonicalize()?, cargo_home()?);
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        // Errors name files of the source: the same ones, wherever it is built.
        format!("--remap-path-prefix={}=/trigon", root.display()),
        format!("--remap-path-prefix={}=/cargo", home.display()),
    ];
    say(format!("building a static {program} (some minutes the first time)"));
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--package", package, "--bin", program]);
    // With a target, flags are not for build scripts and macros, which cannot be static.
    command.args(["--target", &target, "--message-format=json-render-diagnostics"]);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    command.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    let path = program_path(&shell::stdout(&mut command)?)?;
    let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    if let Some(interpreter) = elf::interpreter(&bytes)? {
        bail!("{} is not static: it asks for {interpreter}, which the image has not", path.display());
    }
    Ok(bytes)
}

/// The target that the compiler builds for by itself, as `rustc -vV` tells it.
fn host_target() -> Result<String> {
    let told = shell::stdout(Command::new("rustc").current_dir(workspace_root()).arg("-vV"))?;
    let target = told.lines().find_map(|line| line.strip_prefix("host: "));
    let target = target.context("rustc does not say what it builds for")?;
    ensure!(
        target.ends_with("-linux-gnu"),
        "images are made with a toolchain for linux-gnu, not for {target}"
    );
    Ok(target.to_owned())
}

fn cargo_home() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    home.context("neither CARGO_HOME nor HOME is set")
}

/// From what cargo said of all that it built: there is one program among it.
fn program_path(messages: &str) -> Result<PathBuf> {
    let parsed: Result<Vec<Message>, _> = messages.lines().map(serde_json::from_str).collect();
    let mut programs =
        parsed.context("what cargo says of its build")?.into_iter().filter_map(|m| m.executable);
    programs.next_back().context("cargo names no program that it has built")
}

pub fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    fs::write(file, bytes).with_context(|| format!("writing {}", file.display()))
}

fn text(report: &Report) -> String {
    let Report { file, bytes, image, digest, architecture, revision } = report;
    let (file, mib) = (file.display(), *bytes as f64 / f64::from(1 << 20));
    let revision = revision.as_deref().unwrap_or("unknown");
    format!(
        "{image} ({architecture}, {mib:.1} MiB, revision {revision})
{digest}
{file}

On each node:    ctr --namespace k8s.io images import {file}
To a registry:   skopeo copy oci-archive:{file} docker://REGISTRY/trigon:{VERSION}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_last_thing_that_cargo_names() {
        let said = r#"{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"trigon"},"executable":"/w/target/release/trigon"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(program_path(said).expect("a program"), Path::new("/w/target/release/trigon"));
        assert!(program_path(r#"{"reason":"build-finished","success":true}"#).is_err());
    }

    /// Else an image that was imported would not be the one that Pods ask for.
    #[test]
    fn the_manifests_ask_for_this_name_and_version() {
        let path = workspace_root().join("manifests/components/image/kustomization.yaml");
        let text = fs::read_to_string(&path).expect("the manifests");
        for line in [format!("- name: {NAME}"), format!("  newTag: {VERSION}")] {
            assert!(text.lines().any(|other| other == line), "{}: no line `{line}`", path.display());
        }
    }
}
