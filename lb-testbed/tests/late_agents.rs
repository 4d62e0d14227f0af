//! Agents that hear of a change one after the other, in every order: on bare metal they may be seconds apart. No
//! connection breaks meanwhile, and new ones are answered.

mod common;

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use common::{held::HeldConnections, run_with_diagnostics, socket_address};
use lb_testbed::{
    Config,
    EndpointState::{self, Ready, Terminating},
    ServiceSpec, Triangle, VIP,
};

const CONNECTIONS: u64 = 200;

/// Those that send, the node that one half of the changes takes out of the ring, and the other nodes; one of them joins
/// by these changes.
const PARTIES: [&[&str]; 3] = [&["director1", "director2"], &["node1"], &["node2", "node3"]];

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// The Pods of nodes 1, 2 and 3 in these states.
fn service(states: [EndpointState; 3]) -> ServiceSpec {
    let [first, second, third] = states;
    ServiceSpec::with_all_ports("web").endpoints(&[
        ("pod1_1", first),
        ("pod1_2", first),
        ("pod2_1", second),
        ("pod2_2", second),
        ("pod3_1", third),
        ("pod3_2", third),
    ])
}

/// Now node 1 drains and node 3 joins, then the other way round.
fn change(number: usize) -> ServiceSpec {
    service(if number.is_multiple_of(2) { [Terminating, Ready, Ready] } else { [Ready, Ready, Terminating] })
}

fn check_new_connections(triangle: &Triangle, when: &str) -> Result<()> {
    for vip in VIP.both() {
        let answers = triangle.testbed.send_requests(socket_address(vip, 80), 1)?;
        ensure!(answers.all_answered(), "{when}: {answers:?}");
    }
    Ok(())
}

/// All agents read what they hear of in directories of their own.
fn separate_agents(triangle: &mut Triangle, services: &[ServiceSpec]) -> Result<()> {
    for name in PARTIES.concat() {
        triangle.write_objects_of(name, services)?;
        triangle.restart_agent(name)?;
    }
    triangle.wait_all_ready()
}

fn agents_hear(apart: Duration) -> Result<()> {
    let before = [service([Ready, Ready, Terminating])];
    let mut triangle = Triangle::start(Config::l3(), &before)?;
    run_with_diagnostics(&mut triangle, |triangle| {
        separate_agents(triangle, &before)?;
        let mut held = HeldConnections::open_many(triangle, CONNECTIONS)?;
        for (number, order) in ORDERS.into_iter().enumerate() {
            for party in order {
                let names = PARTIES.get(party).context("a party")?;
                for name in *names {
                    triangle.write_objects_of(name, &[change(number)])?;
                }
                thread::sleep(apart);
                check_new_connections(triangle, &format!("order {order:?}, {names:?} have heard"))?;
            }
            held.check_all_answer(&format!("order {order:?}"))?;
        }
        let hops = triangle.testbed.sum_verdict(triangle.testbed.nodes(), "hand_on")?;
        println!("{hops} packets took a second hop");
        ensure!(hops > 0, "no packet had to be handed on: the test shows nothing");
        Ok(())
    })
}

#[test]
fn connections_live_in_whatever_order_agents_hear_of_a_change() -> Result<()> {
    agents_hear(Duration::from_millis(400))
}

#[test]
#[ignore = "takes two minutes"]
fn connections_live_where_agents_hear_five_seconds_apart() -> Result<()> {
    agents_hear(Duration::from_secs(5))
}
