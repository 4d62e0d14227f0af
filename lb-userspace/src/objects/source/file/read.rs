//! Reading files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{decode, yaml};
use crate::objects::{
    model::Problem,
    source::{
        files::{FileContents, LoadResult, join_files},
        listing::{Listing, Origin},
    },
};

/// Bytes above which a file is refused: 10,000 Services with 16 endpoints have 25 MiB.
pub const MAX_FILE: u64 = 64 << 20;

/// Reads a directory, again and again.
pub struct Reader {
    dir: PathBuf,
    /// What was read last, with a hash of the bytes.
    last: BTreeMap<Arc<Path>, (u64, Arc<FileContents>)>,
}

impl Reader {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), last: BTreeMap::new() }
    }

    /// What all files have now. Those that have changed are parsed.
    pub fn read(&mut self) -> LoadResult {
        let files = list_files(&self.dir).map_err(|error| {
            let remedy = "name a directory with YAML files of Services, EndpointSlices and Nodes";
            vec![file_problem("directory", &self.dir, "path", error.to_string(), remedy)]
        })?;
        let mut last = std::mem::take(&mut self.last);
        for path in files {
            let path: Arc<Path> = path.into();
            let before = last.remove(&path);
            self.last.insert(Arc::clone(&path), read_contents(&path, before));
        }
        Ok(self.last.iter().map(|(path, (_, contents))| (Arc::clone(path), Arc::clone(contents))).collect())
    }
}

/// `before`: what it had when it was read last.
fn read_contents(path: &Path, before: Option<(u64, Arc<FileContents>)>) -> (u64, Arc<FileContents>) {
    let bytes = match read_bytes(path) {
        Ok(bytes) => bytes,
        Err(problem) => {
            return (0, Arc::new(FileContents { faults: vec![problem], ..FileContents::default() }));
        }
    };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let hash = hasher.finish();
    match before {
        Some((same, contents)) if same == hash => (hash, contents),
        _ => (hash, Arc::new(parse_bytes(path, bytes))),
    }
}

fn parse_bytes(path: &Path, bytes: Vec<u8>) -> FileContents {
    match decode_text(path, bytes) {
        Ok(text) => parse_file(path, &text),
        Err(problem) => FileContents { faults: vec![problem], ..FileContents::default() },
    }
}

/// All objects of a directory; or all that is wrong, if that is anything.
pub fn read_dir(dir: &Path) -> Result<Listing, Vec<Problem>> {
    join_files(Reader::new(dir).read()?.values().map(|contents| &**contents))
}

/// What a directory with this text in `test.yaml` is read as.
#[cfg(test)]
pub fn read_text(text: &str) -> Result<Listing, Vec<Problem>> {
    join_files(std::iter::once(&parse_file(Path::new("test.yaml"), text)))
}

/// The same of several files, by name.
#[cfg(test)]
pub fn read_texts(texts: &[(&str, &str)]) -> LoadResult {
    let file = |(name, text): &(&str, &str)| {
        let path: Arc<Path> = Path::new(name).into();
        (Arc::clone(&path), Arc::new(parse_file(&path, text)))
    };
    Ok(texts.iter().map(file).collect())
}

/// The files of a directory that are ours to read, sorted. Hidden ones are
/// editors' locks and the inner parts of mounted ConfigMaps.
pub fn list_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        // A link to nowhere counts as a file, so that reading it reports the error.
        if is_object_file(&path) && fs::metadata(&path).map_or(true, |meta| meta.is_file()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// By its name, is it a file with objects?
pub fn is_object_file(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    let problem = |message: String, remedy: &str| file_problem("file", path, "contents", message, remedy);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(error.to_string(), "make the file readable, or remove it"))?;
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("larger than {} MiB", MAX_FILE >> 20);
        return Err(problem(message, "split it into several files"));
    }
    Ok(bytes)
}

fn decode_text(path: &Path, bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        let message = "not UTF-8 text".to_owned();
        let located = file_problem("file", path, "contents", message, "save the file as UTF-8");
        Problem { location: Some(format!("{}:{line}", path.display())), ..located }
    })
}

/// The objects in a file's text, and what is wrong with it.
fn parse_file(path: &Path, text: &str) -> FileContents {
    let mut contents = FileContents::default();
    let file = Origin { file: path.into(), lines: Arc::default() };
    let result = yaml::for_each_document(text.trim_start_matches('\u{feff}'), |document| {
        decode::decode(document, &file, &mut contents);
    });
    if let Err(error) = result {
        let remedy = "correct the YAML: mostly it is the indentation, or a quote or bracket left open";
        let located = file_problem("file", path, "syntax", error.message, remedy);
        let location = Some(format!("{}:{}", path.display(), error.line));
        contents.faults.push(Problem { location, ..located });
    }
    contents
}

fn file_problem(what: &str, path: &Path, field: &str, message: String, remedy: &str) -> Problem {
    Problem {
        object: format!("{what} {}", path.file_name().unwrap_or(path.as_os_str()).display()),
        field: field.to_owned(),
        message,
        remedy: remedy.to_owned(),
        location: Some(path.display().to_string()),
    }
}
