//! The role of a node: from a service to one of the endpoints here.

mod affinity;
mod congestion;
mod flows;
mod foreign;
mod full;
mod gue;
mod inside;
mod local;
mod outer;
mod port_reuse;
mod probes;
mod refusals;
mod rewrite;
mod same_port;
mod slot_moves;

use crate::{
    case::Case,
    machine::{AS_BOTH, AS_NODE, Setup},
    world::{FAMILIES, Family, KINDS, Kind},
};

/// The setups with the role of a node.
const NODES: [Setup; 2] = [AS_NODE, AS_BOTH];

pub fn cases() -> Vec<Case> {
    let tables = [
        rewrite::cases(),
        local::cases(),
        refusals::cases(),
        foreign::cases(),
        probes::cases(),
        congestion::cases(),
        full::cases(),
        gue::cases(),
        outer::cases(),
        inside::cases(),
        same_port::cases(),
    ];
    tables.into_iter().flatten().collect()
}

/// Each kind of packet in each kind of tunnel.
fn kinds_in_tunnels() -> impl Iterator<Item = (Kind, Family)> {
    KINDS.into_iter().flat_map(|kind| FAMILIES.map(|outer| (kind, outer)))
}
