//! Reading files.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{decode, reading::Reading, yaml};
use crate::objects::{
    model::Problem,
    source::{
        lines::Lines,
        listing::{Listing, Origin},
    },
};

/// Bytes above which a file is refused: 10,000 Services with 16 endpoints have 25 MiB.
pub const MAX_FILE: u64 = 64 << 20;

/// Reads all objects of a directory: all of them, or everything that is wrong.
pub fn read_dir(dir: &Path) -> Result<Listing, Vec<Problem>> {
    let files = list_files(dir).map_err(|error| {
        let remedy = "name a directory with YAML files of Services, EndpointSlices and Nodes";
        vec![file_problem("directory", dir, "path", error.to_string(), remedy)]
    })?;
    let mut reading = Reading::default();
    for file in files {
        match read_file(&file) {
            Ok(text) => parse_file(&mut reading, &file, &text),
            Err(problem) => reading.problems.push(problem),
        }
    }
    reading.into_result()
}

/// What a directory with this text in `test.yaml` is read as.
#[cfg(test)]
pub fn read_text(text: &str) -> Result<Listing, Vec<Problem>> {
    let mut reading = Reading::default();
    parse_file(&mut reading, Path::new("test.yaml"), text);
    reading.into_result()
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

fn read_file(path: &Path) -> Result<String, Problem> {
    let problem = |message: String, remedy: &str| file_problem("file", path, "contents", message, remedy);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(error.to_string(), "make the file readable, or remove it"))?;
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("larger than {} MiB", MAX_FILE >> 20);
        return Err(problem(message, "split it into several files"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        let located = problem("not UTF-8 text".to_owned(), "save the file as UTF-8");
        Problem { location: Some(format!("{}:{line}", path.display())), ..located }
    })
}

/// Adds the objects in a file's text, and what is wrong with it.
fn parse_file(reading: &mut Reading, path: &Path, text: &str) {
    let file = Origin { file: path.into(), lines: Lines::default() };
    let result = yaml::for_each_document(text.trim_start_matches('\u{feff}'), |document| {
        decode::decode(document, &file, reading);
    });
    if let Err(error) = result {
        let remedy = "correct the YAML: mostly it is the indentation, or a quote or bracket left open";
        let located = file_problem("file", path, "syntax", error.message, remedy);
        let location = Some(format!("{}:{}", path.display(), error.line));
        reading.problems.push(Problem { location, ..located });
    }
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
