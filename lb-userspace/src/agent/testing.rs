//! A director, and a node with an endpoint, for tests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use lb_common::roles;
use tokio::sync::watch;

use super::{dispatcher::Dispatcher, reconcile::Reconciler, speakers::SpeakerStatus};
use crate::{
    announce::departure::DrainTimes,
    datapath::memory::MemoryTables,
    neigh::{NextHop, NextHops, Reach},
    plan::{Identity, mirror::Capacity},
    protocols::bgp::PeerStatus,
};

pub const NODES: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: director1, labels: {trigon.dev/director: "true"}},
 status: {addresses: [{type: InternalIP, address: 10.0.0.9}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node1},
 status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Service,
 metadata: {name: web, annotations: {trigon.dev/dsr: "true"}},
 spec: {type: LoadBalancer, loadBalancerClass: trigon.dev/lb, ports: [{name: p, port: 80}]},
 status: {loadBalancer: {ingress: [{ip: 192.0.2.80}]}}}
---
{apiVersion: trigon.dev/v1alpha1, kind: BgpPeer, metadata: {name: router},
 spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.253}}
---
{apiVersion: trigon.dev/v1alpha1, kind: BgpAdvertisement, metadata: {name: all}}
---
"#;

pub const ENDPOINT: &str = r#"
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice,
 metadata: {name: web, labels: {kubernetes.io/service-name: web}}, addressType: IPv4,
 ports: [{name: p, port: 80}], endpoints: [{addresses: [10.1.0.1], nodeName: node1}]}
"#;

pub const ROOM: Capacity = Capacity {
    services: 4,
    backends: 8,
    endpoints: 8,
    ring_slots: 4096,
    history_slots: 4096,
    ranges: 8,
    vips: 4,
    peers: 8,
};

/// Not enough for a ring.
pub const NO_RING: Capacity = Capacity { ring_slots: 512, ..ROOM };
pub const NO_BACKEND: Capacity = Capacity { backends: 1, ..ROOM };

/// The next hops of both nodes, with their MAC addresses or without.
pub fn hops(is_known: bool) -> NextHops {
    let hop = |last| NextHop { dst_mac: is_known.then_some([last; 6]), ..NextHop::on_uplink() };
    let both = [([10u8, 0, 0, 1], 1), ([10, 0, 0, 9], 9)];
    both.map(|(ip, last)| (IpAddr::from(ip), Reach::Via(hop(last)))).into_iter().collect()
}

pub fn reconciler(tables: MemoryTables, room: Capacity) -> Reconciler<MemoryTables> {
    let me = Identity {
        node: "director1".into(),
        roles: roles::DIRECTOR,
        asks_former_owners: true,
        bare_sources: Arc::default(),
        answer_echo: false,
        bgp_port: None,
    };
    Reconciler::new(me, tables, room).unwrap()
}

/// A dispatcher, and the sender of the peers' state that it sees.
pub fn dispatcher() -> (Dispatcher, watch::Sender<Arc<Vec<PeerStatus>>>) {
    let times = DrainTimes { drain: Duration::from_secs(5), settle: Duration::from_secs(1) };
    let (peers_to, peers) = watch::channel(Arc::default());
    let (_, vips) = watch::channel(Arc::default());
    (Dispatcher::new(times, SpeakerStatus { peers, vips }), peers_to)
}
