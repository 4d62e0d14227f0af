//! Divides a stream of bytes into messages (RFC 4271, sections 4.1 and 6.1).

use super::{HEADER, MAX_MESSAGE, Message, Notification, code};

/// Collects bytes and returns messages.
#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the next message begins in the buffer.
    start: usize,
}

impl Decoder {
    /// Appends bytes that have been received.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if all of it has been received. An error is the NOTIFICATION to send;
    /// nothing can be decoded after it. `four_octet_as`: as for [`Message::encode`].
    pub fn next_message(&mut self, four_octet_as: bool) -> Result<Option<Message>, Notification> {
        let bytes = &self.buffer[self.start..];
        let Some((length, number)) = parse_header(bytes)? else { return Ok(None) };
        let Some(message) = bytes.get(..length) else { return Ok(None) };
        self.start += length;
        // RFC 7313, section 5: the NOTIFICATION contains the whole message.
        if number == ROUTE_REFRESH && length != HEADER + 4 {
            return Err(Notification::with_data(code::INVALID_REFRESH_LENGTH, message));
        }
        Message::decode(number, &message[HEADER..], four_octet_as).map(Some)
    }
}

const ROUTE_REFRESH: u8 = 5;

/// The length of the message in bytes, and its type; None if the header is incomplete.
fn parse_header(bytes: &[u8]) -> Result<Option<(usize, u8)>, Notification> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    if header[..16] != [0xff; 16] {
        return Err(Notification::new(code::CONNECTION_NOT_SYNCHRONIZED));
    }
    let length_bytes = [header[16], header[17]];
    let length = usize::from(u16::from_be_bytes(length_bytes));
    let number = header[18];
    let lengths = match number {
        1 => 29..=MAX_MESSAGE,
        2 => 23..=MAX_MESSAGE,
        3 => 21..=MAX_MESSAGE,
        4 => HEADER..=HEADER,
        _ => HEADER..=MAX_MESSAGE,
    };
    if !lengths.contains(&length) {
        return Err(Notification::with_data(code::BAD_MESSAGE_LENGTH, length_bytes));
    }
    if !(1..=ROUTE_REFRESH).contains(&number) {
        return Err(Notification::with_data(code::BAD_MESSAGE_TYPE, [number]));
    }
    Ok(Some((length, number)))
}
