//! Datagrams that are larger than the path's MTU arrive whole, and so do the
//! answers to them. So do those with IPv4 options or extension headers of IPv6.

mod common;

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, raw, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, NodeRole, ServiceSpec, Triangle, UDP_ECHO_PORT, VIP};

const LEN: usize = 20_000;
/// Flows that one client has at the same time, in each address family.
const FLOWS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before it is certain that no answer comes.
const SILENCE: Duration = Duration::from_millis(300);

/// A client's UDP socket, and the datagram's payload that it sends.
struct Client {
    socket: UdpSocket,
    from: SocketAddr,
    to: SocketAddr,
    data: Vec<u8>,
}

impl Client {
    fn new(triangle: &Triangle, to: SocketAddr) -> Result<Self> {
        let from = *client_addresses(triangle, to.ip()).first().context("no client")?;
        let socket = UdpSocket::bind((from, 0)).context("binding")?;
        socket.connect(to)?;
        let from = socket.local_addr()?;
        // A pattern that differs at each fragment's offset, so that misplaced bytes are noticed.
        Ok(Self { socket, from, to, data: (0..LEN).map(|n| (n * 7 + n / 251) as u8).collect() })
    }

    fn fragments(&self, id: u16) -> Vec<Vec<u8>> {
        raw::datagram_fragments(self.from, self.to, id, &self.data)
    }

    /// Receives the echo, checks its payload, and returns the name of the Pod or server that answered.
    fn receive_pod_name(&self) -> Result<String> {
        self.receive_name_of_echo(&self.data)
    }

    fn receive_name_of_echo(&self, sent: &[u8]) -> Result<String> {
        self.socket.set_read_timeout(Some(PATIENCE))?;
        let mut buffer = vec![0; 65_536];
        let len = self.socket.recv(&mut buffer).with_context(|| format!("no answer from {}", self.to))?;
        let at = buffer.iter().position(|byte| *byte == b' ').context("an answer without a name")?;
        ensure!(buffer[at + 1..len] == *sent, "{}: the echo of {len} bytes differs", self.to);
        Ok(String::from_utf8_lossy(&buffer[..at]).into_owned())
    }

    /// Sends, and again if no answer comes: by the first one a bare server on a
    /// link with a larger MTU may have learnt the MTU of the path.
    fn send_until_answered(&self, send: impl Fn() -> Result<()>) -> Result<String> {
        send()?;
        self.receive_pod_name().or_else(|_| {
            send()?;
            self.receive_pod_name()
        })
    }

    fn check_no_answer(&self) -> Result<()> {
        self.socket.set_read_timeout(Some(SILENCE))?;
        ensure!(self.socket.recv(&mut [0; 100]).is_err(), "{}: an answer to half a datagram", self.to);
        Ok(())
    }
}

/// Sends a datagram as the kernel fragments it, then one whose later fragments are in reverse order after the first.
/// Both are echoed whole, by the same Pod, and so is one with options.
fn check_round_trip(triangle: &Triangle, to: SocketAddr) -> Result<()> {
    let client = Client::new(triangle, to)?;
    let pod =
        client.send_until_answered(|| Ok(client.socket.send(&client.data).map(drop)?)).context("in order")?;
    let parts = client.fragments(0x7101);
    ensure!(parts.len() > 10);
    raw::send_packets(to.ip(), [&parts[0]].into_iter().chain(parts[1..].iter().rev()))?;
    let second = client.receive_pod_name().context("out of order")?;
    ensure!(pod == second, "first {pod}, then {second}");
    let short = &client.data[..100];
    raw::send_packets(to.ip(), [&raw::datagram_with_options(client.from, to, short)])?;
    let third = client.receive_name_of_echo(short).context("with options")?;
    ensure!(pod == third, "fragments to {pod}, a datagram with options to {third}");
    Ok(())
}

