//! Every cell of the transition table of a peer.

use super::*;
use crate::protocols::bfd;

/// Where a peer can be.
const PLACES: [&str; 13] = [
    "stopped",
    "held by BFD",
    "damped",
    "dormant",
    "waiting",
    "connecting",
    "talking out",
    "talking in",
    "established",
    "opened out",
    "connecting and talking in",
    "waiting and talking in",
    "established out",
];

fn peer_at(place: &str, now: Instant) -> PeerFsm {
    let peer = || peer_with(testing::config(), now);
    let lose = |peer: &mut PeerFsm| {
        peer.process(PeerEvent::Connected, now);
        peer.process(
            PeerEvent::Of(
                ConnectionRole::Outgoing,
                ConnectionEvent::Unreadable(Notification::new(code::BAD_MESSAGE_TYPE)),
            ),
            now,
        );
    };
    let up = SessionStatus { state: bfd::SessionState::Up, heard: true, ..SessionStatus::default() };
    match place {
        "stopped" => PeerFsm::new(testing::config().into(), Restart::default(), Jitter::seeded(1)),
        "held by BFD" => {
            let mut peer = peer();
            peer.process(PeerEvent::Bfd(Some(up)), now);
            peer.process(PeerEvent::Bfd(Some(SessionStatus { state: bfd::SessionState::Down, ..up })), now);
            peer
        }
        "damped" => {
            let mut peer = peer();
            for _ in 0..2 {
                lose(&mut peer);
                peer.process(PeerEvent::Found, now);
            }
            lose(&mut peer);
            peer
        }
        "dormant" => peer_with(PeerConfig { passive: true, ..testing::config() }, now),
        "waiting" => {
            let mut peer = peer();
            peer.process(PeerEvent::ConnectFailed("refused".into()), now);
            peer
        }
        "connecting" => peer(),
        "talking out" => {
            let mut peer = peer();
            peer.process(PeerEvent::Connected, now);
            peer
        }
        "talking in" => {
            let mut peer = peer_at("dormant", now);
            peer.process(PeerEvent::Accepted, now);
            peer
        }
        "opened out" => {
            let mut peer = peer_at("talking out", now);
            peer.process(PeerEvent::Of(ConnectionRole::Outgoing, received(Message::Open(their_open()))), now);
            peer
        }
        "connecting and talking in" => {
            let mut peer = peer();
            peer.process(PeerEvent::Accepted, now);
            peer
        }
        "waiting and talking in" => {
            let mut peer = peer_at("waiting", now);
            peer.process(PeerEvent::Accepted, now);
            peer
        }
        "established out" => {
            let mut peer = peer_at("opened out", now);
            peer.process(PeerEvent::Of(ConnectionRole::Outgoing, received(Message::KeepAlive)), now);
            peer
        }
        _ => {
            let mut peer = peer_at("talking in", now);
            peer.process(
                PeerEvent::Of(ConnectionRole::Incoming, received(Message::Open(without_graceful_restart()))),
                now,
            );
            peer.process(PeerEvent::Of(ConnectionRole::Incoming, received(Message::KeepAlive)), now);
            peer
        }
    }
}

#[test]
fn every_event_has_its_outcome_in_every_phase() {
    let now = Instant::now();
    let bfd = |state, downs| {
        PeerEvent::Bfd(Some(SessionStatus { state, remote: bfd::SessionState::Down, downs, heard: true }))
    };
    let inputs = [
        ("start", PeerEvent::Start),
        ("stop", PeerEvent::Stop(cease())),
        ("connected", PeerEvent::Connected),
        ("failed", PeerEvent::ConnectFailed("refused".into())),
        ("accepted", PeerEvent::Accepted),
        ("found", PeerEvent::Found),
        ("BFD up", bfd(bfd::SessionState::Up, 0)),
        ("BFD down", bfd(bfd::SessionState::Down, 1)),
        ("much later", PeerEvent::Timer),
        ("OPEN on out", PeerEvent::Of(ConnectionRole::Outgoing, received(Message::Open(their_open())))),
        ("OPEN on in", PeerEvent::Of(ConnectionRole::Incoming, received(Message::Open(their_open())))),
        ("lost out", PeerEvent::Of(ConnectionRole::Outgoing, ConnectionEvent::Lost("reset".into()))),
        ("lost in", PeerEvent::Of(ConnectionRole::Incoming, ConnectionEvent::Lost("reset".into()))),
        ("BFD down and up", bfd(bfd::SessionState::Up, 1)),
        ("BFD off", PeerEvent::Bfd(None)),
        ("KEEPALIVE on out", PeerEvent::Of(ConnectionRole::Outgoing, received(Message::KeepAlive))),
        ("KEEPALIVE on in", PeerEvent::Of(ConnectionRole::Incoming, received(Message::KeepAlive))),
    ];
    let mut table = String::new();
    for place in PLACES {
        for (name, input) in &inputs {
            let mut peer = peer_at(place, now);
            let before = peer.state();
            let then = if *name == "much later" { now + AGES } else { now };
            let outputs = actions_text(&peer.process(input.clone(), then));
            let after = peer.state();
            if outputs.is_empty() && before == after {
                continue;
            }
            table += &format!("{place} | {name} | {outputs} | {after:?}\n");
        }
    }
    assert_eq!(table, CELLS, "\n{table}");
}

