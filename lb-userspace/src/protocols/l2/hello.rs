//! The datagrams that agents send each other.

use std::net::{IpAddr, Ipv6Addr};

use super::ballot::BallotId;

/// "TRGL", and the version of the format.
const MAGIC: [u8; 5] = *b"TRGL\x02";
const LEAVING: u8 = 1;
/// Bytes of a datagram with the longest name and `MAX_ENTRIES`: so none is fragmented.
pub const LONGEST: usize = 1400;
const ENTRY_LEN: usize = 20;
/// The most entries of an update.
pub const MAX_ENTRIES: usize = 53;

/// From one agent to another. Numbers are in network byte order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The sender's Node.
    pub node: String,
    /// Greater at each start of the sender.
    pub incarnation: u64,
    /// Greater with each hello of the sender.
    pub sequence: u64,
    pub is_leaving: bool,
    /// How many other agents the sender counts as alive.
    pub alive_count: u8,
    /// What the sender thinks of the receiver.
    pub opinion: Opinion,
    /// The receiver's incarnation, as the sender knows it; 0: unknown.
    pub your_incarnation: u64,
    /// The version of the receiver's readiness that the sender knows.
    pub known: u64,
    /// The current version of the sender's readiness.
    pub version: u64,
    /// The next part of the sender's readiness that the receiver lacks.
    pub update: ReadinessUpdate,
}

/// What an agent thinks of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Opinion {
    /// The receiver was not heard, or not for long enough.
    #[default]
    Unknown = 0,
    /// The receiver was silent for too long, and the sender has taken over VIPs that the
    /// receiver may still announce.
    Lost = 1,
    /// The receiver has been heard for a while.
    Heard = 2,
    /// Likewise, and the receiver says so of the sender too: it may be elected for the VIPs
    /// it is ready for.
    Alive = 3,
}

/// What changed of a sender's readiness from one version to another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadinessUpdate {
    /// 0: the receiver is to forget what it knew.
    pub from: u64,
    pub to: u64,
    /// VIPs with the ballot by which the sender is ready for each; None: it is not ready.
    pub entries: Vec<(IpAddr, Option<BallotId>)>,
}

impl Hello {
    pub fn encode(&self) -> Vec<u8> {
        let name = &self.node.as_bytes()[..self.node.len().min(u8::MAX.into())];
        let flags = if self.is_leaving { LEAVING } else { 0 };
        let entries = &self.update.entries[..self.update.entries.len().min(MAX_ENTRIES)];
        let mut bytes = Vec::with_capacity(LONGEST);
        bytes.extend(MAGIC);
        bytes.extend([flags, self.alive_count, self.opinion as u8, entries.len() as u8, name.len() as u8]);
        for number in [self.incarnation, self.sequence, self.your_incarnation, self.known, self.version] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend([self.update.from.to_be_bytes(), self.update.to.to_be_bytes()].concat());
        bytes.extend(name);
        for (vip, ballot) in entries {
            bytes.extend(ballot.map_or(0, BallotId::get).to_be_bytes());
            bytes.extend(lb_common::Addr::from(*vip).bytes);
        }
        bytes
    }

    /// None if no agent of this version of the format has sent it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&MAGIC)?;
        let [flags, alive_count, opinion, entries, name] = *take_bytes(&mut rest)?;
        let mut number = || take_bytes(&mut rest).map(|bytes| u64::from_be_bytes(*bytes));
        let (incarnation, sequence, your_incarnation) = (number()?, number()?, number()?);
        let (known, version, from, to) = (number()?, number()?, number()?, number()?);
        let (name, entry_bytes) = rest.split_at_checked(name.into())?;
        let is_whole =
            usize::from(entries) <= MAX_ENTRIES && entry_bytes.len() == usize::from(entries) * ENTRY_LEN;
        let entries = entry_bytes.chunks_exact(ENTRY_LEN).filter_map(decode_entry).collect();
        let hello = Self {
            node: str::from_utf8(name).ok()?.to_owned(),
            incarnation,
            sequence,
            is_leaving: flags & LEAVING != 0,
            alive_count,
            opinion: Opinion::decode(opinion)?,
            your_incarnation,
            known,
            version,
            update: ReadinessUpdate { from, to, entries },
        };
        (is_whole && from <= to && to <= version).then_some(hello)
    }
}

impl Opinion {
    fn decode(byte: u8) -> Option<Self> {
        [Self::Unknown, Self::Lost, Self::Heard, Self::Alive].get(usize::from(byte)).copied()
    }
}

fn decode_entry(bytes: &[u8]) -> Option<(IpAddr, Option<BallotId>)> {
    let (ballot, address) = bytes.split_first_chunk()?;
    let address = Ipv6Addr::from(*address.first_chunk::<16>()?);
    Some((address.to_canonical(), BallotId::new(u32::from_be_bytes(*ballot))))
}

fn take_bytes<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(chunk)
}

#[cfg(test)]
mod tests;
