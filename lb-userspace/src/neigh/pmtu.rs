//! Path MTUs that routers tell of (RFC 1191, RFC 8201). Programs send tunnel
//! packets past the kernel, which so has no socket or route to note an error
//! about them in: the agent listens for such errors itself.
//!
//! ```text
//! socket ──> errors ──> learnt ──> NextHops
//! ```

mod errors;
mod learnt;
mod socket;

pub use errors::Report;
pub use learnt::PathMtus;
pub use socket::listen;
