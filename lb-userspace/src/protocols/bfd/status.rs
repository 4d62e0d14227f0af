//! How sessions are doing.

use serde::{Deserialize, Serialize};

/// RFC 5880, section 4.1; the numbers are those on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum SessionState {
    AdminDown = 0,
    #[default]
    Down = 1,
    Init = 2,
    Up = 3,
}

/// The state of a session, for the BGP speaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionStatus {
    pub state: SessionState,
    /// The state that the other side reports. `AdminDown` is no failure (RFC 5882, section 3.2).
    pub remote: SessionState,
    /// How often the session went from `Up` to `Down`.
    pub downs: u64,
    /// Has a packet come within the detection time?
    pub heard: bool,
}
