//! Network-namespace topologies for Trigon's demo, tests and benchmarks.
//!
//! ```text
//!   client ---- router ==== director1, director2     (routed, or over a switch)
//!                   \====== node1 -- pod1_1, pod1_2
//!                    \===== node2 -- ...
//! ```
//!
//! The router spreads the VIPs over the directors by ECMP and knows no route to
//! any Pod; nodes masquerade what Pods send out and drop what conntrack finds
//! invalid, as a CNI and kube-proxy have them do (or, with [`PodNetwork::Routed`],
//! it knows all, and nothing is masqueraded). [`Testbed::new`] builds it,
//! and whatever happens to the process that did, it is torn down again.

mod address;
mod agent;
mod assemble;
mod bird;
pub mod capabilities;
mod capture;
pub mod churn;
mod clients;
pub mod cluster;
mod config;
mod counters;
pub mod counts;
mod frr;
pub mod kubernetes;
mod manifest;
mod namespace;
mod namespaces;
mod plan;
mod process;
mod reaper;
pub mod report;
mod requests;
mod route;
mod router;
mod run;
mod servers;
mod site;
mod sys;
mod testbed;
mod triangle;

pub use address::{Cidr, Dual, Family, POD_NETWORKS, VIP, VIP_NETWORKS, VIP_V4, VIP_V6};
pub use bird::Bird;
pub use capture::{Capture, Frame, Packet, Tunnel};
pub use clients::{TcpHold, TcpHoldOptions, UdpStream, UdpStreamOptions};
pub use config::{Config, Layer, NodeRole, ObjectSource, PodNetwork};
pub use counters::{DirectorCounters, LinkCount};
pub use frr::Frr;
pub use manifest::{
    EndpointSpec, EndpointState, PortSpec, Protocol, ServiceSpec, render_manifest, write_manifest,
};
pub use namespace::Namespace;
pub use namespaces::Namespaces;
pub use plan::{INTERFACE, Machine, MachineKind, Pod};
pub use process::{Process, process_memory};
pub use reaper::{list_testbeds, reap_stale, teardown_abandoned, teardown_all, teardown_of_process};
pub use requests::Answers;
pub use route::Route;
pub use run::run;
pub use servers::{DOWNLOAD_BYTES, HTTP_PORT, TCP_ECHO_PORT, UDP_ECHO_PORT};
pub use site::locate_program;
pub use sys::assume_peer_mss;
pub use testbed::Testbed;
pub use triangle::Triangle;
