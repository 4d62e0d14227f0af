//! What agents tell each other, a datagram each time.

use std::net::{IpAddr, Ipv6Addr};

use super::ballot::BallotId;

/// "TRGL", and the version of what follows.
const MAGIC: [u8; 5] = *b"TRGL\x02";
const LEAVING: u8 = 1;
/// Of a datagram with the longest name, so that none is fragmented.
pub const LONGEST: usize = 1400;
const ENTRY_LEN: usize = 20;
/// Entries of an update.
pub const MAX_ENTRIES: usize = 53;

/// From one agent to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The sender's Node.
    pub node: String,
    /// Greater each time the agent starts.
    pub incarnation: u64,
    /// Greater each time it speaks to us.
    pub sequence: u64,
    pub is_leaving: bool,
    /// How many others it holds for alive.
    pub company: u8,
    /// What the sender thinks of the receiver.
    pub verdict: Verdict,
    /// Of the receiver, as the sender knows it; 0: it doesn't.
    pub your_incarnation: u64,
    /// How much of the receiver's readiness the sender knows.
    pub known: u64,
    /// How much there is to know of the sender's.
    pub version: u64,
    /// The next part of that, for a receiver that lacks it.
    pub update: Update,
}

/// What an agent thinks of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Verdict {
    /// Not heard, or not long enough to tell.
    #[default]
    Unknown = 0,
    /// It was not heard for too long, and the sender has what it may have too.
    Lost = 1,
    /// Heard for a while.
    Heard = 2,
    /// The same, and it says that of us too: it may have what it is ready for.
    Alive = 3,
}

/// What changed of a sender's readiness from one version to another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Update {
    /// 0: forget what you knew.
    pub from: u64,
    pub to: u64,
    /// VIPs, and the ballots by which the sender is ready for them; none: it is not.
    pub entries: Vec<(IpAddr, Option<BallotId>)>,
}

impl Hello {
    pub fn encode(&self) -> Vec<u8> {
        let name = &self.node.as_bytes()[..self.node.len().min(u8::MAX.into())];
        let flags = if self.is_leaving { LEAVING } else { 0 };
        let entries = &self.update.entries[..self.update.entries.len().min(MAX_ENTRIES)];
        let mut bytes = Vec::with_capacity(LONGEST);
        bytes.extend(MAGIC);
        bytes.extend([flags, self.company, self.verdict as u8, entries.len() as u8, name.len() as u8]);
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

    /// None: no agent of this version has sent it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&MAGIC)?;
        let [flags, company, verdict, entries, name] = *take(&mut rest)?;
        let mut number = || take(&mut rest).map(|bytes| u64::from_be_bytes(*bytes));
        let (incarnation, sequence, your_incarnation) = (number()?, number()?, number()?);
        let (known, version, from, to) = (number()?, number()?, number()?, number()?);
        let (name, entry_bytes) = rest.split_at_checked(name.into())?;
        let is_whole =
            usize::from(entries) <= MAX_ENTRIES && entry_bytes.len() == usize::from(entries) * ENTRY_LEN;
        let entries = entry_bytes.chunks_exact(ENTRY_LEN).filter_map(entry).collect();
        let hello = Self {
            node: str::from_utf8(name).ok()?.to_owned(),
            incarnation,
            sequence,
            is_leaving: flags & LEAVING != 0,
            company,
            verdict: Verdict::decode(verdict)?,
            your_incarnation,
            known,
            version,
            update: Update { from, to, entries },
        };
        (is_whole && from <= to && to <= version).then_some(hello)
    }
}

impl Verdict {
    fn decode(byte: u8) -> Option<Self> {
        [Self::Unknown, Self::Lost, Self::Heard, Self::Alive].get(usize::from(byte)).copied()
    }
}

fn entry(bytes: &[u8]) -> Option<(IpAddr, Option<BallotId>)> {
    let (ballot, address) = bytes.split_first_chunk()?;
    let address = Ipv6Addr::from(*address.first_chunk::<16>()?);
    Some((address.to_canonical(), BallotId::new(u32::from_be_bytes(*ballot))))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(chunk)
}

#[cfg(test)]
mod tests;
