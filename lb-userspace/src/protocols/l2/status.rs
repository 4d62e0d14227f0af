//! What `trigon l2` shows.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::interfaces::Fault;

/// A line of `trigon l2`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VipStatus {
    pub vip: IpAddr,
    /// The node that is elected, as far as this node knows; None: no candidate is ready.
    pub owner: Option<String>,
    /// Does this node answer for the VIP?
    pub announcing: bool,
    pub interfaces: Vec<String>,
    /// Interfaces where the VIP should be announced and can't be.
    pub faults: Vec<Fault>,
    /// The candidates, in the order in which they would be elected.
    pub candidates: Vec<CandidateStatus>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CandidateStatus {
    pub node: String,
    pub alive: bool,
    /// The node says that it can carry the VIP.
    pub ready: bool,
}
