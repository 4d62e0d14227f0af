//! What is told of it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::interfaces::Fault;

/// A line of `trigon l2`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VipStatus {
    pub vip: IpAddr,
    /// Whom this node holds for elected; none: nobody can be.
    pub owner: Option<String>,
    /// Do we answer for it?
    pub announcing: bool,
    pub interfaces: Vec<String>,
    /// Where it should be, and cannot be.
    pub faults: Vec<Fault>,
    /// Candidates, those first that would follow.
    pub candidates: Vec<CandidateStatus>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CandidateStatus {
    pub node: String,
    pub alive: bool,
    /// It says that it can carry the VIP.
    pub ready: bool,
}
