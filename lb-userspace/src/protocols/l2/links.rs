//! Reads the interfaces to announce on from the kernel, and follows their changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use super::wire::Mac;
use crate::neigh::{
    events::{Events, LINKS},
    netlink::{NamedLink, Netlink, NetlinkError},
};

/// An Ethernet interface that is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnnouncingLink {
    pub ifindex: u32,
    pub mac: Mac,
}

/// An interface as the kernel reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceState {
    pub ifindex: u32,
    /// Index of the Ethernet device below its VLAN tags; without tags, its own.
    pub device: Option<u32>,
    /// None: it is not Ethernet.
    pub mac: Option<Mac>,
    pub is_up: bool,
}

/// Reads interfaces, and hears of their changes.
pub struct LinkWatcher {
    kernel: Netlink,
    events: Events,
}

impl LinkWatcher {
    /// Opens sockets in the network namespace of the calling thread. The future serves
    /// one of them; it ends only if that socket fails.
    pub fn open() -> io::Result<(Self, impl Future<Output = ()>)> {
        let events = Events::subscribe(&LINKS)?;
        let (kernel, connection) = Netlink::open()?;
        Ok((Self { kernel, events }, connection))
    }

    /// Waits until an interface may have changed. Cancel safe.
    pub async fn wait_for_change(&self) -> io::Result<()> {
        self.events.wait_for_change().await
    }

    /// Discards the changes that are waiting.
    pub fn discard_changes(&self) -> io::Result<()> {
        self.events.discard_changes()
    }

    /// Reads the interfaces of these names; those that do not exist are left out.
    pub async fn read_interfaces(
        &self,
        names: &BTreeSet<Arc<str>>,
    ) -> Result<BTreeMap<Arc<str>, InterfaceState>, NetlinkError> {
        let mut links = BTreeMap::new();
        for name in names {
            let named = self.kernel.read_link_named(name).await?;
            links.extend(named.map(|named| (name.clone(), InterfaceState::from(named))));
        }
        Ok(links)
    }
}

impl From<NamedLink> for InterfaceState {
    fn from(NamedLink { ifindex, link, device }: NamedLink) -> Self {
        Self { ifindex, device, mac: link.mac, is_up: link.up && link.running }
    }
}

impl InterfaceState {
    /// The interface if VIPs can be announced on it.
    pub fn usable_link(self) -> Option<AnnouncingLink> {
        Some(AnnouncingLink { ifindex: self.ifindex, mac: self.mac.filter(|_| self.is_up)? })
    }
}
