//! An interface that is announced on: its sockets, groups and frames.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use futures::{FutureExt, future::select_all};
use tracing::debug;

use super::{
    groups::Groups,
    links::Link,
    packet::{LONGEST, PacketSocket},
    wire::{self, Mac, Question},
};

/// Frames that are looked at before others have their turn.
const BATCH: usize = 64;

pub struct Port {
    pub link: Link,
    /// Of IPv4 and IPv6, if there are VIPs of that family.
    sockets: [Option<PacketSocket>; 2],
    groups: Groups,
}

/// Was that all that has been asked?
pub enum Asked {
    All,
    More,
}

/// A failure is heard of when the socket is read.
pub async fn readable(ports: &BTreeMap<Arc<str>, Port>) {
    let sockets = ports.values().flat_map(|port| &port.sockets).flatten();
    let waits: Vec<_> = sockets.map(|socket| socket.readable().boxed()).collect();
    if waits.is_empty() {
        return std::future::pending().await;
    }
    let _ = select_all(waits).await;
}

impl Port {
    pub fn new(link: Link) -> Self {
        Self { link, sockets: [None, None], groups: Groups::new(link.ifindex) }
    }

    /// True if there is a socket that there was not.
    pub fn open(&mut self, wants: [bool; 2]) -> io::Result<bool> {
        let mut is_new = false;
        for ((socket, wanted), is_v4) in self.sockets.iter_mut().zip(wants).zip([true, false]) {
            if !wanted {
                *socket = None;
            } else if socket.is_none() {
                *socket = Some(PacketSocket::open(is_v4, self.link.ifindex)?);
                is_new = true;
            }
        }
        Ok(is_new)
    }

    /// Be in these multicast groups and no others.
    pub fn join(&mut self, groups: &BTreeSet<Ipv6Addr>) -> io::Result<()> {
        self.groups.set(groups)
    }

    /// What has been asked.
    pub fn receive(&self, mut ask: impl FnMut(Question)) -> io::Result<Asked> {
        let mut frame = [0; LONGEST];
        let mut asked = Asked::All;
        for socket in self.sockets.iter().flatten() {
            for taken in 0.. {
                if taken == BATCH {
                    asked = Asked::More;
                    break;
                }
                let Some(len) = socket.receive(&mut frame)? else { break };
                if let Some(question) = wire::question(&frame[..len]) {
                    ask(question);
                }
            }
        }
        Ok(asked)
    }

    /// Tells everybody on the link that the VIP is here.
    pub fn announce(&self, vip: IpAddr) {
        for frame in wire::announcements(vip, self.link.mac) {
            self.send(&vip, &frame);
        }
    }

    /// The MAC address of who claims to have what is ours.
    #[must_use]
    pub fn answer(&self, question: &Question) -> Option<Mac> {
        if question.is_claim() {
            return Some(question.mac).filter(|mac| *mac != self.link.mac);
        }
        self.send(&question.target, &question.answer(self.link.mac));
        None
    }

    /// Who misses it will ask again.
    fn send(&self, vip: &IpAddr, frame: &[u8]) {
        let socket = self.sockets[usize::from(vip.is_ipv6())].as_ref();
        if let Some(Err(error)) = socket.map(|socket| socket.send(frame)) {
            debug!("cannot send a frame: {error}");
        }
    }
}
