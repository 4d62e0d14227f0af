//! Announcing VIPs on a link: of several nodes one is elected, and answers
//! ARP (RFC 826) and neighbour solicitations (RFC 4861) for them.
//!
//! ```text
//! wanted ──> driver (sockets, timers) ──> statuses
//!              ├──> peers (who lives, who knows what?) <──> hello, readiness
//!              ├──> elect (who announces?)
//!              ├──> announce (when, unasked?)
//!              └──> wire (questions and answers)
//! ```
//! The VIPs are not addresses of this machine: XDP takes their packets, and no
//! setting of the kernel's ARP matters, unless something else gives the machine
//! the addresses (kube-proxy with IPVS does).

mod announce;
mod ballot;
mod circle;
mod config;
mod driver;
mod elect;
mod groups;
mod hello;
mod interfaces;
mod links;
mod packet;
mod peer;
mod peers;
mod port;
mod readiness;
mod rivals;
mod status;
mod talk;
mod timing;
mod wire;

pub use ballot::Ballot;
pub use config::{Candidates, L2Config, PORT, Wanted};
pub use driver::run;
pub use interfaces::{Fault, Why};
pub use status::{CandidateStatus, VipStatus};
