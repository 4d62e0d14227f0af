//! The protocols spoken with routers and with other agents about VIPs. Each consists of
//! state machines without IO, which are passed the time, and a driver with the sockets.

pub mod bfd;
pub mod bgp;
pub mod l2;
