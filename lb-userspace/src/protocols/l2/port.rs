//! The sockets and multicast groups of an interface that VIPs are announced on.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use futures::{FutureExt, future::select_all};
use tracing::debug;

use super::{
    groups::MulticastGroups,
    links::AnnouncingLink,
    packet::{LONGEST, PacketSocket},
    wire::{self, AddressQuestion, Mac},
};

/// How many frames of a socket are processed at a time.
const BATCH: usize = 64;

/// An interface that VIPs are announced on.
pub struct LinkPort {
    pub link: AnnouncingLink,
    /// The sockets for IPv4 and IPv6, if there are VIPs of that family.
    sockets: [Option<PacketSocket>; 2],
    groups: MulticastGroups,
}

/// Are there frames left to receive?
pub enum Backlog {
    Empty,
    More,
}

/// Waits until a socket is readable or has failed; reading it then reports the failure.
pub async fn wait_readable(ports: &BTreeMap<Arc<str>, LinkPort>) {
    let sockets = ports.values().flat_map(|port| &port.sockets).flatten();
    let waits: Vec<_> = sockets.map(|socket| socket.readable().boxed()).collect();
    if waits.is_empty() {
        return std::future::pending().await;
    }
    let _ = select_all(waits).await;
}

impl LinkPort {
    pub fn new(link: AnnouncingLink) -> Self {
        Self { link, sockets: [None, None], groups: MulticastGroups::new(link.ifindex) }
    }

    /// Opens the sockets for IPv4 and IPv6 as wanted, and closes others; true if one is new.
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

    /// Joins these multicast groups and leaves all others.
    pub fn set_groups(&mut self, groups: &BTreeSet<Ipv6Addr>) -> io::Result<()> {
        self.groups.set_groups(groups)
    }

    /// Passes the questions that have arrived to `ask`.
    pub fn receive_questions(&self, mut ask: impl FnMut(AddressQuestion)) -> io::Result<Backlog> {
        let mut frame = [0; LONGEST];
        let mut asked = Backlog::Empty;
        for socket in self.sockets.iter().flatten() {
            for taken in 0.. {
                if taken == BATCH {
                    asked = Backlog::More;
                    break;
                }
                let Some(len) = socket.receive(&mut frame)? else { break };
                if let Some(question) = wire::parse_question(&frame[..len]) {
                    ask(question);
                }
            }
        }
        Ok(asked)
    }

    /// Tells everybody on the link that the VIP is here.
    pub fn announce_vip(&self, vip: IpAddr) {
        for frame in wire::announcement_frames(vip, self.link.mac) {
            self.send_frame(&vip, &frame);
        }
    }

    /// Answers a question. Returns the MAC address of a host that claims the VIP itself.
    #[must_use]
    pub fn answer_question(&self, question: &AddressQuestion) -> Option<Mac> {
        if question.is_claim() {
            return Some(question.mac).filter(|mac| *mac != self.link.mac);
        }
        self.send_frame(&question.target, &question.answer_frame(self.link.mac));
        None
    }

    /// Sends a frame. Errors are only logged: a host that misses the answer asks again.
    fn send_frame(&self, vip: &IpAddr, frame: &[u8]) {
        let socket = self.sockets[usize::from(vip.is_ipv6())].as_ref();
        if let Some(Err(error)) = socket.map(|socket| socket.send(frame)) {
            debug!("cannot send a frame: {error}");
        }
    }
}
