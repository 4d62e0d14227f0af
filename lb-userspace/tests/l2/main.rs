//! Announcing on a link: three nodes and a client on a bridge. Needs root.

#![allow(clippy::unwrap_used)]

mod client;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use client::{Client, Log};
use lb_testbed::{Namespace, Namespaces};
use lb_userspace::protocols::l2::{self, Ballot, Candidates, L2Config, L2Orders, VipStatus};
use tokio::{
    runtime,
    sync::{oneshot, watch},
};

const LATER: Duration = Duration::from_secs(20);
/// Within which another one answers when the owner has died.
const TAKEOVER: Duration = Duration::from_secs(1);

fn vip(number: usize) -> IpAddr {
    let [high, low] = (number as u16).to_be_bytes();
    if number.is_multiple_of(2) {
        IpAddr::from([203, 0, high, low])
    } else {
        IpAddr::from([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, number as u16])
    }
}

fn mac(node: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, node as u8]
}

/// The bridge, and those on it. Nodes have no VIP as an address.
struct Lan {
    nodes: Vec<Namespace>,
    client: Namespace,
    bridge: Namespace,
    _all: Namespaces,
}

impl Lan {
    fn new(nodes: usize) -> Self {
        let all = Namespaces::new().unwrap();
        let add = |short: &str| all.add(short).unwrap();
        let bridge = add("bridge");
        bridge.ip("link add br0 type bridge mcast_snooping 0").unwrap();
        bridge.ip("link set br0 up").unwrap();
        let nodes = (0..nodes).map(|number| add(&format!("node{number}"))).collect();
        let lan = Self { nodes, client: add("client"), bridge, _all: all };
        for (number, node) in lan.nodes.iter().enumerate() {
            lan.attach_to_bridge(node, number);
            node.ip(&format!("addr add 192.0.2.{}/24 dev eth0", number + 1)).unwrap();
        }
        lan.attach_to_bridge(&lan.client, 0xc);
        lan
    }

    fn attach_to_bridge(&self, namespace: &Namespace, number: usize) {
        let [.., last] = mac(number);
        let peer = format!("peer name port{number} netns {}", self.bridge.name);
        namespace.ip(&format!("link add eth0 address 02:00:00:00:00:{last:02x} type veth {peer}")).unwrap();
        self.bridge.ip(&format!("link set port{number} up master br0")).unwrap();
        namespace.ip("link set eth0 up").unwrap();
    }
}

/// What node `number` of `nodes` is to do.
fn orders_for_node(number: usize, nodes: usize, vips: usize) -> L2Orders {
    let name = |number: usize| -> Arc<str> { format!("node-{number}").into() };
    let address = |number: usize| vec![IpAddr::from([192, 0, 2, number as u8 + 1])];
    let ballot: Arc<Ballot> = Arc::new((0..nodes).map(name).collect::<BTreeSet<_>>().into());
    let candidates = |vip: IpAddr| Candidates {
        ballot: Arc::clone(&ballot),
        ready: true,
        in_data_path: vip.is_ipv4(),
        interfaces: BTreeSet::new(),
    };
    L2Orders {
        me: name(number),
        nodes: (0..nodes).map(|number| (name(number), address(number))).collect(),
        vips: (0..vips).map(|number| (vip(number), candidates(vip(number)))).collect(),
        leaving: false,
    }
}

/// `l2::run` on a thread of its own.
struct Agent {
    wanted: watch::Sender<Arc<L2Orders>>,
    statuses: watch::Receiver<Arc<Vec<VipStatus>>>,
    kill: oneshot::Sender<()>,
    /// False: it was killed.
    thread: JoinHandle<anyhow::Result<bool>>,
}

