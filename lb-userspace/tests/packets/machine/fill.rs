//! Writing the maps, as the agent would.

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, LpmTrie, MapData, lpm_trie::Key},
};
use lb_common::{
    Addr, hash,
    maps::{
        Backend, Endpoint, EndpointKey, EndpointSlot, FlowKey, Holder, NodeFlow, Peer, RangeKey, Reply,
        ReplyKey, Service, ServiceKey, Vip, marked, names, vip_flags,
    },
    ring::{CHUNK_SLOTS, Owners, RingChunk},
    roles,
};

use super::Machine;
use crate::{
    services::{self, L2, LOCAL, RANGED, RING_LEN, TARGET_PORT, fellow_id},
    world::{
        CLIENT, DIRECTOR, FAMILIES, FELLOWS, Family, Host, KINDS, Kind, NODE, OTHER_NODE, Request, STRANGER,
        VIP, fellow, pod,
    },
};

pub fn write_all_maps(ebpf: &mut Ebpf) {
    for (key, service) in services::services() {
        hash_map::<ServiceKey, Service>(ebpf, names::SERVICES).insert(key, service, 0).unwrap();
        let family = if key.addr.is_v4() { Family::V4 } else { Family::V6 };
        for index in 0..service.endpoints {
            let place = EndpointKey { service: service.id, index };
            let slot = slot_of(service.id, pod(index as u8 + 1));
            hash_map::<EndpointKey, u32>(ebpf, names::ENDPOINTS).insert(place, slot, 0).unwrap();
        }
        for pod in PODS.map(pod) {
            let entry = endpoint_slot(service.id, pod, family);
            array::<EndpointSlot>(ebpf, names::ENDPOINT_SLOTS)
                .set(slot_of(service.id, pod), entry, 0)
                .unwrap();
        }
    }
    for (key, (len, addr)) in
        KINDS.iter().flat_map(|kind| admitted_ranges(kind.family).map(|range| (kind, range)))
    {
        let key = Key::new(
            RangeKey::SERVICE_BITS + len,
            RangeKey { service: services::service_id(*key, RANGED), addr },
        );
        LpmTrie::try_from(ebpf.map_mut(names::RANGES).unwrap()).unwrap().insert(&key, 0u32, 0).unwrap();
    }
    set_flows_begun(ebpf, 0);
    for (id, backend) in services::backends() {
        array::<Backend>(ebpf, names::BACKENDS).set(id, backend, 0).unwrap();
    }
    for (port, owners) in services::histories() {
        write_owners(ebpf, port, owners);
    }
    for (port, backend) in services::rings() {
        write_ring(ebpf, ring_offset(port), &[backend; RING_LEN as usize]);
    }
    for family in FAMILIES {
        hash_map::<Addr, Vip>(ebpf, names::VIPS)
            .insert(VIP.addr(family), Vip { flags: vip_flags::ECHO }, 0)
            .unwrap();
        for (host, roles) in
            [(DIRECTOR, roles::DIRECTOR), (OTHER_NODE, roles::NODE), (NODE, roles::SELF | roles::NODE)]
        {
            let mut peers = hash_map::<Addr, Peer>(ebpf, names::PEERS);
            peers.insert(host.addr(family), Peer { roles, backend: 0 }, 0).unwrap();
        }
        for number in FELLOWS {
            let peer = Peer { roles: roles::NODE, backend: u32::from(fellow_id(family, number)) };
            hash_map(ebpf, names::PEERS).insert(fellow(number).addr(family), peer, 0).unwrap();
        }
    }
}

/// Empty the flow tables.
fn forget_flows(ebpf: &mut Ebpf) {
    clear_map::<FlowKey, NodeFlow>(ebpf, names::NODE_FLOWS);
    clear_map::<ReplyKey, Reply>(ebpf, names::NODE_REPLIES);
    clear_map::<FlowKey, Holder>(ebpf, names::BARE_FLOWS);
}

