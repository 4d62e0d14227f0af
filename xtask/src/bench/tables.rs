//! What the director's maps hold: as many services as a busy cluster has, and
//! among them those that the cases use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData},
};
use lb_common::{
    Addr,
    maps::{Backend, Service, ServiceKey, Vip, backend_flags, delivery},
    ring::{CHUNK_SLOTS, RingChunk},
};

use super::{
    cases::{PORT_IPIP, PORT_IPIP6, PORT_L2, PORT_LONG_RING},
    frame::{TCP, UDP, VIP4, VIP6},
};

/// Services that no case uses, beside those that do.
const BYSTANDERS: u16 = 984;
/// `ingress_ifindex` in `BPF_PROG_TEST_RUN`: the loopback device's.
const IFINDEX: u32 = 1;

/// One ring, and the backends in it, which no other ring has.
struct Ring {
    port: u16,
    delivery: u8,
    slots: u32,
    backends: u16,
}

const RINGS: [Ring; 4] = [
    Ring { port: PORT_IPIP, delivery: delivery::IPIP4, slots: 2039, backends: 16 },
    Ring { port: PORT_L2, delivery: delivery::L2, slots: 2039, backends: 16 },
    Ring { port: PORT_IPIP6, delivery: delivery::IPIP6, slots: 2039, backends: 16 },
    Ring { port: PORT_LONG_RING, delivery: delivery::IPIP4, slots: 65537, backends: 100 },
];

impl Ring {
    /// Elements of `RINGS` it takes.
    const fn chunks(&self) -> u32 {
        self.slots.div_ceil(CHUNK_SLOTS)
    }

    /// The services that share it.
    fn keys(&self) -> impl Iterator<Item = ServiceKey> {
        let vips = [IpAddr::from(VIP4), IpAddr::from(VIP6)];
        let port = self.port;
        vips.into_iter().flat_map(move |vip| [key(vip, port, TCP), key(vip, port, UDP)])
    }
}

/// Elements that `RINGS` needs.
pub fn chunks() -> u32 {
    RINGS.iter().map(Ring::chunks).sum()
}

/// The keys of all services.
fn keys() -> impl Iterator<Item = ServiceKey> {
    RINGS.iter().flat_map(Ring::keys).chain(bystanders())
}

fn bystanders() -> impl Iterator<Item = ServiceKey> {
    (0..BYSTANDERS).map(|n| key(Ipv4Addr::from(0xc633_6400 + u32::from(n / 4)).into(), 1000 + n, TCP))
}

fn key(addr: IpAddr, port: u16, protocol: u8) -> ServiceKey {
    ServiceKey { addr: addr.into(), port: port.to_be(), protocol, pad: 0 }
}

/// Fill Trigon's maps.
pub fn fill(trigon: &mut Ebpf) -> Result<()> {
    let (mut chunk, mut backend) = (0, 1);
    let mut services = Vec::new();
    for ring in &RINGS {
        write_backends(trigon, ring, backend)?;
        write_slots(trigon, ring, chunk, backend)?;
        let (ring_offset, ring_len) = (chunk * CHUNK_SLOTS, ring.slots);
        services
            .extend(ring.keys().map(|key| (key, Service { ring_offset, ring_len, ..Service::default() })));
        chunk += ring.chunks();
        backend += ring.backends;
    }
    services.extend(bystanders().map(|key| (key, Service::default())));
    for (id, (key, service)) in (1..).zip(services) {
        hash_map(trigon, "SERVICES")?.insert(key, Service { id, ..service }, 0)?;
        hash_map(trigon, "VIPS")?.insert(key.addr, Vip::default(), 0)?;
    }
    Ok(())
}

fn write_backends(trigon: &mut Ebpf, ring: &Ring, first: u16) -> Result<()> {
    let mut map = array(trigon, "BACKENDS")?;
    for n in 0..ring.backends {
        map.set(u32::from(first + n), backend(ring.delivery, n), 0)?;
    }
    Ok(())
}

fn backend(delivery: u8, n: u16) -> Backend {
    let [high, low] = (n + 1).to_be_bytes();
    let (outer_src, outer_dst): (IpAddr, IpAddr) = match delivery {
        delivery::IPIP6 => (
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
    }
}

/// Slots in no order, as Maglev leaves them.
fn write_slots(trigon: &mut Ebpf, ring: &Ring, first: u32, backend: u16) -> Result<()> {
    let mut map = array(trigon, "RINGS")?;
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

/// Fill the maps of the baselines with as many services.
pub fn fill_baselines(bench: &mut Ebpf) -> Result<()> {
    // Two MAC addresses, outer source and destination.
    let target = [0x0100_0002u32, 0x0002_0000, 0x0100_0000, 0x0100_ff0a, 0x0200_fe0a];
    for key in keys() {
        hash_map::<ServiceKey, [u32; 5]>(bench, "BY_ADDRESS")?.insert(key, target, 0)?;
        if key.addr.is_v4() {
            let port_and_protocol = u32::from(key.port) | u32::from(key.protocol) << 16;
            let key = [key.addr.words()[3], port_and_protocol];
            hash_map::<[u32; 2], [u32; 5]>(bench, "BY_IPV4")?.insert(key, target, 0)?;
        }
    }
    Ok(())
}

pub fn array<'a, T: Pod>(ebpf: &'a mut Ebpf, name: &str) -> Result<Array<&'a mut MapData, T>> {
    let map = ebpf.map_mut(name).with_context(|| format!("the object has no map {name}"))?;
    Array::try_from(map).with_context(|| format!("map {name}"))
}

pub fn hash_map<'a, K: Pod, V: Pod>(
    ebpf: &'a mut Ebpf,
    name: &str,
) -> Result<HashMap<&'a mut MapData, K, V>> {
    let map = ebpf.map_mut(name).with_context(|| format!("the object has no map {name}"))?;
    HashMap::try_from(map).with_context(|| format!("map {name}"))
}
