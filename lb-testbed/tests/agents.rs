//! Starting agents, with a script in the place of `trigon`. Needs root.

#![expect(clippy::unwrap_used, reason = "in tests")]

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use lb_testbed::{Config, Testbed};

/// Reports ready once `agent` has written its arguments to a file; `agent` fails if its role is `broken`.
const SCRIPT: &str = r#"#!/bin/sh
socket=$2
case $3 in
    agent) [ "$5" != broken ] || { echo "no such role" >&2; exit 2; }
           echo "$@" > "$socket.said"; exec sleep 1000 ;;
    status) if [ -e "$socket.said" ]; then echo '{"ready": true}'; else echo '{"ready": false}'; fi ;;
    *) echo "what?" >&2; exit 2 ;;
esac
"#;

fn testbed(script: &str) -> Testbed {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(script);
    fs::write(&path, SCRIPT).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Testbed::new(Config { nodes: 1, trigon: Some(path), ..Config::l3() }).unwrap()
}

#[test]
fn agents_start_with_their_arguments_and_can_be_killed() {
    let testbed = testbed("trigon-good");
    let machine = testbed.machine("node1").unwrap();
    let source = testbed.dir().join("objects");
    let mut agent = testbed.start_agent(machine, "director,node", &source, &["--generic"]).unwrap();
    testbed.wait_ready(machine, &mut agent).unwrap();
    let arguments = fs::read_to_string(format!("{}.said", testbed.socket_path(machine).display())).unwrap();
    let (socket, source, pins) = (testbed.socket_path(machine), source.display(), testbed.pin_dir(machine));
    let expected = format!(
        "--socket {} agent --role director,node --interface eth0 --node-name node1 \
         --source {source} --pin-dir {} --generic\n",
        socket.display(),
        pins.display()
    );
    assert_eq!(arguments, expected);
    agent.kill().unwrap();
    assert!(!agent.is_running());
    let error = testbed.run_trigon_json(machine, &["nonsense"]).unwrap_err();
    assert!(format!("{error:#}").contains("what?"), "{error:#}");
}

#[test]
fn agents_that_end_are_reported_with_what_they_wrote() {
    let testbed = testbed("trigon-broken");
    let machine = testbed.machine("director1").unwrap();
    let mut agent = testbed.start_agent(machine, "broken", testbed.dir(), &[]).unwrap();
    let error = testbed.wait_ready(machine, &mut agent).unwrap_err();
    assert!(format!("{error:#}").contains("no such role"), "{error:#}");
}