fn clear_map<K: Pod, V: Pod>(ebpf: &mut Ebpf, name: &str) {
    let mut map = hash_map::<K, V>(ebpf, name);
    let keys: Vec<K> = map.keys().map(Result::unwrap).collect();
    keys.iter().for_each(|key| map.remove(key).unwrap());
}

/// Prefix length in bits and address of whom `RANGED` admits: some of the
/// client's neighbours, and one machine.
fn admitted_ranges(family: Family) -> [(u32, Addr); 2] {
    let len = match family {
        Family::V4 => 96 + 30,
        Family::V6 => 126,
    };
    [(len, CLIENT.addr(family)), (128, STRANGER.addr(family))]
}

/// Set the number of new flows of every service, in second `u32::MAX`: a second
/// that is not over during the tests.
pub fn set_flows_begun(ebpf: &mut Ebpf, count: u32) {
    for id in 0..services::IDS {
        array::<u64>(ebpf, names::NEW_FLOWS).set(id, new_flows_entry(u32::MAX, count), 0).unwrap();
    }
}

/// The entry of `NEW_FLOWS` of a service of which so many have begun.
pub fn new_flows_entry(second: u32, count: u32) -> u64 {
    u64::from(second) << 32 | u64::from(count)
}

/// The MSS that clients are offered at most, by the flows of [`flows`].
pub const MSS: u16 = 1400;

/// Write the entries of a flow that `Kind::request(LOCAL)` opened, of every kind; those of replies to
/// this table. Of TCP, the SYN had this sequence number; 0 if it is not known.
pub fn open_flows(ebpf: &mut Ebpf, replies: &str, sequence: u32) {
    for request in KINDS.map(|kind| kind.request(LOCAL)) {
        let (key, reply) = reply_entry(&request, pod(1));
        let reply = Reply { mss: MSS, ..reply };
        hash_map::<ReplyKey, Reply>(ebpf, replies).insert(key, reply, 0).unwrap();
        let (key, flow) = flow_entry(&request, pod(1));
        let flow = NodeFlow { seen: if request.kind.is_tcp { sequence } else { 0 }, ..flow };
        hash_map::<FlowKey, NodeFlow>(ebpf, names::NODE_FLOWS).insert(key, flow, 0).unwrap();
    }
}

/// Write the entries of a flow that `Kind::request(LOCAL)` opened, of every kind, if its client is on
/// this node.
pub fn open_inside_flows(ebpf: &mut Ebpf) {
    for request in KINDS.map(|kind| kind.request(LOCAL)) {
        let (key, reply) = inside_reply_entry(&request, pod(1));
        let reply = Reply { mss: MSS, ..reply };
        hash_map::<ReplyKey, Reply>(ebpf, names::NODE_REPLIES).insert(key, reply, 0).unwrap();
        let (key, flow) = inside_flow_entry(&request, pod(1));
        hash_map::<FlowKey, NodeFlow>(ebpf, names::NODE_FLOWS).insert(key, flow, 0).unwrap();
    }
}

/// What `NODE_REPLIES` has of a request that went to this endpoint, if its client is on this node.
pub fn inside_reply_entry(request: &Request, pod: Host) -> (ReplyKey, Reply) {
    let (key, reply) = reply_entry(request, pod);
    let marked_service = marked(reply.marked_service, true);
    let (client, other) = (reply.other, Addr::from(request.ip.src));
    (ReplyKey { client, ..key }, Reply { other, marked_service, ..reply })
}

/// What `NODE_FLOWS` has of it.
pub fn inside_flow_entry(request: &Request, pod: Host) -> (FlowKey, NodeFlow) {
    let (key, flow) = flow_entry(request, pod);
    (key, NodeFlow { marked_slot: marked(flow.marked_slot, true), ..flow })
}

