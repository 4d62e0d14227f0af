//! Announces VIPs on a link: for each VIP one of several nodes is elected, and answers
//! ARP requests (RFC 826) and neighbour solicitations (RFC 4861) for it.
//!
//! ```text
//! orders ──> driver (sockets, timers) ──> statuses
//!              ├──> peers (which other agents live, and what do they know?) <──> hello, readiness
//!              ├──> elect (which node announces a VIP?)
//!              ├──> announce (when to announce a VIP unasked)
//!              └──> wire (questions and answers)
//! ```
//! The VIPs are not addresses of this machine, since XDP takes their packets. So the
//! kernel's ARP settings do not matter, unless something else (kube-proxy with IPVS)
//! gives the machine these addresses.

mod announce;
mod ballot;
mod config;
mod driver;
mod elect;
mod groups;
mod hello;
mod hello_nodes;
mod hello_sockets;
mod interfaces;
mod links;
mod packet;
mod peer;
mod peers;
mod port;
mod readiness;
mod rival_warnings;
mod status;
mod timing;
mod wire;

pub use ballot::Ballot;
pub use config::{Candidates, L2Config, L2Orders, PORT};
pub use driver::run;
pub use interfaces::{Fault, FaultReason};
pub use status::{CandidateStatus, VipStatus};
