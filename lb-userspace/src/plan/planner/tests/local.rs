//! `externalTrafficPolicy: Local`: a director delivers to its own endpoints, and whatever changes, each connection is
//! found by its client's packets, by whatever director they come.

use std::{collections::BTreeMap, time::Duration};

use lb_common::{hash, maps::Endpoint as PlannedEndpoint, ring::NO_BACKEND};

use super::*;
use crate::{
    datapath::{apply, memory::MemoryTables},
    plan::{
        diff::{Stamp, diff},
        mirror::{Capacity, Mirror},
        quarantine::Sweeps,
    },
};

const CAPACITY: Capacity = Capacity {
    services: 16,
    backends: 64,
    endpoints: 64,
    ring_slots: 64 * 1024,
    history_slots: 64 * 1024,
    ranges: 64,
    vips: 16,
    peers: 64,
};
const BOTH: u32 = roles::DIRECTOR | roles::NODE;
/// Connections that each director begins after each change.
const CONNECTIONS: u64 = 12;

/// Name, last byte of its address, and roles of each machine. Owner, heirs and keepers of a slot are fewer.
const MACHINES: [(&str, u8, u32); 7] = [
    ("a", 1, BOTH),
    ("b", 2, BOTH),
    ("c", 3, BOTH),
    ("node1", 4, roles::NODE),
    ("node2", 5, roles::NODE),
    ("node3", 6, roles::NODE),
    ("director", 7, roles::DIRECTOR),
];
/// Of these, the first are nodes.
const NODES: usize = 6;

fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

fn frontend() -> Frontend {
    Frontend { vip: ip("192.0.2.1"), port: 80, protocol: Protocol::Tcp }
}

/// What the objects say of one service.
#[derive(Clone, Debug)]
struct Wanted {
    local: bool,
    /// By node and number; true if it drains.
    endpoints: BTreeMap<(usize, u8), bool>,
    /// By node: a director by its label.
    directors: [bool; NODES],
}

impl Wanted {
    fn cluster(&self) -> Cluster {
        let label = |index: usize| self.directors.get(index).copied().unwrap_or(true);
        let machines = MACHINES.iter().enumerate();
        let nodes = machines.map(|(index, (name, number, roles))| {
            node(name, &[&address(*number).to_string()], roles & roles::DIRECTOR != 0 && label(index))
        });
        let endpoint = |((node, number), draining): (&(usize, u8), &bool)| Endpoint {
            node: MACHINES[*node].0.into(),
            addr: endpoint_address(*node, *number),
            port: 8080,
            draining: *draining,
        };
        let backends = Backends::Endpoints(self.endpoints.iter().map(endpoint).collect());
        let (frontend, model) = service("192.0.2.1", DeliveryMode::Auto, backends);
        let service = Service { local: self.local, ..Service::clone(&model) };
        Cluster {
            services: [(frontend, Arc::new(service))].into_iter().collect(),
            nodes: nodes.collect(),
            ..Cluster::default()
        }
    }

    fn has(&self, endpoint: &PlannedEndpoint) -> bool {
        let address = |(node, number): &(usize, u8)| Addr::from(endpoint_address(*node, *number));
        self.endpoints.keys().map(address).any(|addr| addr == endpoint.addr)
    }

    /// Is the machine a director that is to deliver all to its own endpoints?
    fn delivers_all(&self, machine: usize) -> bool {
        let takes_new = |(endpoint, draining): (&(usize, u8), &bool)| endpoint.0 == machine && !draining;
        let is_director = MACHINES[machine].2 == BOTH && self.directors[machine];
        self.local && is_director && self.endpoints.iter().any(takes_new)
    }
}

fn endpoint_address(node: usize, number: u8) -> IpAddr {
    IpAddr::from([10, 9, node as u8, number])
}

/// A machine with its maps.
struct Machine {
    me: Identity,
    hops: NextHops,
    planner: Planner,
    plan: Plan,
    tables: MemoryTables,
    mirror: Mirror,
    generation: u32,
}

impl Machine {
    fn new((name, own, roles): (&str, u8, u32)) -> Self {
        let reach = |number| if number == own { Reach::Local } else { hop(None, Some([number; 6])) };
        Self {
            me: me(name, roles),
            hops: MACHINES.iter().map(|(_, number, _)| (address(*number), reach(*number))).collect(),
            planner: Planner::default(),
            plan: Plan::default(),
            tables: MemoryTables::default(),
            mirror: Mirror::default(),
            generation: 0,
        }
    }

