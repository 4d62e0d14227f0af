//! What sessions are wanted.

use std::{net::IpAddr, sync::Arc, time::Duration};

/// A `BfdProfile`: how quickly to notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Desired Min TX Interval once up; at least 10 ms.
    pub transmit: Duration,
    /// Required Min RX Interval.
    pub receive: Duration,
    /// Detect Mult, 2 to 255.
    pub multiplier: u8,
    /// Wait for the other side to begin.
    pub passive: bool,
    /// Packets must have crossed fewer routers than 256 less this (multihop only).
    pub minimum_ttl: u8,
}

impl Default for Profile {
    /// As MetalLB and FRR have it.
    fn default() -> Self {
        let interval = Duration::from_millis(300);
        Self { transmit: interval, receive: interval, multiplier: 3, passive: false, minimum_ttl: 254 }
    }
}

/// Between whom a session is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    pub remote: IpAddr,
    /// None: whatever address the route to `remote` has.
    pub local: Option<IpAddr>,
    /// Of a link-local address.
    pub interface: Option<Arc<str>>,
    /// Over routers (port 4784), else on one link (port 3784).
    pub multihop: bool,
}
