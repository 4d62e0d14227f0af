//! NOTIFICATION (RFC 4271, section 4.5): why a session ends.

use std::fmt;

use super::{
    limits::{HEADER, MAX_MESSAGE},
    reason,
};

/// Error code and subcode.
pub type Code = (u8, u8);

/// The codes that we send or check for. Names and remedies of all codes are in `reason`.
pub mod code {
    use super::Code;

    pub const CONNECTION_NOT_SYNCHRONIZED: Code = (1, 1);
    pub const BAD_MESSAGE_LENGTH: Code = (1, 2);
    pub const BAD_MESSAGE_TYPE: Code = (1, 3);
    pub const OPEN_MESSAGE: Code = (2, 0);
    pub const UNSUPPORTED_VERSION: Code = (2, 1);
    pub const BAD_PEER_AS: Code = (2, 2);
    pub const BAD_BGP_IDENTIFIER: Code = (2, 3);
    pub const UNSUPPORTED_PARAMETER: Code = (2, 4);
    pub const UNACCEPTABLE_HOLD_TIME: Code = (2, 6);
    pub const UNSUPPORTED_CAPABILITY: Code = (2, 7);
    pub const MALFORMED_ATTRIBUTE_LIST: Code = (3, 1);
    pub const HOLD_TIMER_EXPIRED: Code = (4, 0);
    /// RFC 6608
    pub const UNEXPECTED_IN_OPEN_SENT: Code = (5, 1);
    pub const UNEXPECTED_IN_OPEN_CONFIRM: Code = (5, 2);
    pub const UNEXPECTED_IN_ESTABLISHED: Code = (5, 3);
    /// RFC 4486
    pub const ADMINISTRATIVE_SHUTDOWN: Code = (6, 2);
    pub const PEER_DECONFIGURED: Code = (6, 3);
    pub const ADMINISTRATIVE_RESET: Code = (6, 4);
    pub const OTHER_CONFIGURATION_CHANGE: Code = (6, 6);
    pub const COLLISION_RESOLUTION: Code = (6, 7);
    /// RFC 8538
    pub const HARD_RESET: Code = (6, 9);
    /// RFC 9384
    pub const BFD_DOWN: Code = (6, 10);
    /// RFC 7313
    pub const INVALID_REFRESH_LENGTH: Code = (7, 1);
    /// RFC 9687
    pub const SEND_HOLD_TIMER_EXPIRED: Code = (8, 0);
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    pub code: Code,
    pub data: Vec<u8>,
}

impl Notification {
    pub fn new(code: Code) -> Self {
        Self { code, data: Vec::new() }
    }

    pub fn with_data(code: Code, data: impl Into<Vec<u8>>) -> Self {
        Self { code, data: data.into() }
    }

    /// Cease with a text for the peer's operator (RFC 9003), cut to whole characters of at most
    /// 255 bytes.
    pub fn with_text(code: Code, text: &str) -> Self {
        let mut end = text.len().min(255);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut data = vec![u8::try_from(end).unwrap_or_default()];
        data.extend_from_slice(&text.as_bytes()[..end]);
        Self { code, data }
    }

    /// The text of a shutdown or reset (RFC 9003), without control characters, which could
    /// disturb a terminal or a log.
    pub fn text(&self) -> Option<String> {
        let unwrapped = self.unwrap_hard_reset();
        if !matches!(unwrapped.code, code::ADMINISTRATIVE_SHUTDOWN | code::ADMINISTRATIVE_RESET) {
            return None;
        }
        let (length, rest) = unwrapped.data.split_first()?;
        let text = String::from_utf8_lossy(rest.get(..usize::from(*length))?);
        Some(text.chars().filter(|c| !c.is_control()).collect()).filter(|text: &String| !text.is_empty())
    }

    /// The same as a Hard Reset (RFC 8538, section 3.1), upon which the peer does not keep our
    /// routes.
    pub fn into_hard_reset(self) -> Self {
        let mut data = vec![self.code.0, self.code.1];
        data.extend(self.data);
        Self { code: code::HARD_RESET, data }
    }

    /// The NOTIFICATION within a Hard Reset; without one, a copy of this.
    pub fn unwrap_hard_reset(&self) -> Self {
        match (self.code, &self.data[..]) {
            (code::HARD_RESET, [code, subcode, data @ ..]) => Self::with_data((*code, *subcode), data),
            _ => self.clone(),
        }
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.code.0, self.code.1]);
        // The data is only for information, so it is cut rather than the message refused.
        let room = MAX_MESSAGE - HEADER - 2;
        bytes.extend_from_slice(&self.data[..self.data.len().min(room)]);
    }

    /// `body` has two bytes at least: the decoder has checked its length.
    pub(super) fn decode(body: &[u8]) -> Self {
        match body {
            [code, subcode, data @ ..] => Self::with_data((*code, *subcode), data),
            _ => Self::new((0, 0)),
        }
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&reason::error_name(self.code))?;
        let inner = self.unwrap_hard_reset();
        if inner.code != self.code {
            write!(f, " ({})", reason::error_name(inner.code))?;
        }
        match self.text() {
            Some(text) => write!(f, ": {text:?}"),
            None => Ok(()),
        }
    }
}