    /// Makes its maps what the cluster says at this moment.
    fn follow(&mut self, cluster: &Cluster, now: Instant, clock: Duration) {
        self.plan = self.planner.plan(&self.plan, cluster, &self.me, &self.hops, &Dead::new(), now);
        self.generation += 1;
        let stamp = Stamp { generation: self.generation, now: clock };
        let diff = diff(None, &self.plan, &self.mirror, CAPACITY, stamp);
        assert_eq!(diff.shortages, []);
        assert!(apply(&mut self.tables, &mut self.mirror, diff).failures.is_empty());
        self.mirror.release_oldest(Sweeps::default());
        self.mirror.apply(&crate::plan::op::Op::ForgetUnheld);
    }

    fn service(&self) -> Option<&maps::Service> {
        self.mirror.services.get(&service_key(&frontend()))
    }

    /// The machine that it sends packets of this hash to, as a director; none if there is no backend.
    fn choice(&self, flow: u64) -> Option<IpAddr> {
        let service = self.service()?;
        let ring = self.mirror.ring_of(service)?;
        let id = ring.get(hash::slot(flow, service.ring_len) as usize)?;
        Some(self.mirror.backends[id].outer_dst.into())
    }

    /// Whom it asks for a flow, as a node.
    fn asked(&self, flow: u64) -> Vec<IpAddr> {
        let owners = self.service().and_then(|service| {
            self.mirror.history_of(service)?.get(hash::slot(flow, service.ring_len) as usize).copied()
        });
        let ids = owners.unwrap_or_default().ids.into_iter().take_while(|id| *id != NO_BACKEND);
        ids.map(|id| self.mirror.backends[&id].outer_dst.into()).collect()
    }

    /// The endpoint that a flow begins with, on a node.
    fn endpoint(&self, flow: u64) -> Option<PlannedEndpoint> {
        let planned = self.plan.services.get(&service_key(&frontend()))?;
        let count = u32::try_from(planned.endpoints.len()).ok().filter(|count| *count > 0)?;
        Some(planned.endpoints[hash::endpoint(flow, count) as usize])
    }
}

/// Where a connection is.
struct Connection {
    flow: u64,
    node: usize,
    endpoint: PlannedEndpoint,
    began_at: usize,
}

struct Site {
    machines: Vec<Machine>,
    connections: Vec<Connection>,
    start: Instant,
    /// Seconds since then.
    now: u64,
}

impl Site {
    fn new() -> Self {
        let machines = MACHINES.into_iter().map(Machine::new).collect();
        Self { machines, connections: Vec::new(), start: Instant::now(), now: 0 }
    }

    fn index_of(address: IpAddr) -> usize {
        MACHINES.iter().position(|(_, number, _)| self::address(*number) == address).expect("a machine")
    }

    fn directors(&self) -> impl Iterator<Item = usize> {
        (0..MACHINES.len()).filter(|index| MACHINES[*index].2 & roles::DIRECTOR != 0)
    }

    /// The objects have changed. The machines follow, one after the other, `first` before all others.
    fn follow(&mut self, wanted: &Wanted, first: usize) {
        let cluster = wanted.cluster();
        self.connections.retain(|connection| wanted.has(&connection.endpoint));
        // Additions to a ring may have to wait.
        for _ in 0..2 {
            self.now += 1;
            let clock = Duration::from_secs(self.now);
            for index in (0..MACHINES.len()).map(|index| (index + first) % MACHINES.len()) {
                self.machines[index].follow(&cluster, self.start + clock, clock);
                self.check_that_all_are_found(wanted);
            }
        }
    }

    /// Every connection, by every director that its packets may come to.
    fn check_that_all_are_found(&self, wanted: &Wanted) {
        for connection in &self.connections {
            for director in self.directors() {
                let Some(chosen) = self.machines[director].choice(connection.flow) else {
                    panic!("{} has no backend: {wanted:?}", MACHINES[director].0)
                };
                let mut been = vec![Self::index_of(chosen)];
                let mut next = 0;
                while next < been.len() {
                    let asked = self.machines[been[next]].asked(connection.flow);
                    for node in asked.into_iter().map(Self::index_of) {
                        if !been.contains(&node) {
                            been.push(node);
                        }
                    }
                    next += 1;
                }
                let (node, began_at) = (MACHINES[connection.node].0, MACHINES[connection.began_at].0);
                let names: Vec<_> = been.iter().map(|index| MACHINES[*index].0).collect();
                assert!(
                    been.contains(&connection.node),
                    "begun at {began_at} and on {node}: by {} it gets to {names:?}; {wanted:?}",
                    MACHINES[director].0,
                );
            }
        }
    }

