//! Dry runs: the programs report what they would do with a packet.

use std::process::Command;

use aya::maps::Map;
use lb_common::maps::{Story, names};

use super::{Hook, Machine, RunResult, fill};
use crate::services::LOOPBACK_IFINDEX;

impl Machine {
    /// Run a program of [`Machine::of_dry_runs`].
    pub fn dry_run(&mut self, hook: Hook, frame: &[u8]) -> (RunResult, Story) {
        fill::array(&mut self.ebpf, names::STORY).set(0, Story::of_packet_from(LOOPBACK_IFINDEX), 0).unwrap();
        let ran = self.run(hook, frame);
        (ran, fill::array(&mut self.ebpf, names::STORY).get(&0, 0).unwrap())
    }

    /// All that is in the maps, by name; but not in those that each copy of
    /// the programs has for itself. Of the ring of reports, see [`Machine::told`].
    pub fn dump(&self) -> Vec<(String, String)> {
        let shared = self.ebpf.maps().filter(|(name, _)| !name.ends_with("SCRATCH") && *name != names::STORY);
        let mut dump: Vec<_> =
            shared.filter_map(|(name, map)| Some((name.to_owned(), dump_map(map_id(map)?)))).collect();
        dump.sort();
        dump
    }
}

fn map_id(map: &Map) -> Option<u32> {
    let data = match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data) => data,
        Map::RingBuf(_) => return None,
        _ => panic!("a map of a type that has no dump here"),
    };
    Some(data.info().unwrap().id())
}

fn dump_map(id: u32) -> String {
    let output = Command::new("bpftool").args(["-j", "map", "dump", "id", &id.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
