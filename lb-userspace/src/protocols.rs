//! What is spoken with routers and with other agents about VIPs. Each is sans-IO
//! state machines with time passed in, and a driver with the sockets.

pub mod bfd;
pub mod bgp;
pub mod l2;
