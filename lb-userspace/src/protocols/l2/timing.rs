//! How long agents wait for each other.

use std::time::Duration;

/// Time without a hello after which an agent counts as lost. Hellos come every 100 ms: three
/// in a row are missing then, with 50 ms of tolerance.
pub const SILENCE: Duration = Duration::from_millis(350);
/// How long an agent must be heard before it counts.
pub const RISE: Duration = Duration::from_millis(500);
/// How long to wait for an agent that was never heard, and until all agents have learnt of a
/// change.
pub const GRACE: Duration = Duration::from_secs(1);
