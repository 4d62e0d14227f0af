//! Reading files.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fs::{self, File, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    iter,
    os::unix::fs::MetadataExt,
    panic,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use super::{
    contents::{FileContents, Files},
    document, yaml,
};
use crate::{objects::model::Problem, os::memory};

/// Bytes above which a file is refused: 10,000 Services with 16 endpoints have 25 MiB.
pub const MAX_FILE: u64 = 64 << 20;

/// As many are read without a thread.
const FEW_FILES: usize = 32;

/// Where to look for changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Look {
    Everywhere,
    /// At files whose length, times or inode differ, at new ones and those that could not be read.
    AtWhatDiffers,
    /// At the files with these names.
    At(BTreeSet<OsString>),
}

/// Reads a directory, again and again.
pub struct Reader {
    dir: PathBuf,
    files: Files,
    versions: HashMap<Arc<Path>, Version>,
}

/// What distinguishes one version of a file from another.
struct Version {
    /// None: it could not be read.
    identity: Option<Identity>,
    hash: u64,
}

/// Device, inode, length in bytes, and times of modification and change in ns.
type Identity = (u64, u64, u64, [i64; 2], [i64; 2]);

impl Reader {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), files: Files::new(), versions: HashMap::new() }
    }

    /// What was read so far.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Reads. Returns the files that are new, different or gone. Those with the same bytes are not
    /// parsed again.
    pub fn look(&mut self, look: &Look) -> Result<BTreeSet<Arc<Path>>, Problem> {
        if let Look::At(names) = look
            && self.dir.is_dir()
        {
            let paths = names.iter().map(|name| self.dir.join(name));
            let there: Vec<_> = paths.clone().filter(|path| is_there(path)).collect();
            let gone: Vec<Arc<Path>> = paths.filter(|path| !is_there(path)).map(Into::into).collect();
            let gone = gone.into_iter().filter(|path| self.files.contains_key(path)).collect();
            return Ok(self.read_files(there, gone));
        }
        let there = list_files(&self.dir).map_err(|error| {
            let remedy = "name a directory with YAML files of Services, EndpointSlices and Nodes";
            file_problem("directory", &self.dir, "path", error.to_string(), remedy)
        })?;
        let gone = self.files.keys().filter(|path| there.binary_search_by(|p| (**p).cmp(path)).is_err());
        let gone = gone.cloned().collect();
        let differs = |path: &PathBuf| {
            let last = self.versions.get(&**path).and_then(|version| version.identity);
            last.is_none() || fs::metadata(path).ok().map(|meta| identity(&meta)) != last
        };
        let to_read = match look {
            Look::AtWhatDiffers => there.into_iter().filter(differs).collect(),
            _ => there,
        };
        Ok(self.read_files(to_read, gone))
    }

    fn read_files(&mut self, there: Vec<PathBuf>, gone: BTreeSet<Arc<Path>>) -> BTreeSet<Arc<Path>> {
        for path in &gone {
            self.files.remove(path);
            self.versions.remove(path);
        }
        let mut changed = gone;
        let versions = &self.versions;
        let read = in_parallel(&there, |path| {
            let path: Arc<Path> = path.as_path().into();
            let last = versions.get(&path).map(|version| version.hash);
            let (version, contents) = read_contents(&path, last);
            (path, version, contents)
        });
        for (path, version, contents) in read {
            self.versions.insert(Arc::clone(&path), version);
            if let Some(contents) =
                contents.filter(|new| self.files.get(&path).map(|last| &**last) != Some(new))
            {
                self.files.insert(Arc::clone(&path), Arc::new(contents));
                changed.insert(path);
            }
        }
        if there.len() > FEW_FILES {
            memory::give_back();
        }
        changed
    }
}

