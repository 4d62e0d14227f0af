use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::{super::tests::object_names, *};
use crate::objects::source::{Files, join_files};

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: node1}}\n";

async fn next_names(receiver: &mut watch::Receiver<LoadResult>) -> Option<Vec<String>> {
    timeout(Duration::from_secs(2), receiver.changed()).await.expect("no change was told").unwrap();
    let loaded = receiver.borrow_and_update().clone().ok()?;
    join_files(loaded.values().map(|contents| &**contents)).ok().map(|listing| object_names(&listing))
}

#[tokio::test]
async fn every_change_of_a_directory_is_followed() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("objects");
    let node = |name: &str| NODE.replace("node1", name);
    fs::create_dir(&dir).unwrap();
    let (sender, mut receiver) = watch::channel(Ok(Files::new()));
    let following = tokio::spawn(follow_dir(dir.clone(), sender));
    assert_eq!(next_names(&mut receiver).await.unwrap(), [""; 0]);

    fs::write(dir.join("a.yaml"), node("written")).unwrap();
    assert_eq!(next_names(&mut receiver).await.unwrap(), ["Node written"]);

    fs::write(dir.join("new"), node("renamed")).unwrap();
    fs::rename(dir.join("new"), dir.join("a.yaml")).unwrap();
    assert_eq!(next_names(&mut receiver).await.unwrap(), ["Node renamed"]);

    fs::write(dir.join("a.yaml"), "{").unwrap();
    assert_eq!(next_names(&mut receiver).await, None);

    fs::remove_file(dir.join("a.yaml")).unwrap();
    assert_eq!(next_names(&mut receiver).await.unwrap(), [""; 0]);

    // As the kubelet updates a mounted ConfigMap.
    for version in ["..1", "..2"] {
        fs::create_dir(dir.join(version)).unwrap();
        fs::write(dir.join(version).join("a.yaml"), node(version)).unwrap();
        symlink(version, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        if version == "..1" {
            symlink("..data/a.yaml", dir.join("a.yaml")).unwrap();
        }
        assert_eq!(next_names(&mut receiver).await.unwrap(), [format!("Node {version}")]);
    }

    // The directory is replaced, twice.
    for name in ["first", "second"] {
        fs::remove_dir_all(&dir).unwrap();
        sleep(Duration::from_millis(100)).await;
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.yaml"), node(name)).unwrap();
        let there = async { while next_names(&mut receiver).await != Some(vec![format!("Node {name}")]) {} };
        timeout(Duration::from_secs(2), there).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        receiver.mark_unchanged();
        fs::write(dir.join("a.yaml"), node("again")).unwrap();
        assert_eq!(next_names(&mut receiver).await.unwrap(), ["Node again"]);
    }

    drop(receiver);
    timeout(Duration::from_secs(1), following).await.expect("nobody listens any more").unwrap();
}

#[tokio::test]
async fn a_file_is_not_read_while_it_is_being_written() {
    let dir = TempDir::new().unwrap();
    let (sender, mut receiver) = watch::channel(Ok(Files::new()));
    tokio::spawn(follow_dir(dir.path().to_owned(), sender));
    next_names(&mut receiver).await;
    let mut file = File::create(dir.path().join("a.yaml")).unwrap();
    file.write_all(NODE.as_bytes()).unwrap();
    sleep(Duration::from_millis(100)).await;
    file.write_all(format!("---\n{}", NODE.replace("node1", "node2")).as_bytes()).unwrap();
    assert!(!receiver.has_changed().unwrap());
    drop(file);
    let closed = Instant::now();
    assert_eq!(next_names(&mut receiver).await.unwrap(), ["Node node1", "Node node2"]);
    let took = closed.elapsed();
    println!("told after {took:?}");
    assert!(took < PATIENCE / 2, "{took:?}: only patience ended it");
}
