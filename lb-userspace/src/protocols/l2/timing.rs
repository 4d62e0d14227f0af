//! How long agents wait for each other.

use std::time::Duration;

/// Three hellos in a row may be missing; one that is a little late is not.
pub const SILENCE: Duration = Duration::from_millis(350);
/// How long somebody must be heard before he counts.
pub const RISE: Duration = Duration::from_millis(500);
/// How long to wait for somebody who was never heard, and until all agents have
/// learnt of a change.
pub const GRACE: Duration = Duration::from_secs(1);
