//! Follows a directory: reads what has changed in it.
//!
//! inotify reports changes at once; a slow rescan finds those that it misses: on
//! network file systems, in targets of links, and when the event queue is full.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsString,
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
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    read::{Look, Reader, is_object_file},
    store::Store,
};
use crate::{objects::source::Update, os::moment::ticks_every};

/// How long nothing may happen before a change counts as complete.
const QUIET: Duration = Duration::from_millis(20);
/// How long to wait for a writer to close its file: a half written file can be valid YAML.
const PATIENCE: Duration = Duration::from_secs(1);
const RESCAN: Duration = Duration::from_secs(5);

/// Hands over what the directory has, and then what changes, until the receiver is gone.
pub async fn follow_dir(dir: PathBuf, expects_files: bool, updates: mpsc::Sender<Update>) {
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut watches = Watches::new(&dir, sender);
    let mut directory = Directory::new(&dir, expects_files);
    let mut look = Look::Everywhere;
    let mut rescan = ticks_every(RESCAN);
    rescan.tick().await;
    loop {
        // In this order a change while reading is seen either by the read or by a watch.
        watches.renew();
        let read = tokio::task::spawn_blocking(move || (directory.look(&look), directory));
        let (update, back) = match read.await {
            Ok(read) => read,
            Err(error) if error.is_panic() => {
                let dir = dir.display();
                tracing::error!(%dir, "is not followed any more: a fault of Trigon. Restart the agent, and report it");
                return;
            }
            // The runtime shuts down.
            Err(_) => return,
        };
        directory = back;
        if let Some(update) = update
            && updates.send(update).await.is_err()
        {
            return;
        }
        tokio::select! {
            () = updates.closed() => return,
            _ = rescan.tick() => look = Look::AtWhatDiffers,
            Some(event) = events.recv() => {
                let burst = wait_until_quiet(event, &mut events).await;
                if burst.is_replaced {
                    watches.forget_directory();
                }
                look = burst.look();
            }
        }
    }
}

/// What a directory has, as far as it was told.
pub struct Directory {
    reader: Reader,
    store: Store,
    last: Option<Update>,
}

impl Directory {
    /// `expects_files`: an earlier agent has served something.
    pub fn new(dir: &Path, expects_files: bool) -> Self {
        Self { reader: Reader::new(dir), store: Store::new(expects_files), last: None }
    }

    /// Reads. None: nothing is new.
    pub fn look(&mut self, look: &Look) -> Option<Update> {
        let update = match self.reader.look(look) {
            Ok(changed) => self.store.take(self.reader.files(), &changed),
            Err(problem) => {
                let refused = self.last.as_ref().map(|last| last.refused.clone()).unwrap_or_default();
                Update { faults: vec![problem], refused, ..Update::default() }
            }
        };
        let (faults, refused) = (update.faults.clone(), update.refused.clone());
        let told = Update { faults, refused, ..Update::default() };
        let is_new = !update.changes.is_empty() || self.last.as_ref() != Some(&told);
        self.last = Some(told);
        is_new.then_some(update)
    }
}

/// A file system event, as far as it matters for where and when to read.
enum FileEvent {
    /// Somebody is writing to this file, and has not closed it.
    Writing(OsString),
    Written(OsString),
    /// It came, or its attributes changed.
    Touched(OsString),
    /// The directory itself came, went or was renamed.
    Directory,
    /// Any file may have changed.
    Any,
}

/// What happened in a short time.
#[derive(Default)]
struct Burst {
    names: BTreeSet<OsString>,
    any: bool,
    is_replaced: bool,
}

impl Burst {
    fn look(self) -> Look {
        // Times of files are coarse: after an event, read even if nothing looks changed.
        if self.any || self.is_replaced { Look::Everywhere } else { Look::At(self.names) }
    }
}

/// Waits until a burst of changes is over.
async fn wait_until_quiet(first: FileEvent, events: &mut mpsc::UnboundedReceiver<FileEvent>) -> Burst {
    let patience = Instant::now() + PATIENCE;
    let mut being_written = HashSet::new();
    let mut burst = Burst::default();
    let mut next = Some(first);
    while let Some(event) = next {
        match event {
            FileEvent::Writing(name) => {
                being_written.insert(name.clone());
                burst.names.insert(name);
            }
            FileEvent::Written(name) => {
                being_written.remove(&name);
                burst.names.insert(name);
            }
            FileEvent::Touched(name) => drop(burst.names.insert(name)),
            FileEvent::Directory => burst.is_replaced = true,
            FileEvent::Any => burst.any = true,
        }
        let quiet = Instant::now() + QUIET;
        let until = if being_written.is_empty() { quiet.min(patience) } else { patience };
        next = timeout_at(until, events.recv()).await.ok().flatten();
    }
    burst
}

/// Watches on the directory and, since it can be replaced, its parent.
struct Watches {
    watcher: Option<RecommendedWatcher>,
    dir: PathBuf,
    /// Device and inode of the directory that is watched.
    watched: Option<(u64, u64)>,
}

impl Watches {
    fn new(dir: &Path, events: mpsc::UnboundedSender<FileEvent>) -> Self {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let of = dir.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            for event in event.map_or(vec![FileEvent::Any], |event| interpret_event(event, &of)) {
                // The receiver is gone when following has ended.
                let _ = events.send(event);
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

/// What an event means for the directory. Reading is an event, too, and means nothing.
fn interpret_event(event: Event, dir: &Path) -> Vec<FileEvent> {
    if event.need_rescan() {
        return vec![FileEvent::Any];
    }
    let is_replacement = matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    );
    if is_replacement && event.paths.iter().any(|path| path == dir) {
        return vec![FileEvent::Directory];
    }
    let tell: fn(OsString) -> FileEvent = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => FileEvent::Written,
        EventKind::Access(_) => return Vec::new(),
        EventKind::Modify(ModifyKind::Data(_)) => FileEvent::Writing,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => FileEvent::Written,
        _ => FileEvent::Touched,
    };
    let meaning = |path: &PathBuf| match path.file_name()? {
        // Mounted ConfigMaps change by renaming this link.
        name if name == "..data" => Some(FileEvent::Any),
        name => is_object_file(path).then(|| tell(name.to_owned())),
    };
    event.paths.iter().filter(|path| path.parent() == Some(dir)).filter_map(meaning).collect()
}
