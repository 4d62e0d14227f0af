//! A service's policy, as this machine enforces it.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use lb_common::{
    Addr,
    maps::{RangeKey, service_flags},
};

use crate::objects::model::{self, NewFlows};

/// The limits of a service on this machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PlannedPolicy {
    /// Seconds for which a client stays with its endpoint; 0: it need not.
    pub affinity: u32,
    /// New flows that may begin here in a second; 0: any number.
    pub new_flows: u32,
    /// Who may connect; empty: everybody. Sorted, without duplicates.
    pub ranges: Vec<SourceRange>,
}

/// This machine's part of the flows that begin on all machines: `own` of `total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowShare {
    pub own: u32,
    pub total: u32,
}

impl FlowShare {
    /// This machine's part of `all`, rounded down, but at least 1.
    fn part_of(self, all: u32) -> u32 {
        let part = u64::from(all) * u64::from(self.own) / u64::from(self.total.max(1));
        u32::try_from(part).unwrap_or(u32::MAX).max(1)
    }
}

/// Client addresses with a common prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceRange {
    pub addr: Addr,
    /// Prefix length in bits of `addr`: for IPv4, 96 more than in CIDR notation.
    pub len: u32,
}

/// Bits before an IPv4 address in an [`Addr`].
const MAPPED_BITS: u32 = 96;

impl PlannedPolicy {
    pub fn new(policy: &model::Policy, share: Option<FlowShare>) -> Self {
        let new_flows = match (policy.new_flows, share) {
            (Some(NewFlows::Everywhere(all)), Some(share)) => share.part_of(all),
            (Some(NewFlows::Here(here)), _) => here,
            (Some(NewFlows::Everywhere(_)) | None, _) => 0,
        };
        Self {
            affinity: policy.affinity.unwrap_or_default(),
            new_flows,
            ranges: policy.ranges.iter().map(|range| SourceRange::from(*range)).collect(),
        }
    }

    /// Bits of [`service_flags`].
    pub fn flags(&self) -> u32 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        flag(self.affinity > 0, service_flags::AFFINITY)
            | flag(!self.ranges.is_empty(), service_flags::RANGES)
    }
}

impl SourceRange {
    /// The prefix length in the key of `RANGES`, and the rest of the key.
    pub fn key(&self, service: u32) -> (u32, RangeKey) {
        (RangeKey::SERVICE_BITS + self.len, RangeKey { service, addr: self.addr })
    }

    /// The service and the range of an entry of `RANGES`.
    pub fn from_key(len: u32, key: RangeKey) -> (u32, Self) {
        (key.service, Self { addr: key.addr, len: len.saturating_sub(RangeKey::SERVICE_BITS) })
    }

    /// In CIDR notation. None: no agent makes such a range.
    pub fn net(&self) -> Option<IpNet> {
        let addr = IpAddr::from(self.addr);
        let before = if addr.is_ipv4() { MAPPED_BITS } else { 0 };
        IpNet::new(addr, u8::try_from(self.len.checked_sub(before)?).ok()?).ok()
    }
}

impl From<IpNet> for SourceRange {
    fn from(range: IpNet) -> Self {
        let before = if range.addr().is_ipv4() { MAPPED_BITS } else { 0 };
        Self { addr: Addr::from(range.network()), len: before + u32::from(range.prefix_len()) }
    }
}

impl fmt::Display for SourceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.net() {
            Some(net) => write!(f, "{net}"),
            None => write!(f, "{}/{}", self.addr, self.len),
        }
    }
}

#[cfg(test)]
mod tests;
