//! Testbeds are removed when they are dropped or their process is killed, unless they are to be kept. Needs root.

#![expect(clippy::unwrap_used, reason = "in tests")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{TOOL, wait_until};
use lb_testbed::{Config, Process, Testbed, UDP_ECHO_PORT, list_testbeds, run, teardown_of_process};
use serde_json::Value;

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A killed orphan may stay as a zombie where nothing takes init's place.
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn is_gone(prefix: &str) -> bool {
    let pinned = format!("/sys/fs/bpf/trigon-{prefix}");
    !list_testbeds().iter().any(|one| one == prefix) && !Path::new(&pinned).exists()
}

#[test]
fn everything_goes_when_dropped() {
    let testbed = Testbed::new(Config::l3()).unwrap();
    let prefix = testbed.prefix().to_owned();
    fs::create_dir_all(testbed.bpffs().join("director1")).unwrap();
    let other = Testbed::new(Config::l2()).unwrap();
    let pod = testbed.pod("pod1_1").unwrap();
    let servers = [testbed.start_http(pod).unwrap(), testbed.start_udp_echo(pod, UDP_ECHO_PORT).unwrap()];
    let pids = servers.each_ref().map(Process::id);
    assert!(!is_gone(&prefix) && pids.into_iter().all(is_alive));
    drop(testbed);
    assert!(is_gone(&prefix));
    drop(servers);
    assert!(!pids.into_iter().any(is_alive));
    let address = other.machines()[0].address.v4.to_string();
    other.client().run(&["ping", "-c1", "-W2", &address]).unwrap();
}

/// Starts `testbed-tool up`; returns the process and the prefix of the testbed that it built.
fn start_testbed_tool(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(TOOL).arg("up").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let description: Value = serde_json::from_str(&line).unwrap();
    (child, description["prefix"].as_str().unwrap().to_owned())
}

fn pids_in(prefix: &str, name: &str) -> Vec<u32> {
    let mut command = Command::new("ip");
    command.args(["netns", "pids", &format!("{prefix}-{name}")]);
    run(command, "").unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn everything_goes_when_its_builder_is_killed() {
    let (mut child, prefix) = start_testbed_tool(&["--serve"]);
    let servers = pids_in(&prefix, "pod2_1");
    assert_eq!(servers.len(), 4, "nginx, its worker, both echoes");
    fs::create_dir_all(format!("/sys/fs/bpf/trigon-{prefix}/node1")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("teardown", || is_gone(&prefix));
    wait_until("the servers' end", || !servers.iter().copied().any(is_alive));
}

#[test]
fn everything_goes_when_its_builder_is_killed_while_building() {
    for milliseconds in [5, 30, 60, 120, 200] {
        let mut child =
            Command::new(TOOL).args(["up", "--layer", "l2"]).stdout(Stdio::null()).spawn().unwrap();
        let prefix = format!("tg{}x1", child.id());
        thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        // `ip` may still be creating a namespace: wait, so that "gone" doesn't mean "not there yet".
        thread::sleep(Duration::from_millis(500));
        wait_until("teardown", || is_gone(&prefix));
    }
}

#[test]
fn kept_testbeds_stand_until_they_are_torn_down() {
    let (mut child, prefix) = start_testbed_tool(&["--serve", "--keep", "--nodes", "1"]);
    assert!(child.wait().unwrap().success());
    let servers = pids_in(&prefix, "pod1_1");
    // A new testbed removes stale ones; a kept testbed is not stale.
    drop(Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap());
    assert!(!is_gone(&prefix) && servers.len() == 4 && servers.iter().copied().all(is_alive));
    teardown_of_process(child.id()).unwrap();
    assert!(is_gone(&prefix));
    assert!(!servers.into_iter().any(is_alive));
}

#[test]
fn building_takes_less_than_three_seconds() {
    for config in [Config::l3(), Config::l2()] {
        let start = Instant::now();
        let testbed = Testbed::new(config).unwrap();
        let built = start.elapsed();
        drop(testbed);
        eprintln!("built in {built:?}, with teardown {:?}", start.elapsed());
        assert!(built < Duration::from_secs(3), "{built:?}");
    }
}
