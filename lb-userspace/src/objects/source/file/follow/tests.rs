use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use crate::objects::source::Change;

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: node1}}\n";

/// What is told next: objects that were put, and those that are gone. None: a fault.
async fn next_names(updates: &mut mpsc::Receiver<Update>) -> Option<Vec<String>> {
    let update = timeout(Duration::from_secs(2), updates.recv()).await.expect("no change was told").unwrap();
    let name = |change: &Change| match change {
        Change::Put(object, _) => Some(object.object_ref().to_string()),
        Change::Gone(object) => Some(format!("no {object}")),
        Change::Synced(_) => None,
    };
    update.faults.is_empty().then(|| update.changes.iter().filter_map(name).collect())
}

/// Skips what is told until this is among it.
async fn wait_for(updates: &mut mpsc::Receiver<Update>, name: &str) {
    let has = |told: Option<Vec<String>>| told.is_some_and(|told| told.iter().any(|one| one == name));
    timeout(Duration::from_secs(2), async { while !has(next_names(updates).await) {} }).await.expect(name);
}

fn follow(dir: &Path) -> (mpsc::Receiver<Update>, tokio::task::JoinHandle<()>) {
    let (sender, updates) = mpsc::channel(1);
    (updates, tokio::spawn(follow_dir(dir.to_owned(), false, sender)))
}

#[tokio::test]
async fn every_change_of_a_directory_is_followed() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("objects");
    let node = |name: &str| NODE.replace("node1", name);
    fs::create_dir(&dir).unwrap();
    let (mut updates, following) = follow(&dir);
    assert_eq!(next_names(&mut updates).await.unwrap(), [""; 0]);

    fs::write(dir.join("a.yaml"), node("written")).unwrap();
    assert_eq!(next_names(&mut updates).await.unwrap(), ["Node written"]);

    fs::write(dir.join("new"), node("renamed")).unwrap();
    fs::rename(dir.join("new"), dir.join("a.yaml")).unwrap();
    assert_eq!(next_names(&mut updates).await.unwrap(), ["Node renamed", "no Node written"]);

    fs::rename(dir.join("a.yaml"), dir.join("b.yaml")).unwrap();
    assert_eq!(next_names(&mut updates).await.unwrap(), ["Node renamed"]);

    fs::write(dir.join("b.yaml"), "{").unwrap();
    assert_eq!(next_names(&mut updates).await, None);

    fs::remove_file(dir.join("b.yaml")).unwrap();
    assert_eq!(next_names(&mut updates).await, None, "there is no file any more");

    // As the kubelet updates a mounted ConfigMap.
    for (version, expected) in
        [("..1", ["Node ..1", "no Node renamed"]), ("..2", ["no Node ..1", "Node ..2"])]
    {
        fs::create_dir(dir.join(version)).unwrap();
        fs::write(dir.join(version).join("a.yaml"), node(version)).unwrap();
        symlink(version, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        if version == "..1" {
            symlink("..data/a.yaml", dir.join("a.yaml")).unwrap();
        }
        assert_eq!(next_names(&mut updates).await.unwrap(), expected);
    }

    // The directory is replaced, twice.
    for name in ["first", "second"] {
        fs::remove_dir_all(&dir).unwrap();
        sleep(Duration::from_millis(100)).await;
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.yaml"), node(name)).unwrap();
        wait_for(&mut updates, &format!("Node {name}")).await;
        sleep(Duration::from_millis(100)).await;
        assert!(updates.try_recv().is_err(), "nothing else was changed");
        fs::write(dir.join("a.yaml"), node("again")).unwrap();
        wait_for(&mut updates, "Node again").await;
    }

    drop(updates);
    timeout(Duration::from_secs(1), following).await.expect("nobody listens any more").unwrap();
}

#[tokio::test]
async fn a_file_is_not_read_while_it_is_being_written() {
    let dir = TempDir::new().unwrap();
    let (mut updates, _following) = follow(dir.path());
    next_names(&mut updates).await;
    let mut file = File::create(dir.path().join("a.yaml")).unwrap();
    file.write_all(NODE.as_bytes()).unwrap();
    sleep(Duration::from_millis(100)).await;
    file.write_all(format!("---\n{}", NODE.replace("node1", "node2")).as_bytes()).unwrap();
    assert!(updates.try_recv().is_err());
    drop(file);
    let closed = Instant::now();
    assert_eq!(next_names(&mut updates).await.unwrap(), ["Node node1", "Node node2"]);
    let took = closed.elapsed();
    println!("told after {took:?}");
    assert!(took < PATIENCE / 2, "{took:?}: only patience ended it");
}

#[test]
fn only_what_differs_is_read() {
    let dir = TempDir::new().unwrap();
    let (a, b) = (dir.path().join("a.yaml"), dir.path().join("b.yaml"));
    fs::write(&a, NODE).unwrap();
    symlink("nowhere", &b).unwrap();
    let mut reader = Reader::new(dir.path());
    let names = |changed: BTreeSet<std::sync::Arc<Path>>| -> Vec<_> {
        changed.iter().map(|path| path.file_name().unwrap().to_owned()).collect()
    };
    let mut look = |look: Look| names(reader.look(&look).unwrap());
    assert_eq!(look(Look::AtWhatDiffers), ["a.yaml", "b.yaml"]);
    assert_eq!(look(Look::AtWhatDiffers), [""; 0]);
    assert_eq!(look(Look::Everywhere), [""; 0], "the same bytes");
    // What could not be read is tried again.
    fs::write(dir.path().join("nowhere"), NODE).unwrap();
    assert_eq!(look(Look::AtWhatDiffers), ["b.yaml"]);
    fs::write(&a, NODE.replace("node1", "node2")).unwrap();
    assert_eq!(look(Look::At(["b.yaml".into(), "other.yaml".into()].into())), [""; 0]);
    assert_eq!(look(Look::At(["a.yaml".into()].into())), ["a.yaml"]);
    fs::remove_file(&a).unwrap();
    assert_eq!(look(Look::At(["a.yaml".into()].into())), ["a.yaml"]);
    fs::remove_file(&b).unwrap();
    assert_eq!(look(Look::AtWhatDiffers), ["b.yaml"]);
}

#[test]
fn a_directory_that_is_away_for_a_while_changes_nothing_and_is_told_of_once() {
    let parent = TempDir::new().unwrap();
    let (dir, away) = (parent.path().join("objects"), parent.path().join("away"));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a.yaml"), NODE).unwrap();
    let mut directory = Directory::new(&dir, false);
    // The changes, and the faults.
    let mut look = |look: Look| {
        directory.look(&look).map(|update| {
            let faults: Vec<_> = update.faults.iter().map(|fault| fault.object.clone()).collect();
            let is_object = |change: &&Change| !matches!(change, Change::Synced(_));
            (update.changes.iter().filter(is_object).count(), faults)
        })
    };
    let at_file = || Look::At(["a.yaml".into()].into());
    assert_eq!(look(Look::Everywhere), Some((1, vec![])));
    fs::rename(&dir, &away).unwrap();
    assert_eq!(look(at_file()), Some((0, vec!["directory objects".to_owned()])));
    assert_eq!(look(Look::AtWhatDiffers), None);
    assert_eq!(look(Look::Everywhere), None);
    fs::rename(&away, &dir).unwrap();
    assert_eq!(look(Look::AtWhatDiffers), Some((0, vec![])));
    assert_eq!(look(Look::Everywhere), None);
}