impl Agent {
    fn start(namespace: &Namespace, wanted: L2Orders) -> Self {
        let (wanted, to) = watch::channel(Arc::new(wanted));
        let (from, statuses) = watch::channel(Arc::default());
        let (kill, killed) = oneshot::channel::<()>();
        let options = L2Config { interfaces: vec!["eth0".into()], port: l2::PORT };
        let run = || {
            runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                tokio::select! {
                    result = l2::run(options, to, from) => result.map(|()| true),
                    _ = killed => Ok(false),
                }
            })
        };
        let thread = namespace.spawn_thread(run).unwrap();
        Self { wanted, statuses, kill, thread }
    }

    /// Ends it without a farewell to the other agents.
    fn kill(self) {
        self.kill.send(()).unwrap();
        assert!(!self.thread.join().unwrap().unwrap());
    }

    fn stop(self) {
        drop(self.wanted);
        assert!(self.thread.join().unwrap().unwrap());
    }

    fn announced_count(&self) -> usize {
        self.statuses.borrow().iter().filter(|status| status.announcing).count()
    }
}

fn start_agents(lan: &Lan, vips: usize) -> BTreeMap<usize, Agent> {
    let nodes = lan.nodes.len();
    let agent = |number: usize| Agent::start(&lan.nodes[number], orders_for_node(number, nodes, vips));
    (0..nodes).map(|number| (number, agent(number))).collect()
}

/// Every VIP has one announcer, as the agents see it.
fn wait_until_settled(agents: &BTreeMap<usize, Agent>, vips: usize) {
    let started = Instant::now();
    while agents.values().map(Agent::announced_count).sum::<usize>() != vips {
        assert!(started.elapsed() < LATER);
        assert!(agents.values().all(|agent| !agent.thread.is_finished()));
        thread::sleep(Duration::from_millis(5));
    }
    println!("{vips} VIPs settled: {:?}", started.elapsed());
    // Nobody is about to take one back.
    thread::sleep(Duration::from_secs(1));
}

fn last_owner_node(log: &Log, vip: IpAddr) -> usize {
    let [.., last] = log.last_owner(&vip).unwrap();
    last.into()
}

#[test]
fn a_client_sees_one_owner_whoever_dies_leaves_or_returns() {
    let lan = Lan::new(3);
    let vips: Vec<_> = (0..8).map(vip).collect();
    let client = Client::start(&lan.client, &vips);
    let mut agents = start_agents(&lan, vips.len());
    wait_until_settled(&agents, vips.len());
    let before = client.log();
    let dead = last_owner_node(&before, vips[0]);

    let died = Instant::now();
    agents.remove(&dead).unwrap().kill();
    thread::sleep(TAKEOVER + Duration::from_millis(200));
    let after = client.log();
    for vip in &vips {
        let gap = after.longest_silence(vip, died);
        println!("{vip}: silent for {gap:?} after its owner may have died");
        assert!(gap < TAKEOVER, "{vip} was not answered for {gap:?}");
        let moves = after.moves_since(vip, died);
        assert_eq!(moves.len(), usize::from(last_owner_node(&before, *vip) == dead), "{vip}: {moves:?}");
        assert_ne!(last_owner_node(&after, *vip), dead);
    }

    let returned = Instant::now();
    agents.insert(dead, Agent::start(&lan.nodes[dead], orders_for_node(dead, 3, vips.len())));
    thread::sleep(Duration::from_secs(4));
    let after = client.log();
    for vip in &vips {
        let moves = after.moves_since(vip, returned);
        println!("{vip}: silent for {:?} at its owner's return", after.longest_silence(vip, returned));
        assert_eq!(moves.len(), usize::from(last_owner_node(&before, *vip) == dead), "{vip}: {moves:?}");
        assert_eq!(last_owner_node(&after, *vip), last_owner_node(&before, *vip));
    }

    // A drain: the others at once, and back when it is over.
    let drained = Instant::now();
    let drain = |leaving| Arc::new(L2Orders { leaving, ..orders_for_node(dead, 3, vips.len()) });
    agents[&dead].wanted.send_replace(drain(true));
    thread::sleep(Duration::from_secs(2));
    let after = client.log();
    for vip in &vips {
        println!("{vip}: silent for {:?} at a drain", after.longest_silence(vip, drained));
        assert_ne!(last_owner_node(&after, *vip), dead);
    }
    agents[&dead].wanted.send_replace(drain(false));
    thread::sleep(Duration::from_secs(2));
    let after = client.log();
    vips.iter().for_each(|vip| assert_eq!(last_owner_node(&after, *vip), last_owner_node(&before, *vip)));

    for vip in &vips {
        assert!(after.conflicts(vip).is_empty(), "{vip} was answered for by two");
        assert!(after.announcements(vip) >= 4, "{vip} was not announced unasked");
    }
    agents.into_values().for_each(Agent::stop);
    client.stop();
}

