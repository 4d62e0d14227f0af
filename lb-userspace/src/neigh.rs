//! Next hops: how this machine reaches an address at this moment, as the
//! kernel sees it. XDP transmits past the kernel's routing and neighbour
//! code, so what they know is read here by netlink, followed, and kept fresh.
//!
//! ```text
//! events ──> follow ──> netlink (ask the kernel) ──> decode ──> assemble ──> NextHops
//!              └──> nudge (when is the kernel to look for a neighbour?)
//! NextHops as the kernel has them ──> usable ──> NextHops that packets can be sent by
//! ```
//! After every change the kernel is asked anew, instead of the change being applied
//! here: so routing (policy, metrics, multipath, next-hop objects) stays the kernel's.

mod assemble;
mod decode;
pub(crate) mod events;
mod follow;
mod link_fault;
pub(crate) mod netlink;
pub(crate) mod next_hop;
mod nudge;
pub mod pmtu;
mod routing;
mod tag;
mod usable;
mod vlan;

pub use follow::{Findings, follow};
pub use link_fault::{LinkFault, LinkFaults};
pub use next_hop::{Mac, NextHop, NextHops, Reach};
pub use tag::Tag;
pub use usable::{LastAnswers, changed_answers};
