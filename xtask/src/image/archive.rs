//! An image as one file: an OCI image layout in a tar archive, with the index that `docker load` reads beside it.
//!
//! ```text
//! index.json ──> manifest ──> configuration, layer      (each a blob, by its digest)
//! manifest.json (docker's) ──────────^
//! ```
//! The same image and program give the same bytes: no time, no owner and no order of the machine gets in.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What it has beside the program.
pub struct Image {
    /// The program's name, which is also its title.
    pub program: &'static str,
    /// What it starts the program with, before what a Pod says.
    pub arguments: &'static [&'static str],
    pub description: &'static str,
    /// With its registry, without a tag.
    pub name: String,
    /// Also the tag.
    pub version: String,
    /// The commit that it was made from.
    pub revision: Option<String>,
    /// As Go names it: `amd64`.
    pub architecture: &'static str,
}

pub struct Archive {
    pub bytes: Vec<u8>,
    /// `sha256:` and the digest of the manifest.
    pub digest: String,
}

/// Of what is in the image: our own, the eBPF object, and glibc, which is linked into the program.
const LICENSES: &str = "(MIT OR Apache-2.0) AND (MIT OR GPL-2.0-only) AND LGPL-2.1-or-later";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

impl Image {
    /// Name and tag.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.name, self.version)
    }

    /// <https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md>
    fn labels(&self) -> BTreeMap<&'static str, &str> {
        let mut labels = BTreeMap::from([
            ("org.opencontainers.image.title", self.program),
            ("org.opencontainers.image.description", self.description),
            ("org.opencontainers.image.version", self.version.as_str()),
            ("org.opencontainers.image.licenses", LICENSES),
        ]);
        if let Some(revision) = &self.revision {
            labels.insert("org.opencontainers.image.revision", revision);
        }
        labels
    }

    fn config(&self, layer: &str) -> Value {
        let program = format!("/{}", self.program);
        let entrypoint = [&[program.as_str()], self.arguments].concat();
        json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": {
                "User": "0",
                "Entrypoint": entrypoint,
                "Labels": self.labels(),
            },
            "rootfs": {"type": "layers", "diff_ids": [layer]},
            "history": [{"created_by": "cargo xtask image"}],
        })
    }
}

impl Archive {
    /// Makes one whose only file is this program.
    pub fn new(image: &Image, program: &[u8]) -> Result<Self> {
        let mut blobs = Blobs::default();
        let layer = blobs.add(LAYER, pack([(image.program, 0o755, program)])?);
        let config = blobs.add(CONFIG, to_bytes(&image.config(layer.digest()))?);
        let manifest = blobs.add(
            MANIFEST,
            to_bytes(&json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.0,
                "layers": [layer.0],
            }))?,
        );
        let digest = manifest.digest().to_owned();
        let files = BTreeMap::from([
            ("index.json".to_owned(), to_bytes(&index(image, manifest.clone()))?),
            ("manifest.json".to_owned(), to_bytes(&docker_manifest(image, &config, &layer))?),
            ("oci-layout".to_owned(), to_bytes(&json!({"imageLayoutVersion": "1.0.0"}))?),
        ]);
        let entries = blobs.0.iter().chain(&files);
        let bytes = pack(entries.map(|(path, bytes)| (path.as_str(), 0o644, bytes.as_slice())))?;
        Ok(Self { bytes, digest })
    }
}

/// The name is for containerd, the tag for others that read image layouts.
fn index(image: &Image, manifest: Descriptor) -> Value {
    let mut manifest = manifest.0;
    manifest["annotations"] = json!({
        "io.containerd.image.name": image.reference(),
        "org.opencontainers.image.ref.name": image.version,
    });
    manifest["platform"] = json!({"architecture": image.architecture, "os": "linux"});
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]})
}

/// For releases of docker before 25, which do not know image layouts.
fn docker_manifest(image: &Image, config: &Descriptor, layer: &Descriptor) -> Value {
    json!([{"Config": config.path(), "RepoTags": [image.reference()], "Layers": [layer.path()]}])
}

/// By their paths in the archive.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let digest = sha256(&bytes);
        let blob = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        let descriptor = Descriptor(blob);
        self.0.insert(descriptor.path(), bytes);
        descriptor
    }
}

/// What others have of a blob: its type, digest and size.
#[derive(Clone)]
struct Descriptor(Value);

impl Descriptor {
    fn digest(&self) -> &str {
        self.0["digest"].as_str().unwrap_or_default()
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.digest().replace(':', "/"))
    }
}

/// `sha256:` and hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Packs files, each with its path, mode and contents: root's, and of 1970.
fn pack<'a>(files: impl IntoIterator<Item = (&'a str, u32, &'a [u8])>) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, contents) in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(mode);
        header.set_size(contents.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(&mut header, path, contents).with_context(|| format!("packing {path}"))?;
    }
    Ok(archive.into_inner()?)
}

fn to_bytes(value: &Value) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}