/// Such a node hears none of the others, and they take over its VIPs.
#[test]
fn an_interface_that_goes_down_loses_its_vips_until_it_is_up_again() {
    let lan = Lan::new(2);
    let vips: Vec<_> = (0..8).map(vip).collect();
    let client = Client::start(&lan.client, &vips);
    let agents = start_agents(&lan, vips.len());
    wait_until_settled(&agents, vips.len());
    let before = client.log();
    let down = last_owner_node(&before, vips[0]);
    lan.nodes[down].ip("link set eth0 down").unwrap();
    thread::sleep(TAKEOVER);
    vips.iter().for_each(|vip| assert_ne!(last_owner_node(&client.log(), *vip), down));
    let up = Instant::now();
    lan.nodes[down].ip("link set eth0 up").unwrap();
    thread::sleep(Duration::from_secs(5));
    let after = client.log();
    for vip in &vips {
        assert_eq!(last_owner_node(&after, *vip), last_owner_node(&before, *vip));
        assert!(after.conflicts(vip).is_empty(), "{vip} was answered for by two");
        let gap = after.longest_silence(vip, up);
        assert!(gap < TAKEOVER, "{vip} was not answered for {gap:?} when it came back");
    }
    agents.into_values().for_each(Agent::stop);
    client.stop();
}

/// Otherwise it would take all others for dead, and announce their VIPs too.
#[test]
fn an_agent_that_cannot_talk_to_the_others_announces_nothing() {
    let lan = Lan::new(2);
    let vips: Vec<_> = (0..8).map(vip).collect();
    let client = Client::start(&lan.client, &vips);
    let (free, freed) = std::sync::mpsc::channel::<()>();
    let (taken_to, taken) = std::sync::mpsc::channel();
    // An agent that is told of no VIP leaves the port to whoever wants it.
    let idle = Agent::start(&lan.nodes[0], L2Orders { me: "node-0".into(), ..L2Orders::default() });
    thread::sleep(Duration::from_millis(200));
    let take = move || {
        let socket = std::net::UdpSocket::bind(("192.0.2.1", l2::PORT))?;
        taken_to.send(())?;
        freed.recv()?;
        drop(socket);
        Ok(())
    };
    let somebody = lan.nodes[0].spawn_thread(take).unwrap();
    taken.recv().unwrap();
    idle.wanted.send_replace(Arc::new(orders_for_node(0, 2, vips.len())));
    let mut agents = BTreeMap::from([(0, idle)]);
    agents.insert(1, Agent::start(&lan.nodes[1], orders_for_node(1, 2, vips.len())));
    wait_until_settled(&agents, vips.len());
    thread::sleep(Duration::from_secs(1));
    assert_eq!(agents[&0].announced_count(), 0);
    free.send(()).unwrap();
    somebody.join().unwrap().unwrap();
    thread::sleep(Duration::from_secs(4));
    assert!(agents.values().all(|agent| agent.announced_count() > 0));
    let log = client.log();
    vips.iter().for_each(|vip| assert!(log.conflicts(vip).is_empty(), "{vip} was answered for by two"));
    agents.into_values().for_each(Agent::stop);
    client.stop();
}

/// Neighbours that have missed it, or believe somebody else, hear of it again.
#[test]
fn the_owner_repeats_its_announcements() {
    let lan = Lan::new(1);
    let client = Client::start(&lan.client, &[]);
    let agents = start_agents(&lan, 2);
    wait_until_settled(&agents, 2);
    thread::sleep(Duration::from_secs(10));
    let at_first = client.log();
    // Half a minute after the last of these.
    thread::sleep(Duration::from_secs(29));
    let later = client.log();
    for vip in [vip(0), vip(1)] {
        assert!(at_first.announcements(&vip) >= 4);
        assert!(later.announcements(&vip) > at_first.announcements(&vip), "{vip}");
    }
    agents.into_values().for_each(Agent::stop);
    client.stop();
}

