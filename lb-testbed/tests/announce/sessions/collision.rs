//! Both sides connect at once, and one connection remains: that which the side with the higher
//! identifier has opened (RFC 4271, 6.8).

use anyhow::{Result, ensure};

use crate::{
    common::wait_at_most,
    lab::{Lab, Router, SOON, send_signal},
    pair::{DIRECTOR_ADDRESSES, SessionPair, wait_sessions},
    wire::{BgpCapture, NOTIFICATION},
};

/// Cease, Connection Collision Resolution
const COLLISION: [u8; 2] = [6, 7];

/// Drops connection attempts (SYN) at the router: those that it sends, those that it gets.
fn drop_calls(lab: &Lab, sent: bool, received: bool) -> Result<()> {
    let rule = |is_wanted| if is_wanted { "tcp dport 179 tcp flags & (syn | ack) == syn drop;" } else { "" };
    lab.triangle.testbed.router().load_nft_rules(&format!(
        "table inet calls {{ }}\ndelete table inet calls\ntable inet calls {{\n\
         chain out {{ type filter hook output priority 0; {} }}\n\
         chain in {{ type filter hook input priority 0; {} }}\n}}\n",
        rule(sent),
        rule(received)
    ))
}

/// The router's connections with an address of the director, by who opened them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Connections {
    ours: usize,
    routers: usize,
}

const OURS: Connections = Connections { ours: 1, routers: 0 };
const ROUTERS: Connections = Connections { ours: 0, routers: 1 };
const BOTH: Connections = Connections { ours: 1, routers: 1 };

fn connections(lab: &Lab, state: &str, director: &str) -> Result<Connections> {
    let listed = lab.triangle.testbed.router().run(&["ss", "-Htn", "state", state])?;
    let mut connections = Connections::default();
    for line in listed.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, _, local, remote, ..] = words[..] else { continue };
        let Some((address, port)) = remote.rsplit_once(':') else { continue };
        if address.trim_matches(['[', ']']) == director {
            connections.ours += usize::from(local.ends_with(":179"));
            connections.routers += usize::from(port == "179");
        }
    }
    Ok(connections)
}

/// Waits until our OPEN has arrived on all connections of the router, which hangs.
fn wait_open_unread(lab: &Lab) -> Result<()> {
    wait_at_most(SOON, "OPEN waits to be read", || {
        let listed = lab.triangle.testbed.router().run(&["ss", "-Htn", "state", "established"])?;
        let mut ours =
            listed.lines().filter(|line| DIRECTOR_ADDRESSES.iter().any(|address| line.contains(address)));
        ensure!(ours.all(|line| !line.starts_with("0 ")), "{listed}");
        Ok(true)
    })
    .map(drop)
}

fn wait_connections(lab: &Lab, state: &str, wanted: [Connections; 2]) -> Result<()> {
    for (director, wanted) in DIRECTOR_ADDRESSES.into_iter().zip(wanted) {
        wait_at_most(SOON, &format!("the router's {state} connections with {director}"), || {
            let there = connections(lab, state, director)?;
            ensure!(there == wanted, "{there:?}, not {wanted:?}");
            Ok(true)
        })?;
    }
    Ok(())
}

fn enable_sessions(lab: &Lab) -> Result<()> {
    match &lab.router {
        Router::Bird(bird) => bird.run_command("enable all").map(drop),
        Router::Frr(frr) => {
            let lines = DIRECTOR_ADDRESSES.map(|director| format!(" no neighbor {director} shutdown\n"));
            frr.configure(&format!("router bgp 64513\n{}exit\n", lines.concat()))
        }
    }
}

/// Makes two connections by each family, on which we have sent OPEN, and the router, which hangs
/// from then on, has read nothing.
fn connect_twice(lab: &mut Lab) -> Result<()> {
    drop_calls(lab, true, true)?;
    enable_sessions(lab)?;
    wait_connections(lab, "syn-sent", [ROUTERS; 2])?;
    send_signal(lab.router.process_id(), "STOP")?;
    drop_calls(lab, true, false)?;
    wait_connections(lab, "established", [OURS; 2])?;
    drop_calls(lab, false, false)?;
    wait_connections(lab, "established", [BOTH; 2])?;
    wait_open_unread(lab)?;
    // The router would take a dead one first.
    wait_connections(lab, "close-wait", [Connections::default(); 2])
}

/// At the end, the connection that the router has opened remains by IPv4, and ours by IPv6.
fn check_one_of_two_remains(lab: &mut Lab) -> Result<()> {
    let wire = BgpCapture::start(lab)?;
    connect_twice(lab)?;
    // So that no session is established before the router has read OPEN on both connections.
    let agent = lab.triangle.agent("director1")?.id();
    send_signal(agent, "STOP")?;
    send_signal(lab.router.process_id(), "CONT")?;
    wait_connections(lab, "established", [ROUTERS, OURS])?;
    send_signal(agent, "CONT")?;
    wait_sessions(lab, 1)?;
    wait_connections(lab, "established", [ROUTERS, OURS])?;
    let mut told = wire.finish()?;
    told.retain(|message| message.kind == NOTIFICATION);
    for is_v4 in [true, false] {
        let is_told = told.iter().any(|one| one.to.is_ipv4() == is_v4 && one.body == COLLISION);
        ensure!(is_told, "no Connection Collision Resolution was sent, IPv4: {is_v4}: {told:?}");
    }
    Ok(())
}

#[test]
fn of_two_connections_that_of_the_higher_identifier_remains() -> Result<()> {
    // The router's identifier is 10.77.1.1: by IPv4 its connection stays, and ours by IPv6.
    let pair = SessionPair::new()
        .replace("peerAddress: 10.77.1.1\n", "peerAddress: 10.77.1.1\n  routerID: 1.1.1.1\n")
        .replace("peerAddress: fd77:1::1\n", "peerAddress: fd77:1::1\n  routerID: 223.1.1.1\n")
        // An attempt of ours outlasts the drops, and the kernel sends its SYN again. One that we gave up at the
        // moment at which it succeeds would stay in the queue of the router, which hangs; BIRD would then take
        // that dead connection, and refuse the other as a duplicate.
        .replace("connectTime: 1s", "connectTime: 10s")
        // The router tries only once to connect.
        .replace("connect retry time 1;", "connect retry time 120;")
        .replace("timers connect 1\n", "timers connect 120\n");
    let pair = pair.bird_setting("disabled;").frr_setting("shutdown");
    // Not side by side: it matters when SYNs are sent again.
    pair.run_with_bird(check_one_of_two_remains)?;
    pair.run_with_frr(check_one_of_two_remains)
}
