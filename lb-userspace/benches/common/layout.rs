//! Where everything is in a cluster that is made up for a benchmark.

use std::net::Ipv4Addr;

/// Two primes, so that each Service has other nodes than its neighbours.
const STRIDES: [usize; 2] = [7_919, 104_729];

/// The node of a Service's endpoint.
pub fn node_of(service: usize, endpoint: usize, nodes: usize) -> usize {
    (service * STRIDES[0] + endpoint * (1 + service * STRIDES[1] % (nodes - 1))) % nodes
}

pub fn node_address(node: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + node as u32 + 1)
}

pub fn endpoint_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0b00_0000 + number as u32)
}

pub fn vip(service: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a80_0000 + service as u32)
}
