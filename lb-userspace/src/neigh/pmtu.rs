//! Path MTUs that routers report (RFC 1191, RFC 8201). The XDP programs send tunnel
//! packets past the kernel, so the kernel has no socket or route in which it could
//! note an error about them: the agent listens for such errors itself.
//!
//! ```text
//! socket ──> errors ──> learnt ──> NextHops
//! ```

mod errors;
mod learnt;
mod socket;

pub use errors::PathMtuReport;
pub use learnt::PathMtus;
pub use socket::listen;