/// What `NODE_REPLIES` has of a request that went to this endpoint.
pub fn reply_entry(request: &Request, pod: Host) -> (ReplyKey, Reply) {
    let family = request.kind.family;
    let (port, client_port) = (request.port.to_be(), request.client_port().to_be());
    let client = CLIENT.addr(family);
    let key = ReplyKey::new(endpoint(pod, family), client, client_port, request.kind.protocol());
    (
        key,
        Reply {
            other: VIP.addr(family),
            port,
            client_port,
            mss: 0,
            incarnation: 0,
            marked_service: request.service(),
        },
    )
}

/// What `NODE_FLOWS` has of a request that went to this endpoint; nothing of its SYN.
pub fn flow_entry(request: &Request, pod: Host) -> (FlowKey, NodeFlow) {
    let client_port = request.client_port().to_be();
    let slot = slot_of(request.service(), pod);
    (request.flow(), NodeFlow { marked_slot: slot, epoch: EPOCH, client_port, seen: 0 })
}

/// As if other services had brought a flow to `pod(1)` from each port that the
/// node could show it for `Kind::request(LOCAL)`.
pub fn take_all_ports(ebpf: &mut Ebpf) {
    for request in KINDS.map(|kind| kind.request(LOCAL)) {
        let substitutes =
            (1..=8).map(|attempt| hash::substitute_port(request.hash(), request.service(), attempt));
        for port in std::iter::once(request.client_port().to_be()).chain(substitutes) {
            let other = request.clone().with_port(L2).with_client_port(u16::from_be(port));
            let (key, reply) = reply_entry(&other, pod(1));
            hash_map::<ReplyKey, Reply>(ebpf, names::NODE_REPLIES).insert(key, reply, 0).unwrap();
            let (key, flow) = flow_entry(&other, pod(1));
            hash_map::<FlowKey, NodeFlow>(ebpf, names::NODE_FLOWS).insert(key, flow, 0).unwrap();
        }
    }
}

/// The Pods that services may have here.
const PODS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
/// Of all slots that were given to an endpoint once.
const EPOCH: u16 = 1;
/// All slots: each service has one for each Pod.
pub const SLOTS: u32 = services::IDS * 16;

pub fn slot_of(service: u32, of: Host) -> u32 {
    let number = PODS.into_iter().find(|number| pod(*number).addr(Family::V4) == of.addr(Family::V4));
    service * 16 + u32::from(number.expect("one of the Pods"))
}

fn endpoint_slot(service: u32, pod: Host, family: Family) -> EndpointSlot {
    EndpointSlot { endpoint: endpoint(pod, family), service, drained: 0, epoch: EPOCH, pad: 0 }
}

/// An endpoint's address and target port.
fn endpoint(pod: Host, family: Family) -> Endpoint {
    Endpoint { addr: pod.addr(family), port: TARGET_PORT.to_be(), pad: 0 }
}

/// Where the ring of a service lies, which is the same for all kinds.
fn ring_offset(port: u16) -> u32 {
    service(port).ring_offset
}

fn service(port: u16) -> Service {
    let services = services::services();
    services.iter().find(|(key, _)| key.port == port.to_be()).unwrap().1
}

/// The same list for all slots.
fn write_owners(ebpf: &mut Ebpf, port: u16, owners: &[u16]) {
    let mut list = Owners::default();
    list.ids[..owners.len()].copy_from_slice(owners);
    write_history(ebpf, port, &[list; RING_LEN as usize]);
}

fn write_history(ebpf: &mut Ebpf, port: u16, lists: &[Owners]) {
    for (index, list) in (service(port).history_offset..).zip(lists) {
        array::<Owners>(ebpf, names::HISTORY).set(index, list, 0).unwrap();
    }
}

fn write_ring(ebpf: &mut Ebpf, offset: u32, slots: &[u16]) {
    let mut map = array::<RingChunk>(ebpf, names::RINGS);
    for (chunk, part) in (offset / CHUNK_SLOTS..).zip(slots.chunks(CHUNK_SLOTS as usize)) {
        let mut slots = [0; CHUNK_SLOTS as usize];
        slots[..part.len()].copy_from_slice(part);
        map.set(chunk, RingChunk { slots }, 0).unwrap();
    }
}

