//! The interfaces to announce on, as the kernel has them at the moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use super::wire::Mac;
use crate::neigh::{
    events::{Events, LINKS},
    netlink::{Error, Named, Netlink},
};

/// An Ethernet interface that is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    pub ifindex: u32,
    pub mac: Mac,
}

/// An interface as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub ifindex: u32,
    /// The device below, if it is a VLAN; else itself.
    pub device: Option<u32>,
    /// None: it is not Ethernet.
    pub mac: Option<Mac>,
    pub is_up: bool,
}

pub struct Links {
    kernel: Netlink,
    events: Events,
}

impl Links {
    /// In the network namespace of the calling thread. The future that comes
    /// with it serves the socket; it ends only if the socket fails.
    pub fn open() -> io::Result<(Self, impl Future<Output = ()>)> {
        let events = Events::subscribe(&LINKS)?;
        let (kernel, connection) = Netlink::open()?;
        Ok((Self { kernel, events }, connection))
    }

    /// Waits until one may have changed. Cancel safe.
    pub async fn changed(&self) -> io::Result<()> {
        self.events.next().await
    }

    /// Takes the changes that are waiting.
    pub fn drain(&self) -> io::Result<()> {
        self.events.drain()
    }

    /// Those of these names that there are.
    pub async fn read(&self, names: &BTreeSet<Arc<str>>) -> Result<BTreeMap<Arc<str>, Seen>, Error> {
        let mut links = BTreeMap::new();
        for name in names {
            let named = self.kernel.link_named(name).await?;
            links.extend(named.map(|named| (name.clone(), Seen::from(named))));
        }
        Ok(links)
    }
}

impl From<Named> for Seen {
    fn from(Named { ifindex, link, device }: Named) -> Self {
        Self { ifindex, device, mac: link.mac, is_up: link.up && link.running }
    }
}

impl Seen {
    /// If it can be announced on.
    pub fn usable(self) -> Option<Link> {
        Some(Link { ifindex: self.ifindex, mac: self.mac.filter(|_| self.is_up)? })
    }
}
