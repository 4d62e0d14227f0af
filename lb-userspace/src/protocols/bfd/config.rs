//! Which sessions are wanted, and with which parameters.

use std::{net::IpAddr, sync::Arc, time::Duration};

/// The parameters of a `BfdProfile`: how quickly a failure is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Desired Min TX Interval once up; at least 10 ms.
    pub transmit: Duration,
    /// Required Min RX Interval.
    pub receive: Duration,
    /// Detect Mult, 2 to 255.
    pub multiplier: u8,
    /// Send nothing until the other side has sent a packet (RFC 5880, section 6.1).
    pub passive: bool,
    /// The smallest TTL or hop limit that a received packet may have (multihop only): 254
    /// accepts packets that have crossed one router at most.
    pub minimum_ttl: u8,
}

impl Default for Profile {
    /// The defaults of MetalLB and FRR.
    fn default() -> Self {
        let interval = Duration::from_millis(300);
        Self { transmit: interval, receive: interval, multiplier: 3, passive: false, minimum_ttl: 254 }
    }
}

/// Identifies a session by its two ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionKey {
    pub remote: IpAddr,
    /// None: the source address that the kernel chooses for `remote`.
    pub local: Option<IpAddr>,
    /// The interface of a link-local address.
    pub interface: Option<Arc<str>>,
    /// The session runs over routers (port 4784), else on one link (port 3784).
    pub multihop: bool,
}
