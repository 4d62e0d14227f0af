//! Writing the maps, as the agent would.

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData},
};
use lb_common::{
    Addr,
    maps::{Backend, Endpoint, EndpointKey, Peer, Reply, ReplyKey, Service, ServiceKey, Vip},
    ring::{CHUNK_SLOTS, RingChunk},
    roles,
};

use super::Machine;
use crate::{
    services::{self, LOCAL, RING_LEN, TARGET_PORT},
    world::{CLIENT, DIRECTOR, FAMILIES, Family, Host, KINDS, Kind, NODE, OTHER_NODE, Request, VIP, pod},
};

pub fn all(ebpf: &mut Ebpf) {
    for (key, service) in services::services() {
        hash_map::<ServiceKey, Service>(ebpf, "SERVICES").insert(key, service, 0).unwrap();
        let family = if key.addr.is_v4() { Family::V4 } else { Family::V6 };
        for index in 0..service.endpoints {
            let place = EndpointKey { service: service.id, index };
            let value = endpoint(pod(index as u8 + 1), family);
            hash_map::<EndpointKey, Endpoint>(ebpf, "ENDPOINTS").insert(place, value, 0).unwrap();
        }
    }
    for (id, backend) in services::backends() {
        array::<Backend>(ebpf, "BACKENDS").set(id, backend, 0).unwrap();
    }
    for (port, backend) in services::rings() {
        write_ring(ebpf, offset(port), &[backend; RING_LEN as usize]);
    }
    for family in FAMILIES {
        hash_map::<Addr, Vip>(ebpf, "VIPS").insert(VIP.addr(family), Vip::default(), 0).unwrap();
        for (host, roles) in [(DIRECTOR, roles::DIRECTOR), (OTHER_NODE, roles::NODE), (NODE, roles::SELF)] {
            let mut peers = hash_map::<Addr, Peer>(ebpf, "PEERS");
            peers.insert(host.addr(family), Peer { roles }, 0).unwrap();
        }
    }
}

/// As if `Kind::request(LOCAL)` had come, of every kind.
pub fn replies(ebpf: &mut Ebpf) {
    for request in KINDS.map(|kind| kind.request(LOCAL)) {
        let (key, reply) = reply_entry(&request, pod(1));
        hash_map::<ReplyKey, Reply>(ebpf, "NODE_REPLIES").insert(key, reply, 0).unwrap();
    }
}

/// What `NODE_REPLIES` has of a request that went to this endpoint.
pub fn reply_entry(request: &Request, pod: Host) -> (ReplyKey, Reply) {
    let family = request.kind.family;
    let key = ReplyKey {
        endpoint: pod.addr(family),
        client: CLIENT.addr(family),
        endpoint_port: TARGET_PORT.to_be(),
        client_port: request.client_port().to_be(),
        protocol: request.kind.protocol(),
        pad: [0; 3],
    };
    let port = request.port.to_be();
    (key, Reply { vip: VIP.addr(family), port, pad: 0, service: request.service() })
}

/// An endpoint's address and target port.
pub fn endpoint(pod: Host, family: Family) -> Endpoint {
    Endpoint { addr: pod.addr(family), port: TARGET_PORT.to_be(), pad: 0 }
}

/// Where the ring of a service lies, which is the same for all kinds.
fn offset(port: u16) -> u32 {
    let services = services::services();
    services.iter().find(|(key, _)| key.port == port.to_be()).unwrap().1.ring_offset
}

fn write_ring(ebpf: &mut Ebpf, offset: u32, slots: &[u16]) {
    let mut map = array::<RingChunk>(ebpf, "RINGS");
    for (chunk, part) in (offset / CHUNK_SLOTS..).zip(slots.chunks(CHUNK_SLOTS as usize)) {
        let mut slots = [0; CHUNK_SLOTS as usize];
        slots[..part.len()].copy_from_slice(part);
        map.set(chunk, RingChunk { slots }, 0).unwrap();
    }
}

impl Machine {
    /// Write the ring of the services with this port, slot by slot.
    pub fn set_ring(&mut self, port: u16, slots: &[u16]) {
        write_ring(&mut self.ebpf, offset(port), slots);
    }

    pub fn set_backend(&mut self, id: u32, backend: Backend) {
        array(&mut self.ebpf, "BACKENDS").set(id, backend, 0).unwrap();
    }

    pub fn set_endpoint(&mut self, (kind, port): (Kind, u16), index: u32, pod: Host) {
        let place = EndpointKey { service: services::id(kind, port), index };
        self.map::<_, Endpoint>("ENDPOINTS").insert(place, endpoint(pod, kind.family), 0).unwrap();
    }
}

pub fn hash_map<'a, K: Pod, V: Pod>(ebpf: &'a mut Ebpf, name: &str) -> HashMap<&'a mut MapData, K, V> {
    HashMap::try_from(ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"))).unwrap()
}

fn array<'a, V: Pod>(ebpf: &'a mut Ebpf, name: &str) -> Array<&'a mut MapData, V> {
    Array::try_from(ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"))).unwrap()
}