/// Cells that are not here change nothing and do nothing.
const CELLS: &str = "\
stopped | start | connect | Connect
stopped | connected | refuse out | Idle
stopped | accepted | refuse in | Idle
held by BFD | connected | refuse out | Idle
held by BFD | accepted | refuse in | Idle
held by BFD | BFD up | connect | Connect
held by BFD | BFD down and up | connect | Connect
held by BFD | BFD off | connect | Connect
damped | connected | refuse out | Idle
damped | accepted | refuse in | Idle
damped | much later | connect | Connect
damped | BFD down and up | connect | Connect
dormant | stop |  | Idle
dormant | connected | refuse out | Active
dormant | accepted | adopt in, in OPEN | OpenSent
dormant | BFD down |  | Idle
waiting | stop |  | Idle
waiting | connected | refuse out | Active
waiting | accepted | adopt in, in OPEN | OpenSent
waiting | found | connect | Connect
waiting | BFD down |  | Idle
waiting | much later | connect | Connect
waiting | BFD down and up | connect | Connect
connecting | stop | abandon | Idle
connecting | connected | adopt out, out OPEN | OpenSent
connecting | failed | ended none lost | Active
connecting | accepted | adopt in, in OPEN | OpenSent
connecting | BFD down | abandon | Idle
connecting | much later | abandon, ended none lost | Active
connecting | BFD down and up | abandon, connect | Connect
talking out | stop | out 6/2, close out, ended out sent | Idle
talking out | connected | refuse out | OpenSent
talking out | accepted | adopt in, in OPEN | OpenSent
talking out | BFD down | out 6/10, close out, ended out sent | Idle
talking out | much later | out 4/0, close out, ended out sent | Active
talking out | OPEN on out | out KEEPALIVE | OpenConfirm
talking out | lost out | close out, ended out lost | Active
talking out | BFD down and up | out 6/10, close out, ended out sent, connect | Connect
talking out | KEEPALIVE on out | out 5/1, close out, ended out sent | Active
talking in | stop | in 6/2, close in, ended in sent | Idle
talking in | connected | refuse out | OpenSent
talking in | accepted | close in, ended in lost, adopt in, in OPEN | OpenSent
talking in | BFD down | in 6/10, close in, ended in sent | Idle
talking in | much later | in 4/0, close in, ended in sent | Active
talking in | OPEN on in | in KEEPALIVE | OpenConfirm
talking in | lost in | close in, ended in lost | Active
talking in | BFD down and up | in 6/10, close in, ended in sent | Active
talking in | KEEPALIVE on in | in 5/1, close in, ended in sent | Active
established | stop | in 6/2, close in, down in sent | Idle
established | connected | refuse out | Established
established | accepted | refuse in, in KEEPALIVE | Established
established | BFD down | in 6/10, close in, down in sent | Idle
established | much later | in 4/0, close in, down in sent | Active
established | OPEN on in | in 5/3, close in, down in sent | Active
established | lost in | close in, down in lost | Active
established | BFD down and up | in 6/10, close in, down in sent | Active
opened out | stop | out 6/9, close out, ended out sent | Idle
opened out | connected | refuse out | OpenConfirm
opened out | accepted | adopt in, in OPEN | OpenConfirm
opened out | BFD down | out 6/9, close out, ended out sent | Idle
opened out | much later | out 4/0, close out, ended out sent | Active
opened out | OPEN on out | out 5/2, close out, ended out sent | Active
opened out | lost out | close out, ended out lost | Active
opened out | BFD down and up | out 6/9, close out, ended out sent, connect | Connect
opened out | KEEPALIVE on out | up out | Established
connecting and talking in | stop | in 6/2, close in, ended in sent, abandon | Idle
connecting and talking in | connected | adopt out, out OPEN | OpenSent
connecting and talking in | failed | ended none lost | OpenSent
connecting and talking in | accepted | close in, ended in lost, adopt in, in OPEN | OpenSent
connecting and talking in | BFD down | in 6/10, close in, ended in sent, abandon | Idle
connecting and talking in | much later | abandon, ended none lost, in 4/0, close in, ended in sent | Active
connecting and talking in | OPEN on in | in KEEPALIVE | OpenConfirm
connecting and talking in | lost in | close in, ended in lost | Connect
connecting and talking in | BFD down and up | in 6/10, close in, ended in sent, abandon, connect | Connect
connecting and talking in | KEEPALIVE on in | in 5/1, close in, ended in sent, abandon | Active
waiting and talking in | stop | in 6/2, close in, ended in sent | Idle
waiting and talking in | connected | refuse out | OpenSent
waiting and talking in | accepted | close in, ended in lost, adopt in, in OPEN | OpenSent
waiting and talking in | BFD down | in 6/10, close in, ended in sent | Idle
waiting and talking in | much later | in 4/0, close in, ended in sent | Active
waiting and talking in | OPEN on in | in KEEPALIVE | OpenConfirm
waiting and talking in | lost in | close in, ended in lost | Active
waiting and talking in | BFD down and up | in 6/10, close in, ended in sent, connect | Connect
waiting and talking in | KEEPALIVE on in | in 5/1, close in, ended in sent | Active
established out | stop | out 6/9, close out, down out sent | Idle
established out | connected | refuse out | Established
established out | accepted | refuse in, out KEEPALIVE | Established
established out | BFD down | out 6/9, close out, down out sent | Idle
established out | much later | out 4/0, close out, down out sent | Active
established out | OPEN on out | out 5/3, close out, down out sent | Active
established out | lost out | close out, down out lost | Active
established out | BFD down and up | out 6/9, close out, down out sent, connect | Connect
";
