//! What the maps hold: the services that the cases use, and others.

pub mod director;
pub mod node;

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData},
};
use lb_common::maps::{Service, ServiceKey, Vip, names};

use super::{
    cases::{PORT_IPIP, TARGET_PORT},
    frame::{POD4, TCP, UDP, VIP4, VIP6},
};

/// Entries that the tables of flows have room for.
pub const FLOWS: u32 = 1 << 16;

/// How much there is in the maps beside what a packet needs.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Services that no case uses.
    pub bystanders: u16,
    /// Flows whose replies the program at egress knows, and flows that the node knows to be at another.
    pub replies: u32,
}

impl Scale {
    /// A busy cluster.
    pub const BUSY: Self = Self { bystanders: 984, replies: 10_000 };
    /// Nothing that a packet might meet in the same bucket of a hash table,
    /// where chance would have it.
    pub const EMPTY: Self = Self { bystanders: 0, replies: 1 };
}

/// A service's VIPs and protocols, all with one port.
fn service_keys(port: u16) -> impl Iterator<Item = ServiceKey> {
    let vips = [IpAddr::from(VIP4), IpAddr::from(VIP6)];
    vips.into_iter().flat_map(move |vip| [service_key(vip, port, TCP), service_key(vip, port, UDP)])
}

/// Services that no case uses.
fn bystander_keys(scale: Scale) -> impl Iterator<Item = ServiceKey> {
    (0..scale.bystanders)
        .map(|n| service_key(Ipv4Addr::from(0xc633_6400 + u32::from(n / 4)).into(), 1000 + n, TCP))
}

fn service_key(addr: IpAddr, port: u16, protocol: u8) -> ServiceKey {
    ServiceKey { addr: addr.into(), port: port.to_be(), protocol, pad: 0 }
}

/// Write services, and the VIPs they have; ids are 1 and up.
fn write_services(trigon: &mut Ebpf, services: &[(ServiceKey, Service)]) -> Result<()> {
    for (id, (key, service)) in (1..).zip(services) {
        hash_map(trigon, names::SERVICES)?.insert(*key, Service { id, ..*service }, 0)?;
        hash_map(trigon, names::VIPS)?.insert(key.addr, Vip::default(), 0)?;
    }
    Ok(())
}

/// Fill the maps of the baselines.
pub fn fill_baselines(bench: &mut Ebpf, scale: Scale) -> Result<()> {
    // Two MAC addresses, source (the VIP) and destination (a Pod).
    let source = u32::from_ne_bytes(VIP4.octets());
    let target = [0x0100_0002u32, 0x0002_0000, 0x0100_0000, source, u32::from_ne_bytes(POD4.octets())];
    for key in service_keys(PORT_IPIP)
        .chain([service_key(POD4.into(), TARGET_PORT, TCP)])
        .chain(bystander_keys(scale))
    {
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
