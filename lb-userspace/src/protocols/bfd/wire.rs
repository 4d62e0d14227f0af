//! The control packet (RFC 5880, section 4.1): bytes and their meaning.

use std::time::Duration;

use super::SessionState;

/// Length in bytes of a packet without an authentication section.
pub const LEN: usize = 24;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// Why the state changed last (RFC 5880, section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    pub const NONE: Self = Self(0);
    pub const EXPIRED: Self = Self(1);
    pub const NEIGHBOUR_DOWN: Self = Self(3);
    pub const ADMIN_DOWN: Self = Self(7);
    const BITS: u8 = 0x1f;

    /// In the words of the RFC.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            _ => "unknown diagnostic",
        }
    }
}

/// A control packet without authentication section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlPacket {
    pub diagnostic: Diagnostic,
    pub state: SessionState,
    pub is_poll: bool,
    pub is_final: bool,
    /// The sender wants no periodic packets while the session is up.
    pub is_demand: bool,
    pub multiplier: u8,
    /// My Discriminator; never 0.
    pub mine: u32,
    /// Your Discriminator; 0: the sender does not know it yet.
    pub yours: u32,
    /// Desired Min TX Interval; 32 bits of whole microseconds on the wire.
    pub transmit: Duration,
    /// Required Min RX Interval, likewise. Zero: the sender wants no periodic packets.
    pub receive: Duration,
}

/// Why a packet is discarded (RFC 5880, section 6.8.6, in its order).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedPacket {
    #[error("shorter than a BFD control packet")]
    Truncated,
    #[error("BFD version {0}, not 1")]
    Version(u8),
    #[error("its Length field says {0}")]
    Length(u8),
    #[error("its Detect Mult is zero")]
    Multiplier,
    #[error("its Multipoint bit is set")]
    Multipoint,
    #[error("its My Discriminator is zero")]
    Discriminator,
    #[error("its Your Discriminator is zero in a state that needs one")]
    State,
    #[error("it is authenticated, which no session of ours is; turn authentication off at the other side")]
    Authenticated,
}

impl ControlPacket {
    /// Parses a packet and checks all that can be checked without knowing the session.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedPacket> {
        let header: &[u8; LEN] = bytes.first_chunk().ok_or(MalformedPacket::Truncated)?;
        let [first, flags, multiplier, length, ..] = *header;
        if first >> 5 != VERSION {
            return Err(MalformedPacket::Version(first >> 5));
        }
        if usize::from(length) < LEN || usize::from(length) > bytes.len() {
            return Err(MalformedPacket::Length(length));
        }
        let number = |at: usize| {
            header[at..]
                .first_chunk()
                .map(|bytes| u32::from_be_bytes(*bytes))
                .ok_or(MalformedPacket::Truncated)
        };
        let packet = Self {
            diagnostic: Diagnostic(first & Diagnostic::BITS),
            state: decode_state(flags),
            is_poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            is_demand: flags & DEMAND != 0,
            multiplier,
            mine: number(4)?,
            yours: number(8)?,
            transmit: Duration::from_micros(number(12)?.into()),
            receive: Duration::from_micros(number(16)?.into()),
        };
        packet.check_fields(flags).map(|()| packet)
    }

    fn check_fields(&self, flags: u8) -> Result<(), MalformedPacket> {
        if self.multiplier == 0 {
            Err(MalformedPacket::Multiplier)
        } else if flags & MULTIPOINT != 0 {
            Err(MalformedPacket::Multipoint)
        } else if self.mine == 0 {
            Err(MalformedPacket::Discriminator)
        } else if self.yours == 0 && !matches!(self.state, SessionState::Down | SessionState::AdminDown) {
            Err(MalformedPacket::State)
        } else if flags & AUTHENTICATED != 0 {
            Err(MalformedPacket::Authenticated)
        } else {
            Ok(())
        }
    }

    pub fn encode(&self) -> [u8; LEN] {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        let flags = (self.state as u8) << 6
            | flag(self.is_poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.is_demand, DEMAND);
        let mut bytes = [0; LEN];
        let first = VERSION << 5 | self.diagnostic.0 & Diagnostic::BITS;
        bytes[..4].copy_from_slice(&[first, flags, self.multiplier, LEN as u8]);
        let numbers = [self.mine, self.yours, whole_micros(self.transmit), whole_micros(self.receive)];
        for (place, number) in bytes[4..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }
}

fn decode_state(flags: u8) -> SessionState {
    match flags >> 6 {
        0 => SessionState::AdminDown,
        1 => SessionState::Down,
        2 => SessionState::Init,
        _ => SessionState::Up,
    }
}

fn whole_micros(interval: Duration) -> u32 {
    interval.as_micros().try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
pub mod tests;