/// Fragments of one datagram come by two directors, neither of which has all of them; most by the one that does not
/// have the first. All meet on one node and go on to one Pod, whichever node that is on: the one to which the flow's
/// smaller datagrams go as well.
fn check_fragments_meet(triangle: &Triangle) -> Result<()> {
    let testbed = &triangle.testbed;
    for (vip, first_director) in VIP.both().into_iter().zip([0, 1]) {
        let to = socket_address(vip, UDP_ECHO_PORT);
        let clients = (0..FLOWS).map(|_| testbed.client().within(|| Client::new(triangle, to)));
        let clients = clients.collect::<Result<Vec<_>>>()?;
        let parts: Vec<_> = (0x7201..).zip(&clients).map(|(id, client)| client.fragments(id)).collect();
        let send = |director: usize, choose: &dyn Fn(usize) -> bool| -> Result<()> {
            testbed.set_directors(&[director])?;
            let numbered = parts.iter().flat_map(|parts| parts.iter().enumerate());
            let chosen: Vec<_> = numbered.filter(|(n, _)| choose(*n)).map(|(_, part)| part).collect();
            testbed.client().within(|| raw::send_packets(to.ip(), chosen))
        };
        send(first_director, &|n| n % 3 == 0)?;
        send(1 - first_director, &|n| n % 3 != 0)?;
        for client in &clients {
            let pod = client.receive_pod_name().context("by two directors")?;
            client.socket.send(&client.data[..100])?;
            let other = client.receive_name_of_echo(&client.data[..100]).context("in one piece")?;
            ensure!(pod == other, "{}: fragments to {pod}, a whole datagram to {other}", client.from);
        }
    }
    Ok(())
}

/// Later fragments that arrive before the first one are dropped and counted; the next datagram of the flow is
/// answered.
fn check_early_fragments_are_dropped(triangle: &Triangle, to: SocketAddr) -> Result<()> {
    let before = dropped_fragments(triangle)?;
    let early = triangle.testbed.client().within(|| {
        let client = Client::new(triangle, to)?;
        let parts = client.fragments(0x7102);
        raw::send_packets(to.ip(), parts[1..].iter().chain([&parts[0]]))?;
        client.check_no_answer()?;
        client
            .send_until_answered(|| raw::send_packets(to.ip(), &client.fragments(0x7103)))
            .context("the next datagram")?;
        Ok(parts.len() as u64 - 1)
    })?;
    wait_at_most(PATIENCE, "the drops are counted", || Ok(dropped_fragments(triangle)? - before == early))
        .map(drop)
}

/// The count of dropped fragments (verdict `fragment`), summed over all machines with an agent.
fn dropped_fragments(triangle: &Triangle) -> Result<u64> {
    let machines = triangle.testbed.machines().iter().filter(|machine| machine.roles.is_some());
    let each = machines.map(|machine| {
        Ok(triangle.testbed.read_verdicts(machine)?.get("fragment").copied().unwrap_or_default())
    });
    each.sum()
}

fn check_delivery(config: Config, delivery: &str) -> Result<()> {
    check_datagrams_arrive_whole(config, ServiceSpec::with_all_ports("web").delivery(delivery))
}

fn check_datagrams_arrive_whole(config: Config, service: ServiceSpec) -> Result<()> {
    let has_nodes = config.node_role != NodeRole::Bare;
    run_with_diagnostics(&mut Triangle::start(config, &[service])?, |triangle| {
        for vip in VIP.both() {
            let to = socket_address(vip, UDP_ECHO_PORT);
            let before = dropped_fragments(triangle)?;
            triangle.testbed.client().within(|| check_round_trip(triangle, to))?;
            ensure!(dropped_fragments(triangle)? == before, "fragments were dropped");
            check_early_fragments_are_dropped(triangle, to)?;
        }
        if has_nodes { check_fragments_meet(triangle) } else { Ok(()) }
    })
}

#[test]
fn datagrams_arrive_whole_over_a_router_within_udp() -> Result<()> {
    check_delivery(Config::l3(), "gue")
}

#[test]
fn datagrams_arrive_whole_over_a_router_within_ipip() -> Result<()> {
    check_delivery(Config::l3(), "ipip")
}

#[test]
fn datagrams_arrive_whole_on_one_link() -> Result<()> {
    check_delivery(Config::l2(), "l2")
}

#[test]
fn datagrams_arrive_whole_on_nodes_that_are_directors() -> Result<()> {
    check_delivery(Config { node_role: NodeRole::Both, directors: 0, ..Config::l3() }, "auto")
}

#[test]
fn datagrams_arrive_whole_at_bare_servers() -> Result<()> {
    let config = Config { node_role: NodeRole::Bare, pods_per_node: 0, ..Config::l2() };
    check_datagrams_arrive_whole(config, ServiceSpec::bare("bare", &["node1", "node2"]))
}
