//! How sessions are doing.

use serde::{Deserialize, Serialize};

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
