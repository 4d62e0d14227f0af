//! Finds the session that a packet belongs to (RFC 5880, section 6.3; RFC 5881,
//! section 3).

use std::net::IpAddr;

use super::{Profile, SessionKey, wire::ControlPacket};

/// TTL or hop limit of packets that we send, and so of packets that have crossed no
/// router (RFC 5082).
pub const MAX_TTL: u8 = 255;

/// How a packet arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub from: IpAddr,
    pub to: IpAddr,
    /// None: not known, or gone already.
    pub interface: Option<&'a str>,
    pub ttl: u8,
    pub is_multihop: bool,
}

/// A session, with what decides whether a packet is for it.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    pub key: &'a SessionKey,
    pub profile: &'a Profile,
    pub discriminator: u32,
}

/// The session that the packet is for; None if there is none.
pub fn select_session<'a>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    packet: &ControlPacket,
    arrival: &Arrival<'_>,
) -> Option<&'a SessionKey> {
    candidates
        .filter(|candidate| is_near_enough(candidate, arrival))
        .filter(|candidate| match packet.yours {
            0 => has_matching_addresses(candidate.key, arrival),
            yours => {
                candidate.discriminator == yours && candidate.key.remote.is_ipv4() == arrival.to.is_ipv4()
            }
        })
        .map(|candidate| candidate.key)
        .max_by_key(|key| (key.local.is_some(), key.interface.is_some()))
}

/// RFC 5881, section 5; RFC 5883, section 5.
fn is_near_enough(candidate: &Candidate<'_>, arrival: &Arrival<'_>) -> bool {
    let least = if arrival.is_multihop { candidate.profile.minimum_ttl } else { MAX_TTL };
    candidate.key.multihop == arrival.is_multihop && arrival.ttl >= least
}

fn has_matching_addresses(key: &SessionKey, arrival: &Arrival<'_>) -> bool {
    key.remote == arrival.from
        && key.local.is_none_or(|local| local == arrival.to)
        && key.interface.as_deref().is_none_or(|interface| Some(interface) == arrival.interface)
}

#[cfg(test)]
mod tests;