/// What the usual tools and the client's own kernel see.
#[test]
fn the_usual_tools_see_one_owner() {
    let lan = Lan::new(3);
    let agents = start_agents(&lan, 2);
    wait_until_settled(&agents, 2);
    lan.client.ip("addr add 203.0.255.1/16 dev eth0").unwrap();
    let arping = lan.client.run(&["arping", "-c", "5", "-I", "eth0", "203.0.0.0"]).unwrap();
    println!("{arping}");
    let answers = arping.lines().filter_map(|line| {
        line.to_lowercase().find("02:00:00:00:00:0").map(|at| line[at..at + 17].to_lowercase())
    });
    let answers: Vec<_> = answers.collect();
    assert!(answers.len() >= 5 && answers.iter().all(|mac| *mac == answers[0]));
    let ndisc6 = lan.client.run(&["ndisc6", "-m", "2001:db8:ffff::1", "eth0"]).unwrap();
    println!("{ndisc6}");
    // It shows what is announced unasked, too.
    let told = ndisc6.lines().filter_map(|line| line.split_once("link-layer address: "));
    let told: Vec<_> = told.map(|(_, mac)| mac.trim()).collect();
    assert!(!told.is_empty() && told.iter().all(|mac| *mac == told[0]));

    // And so does the kernel: it may not have the address itself.
    let detect = [("ipv6/conf/all/accept_dad", "1"), ("ipv6/conf/eth0/accept_dad", "1")];
    lan.client.write_sysctls(&detect).unwrap();
    lan.client.ip("addr add 2001:db8:ffff::1/64 dev eth0").unwrap();
    thread::sleep(Duration::from_secs(3));
    let taken = lan.client.ip("-6 addr show dev eth0 dadfailed").unwrap();
    assert!(taken.contains("2001:db8:ffff::1/64"), "{taken}");
    lan.client.ip("addr del 2001:db8:ffff::1/64 dev eth0").unwrap();
    lan.client.ip("addr add 2001:db8:ffff::ffff/64 dev eth0 nodad").unwrap();
    for vip in [vip(0), vip(1)] {
        lan.client.run_for_output(&["ping", "-c1", "-W1", &vip.to_string()]).unwrap();
    }
    let known = lan.client.ip("neigh show dev eth0").unwrap();
    println!("{known}");
    for vip in [vip(0), vip(1)] {
        assert!(
            known
                .lines()
                .any(|line| line.starts_with(&vip.to_string()) && line.contains("lladdr 02:00:00:00:00:0"))
        );
    }
    agents.into_values().for_each(Agent::stop);
}

#[test]
fn thousands_of_vips_change_hands_within_a_second() {
    const VIPS: usize = 5000;
    let lan = Lan::new(2);
    let mut agents = start_agents(&lan, VIPS);
    wait_until_settled(&agents, VIPS);
    assert!((2000..3000).contains(&agents[&0].announced_count()));
    let some: Vec<_> = (0..50).map(|number| vip(number * 100 + number % 2)).collect();
    let client = Client::start(&lan.client, &some);
    thread::sleep(Duration::from_millis(500));
    let died = Instant::now();
    agents.remove(&0).unwrap().kill();
    while agents[&1].announced_count() != VIPS {
        assert!(died.elapsed() < LATER);
        thread::sleep(Duration::from_millis(1));
    }
    println!("all taken over after {:?}", died.elapsed());
    thread::sleep(TAKEOVER);
    let log = client.log();
    for vip in &some {
        let gap = log.longest_silence(vip, died);
        assert!(gap < TAKEOVER, "{vip} was not answered for {gap:?}");
        assert!(last_owner_node(&log, *vip) == 1 && log.conflicts(vip).is_empty(), "{vip}");
    }
    agents.into_values().for_each(Agent::stop);
    client.stop();
}
