//! The node's: whose tunnels it takes, where its Pods are, and which flows
//! they have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use aya::Ebpf;
use lb_common::{
    Addr,
    maps::{
        Endpoint, EndpointKey, EndpointSlot, FlowKey, Holder, Peer, Reply, ReplyKey, Service, ServiceKey,
        delivery, names,
    },
    ring::{CHUNK_SLOTS, NO_BACKEND},
    roles,
};

use super::{Scale, array, bystander_keys, director, hash_map, service_key, service_keys, write_services};
use crate::bench::{
    cases::{PORT_HANDED, PORT_IPIP, TARGET_PORT},
    frame::{DIRECTOR4, DIRECTOR6, Family, NODE4, NODE6, POD4, POD6, TCP, VIP4, VIP6, client, client_port},
};

/// Pods here, of the one service that the cases use.
const PODS: u32 = 4;

/// The other node, to which packets are handed on.
const FELLOW: u32 = 1;

pub fn fill(trigon: &mut Ebpf, scale: Scale) -> Result<()> {
    let service = Service { endpoints: PODS, ..Service::default() };
    let ours: Vec<_> = service_keys(PORT_IPIP).map(|key| (key, service)).collect();
    for (id, (key, _)) in (1..).zip(&ours) {
        write_endpoints(trigon, id, key)?;
    }
    let handed = Service { history_offset: CHUNK_SLOTS, ring_len: 512, ..service };
    write_handed_flows(trigon, ours.len() as u32 + 1, scale)?;
    let handed = (service_key(VIP4.into(), PORT_HANDED, TCP), handed);
    let others = bystander_keys(scale).map(|key| (key, Service::default()));
    write_services(trigon, &ours.into_iter().chain([handed]).chain(others).collect::<Vec<_>>())?;
    for (ip, roles) in [
        (IpAddr::from(DIRECTOR4), roles::DIRECTOR),
        (DIRECTOR6.into(), roles::DIRECTOR),
        (NODE4.into(), roles::SELF),
        (NODE6.into(), roles::SELF),
    ] {
        let peer = Peer { roles, backend: NO_BACKEND.into() };
        hash_map(trigon, names::PEERS)?.insert(Addr::from(ip), peer, 0)?;
    }
    Ok(())
}

/// Of a service, by its id: all are at the other node.
fn write_handed_flows(trigon: &mut Ebpf, service: u32, scale: Scale) -> Result<()> {
    array(trigon, names::BACKENDS)?.set(FELLOW, director::backend(delivery::GUE4, 1), 0)?;
    let mut map = hash_map(trigon, names::BARE_FLOWS)?;
    for flow in 0..scale.replies {
        let client = Addr::from(client(Family::V4, flow));
        let key = FlowKey { client, service, client_port: client_port(flow).to_be(), incarnation: 0 };
        map.insert(key, Holder { backend: FELLOW }, 0)?;
    }
    Ok(())
}

/// Writes the entries for replies of the first Pod, to `scale.replies` clients.
pub fn fill_replies(trigon: &mut Ebpf, scale: Scale) -> Result<()> {
    service_keys(PORT_IPIP).try_for_each(|key| write_replies(trigon, &key, scale))
}

/// A Pod of the service. The addresses of all end in the same byte, which
/// `Output::proof` names.
fn pod(number: u32, is_v4: bool) -> Endpoint {
    let [_, _, high, low] = number.to_be_bytes();
    let addr: IpAddr = if is_v4 {
        let [a, b, _, last] = POD4.octets();
        Ipv4Addr::new(a, b, low, last).into()
    } else {
        let [a, b, c, .., last] = POD6.segments();
        Ipv6Addr::new(a, b, c, 0, 0, 0, u16::from_be_bytes([high, low]), last).into()
    };
    Endpoint { addr: addr.into(), port: TARGET_PORT.to_be(), pad: 0 }
}

fn write_endpoints(trigon: &mut Ebpf, service: u32, key: &ServiceKey) -> Result<()> {
    for index in 0..PODS {
        let (place, slot) = (EndpointKey { service, index }, service * PODS + index);
        let endpoint = pod(index, key.addr.is_v4());
        let entry = EndpointSlot { endpoint, service, drained: 0, epoch: 1, pad: 0 };
        array(trigon, names::ENDPOINT_SLOTS)?.set(slot, entry, 0)?;
        hash_map(trigon, names::ENDPOINTS)?.insert(place, slot, 0)?;
    }
    Ok(())
}

fn write_replies(trigon: &mut Ebpf, key: &ServiceKey, scale: Scale) -> Result<()> {
    let (family, vip): (_, IpAddr) =
        if key.addr.is_v4() { (Family::V4, VIP4.into()) } else { (Family::V6, VIP6.into()) };
    let mut map = hash_map(trigon, names::NODE_REPLIES)?;
    for flow in 0..scale.replies {
        let client = Addr::from(client(family, flow));
        let port = client_port(flow).to_be();
        let reply = Reply {
            other: vip.into(),
            port: key.port,
            client_port: port,
            mss: 0,
            incarnation: 0,
            marked_service: 1,
        };
        map.insert(ReplyKey::new(pod(0, key.addr.is_v4()), client, port, key.protocol), reply, 0)?;
    }
    Ok(())
}
