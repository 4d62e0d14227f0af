//! The director's: rings and backends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use aya::Ebpf;
use lb_common::{
    Addr,
    maps::{Backend, Service, backend_flags, delivery, names, service_flags},
    ring::{CHUNK_SLOTS, RingChunk},
};

use super::{Scale, array, bystander_keys, service_keys, write_services};
use crate::bench::cases::{PORT_BARE, PORT_GUE, PORT_GUE6, PORT_IPIP, PORT_IPIP6, PORT_L2, PORT_LONG_RING};

/// `ingress_ifindex` in `BPF_PROG_TEST_RUN`: the loopback device's.
const IFINDEX: u32 = 1;

/// One ring, and the backends in it, which no other ring has.
struct Ring {
    port: u16,
    delivery: u8,
    slots: u32,
    backends: u16,
}

const fn ring(port: u16, delivery: u8) -> Ring {
    Ring { port, delivery, slots: 2039, backends: 16 }
}

const RINGS: [Ring; 7] = [
    ring(PORT_IPIP, delivery::IPIP4),
    ring(PORT_L2, delivery::L2),
    ring(PORT_IPIP6, delivery::IPIP6),
    Ring { slots: 65537, backends: 100, ..ring(PORT_LONG_RING, delivery::IPIP4) },
    ring(PORT_GUE, delivery::GUE4),
    ring(PORT_GUE6, delivery::GUE6),
    ring(PORT_BARE, delivery::IPIP4),
];

impl Ring {
    /// Elements of `RINGS` it takes.
    const fn chunks(&self) -> u32 {
        self.slots.div_ceil(CHUNK_SLOTS)
    }
}

/// The slab's first chunk stays empty: offset 0 stands for no ring.
const FIRST_CHUNK: u32 = 1;

/// Elements that `RINGS` needs.
pub fn ring_chunks() -> u32 {
    FIRST_CHUNK + RINGS.iter().map(Ring::chunks).sum::<u32>()
}

pub fn fill(trigon: &mut Ebpf, scale: Scale) -> Result<()> {
    let (mut chunk, mut backend) = (FIRST_CHUNK, 1);
    let mut services = Vec::new();
    for ring in &RINGS {
        write_backends(trigon, ring, backend)?;
        write_slots(trigon, ring, chunk, backend)?;
        let flags = if ring.port == PORT_BARE { service_flags::BARE } else { 0 };
        let (ring_offset, ring_len) = (chunk * CHUNK_SLOTS, ring.slots);
        let service = Service { flags, ring_offset, ring_len, ..Service::default() };
        services.extend(service_keys(ring.port).map(|key| (key, service)));
        chunk += ring.chunks();
        backend += ring.backends;
    }
    services.extend(bystander_keys(scale).map(|key| (key, Service::default())));
    write_services(trigon, &services)
}

fn write_backends(trigon: &mut Ebpf, ring: &Ring, first: u16) -> Result<()> {
    let mut map = array(trigon, names::BACKENDS)?;
    for n in 0..ring.backends {
        map.set(u32::from(first + n), backend(ring.delivery, n), 0)?;
    }
    Ok(())
}

pub(super) fn backend(delivery: u8, n: u16) -> Backend {
    let [high, low] = (n + 1).to_be_bytes();
    let (outer_src, outer_dst): (IpAddr, IpAddr) = match delivery {
        delivery::IPIP6 | delivery::GUE6 => (
            Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, n + 1).into(),
        ),
        _ => (Ipv4Addr::new(10, 255, 0, 1).into(), Ipv4Addr::new(10, 254, high, low).into()),
    };
    let (outer_src, outer_dst) = (Addr::from(outer_src), Addr::from(outer_dst));
    Backend {
        macs: [2, 0, 0, 1, high, low, 2, 0, 0, 0, 0, 1],
        ifindex: IFINDEX,
        outer_src,
        outer_dst,
        delivery,
        flags: backend_flags::RESOLVED,
        mtu: 1500,
        outer_sum: Backend::outer_sum(&outer_src, &outer_dst),
        ..Backend::default()
    }
}

/// Slots in no order, as Maglev leaves them.
fn write_slots(trigon: &mut Ebpf, ring: &Ring, first: u32, backend: u16) -> Result<()> {
    let mut map = array(trigon, names::RINGS)?;
    let mut random = 1u32;
    for chunk in 0..ring.chunks() {
        let slots = std::array::from_fn(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            backend + (random >> 16) as u16 % ring.backends
        });
        map.set(first + chunk, RingChunk { slots }, 0)?;
    }
    Ok(())
}
