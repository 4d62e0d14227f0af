//! The roles of a machine, as bits of the load-time constant `ROLES` and of
//! the values of `PEERS`.

/// Chooses a backend for packets to a VIP.
pub const DIRECTOR: u32 = 1;
/// Delivers packets to its endpoints.
pub const NODE: u32 = 2;
/// In `PEERS` only: an address of this machine, where tunnels may end.
pub const SELF: u32 = 4;