    /// New connections to every director, once all machines have followed.
    fn connect(&mut self, wanted: &Wanted) {
        for director in self.directors().collect::<Vec<_>>() {
            for number in 0..CONNECTIONS {
                let flow = (number + 1 + 100 * self.now).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let Some(chosen) = self.machines[director].choice(flow) else { continue };
                let node = Self::index_of(chosen);
                assert!(!wanted.delivers_all(director) || node == director, "{wanted:?}");
                let Some(endpoint) = self.machines[node].endpoint(flow) else {
                    let takes_new = wanted.endpoints.values().any(|draining| !draining);
                    assert!(!takes_new, "{} sends to {}: {wanted:?}", MACHINES[director].0, MACHINES[node].0);
                    continue;
                };
                self.connections.push(Connection { flow, node, endpoint, began_at: director });
            }
        }
    }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let endpoints = prop::collection::btree_map((0..NODES, 0..2u8), prop::bool::weighted(0.3), 1..10);
    let directors = prop::array::uniform6(prop::bool::weighted(0.9));
    (prop::bool::weighted(0.8), endpoints, directors).prop_map(|(local, endpoints, directors)| Wanted {
        local,
        endpoints,
        directors,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn no_connection_is_lost_whatever_changes(
        changes in prop::collection::vec((wanted(), 0..MACHINES.len()), 2..10),
    ) {
        let mut site = Site::new();
        for (wanted, first) in &changes {
            site.follow(wanted, *first);
            site.connect(wanted);
            site.check_that_all_are_found(wanted);
        }
    }
}

/// Each change of a director between its own endpoints and the ring of all.
#[test]
fn each_change_of_a_director_keeps_its_connections() {
    let wanted = |local, endpoints: &[(usize, u8, bool)]| Wanted {
        local,
        endpoints: endpoints.iter().map(|(node, number, draining)| ((*node, *number), *draining)).collect(),
        directors: [true; NODES],
    };
    let elsewhere = [(1, 0, false), (3, 0, false), (4, 0, false), (5, 0, false)];
    let and = |more: &[(usize, u8, bool)]| wanted(true, &[more, &elsewhere[..]].concat());
    let table = [
        ("none here", and(&[])),
        ("the first here", and(&[(0, 0, false)])),
        ("one more here", and(&[(0, 0, false), (0, 1, false)])),
        ("one of two drains", and(&[(0, 0, true), (0, 1, false)])),
        ("the last drains", and(&[(0, 0, true), (0, 1, true)])),
        ("one is back", and(&[(0, 0, false), (0, 1, true)])),
        ("no more `Local`", wanted(false, &[&[(0, 0, false), (0, 1, true)], &elsewhere[..]].concat())),
        ("`Local` again", and(&[(0, 0, false), (0, 1, true)])),
        (
            "the other director has none any more",
            wanted(true, &[&[(0, 0, false), (1, 0, true)], &elsewhere[1..]].concat()),
        ),
        ("only here", wanted(true, &[(0, 0, false)])),
        ("only elsewhere", wanted(true, &[(0, 0, true), (3, 0, false)])),
    ];
    let mut site = Site::new();
    for (what, wanted) in table {
        site.follow(&wanted, 0);
        site.connect(&wanted);
        site.check_that_all_are_found(&wanted);
        let own =
            |index: usize| site.connections.iter().filter(|c| c.began_at == index && c.node == index).count();
        println!(
            "{what}: {} connections, {} and {} at their own directors",
            site.connections.len(),
            own(0),
            own(1)
        );
    }
}

/// One ring of slots that are all its own does for all such services.
#[test]
fn a_director_with_endpoints_is_alone_in_its_ring() {
    let wanted = Wanted {
        local: true,
        endpoints: [((0, 0), false), ((1, 0), false), ((3, 0), false)].into(),
        directors: [true; NODES],
    };
    let mut machine = Machine::new(MACHINES[0]);
    let mut cluster = wanted.cluster();
    let other = cluster.services.values().next().map(|service| {
        let frontend = Frontend { port: 81, ..service.frontend };
        let backends = endpoints(&[("a", "10.9.0.9"), ("node", "10.9.3.9")]);
        (frontend, Arc::new(Service { frontend, backends, ..Service::clone(service) }))
    });
    cluster.services.extend(other);
    machine.follow(&cluster, Instant::now(), Duration::from_secs(1));
    let offsets: Vec<u32> = machine.mirror.services.values().map(|service| service.ring_offset).collect();
    assert!(offsets.len() == 2 && offsets[0] == offsets[1], "{offsets:?}");
    let [first, _] = &machine.plan.services.values().collect::<Vec<_>>()[..] else { panic!("two services") };
    assert_eq!((first.live.iter().max(), first.ring.iter().max()), (Some(0), Some(2)));
    assert_eq!(first.keepers.len(), 2, "the directors among the members");
}
