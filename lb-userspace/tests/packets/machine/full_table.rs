//! A flow table that takes no new entries. An LRU table always makes room, so
//! a plain hash map of one entry, and that one taken, stands in its place: the
//! loader takes over what is pinned, whatever its type is.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use aya::{Ebpf, EbpfLoader};
use lb_common::maps::{FlowKey, NodeFlow, Reply, ReplyKey, names};
use tempfile::TempDir;

use super::fill::hash_map;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FullTable {
    name: &'static str,
    key_size: usize,
    value_size: usize,
}

pub const NODE_REPLIES: FullTable =
    FullTable { name: names::NODE_REPLIES, key_size: size_of::<ReplyKey>(), value_size: size_of::<Reply>() };
pub const NODE_FLOWS: FullTable =
    FullTable { name: names::NODE_FLOWS, key_size: size_of::<FlowKey>(), value_size: size_of::<NodeFlow>() };

impl FullTable {
    /// Load the object with this table in place of its own.
    pub fn load(self, loader: &mut EbpfLoader<'_>, object: &[u8]) -> Ebpf {
        let pins = Bpffs::mount();
        let pin = pins.path().join(self.name);
        let FullTable { name, key_size, value_size } = self;
        bpftool(&pin, &format!("type hash key {key_size} value {value_size} entries 1 name {name}"));
        let mut ebpf = loader.map_pin_path(name, pin).load(object).unwrap();
        match self {
            NODE_REPLIES => hash_map::<[u8; 40], [u8; 28]>(&mut ebpf, name).insert([0; 40], [0; 28], 0),
            _ => hash_map::<[u8; 24], [u8; 12]>(&mut ebpf, name).insert([0; 24], [0; 12], 0),
        }
        .unwrap();
        ebpf
    }
}

fn bpftool(pin: &Path, what: &str) {
    run(Command::new("bpftool").args(["map", "create"]).arg(pin).args(what.split(' ')));
}

/// A BPF file system of its own, unmounted when dropped.
struct Bpffs(TempDir);

impl Bpffs {
    fn mount() -> Self {
        let dir = TempDir::new().unwrap();
        run(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(dir.path()));
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // No panic in a drop; what stays mounted is in the temporary directory.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
