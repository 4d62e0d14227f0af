//! The kernel's tables of neighbours have limits, which many clusters outgrow.

use std::{fmt, fs};

use super::{routing::NeighbourKey, view::Nudged};

/// The limits of one table, in entries; all network namespaces of a machine share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `gc_thresh2`: of what is above it, the kernel drops entries that nothing has confirmed
    /// for 5 s, although they answer.
    soft: usize,
    /// `gc_thresh3`: there is no entry above it.
    hard: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// A table of neighbours that is too small for those that this machine needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableFault {
    family: Family,
    limits: Limits,
    enough: Limits,
    /// There are more of them than entries.
    is_full: bool,
}

impl TableFault {
    /// Which tables have no room for `neighbours`? Those that somebody else tends need none: the
    /// kernel does not count them. `limits` gives those of a family; None: they are not known.
    pub fn among(
        neighbours: impl Iterator<Item = (NeighbourKey, Nudged)>,
        limits: impl Fn(Family) -> Option<Limits>,
    ) -> Vec<Self> {
        let counted = neighbours.filter(|(_, nudged)| *nudged != Nudged::Tended);
        let (of_ipv4, of_ipv6): (Vec<_>, Vec<_>) = counted.partition(|(key, _)| key.address.is_ipv4());
        let fault = |(family, needed)| Self::of(family, needed, limits(family)?);
        [(Family::Ipv4, of_ipv4.len()), (Family::Ipv6, of_ipv6.len())].into_iter().filter_map(fault).collect()
    }

    /// Enough is twice what is needed: Pods and other hosts are neighbours too. It is a power of
    /// two, so that what is said does not change with each neighbour.
    fn of(family: Family, needed: usize, limits: Limits) -> Option<Self> {
        let soft = (needed * 2).next_power_of_two();
        let enough = Limits { soft: soft.max(limits.soft), hard: (soft * 2).max(limits.hard) };
        let is_full = needed >= limits.hard;
        (is_full || needed >= limits.soft).then_some(Self { family, limits, enough, is_full })
    }

    /// For tests: of IPv4, with the limits that kernels begin with.
    #[cfg(test)]
    pub fn with_defaults(needed: usize) -> Option<Self> {
        Self::of(Family::Ipv4, needed, Limits { soft: 512, hard: 1024 })
    }

    /// Which table.
    pub fn table(&self) -> &'static str {
        match self.family {
            Family::Ipv4 => "IPv4 neighbours",
            Family::Ipv6 => "IPv6 neighbours",
        }
    }

    pub fn remedy(&self) -> String {
        let (Limits { soft, hard }, place) = (self.enough, self.family.sysctls());
        format!(
            "`sysctl -w {place}.gc_thresh2={soft} {place}.gc_thresh3={hard}`, and the same in /etc/sysctl.d"
        )
    }
}

impl fmt::Display for TableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Limits { soft, hard }, place) = (self.limits, self.family.sysctls());
        let next_hops = "the next hops of this machine";
        if self.is_full {
            write!(f, "{place}.gc_thresh3 is {hard}: the kernel has no room for all of {next_hops}")
        } else {
            write!(f, "{place}.gc_thresh2 is {soft}: the kernel forgets some of {next_hops} again and again")
        }
    }
}

impl Family {
    fn sysctls(self) -> &'static str {
        match self {
            Self::Ipv4 => "net.ipv4.neigh.default",
            Self::Ipv6 => "net.ipv6.neigh.default",
        }
    }
}

/// The limits of this machine. None in a network namespace other than the first: only that
/// has these files.
pub fn read_limits(family: Family) -> Option<Limits> {
    let directory = format!("/proc/sys/{}", family.sysctls().replace('.', "/"));
    let read = |name| fs::read_to_string(format!("{directory}/{name}")).ok()?.trim().parse().ok();
    Some(Limits { soft: read("gc_thresh2")?, hard: read("gc_thresh3")? })
}

#[cfg(test)]
mod tests;