impl Machine {
    /// Write the ring of the services with this port, slot by slot.
    pub fn set_ring(&mut self, port: u16, slots: &[u16]) {
        write_ring(&mut self.ebpf, ring_offset(port), slots);
    }

    /// Write who owns and owned the slots of the services with this port,
    /// newest first.
    pub fn set_owners(&mut self, port: u16, owners: &[u16]) {
        write_owners(&mut self.ebpf, port, owners);
    }

    /// The same, slot by slot.
    pub fn set_history(&mut self, port: u16, lists: &[Owners]) {
        write_history(&mut self.ebpf, port, lists);
    }

    /// Change the entry of a service.
    pub fn set_service(&mut self, (kind, port): (Kind, u16), change: impl FnOnce(&mut Service)) {
        let mut services = self.map::<ServiceKey, Service>(names::SERVICES);
        let key = services::service_key(kind, port);
        let mut service = services.get(&key, 0).unwrap();
        change(&mut service);
        services.insert(key, service, 0).unwrap();
    }

    pub fn forget_flows(&mut self) {
        forget_flows(&mut self.ebpf);
    }

    /// Set the MTU, in bytes, of the path to the backend of this port.
    pub fn set_mtu(&mut self, port: u16, mtu: u16) {
        let id = services::backend_of(port);
        let backend = array::<Backend>(&mut self.ebpf, names::BACKENDS).get(&id, 0).unwrap();
        self.set_backend(id, Backend { mtu, ..backend });
    }

    pub fn set_backend(&mut self, id: u32, backend: Backend) {
        array(&mut self.ebpf, names::BACKENDS).set(id, backend, 0).unwrap();
    }

    /// Set the number of flows of a service that have begun in this second.
    pub fn set_flows_begun(&mut self, id: u32, second: u32, count: u32) {
        array::<u64>(&mut self.ebpf, names::NEW_FLOWS).set(id, new_flows_entry(second, count), 0).unwrap();
    }

    /// The second and number of the flows of a service that began last.
    pub fn flows_begun(&mut self, id: u32) -> (u32, u32) {
        let entry = array::<u64>(&mut self.ebpf, names::NEW_FLOWS).get(&id, 0).unwrap();
        ((entry >> 32) as u32, entry as u32)
    }

    pub fn set_endpoint(&mut self, (kind, port): (Kind, u16), index: u32, pod: Host) {
        let service = services::service_id(kind, port);
        let place = EndpointKey { service, index };
        self.map::<_, u32>(names::ENDPOINTS).insert(place, slot_of(service, pod), 0).unwrap();
    }

    /// The endpoint takes no new flows since then (0: it takes them).
    pub fn set_drained(&mut self, (kind, port): (Kind, u16), pod: Host, drained: u32) {
        self.change_slot((kind, port), pod, |slot| slot.drained = drained);
    }

    /// The endpoint is gone, and its slot another's.
    pub fn end_epoch(&mut self, (kind, port): (Kind, u16), pod: Host) {
        self.change_slot((kind, port), pod, |slot| slot.epoch += 2);
    }

    pub fn change_slot(
        &mut self,
        (kind, port): (Kind, u16),
        pod: Host,
        change: impl FnOnce(&mut EndpointSlot),
    ) {
        let slot = slot_of(services::service_id(kind, port), pod);
        let mut slots = array::<EndpointSlot>(&mut self.ebpf, names::ENDPOINT_SLOTS);
        let mut entry = slots.get(&slot, 0).unwrap();
        change(&mut entry);
        slots.set(slot, entry, 0).unwrap();
    }
}

pub fn hash_map<'a, K: Pod, V: Pod>(ebpf: &'a mut Ebpf, name: &str) -> HashMap<&'a mut MapData, K, V> {
    HashMap::try_from(ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"))).unwrap()
}

pub fn array<'a, V: Pod>(ebpf: &'a mut Ebpf, name: &str) -> Array<&'a mut MapData, V> {
    Array::try_from(ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"))).unwrap()
}
