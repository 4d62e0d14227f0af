//! Small clusters at random.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use lb_common::maps;
use proptest::prelude::*;

use crate::{
    neigh::{NextHop, NextHops, Reach},
    objects::model::{Backends, Cluster, DeliveryMode, Endpoint, Frontend, Node, Policy, Protocol, Service},
};

/// This machine is node 0.
pub const ME: &str = "node0";
const NODES: u8 = 5;
const SERVICES: u8 = 5;

/// What a cluster is made of.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Numbers of the nodes that there are, beside node 0.
    nodes: BTreeSet<u8>,
    /// By number, from 1.
    services: Vec<(u8, ServiceObject)>,
}

#[derive(Clone, Debug)]
struct ServiceObject {
    /// Node and number of each endpoint, and whether it drains.
    endpoints: BTreeSet<(u8, u8, bool)>,
    ranges: BTreeSet<u8>,
}

pub fn some_objects() -> impl Strategy<Value = Objects> {
    let endpoints = prop::collection::btree_set((0..NODES, 0u8..3, prop::bool::weighted(0.2)), 0..6);
    let ranges = prop::collection::btree_set(0u8..6, 0..3);
    let service = (endpoints, ranges).prop_map(|(endpoints, ranges)| ServiceObject { endpoints, ranges });
    let services = prop::collection::btree_map(1..=SERVICES, service, 0..5);
    let nodes = prop::collection::btree_set(1..NODES, 0..usize::from(NODES));
    (nodes, services)
        .prop_map(|(nodes, services)| Objects { nodes, services: services.into_iter().collect() })
}

pub fn node_address(number: u8) -> IpAddr {
    [10, 0, 0, 1 + number].into()
}

/// The number of the service that an endpoint belongs to.
pub fn service_number(endpoint: &maps::Endpoint) -> u16 {
    match IpAddr::from(endpoint.addr) {
        IpAddr::V4(addr) => u16::from(addr.octets()[2]),
        IpAddr::V6(_) => 0,
    }
}

impl Objects {
    /// The same, and every service admits only these.
    pub fn with_ranges(mut self, ranges: &[u8]) -> Self {
        for (_, object) in &mut self.services {
            object.ranges = ranges.iter().copied().collect();
        }
        self
    }

    /// Services by number, each with an endpoint on each of these nodes; and all those nodes.
    pub fn with_endpoints(services: &[(u8, &[u8])]) -> Self {
        let object = |nodes: &[u8]| ServiceObject {
            endpoints: nodes.iter().map(|node| (*node, 0, false)).collect(),
            ranges: BTreeSet::new(),
        };
        Self {
            nodes: services.iter().flat_map(|(_, nodes)| nodes.iter().copied()).collect(),
            services: services.iter().map(|(number, nodes)| (*number, object(nodes))).collect(),
        }
    }

    /// One service, with endpoints of these numbers on this node.
    pub fn with_endpoints_here(service: u8, numbers: &[u8]) -> Self {
        let endpoints = numbers.iter().map(|number| (0, *number, false)).collect();
        let object = ServiceObject { endpoints, ranges: BTreeSet::new() };
        Self { nodes: BTreeSet::new(), services: vec![(service, object)] }
    }

    pub fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::default();
        for number in [0].iter().chain(&self.nodes) {
            let name: Arc<str> = format!("node{number}").into();
            let addresses = vec![node_address(*number)];
            let node = Node { name: name.clone(), addresses, director: *number == 0, ..Node::default() };
            cluster.nodes.insert(name, Arc::new(node));
        }
        for (number, object) in &self.services {
            let service = object.service(*number);
            cluster.services.insert(service.frontend, Arc::new(service));
        }
        cluster
    }
}

impl ServiceObject {
    /// Service number n has port n; two at most share a VIP.
    fn service(&self, number: u8) -> Service {
        let frontend = Frontend {
            vip: [192, 0, 2, 1 + number / 2].into(),
            port: u16::from(number),
            protocol: Protocol::Tcp,
        };
        let endpoint = |(node, n, draining): &(u8, u8, bool)| Endpoint {
            node: format!("node{node}").into(),
            addr: [10, 9, number, node * 16 + n].into(),
            port: 8080,
            draining: *draining,
        };
        let ranges =
            self.ranges.iter().map(|n| format!("10.1.{n}.0/24").parse().expect("a prefix")).collect();
        Service {
            name: format!("default/s{number}").into(),
            frontend,
            delivery: DeliveryMode::Auto,
            local: false,
            backends: Backends::Endpoints(self.endpoints.iter().map(endpoint).collect()),
            check: None,
            policy: Policy { ranges, ..Policy::default() },
        }
    }
}

/// To all nodes.
pub fn next_hops() -> NextHops {
    let hop =
        |number: u8| NextHop { source: node_address(0), dst_mac: Some([number; 6]), ..NextHop::on_uplink() };
    let reach = |number| if number == 0 { Reach::Local } else { Reach::Via(hop(number)) };
    (0..NODES).map(|number| (node_address(number), reach(number))).collect()
}
