//! Datagrams that are larger than the path's MTU arrive whole, and so do the
//! answers to them.

mod common;

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, raw, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, NodeRole, ServiceSpec, Triangle, UDP_ECHO_PORT, VIP};

const LEN: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(5);
/// In which an answer that is not to come would have come.
const SILENCE: Duration = Duration::from_millis(300);

/// A client, and what it says.
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
        // A byte out of place is to be seen.
        Ok(Self { socket, from, to, data: (0..LEN).map(|n| (n * 7 + n / 251) as u8).collect() })
    }

    fn fragments(&self, id: u16) -> Vec<Vec<u8>> {
        raw::fragments(self.from, self.to, id, &self.data)
    }

    /// The Pod that answers.
    fn answered_by(&self) -> Result<String> {
        self.socket.set_read_timeout(Some(PATIENCE))?;
        let mut buffer = vec![0; 65_536];
        let len = self.socket.recv(&mut buffer).with_context(|| format!("no answer from {}", self.to))?;
        let at = buffer.iter().position(|byte| *byte == b' ').context("an answer without a name")?;
        ensure!(buffer[at + 1..len] == self.data, "{}: {len} bytes came back, other ones", self.to);
        Ok(String::from_utf8_lossy(&buffer[..at]).into_owned())
    }

    /// Sends, and again if no answer comes: by the first one a bare server on a
    /// link with a larger MTU may have learnt the MTU of the path.
    fn asks(&self, send: impl Fn() -> Result<()>) -> Result<String> {
        send()?;
        self.answered_by().or_else(|_| {
            send()?;
            self.answered_by()
        })
    }

    fn hears_nothing(&self) -> Result<()> {
        self.socket.set_read_timeout(Some(SILENCE))?;
        ensure!(self.socket.recv(&mut [0; 100]).is_err(), "{}: an answer to half a datagram", self.to);
        Ok(())
    }
}

/// As the kernel sends it; then out of order, the first fragment first; always
/// to the same Pod, both ways whole.
fn go_round(triangle: &Triangle, to: SocketAddr) -> Result<()> {
    let client = Client::new(triangle, to)?;
    let pod = client.asks(|| Ok(client.socket.send(&client.data).map(drop)?)).context("in order")?;
    let parts = client.fragments(0x7101);
    ensure!(parts.len() > 10);
    raw::send_packets(to.ip(), [&parts[0]].into_iter().chain(parts[1..].iter().rev()))?;
    let second = client.answered_by().context("out of order")?;
    ensure!(pod == second, "first {pod}, then {second}");
    Ok(())
}

/// Later fragments before the first are dropped, and counted; the next
/// datagram of the flow is none the worse for it.
fn first_comes_last(triangle: &Triangle, to: SocketAddr) -> Result<()> {
    let before = dropped(triangle)?;
    let early = triangle.testbed.client().within(|| {
        let client = Client::new(triangle, to)?;
        let parts = client.fragments(0x7102);
        raw::send_packets(to.ip(), parts[1..].iter().chain([&parts[0]]))?;
        client.hears_nothing()?;
        client.asks(|| raw::send_packets(to.ip(), &client.fragments(0x7103))).context("the next datagram")?;
        Ok(parts.len() as u64 - 1)
    })?;
    wait_at_most(PATIENCE, "the drops are counted", || Ok(dropped(triangle)? - before == early)).map(drop)
}

/// Later fragments without a first, on all machines.
fn dropped(triangle: &Triangle) -> Result<u64> {
    let machines = triangle.testbed.machines().iter().filter(|machine| machine.roles.is_some());
    let each = machines
        .map(|machine| Ok(triangle.testbed.verdicts(machine)?.get("fragment").copied().unwrap_or_default()));
    each.sum()
}

fn delivered(config: Config, delivery: &str) -> Result<()> {
    arrive_whole(config, ServiceSpec::everything("web").delivery(delivery))
}

fn arrive_whole(config: Config, service: ServiceSpec) -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(config, &[service])?, |triangle| {
        for vip in VIP.both() {
            let to = socket_address(vip, UDP_ECHO_PORT);
            let before = dropped(triangle)?;
            triangle.testbed.client().within(|| go_round(triangle, to))?;
            ensure!(dropped(triangle)? == before, "fragments were dropped");
            first_comes_last(triangle, to)?;
        }
        Ok(())
    })
}

#[test]
fn over_a_router_within_udp() -> Result<()> {
    delivered(Config::l3(), "gue")
}

#[test]
fn over_a_router_in_an_outer_header() -> Result<()> {
    delivered(Config::l3(), "ipip")
}

#[test]
fn on_one_link() -> Result<()> {
    delivered(Config::l2(), "l2")
}

#[test]
fn on_nodes_that_are_directors() -> Result<()> {
    delivered(Config { node_role: NodeRole::Both, directors: 0, ..Config::l3() }, "auto")
}

#[test]
fn to_bare_servers() -> Result<()> {
    let config = Config { node_role: NodeRole::Bare, pods_per_node: 0, ..Config::l2() };
    arrive_whole(config, ServiceSpec::bare("bare", &["node1", "node2"]))
}
