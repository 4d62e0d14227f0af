//! BGP messages captured at the router, for what routers do not report.

use std::net::IpAddr;

use anyhow::Result;
use lb_testbed::{Capture, Frame};

use super::lab::Lab;

pub const NOTIFICATION: u8 = 3;
pub const ROUTE_REFRESH: u8 = 5;

const MARKER: [u8; 16] = [0xff; 16];
const TCP: u8 = 6;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub to: IpAddr,
    pub kind: u8,
    /// What follows the header, as far as the same segment has it.
    pub body: Vec<u8>,
}

pub struct BgpCapture(Capture<Vec<Message>>);

impl BgpCapture {
    /// Starts to capture in the router's namespace.
    pub fn start(lab: &Lab) -> Result<Self> {
        Capture::start(lab.triangle.testbed.router(), |frame| {
            Some(messages_in(frame)).filter(|all| !all.is_empty())
        })
        .map(Self)
    }

    /// Ends the capture, and returns all messages in order.
    pub fn finish(self) -> Result<Vec<Message>> {
        Ok(self.0.finish()?.into_iter().flat_map(|(_, messages)| messages).collect())
    }
}

/// The messages of a TCP segment, if it begins with one.
fn messages_in(frame: &Frame) -> Vec<Message> {
    let packet = frame.packet().filter(|packet| packet.protocol == TCP);
    let segment = packet.and_then(|packet| Some((packet.to, tcp_payload(packet.payload())?)));
    let Some((to, mut rest)) = segment else { return Vec::new() };
    let mut all = Vec::new();
    while let Some([high, low, kind, body @ ..]) = rest.strip_prefix(&MARKER) {
        let length = usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(19).min(body.len());
        let (body, next) = body.split_at(length);
        all.push(Message { to, kind: *kind, body: body.to_vec() });
        rest = next;
    }
    all
}

/// The payload of a TCP segment.
fn tcp_payload(segment: &[u8]) -> Option<&[u8]> {
    let words = segment.get(12)? >> 4;
    segment.get(4 * usize::from(words)..)
}
