//! Both sides call at once, and one connection remains: that of the higher identifier (RFC
//! 4271, 6.8).

use anyhow::{Result, ensure};

use crate::{
    common::within,
    lab::{Lab, Router, SOON, signal},
    pair::{DIRECTOR, Pair, stand},
    wire::{NOTIFICATION, Wire},
};

/// Cease, Connection Collision Resolution
const COLLISION: [u8; 2] = [6, 7];

/// Drops calls at the router: those that it sends, those that it gets.
fn drop_calls(lab: &Lab, sent: bool, received: bool) -> Result<()> {
    let rule = |is_wanted| if is_wanted { "tcp dport 179 tcp flags & (syn | ack) == syn drop;" } else { "" };
    lab.triangle.testbed.router().nft(&format!(
        "table inet calls {{ }}\ndelete table inet calls\ntable inet calls {{\n\
         chain out {{ type filter hook output priority 0; {} }}\n\
         chain in {{ type filter hook input priority 0; {} }}\n}}\n",
        rule(sent),
        rule(received)
    ))
}

/// The router's connections with an address of the director, by who called.
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

/// Until OPEN has come by all connections to a router that hangs.
fn wait_unread(lab: &Lab) -> Result<()> {
    within(SOON, "OPEN waits to be read", || {
        let listed = lab.triangle.testbed.router().run(&["ss", "-Htn", "state", "established"])?;
        let mut ours = listed.lines().filter(|line| DIRECTOR.iter().any(|address| line.contains(address)));
        ensure!(ours.all(|line| !line.starts_with("0 ")), "{listed}");
        Ok(true)
    })
    .map(drop)
}

fn wait(lab: &Lab, state: &str, wanted: [Connections; 2]) -> Result<()> {
    for (director, wanted) in DIRECTOR.into_iter().zip(wanted) {
        within(SOON, &format!("the router's {state} connections with {director}"), || {
            let there = connections(lab, state, director)?;
            ensure!(there == wanted, "{there:?}, not {wanted:?}");
            Ok(true)
        })?;
    }
    Ok(())
}

fn enable(lab: &Lab) -> Result<()> {
    match &lab.router {
        Router::Bird(bird) => bird.tell("enable all").map(drop),
        Router::Frr(frr) => {
            let lines = DIRECTOR.map(|director| format!(" no neighbor {director} shutdown\n"));
            frr.configure(&format!("router bgp 64513\n{}exit\n", lines.concat()))
        }
    }
}

/// Two connections by each family, of which the router has read nothing, and we have said OPEN.
fn connect_twice(lab: &mut Lab) -> Result<()> {
    drop_calls(lab, true, true)?;
    enable(lab)?;
    wait(lab, "syn-sent", [ROUTERS; 2])?;
    signal(lab.router.id(), "STOP")?;
    drop_calls(lab, true, false)?;
    wait(lab, "established", [OURS; 2])?;
    drop_calls(lab, false, false)?;
    wait(lab, "established", [BOTH; 2])?;
    wait_unread(lab)
}

#[test]
fn of_two_connections_one_remains() -> Result<()> {
    // The router has 10.77.1.1: by IPv4 its connection stays, and ours by IPv6.
    let pair = Pair::new()
        .replace("peerAddress: 10.77.1.1\n", "peerAddress: 10.77.1.1\n  routerID: 1.1.1.1\n")
        .replace("peerAddress: fd77:1::1\n", "peerAddress: fd77:1::1\n  routerID: 223.1.1.1\n")
        // It calls once.
        .replace("connect retry time 1;", "connect retry time 120;")
        .replace("timers connect 1\n", "timers connect 120\n");
    pair.bird("disabled;").frr("shutdown").with_both(|lab| {
        let wire = Wire::listen(lab)?;
        connect_twice(lab)?;
        // So that no session is established before the router has read OPEN on both connections.
        let agent = lab.triangle.agent("director1")?.id();
        signal(agent, "STOP")?;
        signal(lab.router.id(), "CONT")?;
        wait(lab, "established", [ROUTERS, OURS])?;
        signal(agent, "CONT")?;
        stand(lab, 1)?;
        wait(lab, "established", [ROUTERS, OURS])?;
        let mut told = wire.finish()?;
        told.retain(|message| message.kind == NOTIFICATION);
        for is_v4 in [true, false] {
            let is_told = told.iter().any(|one| one.to.is_ipv4() == is_v4 && one.body == COLLISION);
            ensure!(is_told, "nobody says so, IPv4: {is_v4}: {told:?}");
        }
        Ok(())
    })
}
