//! Follows a directory: loads it again whenever it changed.
//!
//! inotify reports changes at once; a slow rescan finds those that it misses: on
//! network file systems, in targets of links, and when the event queue is full.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout_at},
};

use super::read::{Reader, is_object_file, list_files};
use crate::objects::source::files::LoadResult;

/// How long nothing may happen before a change counts as complete.
const QUIET: Duration = Duration::from_millis(20);
/// How long to wait for a writer to close its file: a half written file can be valid YAML.
const PATIENCE: Duration = Duration::from_secs(1);
const RESCAN: Duration = Duration::from_secs(5);

/// Loads the directory now and after every change, until all receivers are gone.
pub async fn follow_dir(dir: PathBuf, on_change: watch::Sender<LoadResult>) {
    let (sender, mut changes) = mpsc::unbounded_channel();
    let mut watches = Watches::new(&dir, sender);
    let mut last_seen = None;
    let mut reader = Reader::new(&dir);
    loop {
        // In this order a change while reading is seen either by the read or by a watch.
        watches.renew();
        let directory = dir.clone();
        let seen = run_blocking(move || directory_state(&directory)).await;
        if seen != last_seen {
            let mut taken = std::mem::replace(&mut reader, Reader::new(&dir));
            let read = run_blocking(move || (taken.read(), taken)).await;
            if let Some((load, taken)) = read {
                reader = taken;
                on_change.send_modify(|last| *last = load);
            }
            last_seen = seen;
        }
        tokio::select! {
            () = on_change.closed() => return,
            () = sleep(RESCAN) => {}
            Some(change) = changes.recv() => {
                if wait_until_quiet(change, &mut changes).await {
                    watches.forget_directory();
                }
                // Times of files are coarse: after an event, read even if nothing looks changed.
                last_seen = None;
            }
        }
    }
}

/// A file system event, as far as it matters for when to read.
enum FileEvent {
    /// Somebody is writing to this file, and has not closed it.
    Writing(PathBuf),
    Written(PathBuf),
    /// The directory itself came, went or was renamed.
    Directory,
    Other,
}

/// Waits until a burst of changes is over. True if the directory was replaced.
async fn wait_until_quiet(first: FileEvent, changes: &mut mpsc::UnboundedReceiver<FileEvent>) -> bool {
    let patience = Instant::now() + PATIENCE;
    let mut being_written = HashSet::new();
    let mut replaced = false;
    let mut next = Some(first);
    while let Some(change) = next {
        match change {
            FileEvent::Writing(file) => drop(being_written.insert(file)),
            FileEvent::Written(file) => drop(being_written.remove(&file)),
            FileEvent::Directory => replaced = true,
            FileEvent::Other => {}
        }
        let quiet = Instant::now() + QUIET;
        let until = if being_written.is_empty() { quiet.min(patience) } else { patience };
        next = timeout_at(until, changes.recv()).await.ok().flatten();
    }
    replaced
}

/// Watches on the directory and, since it can be replaced, its parent.
struct Watches {
    watcher: Option<RecommendedWatcher>,
    dir: PathBuf,
    /// Device and inode of the directory that is watched.
    watched: Option<(u64, u64)>,
}

impl Watches {
    fn new(dir: &Path, changes: mpsc::UnboundedSender<FileEvent>) -> Self {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let of = dir.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Some(change) = event.map_or(Some(FileEvent::Other), |event| interpret_event(event, &of)) {
                // The receiver is gone when following has ended.
                let _ = changes.send(change);
            }
        });
        let mut watches = Self { watcher: log_error(watcher, &dir), dir, watched: None };
        if let (Some(watcher), Some(parent)) = (&mut watches.watcher, watches.dir.parent()) {
            log_error(watcher.watch(parent, RecursiveMode::NonRecursive), parent);
        }
        watches
    }

    /// Watches the directory that is there now.
    fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let there = fs::metadata(&self.dir).ok().map(|meta| (meta.dev(), meta.ino()));
        if there == self.watched {
            return;
        }
        // An error only says that the kernel has dropped the watch already.
        let _ = watcher.unwatch(&self.dir);
        self.watched = there.filter(|_| {
            log_error(watcher.watch(&self.dir, RecursiveMode::NonRecursive), &self.dir).is_some()
        });
    }

    /// The watched directory is gone. A new one may have the same inode, so watch again.
    fn forget_directory(&mut self) {
        self.watched = None;
    }
}

/// The value; an error is logged.
fn log_error<T>(result: notify::Result<T>, path: &Path) -> Option<T> {
    let warn = |error| {
        let path = path.display();
        tracing::warn!(%path, %error, "no inotify: changes are found only every {RESCAN:?}");
    };
    result.map_err(warn).ok()
}

/// What an event means for the directory. None if nothing: reading is an event, too.
fn interpret_event(event: Event, dir: &Path) -> Option<FileEvent> {
    if event.need_rescan() {
        return Some(FileEvent::Other);
    }
    let ours = |path: &&PathBuf| {
        // Mounted ConfigMaps change by renaming the link `..data`.
        path.parent() == Some(dir) && (is_object_file(path) || path.ends_with("..data"))
    };
    let replaced = matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    );
    if replaced && event.paths.iter().any(|path| path == dir) {
        return Some(FileEvent::Directory);
    }
    let path = event.paths.iter().find(ours)?.clone();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(FileEvent::Written(path)),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => Some(FileEvent::Writing(path)),
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Some(FileEvent::Written(path)),
        _ => Some(FileEvent::Other),
    }
}

/// Distinguishes versions of the directory without reading the files: device, inode,
/// length in bytes and modification time of each. None if the directory cannot be listed.
type DirectoryState = Option<BTreeMap<PathBuf, Option<(u64, u64, u64, i64, i64)>>>;

fn directory_state(dir: &Path) -> DirectoryState {
    let identity = |path: &PathBuf| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    let files = list_files(dir).ok()?;
    Some(files.into_iter().map(|path| (path.clone(), identity(&path))).collect())
}

/// Runs `f` where it may block. None if it panicked, or the runtime is shutting down.
async fn run_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(f).await.ok()
}
