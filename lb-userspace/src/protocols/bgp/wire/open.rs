//! OPEN (RFC 4271, section 4.2).

use std::net::Ipv4Addr;

use super::{
    Capability, EncodeError, GracefulRestart, Notification, capability, code, family::Family,
    reader::ByteReader,
};

/// Stands for an AS whose number needs four bytes (RFC 6793).
pub const AS_TRANS: u16 = 23456;

const VERSION: u8 = 4;
/// Type of the only optional parameter that we know: capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// The first parameter type if lengths have two bytes (RFC 9072).
const EXTENDED_LENGTH: u8 = 255;

/// An OPEN. Only its format has been checked, not its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// The AS number in two bytes; [`Open::asn`] is the real one.
    pub my_as: u16,
    /// In seconds.
    pub hold_time: u16,
    pub router_id: Ipv4Addr,
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// The OPEN of a speaker in this AS, with the four-octet AS capability, and AS_TRANS where
    /// needed (RFC 6793, section 4.2.1).
    pub fn new(asn: u32, hold_time: u16, router_id: Ipv4Addr, others: Vec<Capability>) -> Self {
        let mut capabilities = vec![Capability::FourOctetAs(asn)];
        capabilities.extend(others);
        Self { my_as: u16::try_from(asn).unwrap_or(AS_TRANS), hold_time, router_id, capabilities }
    }

    /// The sender's AS.
    pub fn asn(&self) -> u32 {
        self.four_octet_as().unwrap_or(u32::from(self.my_as))
    }

    pub fn four_octet_as(&self) -> Option<u32> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        })
    }

    /// Can the sender speak this family? Without any multiprotocol capability it speaks IPv4
    /// (RFC 4760, section 8).
    pub fn can_speak(&self, family: Family) -> bool {
        let has_no_multi_protocol = !self.capabilities.iter().any(Capability::is_multi_protocol);
        self.has_capability(&Capability::MultiProtocol(family))
            || (has_no_multi_protocol && family == Family::Ipv4)
    }

    pub fn has_capability(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(restart),
            _ => None,
        })
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        bytes.push(VERSION);
        bytes.extend(self.my_as.to_be_bytes());
        bytes.extend(self.hold_time.to_be_bytes());
        bytes.extend(self.router_id.octets());
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            capability.encode(&mut capabilities)?;
        }
        if capabilities.is_empty() {
            bytes.push(0);
            return Ok(());
        }
        let too_long = |_| EncodeError::Unencodable("the capabilities need more than 253 bytes".into());
        let all = u8::try_from(capabilities.len() + 2).map_err(too_long)?;
        bytes.extend([all, CAPABILITIES, all - 2]);
        bytes.extend(capabilities);
        Ok(())
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Notification> {
        let mut reader = ByteReader::new(body);
        if reader.take_u8() != Some(VERSION) {
            return Err(Notification::with_data(code::UNSUPPORTED_VERSION, u16::from(VERSION).to_be_bytes()));
        }
        Self::decode_fixed(&mut reader)
            .ok_or_else(malformed_open)
            .and_then(|open| open.decode_parameters(reader))
    }

    fn decode_fixed(reader: &mut ByteReader<'_>) -> Option<Self> {
        Some(Self {
            my_as: reader.take_u16()?,
            hold_time: reader.take_u16()?,
            router_id: reader.take_array()?.into(),
            capabilities: Vec::new(),
        })
    }

    fn decode_parameters(mut self, mut reader: ByteReader<'_>) -> Result<Self, Notification> {
        let mut length = usize::from(reader.take_u8().ok_or_else(malformed_open)?);
        let is_extended = length > 0 && reader.remaining().first() == Some(&EXTENDED_LENGTH);
        if is_extended {
            reader.take_u8();
            length = reader.take_u16().ok_or_else(malformed_open)?.into();
        }
        let mut parameters = ByteReader::new(reader.take(length).ok_or_else(malformed_open)?);
        if !reader.is_empty() {
            return Err(malformed_open());
        }
        while let Some(kind) = parameters.take_u8() {
            let length =
                if is_extended { parameters.take_u16() } else { parameters.take_u8().map(u16::from) }
                    .ok_or_else(malformed_open)?;
            let value = parameters.take(length.into()).ok_or_else(malformed_open)?;
            if kind != CAPABILITIES {
                return Err(Notification::new(code::UNSUPPORTED_PARAMETER));
            }
            self.capabilities.extend(capability::decode_all(value).ok_or_else(malformed_open)?);
        }
        Ok(self)
    }
}

/// OPEN Message Error without subcode: recognised, but malformed (RFC 4271, section 6.2).
fn malformed_open() -> Notification {
    Notification::new(code::OPEN_MESSAGE)
}
