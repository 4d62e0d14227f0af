//! Next hops: how this machine reaches an address at this moment, as the
//! kernel sees it. XDP transmits past the kernel's routing and neighbour
//! code, so what they know is read here by netlink, followed, and kept fresh.
//!
//! ```text
//! events ──> follow ──> netlink (ask the kernel) ──> decode ──> view ──> NextHops
//!   │          ├──> schedule (when is the kernel to be asked?)   │
//!   │          └──> nudge (when is it to look for a neighbour?)  │
//!   └──> changes (what it announces of neighbours) ──────────────┘
//! NextHops as the kernel has them ──> usable ──> NextHops that packets can be sent by
//! ```
//! After every change of routes, links or rules the kernel is asked anew, instead of the change
//! being applied here: so routing (policy, metrics, multipath, next-hop objects) stays the
//! kernel's. A change of a neighbour is applied to the next hops behind it, because there is
//! nothing to decide, and with a thousand of them there is always one.

mod assemble;
mod changes;
mod decode;
pub(crate) mod events;
mod follow;
mod link_fault;
pub(crate) mod netlink;
pub(crate) mod next_hop;
mod nudge;
pub mod pmtu;
mod routing;
mod schedule;
mod table_room;
mod tag;
mod uplinks;
mod upper_links;
mod usable;
mod view;
mod vlan;

pub use follow::{Findings, NetworkFaults, follow};
pub use link_fault::{LinkFault, LinkFaults};
pub use next_hop::{Mac, NextHop, NextHops, Reach};
pub use table_room::TableFault;
pub use tag::Tag;
pub use uplinks::{find_ports, find_uplinks};
pub use usable::{LastAnswers, changed_answers};
