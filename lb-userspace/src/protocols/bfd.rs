//! BFD (RFC 5880) in asynchronous mode, over one hop (RFC 5881) or several (RFC 5883).
//!
//! ```text
//! wanted ──> driver (sockets, timers) ──> statuses
//!              └──> demux (which session?) ──> session (state machine) <──> wire
//! ```

mod config;
mod demux;
mod driver;
mod session;
mod socket;
mod status;
mod wire;

pub use config::{Profile, SessionKey};
pub use driver::run;
pub use status::{SessionState, SessionStatus};