/// Does the work on all cores, if there is much: at a start there are many files, and parsing them takes
/// most of the time. The results are in the order of `items`.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() <= FEW_FILES {
        return items.iter().map(work).collect();
    }
    let parts = items.len().div_ceil(FEW_FILES);
    let helpers = thread::available_parallelism().map_or(1, usize::from).min(parts) - 1;
    // Small ones: some files take far longer than others, and all threads are to end together.
    let parts = Mutex::new(items.chunks(FEW_FILES).enumerate());
    let next_part = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work_off = || -> Vec<(usize, Vec<R>)> {
        let parts = iter::from_fn(next_part);
        parts.map(|(number, part)| (number, part.iter().map(&work).collect())).collect()
    };
    let mut done = thread::scope(|scope| {
        // Where the system refuses a thread (a limit of PIDs), those that there are do its part.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work_off).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut done = work_off();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

/// Contents: none if they have this hash.
fn read_contents(path: &Path, last: Option<u64>) -> (Version, Option<FileContents>) {
    let (identity, bytes) = match read_bytes(path) {
        Ok(read) => read,
        Err(problem) => {
            return (Version { identity: None, hash: 0 }, Some(FileContents::faulty(problem)));
        }
    };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let hash = hasher.finish();
    let contents = (last != Some(hash)).then(|| parse_bytes(path, bytes));
    (Version { identity: Some(identity), hash }, contents)
}

/// Should parsing it ever panic, that concerns no other file.
fn parse_bytes(path: &Path, bytes: Vec<u8>) -> FileContents {
    let text = match decode_text(path, bytes) {
        Ok(text) => text,
        Err(problem) => return FileContents::faulty(problem),
    };
    panic::catch_unwind(|| parse_file(path, &text)).unwrap_or_else(|_| {
        let message = "cannot be parsed: this is a fault of Trigon".to_owned();
        let remedy = "report it, with the file; until then, write it otherwise";
        FileContents::faulty(file_problem("file", path, "contents", message, remedy))
    })
}

/// The files of a directory that are ours to read, sorted. Hidden ones are
/// editors' locks and the inner parts of mounted ConfigMaps.
fn list_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if is_object_file(&path) && is_there(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Is there a file, or something that may be one? A link to nowhere counts as a file, and what the
/// file system fails to tell of, so that reading it reports the error.
fn is_there(path: &Path) -> bool {
    let is_gone = || fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    fs::metadata(path).map_or_else(|_| !is_gone(), |meta| meta.is_file())
}

/// By its name, is it a file with objects?
pub fn is_object_file(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

fn identity(meta: &Metadata) -> Identity {
    let (modified, changed) = ([meta.mtime(), meta.mtime_nsec()], [meta.ctime(), meta.ctime_nsec()]);
    (meta.dev(), meta.ino(), meta.len(), modified, changed)
}

fn read_bytes(path: &Path) -> Result<(Identity, Vec<u8>), Problem> {
    let problem = |message: String, remedy: &str| file_problem("file", path, "contents", message, remedy);
    let mut bytes = Vec::new();
    let mut read = || {
        let file = File::open(path)?;
        // What is written while it is read makes it differ from this.
        let identity = identity(&file.metadata()?);
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        Ok(identity)
    };
    let identity = read()
        .map_err(|error: io::Error| problem(error.to_string(), "make the file readable, or remove it"))?;
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("larger than {} MiB", MAX_FILE >> 20);
        return Err(problem(message, "split it into several files"));
    }
    Ok((identity, bytes))
}

fn decode_text(path: &Path, bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        let message = "not UTF-8 text".to_owned();
        let located = file_problem("file", path, "contents", message, "save the file as UTF-8");
        Problem { location: Some(format!("{}:{line}", path.display()).into()), ..located }
    })
}

/// The objects in a file's text, and what is wrong with it.
pub fn parse_file(path: &Path, text: &str) -> FileContents {
    let mut contents = FileContents::default();
    let file: Arc<Path> = path.into();
    let result = yaml::for_each_document(text.trim_start_matches('\u{feff}'), |document| {
        document::decode(document, &file, &mut contents);
    });
    if let Err(error) = result {
        let remedy = "correct the YAML: mostly it is the indentation, or a quote or bracket left open";
        let located = file_problem("file", path, "syntax", error.message, remedy);
        let location = Some(format!("{}:{}", path.display(), error.line).into());
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
        location: Some(path.display().to_string().into()),
        ..Problem::default()
    }
}
