use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    path::PathBuf,
    thread,
};

use clap::Parser;
use tempfile::TempDir;

use super::*;

/// The exit code of a command if the agent answers this; None: there is no agent.
fn exit_code_of(command: fn(&Cli) -> Outcome, answer: Option<&str>) -> ExitCode {
    let dir = TempDir::new().unwrap();
    let socket: PathBuf = dir.path().join("agent.sock");
    let agent = answer.map(|answer| {
        let (listener, answer) = (UnixListener::bind(&socket).unwrap(), answer.to_owned());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head = lines.map(Result::unwrap).take_while(|line| !line.is_empty());
            assert!(head.count() > 0);
            let length = answer.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}").unwrap();
        })
    });
    let cli = ["trigon", "--socket", socket.to_str().unwrap(), "status"];
    let outcome = command(&Cli::parse_from(cli));
    if let Some(agent) = agent {
        agent.join().unwrap();
    }
    outcome.unwrap_or_else(|failure| ExitCode::from(failure.code))
}

/// Of an agent that is well, or not ready.
fn status_json(ready: bool) -> String {
    let count = serde_json::json!({"total": 0, "good": 0});
    let status = serde_json::json!({
        "ready": ready, "degraded": false, "node": "node1", "roles": ["node"], "version": "1.2.3",
        "uptime_seconds": 1, "generation": 1, "interfaces": [], "source": {"place": "kube", "good": true},
        "services": count, "backends": count, "problems": [], "warnings": [],
    });
    status.to_string()
}

fn peers_json(states: &[State]) -> String {
    let peer = |state: &State| PeerStatus { state: *state, ..PeerStatus::default() };
    serde_json::to_string(&states.iter().map(peer).collect::<Vec<_>>()).unwrap()
}

#[test]
fn bgp_fails_if_a_session_is_down() {
    let up = State::Established;
    let table = [
        (Some(peers_json(&[])), ExitCode::SUCCESS),
        (Some(peers_json(&[up, up])), ExitCode::SUCCESS),
        (Some(peers_json(&[up, State::Active])), ExitCode::from(1)),
        (Some(peers_json(&[State::Idle])), ExitCode::from(1)),
        (Some("what?".to_owned()), ExitCode::from(1)),
        (None, ExitCode::from(1)),
    ];
    for (answer, expected) in table {
        assert_eq!(exit_code_of(bgp, answer.as_deref()), expected, "{answer:?}");
    }
}

#[test]
fn status_fails_if_the_agent_is_not_ready_or_if_only_its_life_matters_does_not_answer() {
    let table = [
        (Some(status_json(true)), ExitCode::SUCCESS, ExitCode::SUCCESS),
        (Some(status_json(false)), ExitCode::from(1), ExitCode::SUCCESS),
        (None, ExitCode::from(1), ExitCode::from(1)),
    ];
    for (answer, ready, live) in table {
        assert_eq!(exit_code_of(|cli| status(cli, false), answer.as_deref()), ready, "{answer:?}");
        assert_eq!(exit_code_of(|cli| status(cli, true), answer.as_deref()), live, "{answer:?}");
    }
}

#[test]
fn l2_fails_if_no_agent_answers() {
    assert_eq!(exit_code_of(l2, Some("[]")), ExitCode::SUCCESS);
    assert_eq!(exit_code_of(l2, None), ExitCode::from(1));
}
