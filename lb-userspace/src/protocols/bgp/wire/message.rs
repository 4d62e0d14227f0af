//! A message of any type.

use super::{
    limits::{EncodeError, MAX_MESSAGE},
    notification::{Notification, code},
    open::Open,
    refresh::RouteRefresh,
    update::Update,
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    Open(Open),
    Update(Update),
    Notification(Notification),
    KeepAlive,
    RouteRefresh(RouteRefresh),
}

impl Message {
    /// The number of its type (RFC 4271, section 4.1; RFC 2918).
    pub fn type_number(&self) -> u8 {
        match self {
            Self::Open(_) => 1,
            Self::Update(_) => 2,
            Self::Notification(_) => 3,
            Self::KeepAlive => 4,
            Self::RouteRefresh(_) => 5,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "OPEN",
            Self::Update(_) => "UPDATE",
            Self::Notification(_) => "NOTIFICATION",
            Self::KeepAlive => "KEEPALIVE",
            Self::RouteRefresh(_) => "ROUTE-REFRESH",
        }
    }

    /// Encodes the message with its header. `four_octet_as`: both sides have that capability
    /// (RFC 6793).
    pub fn encode(&self, four_octet_as: bool) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = vec![0xff; 16];
        bytes.extend([0, 0, self.type_number()]);
        match self {
            Self::Open(open) => open.encode(&mut bytes)?,
            Self::Update(update) => update.encode(four_octet_as, &mut bytes)?,
            Self::Notification(notification) => notification.encode(&mut bytes),
            Self::KeepAlive => {}
            Self::RouteRefresh(refresh) => refresh.encode(&mut bytes),
        }
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        if bytes.len() > MAX_MESSAGE {
            return Err(EncodeError::TooLong(bytes.len()));
        }
        bytes[16..18].copy_from_slice(&length.to_be_bytes());
        Ok(bytes)
    }

    /// Decodes the message of type `number` from the bytes after the header. An error is the
    /// NOTIFICATION to send.
    pub fn decode(number: u8, body: &[u8], four_octet_as: bool) -> Result<Self, Notification> {
        match number {
            1 => Open::decode(body).map(Self::Open),
            2 => Update::decode(body, four_octet_as).map(Self::Update),
            3 => Ok(Self::Notification(Notification::decode(body))),
            4 => Ok(Self::KeepAlive),
            5 => RouteRefresh::decode(body).map(Self::RouteRefresh),
            _ => Err(Notification::with_data(code::BAD_MESSAGE_TYPE, [number])),
        }
    }
}
