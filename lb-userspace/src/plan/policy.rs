//! A service's policy as this machine has to keep it.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use lb_common::{
    Addr,
    maps::{RangeKey, service_flags},
};

use crate::objects::model;

/// What there is to keep.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Seconds for which a client stays with its endpoint; 0: it need not.
    pub affinity: u32,
    /// New flows that may begin here in a second; 0: any number.
    pub new_flows: u32,
    /// Who may connect; empty: everybody. Sorted, without duplicates.
    pub ranges: Vec<Range>,
}

/// This machine's part in what all do together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    pub own: u32,
    pub total: u32,
}

impl Share {
    /// Rounded down, but nobody is left without.
    fn of(self, all: u32) -> u32 {
        let part = u64::from(all) * u64::from(self.own) / u64::from(self.total.max(1));
        u32::try_from(part).unwrap_or(u32::MAX).max(1)
    }
}

/// Client addresses with a common prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Range {
    pub addr: Addr,
    /// Of the prefix, in bits of `addr`: an IPv4 one has 96 more.
    pub len: u32,
}

/// Bits before an IPv4 address in an [`Addr`].
const MAPPED_BITS: u32 = 96;

impl Policy {
    pub fn new(policy: &model::Policy, share: Option<Share>) -> Self {
        let new_flows = policy.new_flows.zip(share).map(|(all, share)| share.of(all));
        Self {
            affinity: policy.affinity.unwrap_or_default(),
            new_flows: new_flows.unwrap_or_default(),
            ranges: policy.ranges.iter().map(|range| Range::from(*range)).collect(),
        }
    }

    /// Bits of [`service_flags`].
    pub fn flags(&self) -> u32 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        flag(self.affinity > 0, service_flags::AFFINITY)
            | flag(!self.ranges.is_empty(), service_flags::RANGES)
    }
}

impl Range {
    /// The prefix length in the key of `RANGES`, and the rest of the key.
    pub fn key(&self, service: u32) -> (u32, RangeKey) {
        (RangeKey::SERVICE_BITS + self.len, RangeKey { service, addr: self.addr })
    }

    /// The service and the range of an entry of `RANGES`.
    pub fn of_key(len: u32, key: RangeKey) -> (u32, Self) {
        (key.service, Self { addr: key.addr, len: len.saturating_sub(RangeKey::SERVICE_BITS) })
    }
}

impl From<IpNet> for Range {
    fn from(range: IpNet) -> Self {
        let before = if range.addr().is_ipv4() { MAPPED_BITS } else { 0 };
        Self { addr: Addr::from(range.network()), len: before + u32::from(range.prefix_len()) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = IpAddr::from(self.addr);
        let before = if addr.is_ipv4() { MAPPED_BITS } else { 0 };
        write!(f, "{addr}/{}", self.len.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests;
