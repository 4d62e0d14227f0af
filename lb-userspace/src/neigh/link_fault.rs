//! Why a link carries no packets.

use std::{collections::BTreeMap, fmt};

use super::routing::{Link, Links};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkFault {
    Gone,
    Down,
    NoCarrier,
}

/// Interfaces that carry no packets, by name.
pub type LinkFaults = BTreeMap<String, LinkFault>;

impl LinkFault {
    /// None: it is as it should be.
    pub fn of(link: &Link) -> Option<Self> {
        match (link.up, link.running) {
            (false, _) => Some(Self::Down),
            (true, false) => Some(Self::NoCarrier),
            (true, true) => None,
        }
    }

    /// `uplinks`: names by index. A link that was made anew with the same name is another one,
    /// without our program.
    pub fn among(uplinks: &BTreeMap<u32, String>, links: &Links) -> LinkFaults {
        let fault = |index: &u32| links.get(index).map_or(Some(Self::Gone), Self::of);
        uplinks.iter().filter_map(|(index, name)| Some((name.clone(), fault(index)?))).collect()
    }

    pub fn remedy(self, interface: &str) -> String {
        match self {
            Self::Gone => format!("when {interface} is there again, start the agent anew"),
            Self::Down => format!("`ip link set {interface} up`"),
            Self::NoCarrier => "look at the cable, and at the other end".into(),
        }
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "is gone",
            Self::Down => "is down",
            Self::NoCarrier => "has no carrier",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uplinks_that_carry_nothing_are_named() {
        let link = |up, running| {
            let (name, mac) = (String::new(), None);
            Link { name, mtu: 1500, up, running, mac, vlan: None, controller: None }
        };
        let links = [(1, link(true, true)), (2, link(false, false)), (3, link(true, false))].into();
        let uplinks = ["good", "off", "unplugged", "deleted"].map(str::to_owned);
        let faults = LinkFault::among(&(1..).zip(uplinks).collect(), &links);
        let told: Vec<_> = faults.iter().map(|(name, fault)| format!("{name} {fault}")).collect();
        assert_eq!(told, ["deleted is gone", "off is down", "unplugged has no carrier"]);
    }
}
