//! The flow hash. All directors and nodes must agree on it: it is part of the
//! protocol between machines, and changing it moves every flow.

use crate::Addr;

/// Odd multipliers from SplitMix64 and MurmurHash3 (64-bit finalizer).
const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xbf58_476d_1ce4_e5b9;
const K3: u64 = 0xff51_afd7_ed55_8ccd;

/// The hash of a flow's client side.
///
/// Only the client's address and port go in: the service is known by the ring
/// the hash is used on, and an ICMP error that quotes 8 bytes has no more.
/// `port` is as it stands in the header (network byte order, memory order).
#[inline(always)]
pub const fn flow(client: &Addr, port: u16) -> u64 {
    let w = client.words();
    let high = w[0] as u64 | (w[1] as u64) << 32;
    let low = w[2] as u64 | (w[3] as u64) << 32;
    mix((high.wrapping_mul(K1) ^ low).wrapping_add((port as u64).wrapping_mul(K1)))
}

#[inline(always)]
const fn mix(mut h: u64) -> u64 {
    h = (h ^ (h >> 32)).wrapping_mul(K2);
    h = (h ^ (h >> 29)).wrapping_mul(K3);
    h ^ (h >> 32)
}

/// The slot of a flow in a ring of `len` slots: the hash's upper half scaled
/// to the ring ("fast range", Lemire 2019), which spares the division of
/// `hash % len` and spreads as evenly.
#[inline(always)]
pub const fn slot(hash: u64, len: u32) -> u32 {
    (((hash >> 32) * len as u64) >> 32) as u32
}

/// Which of `count` endpoints of a node takes a new flow: the lower half of
/// the hash, since all flows of a node share the ranges of their upper halves.
#[inline(always)]
pub const fn endpoint(hash: u64, count: u32) -> u32 {
    (((hash & 0xffff_ffff) * count as u64) >> 32) as u32
}

/// A port for a client's flow to `service`, towards an endpoint at which the
/// client's own port stands for another flow; a different one for each attempt.
/// None of the well-known ones. Network byte order.
#[inline(always)]
pub const fn substitute_port(hash: u64, service: u32, attempt: u32) -> u16 {
    const FIRST: u64 = 1024;
    let seed = hash ^ (service as u64) << 32 ^ attempt as u64;
    ((FIRST + (((mix(seed) >> 32) * ((1 << 16) - FIRST)) >> 32)) as u16).to_be()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn client(n: u32) -> Addr {
        Addr::from(IpAddr::from(Ipv4Addr::from(0xc633_6400 + n)))
    }

    /// Chi-squared of `count` buckets, divided by its degrees of freedom.
    fn unevenness(buckets: &[u32]) -> f64 {
        let total: u32 = buckets.iter().sum();
        let expected = f64::from(total) / buckets.len() as f64;
        let chi: f64 = buckets.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        chi / (buckets.len() - 1) as f64
    }

    #[test]
    fn consecutive_clients_and_ports_spread_evenly() {
        let mut slots = vec![0u32; 509];
        let mut endpoints = vec![0u32; 7];
        for n in 0..200 {
            for port in 1024..1524u16 {
                let h = flow(&client(n), port.to_be());
                slots[slot(h, 509) as usize] += 1;
                // Endpoints are chosen among the flows of one range of slots.
                if slot(h, 509) < 100 {
                    endpoints[endpoint(h, 7) as usize] += 1;
                }
            }
        }
        assert!(unevenness(&slots) < 1.3, "slots {}", unevenness(&slots));
        assert!(unevenness(&endpoints) < 3.0, "endpoints {}", unevenness(&endpoints));
    }

    #[test]
    fn the_hash_is_part_of_the_protocol() {
        let v6 = Addr::from("2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!(flow(&client(7), 4242u16.to_be()), FLOW_V4);
        assert_eq!(flow(&v6, 4242u16.to_be()), FLOW_V6);
    }
    const FLOW_V4: u64 = 14161264811852845903;
    const FLOW_V6: u64 = 18093948559945338591;

    #[test]
    fn substitutes_differ_and_are_not_well_known() {
        let port = |hash, service, attempt| u16::from_be(substitute_port(hash, service, attempt));
        let ports: std::collections::HashSet<_> =
            (0..100).flat_map(|service| (0..8).map(move |attempt| port(FLOW_V4, service, attempt))).collect();
        assert!(ports.len() > 780, "{} different ones of 800", ports.len());
        for hash in [0, 1, FLOW_V4, FLOW_V6, u64::MAX] {
            assert!((0..10_000).all(|service| port(hash, service, 0) >= 1024));
        }
    }

    #[test]
    fn slots_stay_inside_the_ring() {
        for len in [1, 509, 65537] {
            assert_eq!(slot(0, len), 0);
            assert_eq!(slot(u64::MAX, len), len - 1);
            assert_eq!(endpoint(u64::MAX, len), len - 1);
        }
    }
}
