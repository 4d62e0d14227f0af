use std::io::Read;

use super::*;

fn image() -> Image {
    Image {
        program: "trigon",
        arguments: &[],
        description: "what is tested",
        name: "localhost/trigon".into(),
        version: "1.2.3".into(),
        revision: Some("3f2a9c".to_owned()),
        architecture: "amd64",
    }
}

fn archive() -> Archive {
    Archive::new(&image(), b"the program").unwrap()
}

/// An entry of an archive: its mode, owner, group, time of modification, and contents.
type Entry = ([u64; 4], Vec<u8>);

fn unpack(bytes: &[u8]) -> BTreeMap<String, Entry> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(header.entry_type(), tar::EntryType::Regular);
        let facts = [
            u64::from(header.mode().unwrap()),
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
        ];
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        (path, (facts, contents))
    });
    entries.collect()
}

fn parse(files: &BTreeMap<String, Entry>, path: &str) -> Value {
    serde_json::from_slice(&files[path].1).unwrap()
}

/// What a descriptor is of, if type, size and digest are right.
fn blob<'a>(files: &'a BTreeMap<String, Entry>, descriptor: &Value, media_type: &str) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap();
    let (_, bytes) = &files[&format!("blobs/{}", digest.replace(':', "/"))];
    assert_eq!(sha256(bytes), digest);
    assert_eq!(descriptor["size"], bytes.len());
    assert_eq!(descriptor["mediaType"], media_type);
    bytes
}

#[test]
fn the_index_leads_to_a_program_that_runs_as_root() {
    let archive = archive();
    let files = unpack(&archive.bytes);
    assert_eq!(parse(&files, "oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let index = parse(&files, "index.json");
    let [manifest] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!(manifest["annotations"]["io.containerd.image.name"], "localhost/trigon:1.2.3");
    assert_eq!(manifest["platform"], json!({"architecture": "amd64", "os": "linux"}));
    assert_eq!(manifest["digest"], archive.digest);

    let manifest: Value = serde_json::from_slice(blob(&files, manifest, MANIFEST)).unwrap();
    let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("{manifest}") };
    let config: Value = serde_json::from_slice(blob(&files, &manifest["config"], CONFIG)).unwrap();
    assert_eq!(config["config"]["Entrypoint"], json!(["/trigon"]));
    assert_eq!(config["config"]["User"], "0");
    assert_eq!(config["rootfs"]["diff_ids"], json!([layer["digest"]]));
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.version"], "1.2.3");
    assert_eq!(labels["org.opencontainers.image.revision"], "3f2a9c");

    let root = unpack(blob(&files, layer, LAYER));
    let program = ([0o755, 0, 0, 0], b"the program".to_vec());
    assert_eq!(root, BTreeMap::from([("trigon".to_owned(), program)]));
}

#[test]
fn docker_finds_the_same_blobs() {
    let files = unpack(&archive().bytes);
    let manifest = parse(&files, "manifest.json");
    assert_eq!(manifest[0]["RepoTags"], json!(["localhost/trigon:1.2.3"]));
    for path in [&manifest[0]["Config"], &manifest[0]["Layers"][0]] {
        assert!(files.contains_key(path.as_str().unwrap()), "{path}");
    }
    // Nothing is in it that nobody names: three blobs, two indices, and the layout's version.
    assert_eq!(files.len(), 6, "{:?}", files.keys());
}

#[test]
fn the_same_program_gives_the_same_archive_and_another_one_another() {
    assert_eq!(archive().bytes, archive().bytes);
    let other = Archive::new(&image(), b"another program").unwrap();
    assert_ne!(other.digest, archive().digest);
}

#[test]
fn arguments_follow_the_program() {
    let config = Image { arguments: &["pause"], ..image() }.config("sha256:0");
    assert_eq!(config["config"]["Entrypoint"], json!(["/trigon", "pause"]));
}

/// Of "abc", as FIPS 180-2, appendix B.1, has it.
#[test]
fn digests_are_sha256() {
    let known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256(b"abc"), known);
}
