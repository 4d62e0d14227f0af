//! BFD (RFC 5880) in asynchronous mode, over one hop (RFC 5881) or several (RFC 5883).
//!
//! ```text
//! wanted ──> driver (sockets, timers) ──> statuses
//!              └──> demux (whose packet?) ──> session (what now?) <──> wire
//! ```

mod demux;
mod driver;
mod session;
mod socket;
mod wire;

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

pub use driver::run;

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

/// RFC 5880, section 4.1; the numbers are those on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum State {
    AdminDown = 0,
    #[default]
    Down = 1,
    Init = 2,
    Up = 3,
}

/// How a session is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    pub state: State,
    /// What the other side says of itself. `AdminDown` is no failure (RFC 5882, 3.2).
    pub remote: State,
    /// How often it went from `Up` to `Down`.
    pub downs: u64,
    /// Does the other side speak BFD at the moment?
    pub heard: bool,
}
