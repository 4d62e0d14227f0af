//! The role of a director: from a service to the backend that takes the packet.

mod bare;
mod l2;
mod refusals;
mod ring;
mod ringless;
mod spread;
mod tunnels;

use crate::{
    case::Case,
    machine::{AS_BOTH, AS_DIRECTOR, Setup},
};

/// The setups with the role of a director.
const DIRECTORS: [Setup; 2] = [AS_DIRECTOR, AS_BOTH];

pub fn cases() -> Vec<Case> {
    [l2::cases(), tunnels::cases(), refusals::cases()].into_iter().flatten().collect()
}
