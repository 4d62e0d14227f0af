//! What ought to become of packets, made from what came in.

use std::net::IpAddr;

use crate::{
    packet::{Ip, Macs, Payload, frame},
    services::{TARGET_PORT, TO_BACKEND},
    world::{ARRIVING, DIRECTOR, Family, Host, NODE, OTHER_NODE, Request},
};

/// Sent on by its MAC addresses: one hop less to live.
pub fn by_mac(macs: Macs, request: &Request) -> Vec<u8> {
    frame(macs, &Ip { ttl: request.ip.ttl - 1, ..request.ip.clone() })
}

/// Sent on to `services::backends` in an outer header.
pub fn in_tunnel(outer: Family, request: &Request) -> Vec<u8> {
    let label = if outer == Family::V6 { request.hash() as u32 & 0xf_ffff } else { 0 };
    let outer = Ip { label, ..tunnel(&request.ip, DIRECTOR.ip(outer), OTHER_NODE.ip(outer)) };
    frame(TO_BACKEND, &outer)
}

/// In an outer header: DSCP and ECN of the inner one, a TTL of its own, and
/// no fragmentation.
pub fn tunnel(inner: &Ip, src: IpAddr, dst: IpAddr) -> Ip {
    Ip { tos: inner.tos, ttl: 64, ..Ip::new(src, dst, Payload::Ip(Box::new(inner.clone()))) }
}

/// As it arrives at the node from the director.
pub fn from_director(outer: Family, inner: &Ip) -> Vec<u8> {
    frame(ARRIVING, &tunnel(inner, DIRECTOR.ip(outer), NODE.ip(outer)))
}

/// Addressed to an endpoint.
pub fn at_endpoint(request: &Request, pod: Host) -> Request {
    request.clone().with_destination(pod).with_port(TARGET_PORT)
}

/// The endpoint's reply, as it leaves the Pod.
pub fn reply(request: &Request, pod: Host) -> Request {
    let mut reply = at_endpoint(request, pod);
    (reply.ip.src, reply.ip.dst) = (reply.ip.dst, reply.ip.src);
    let transport = reply.ip.transport();
    (transport.src_port, transport.dst_port) = (transport.dst_port, transport.src_port);
    reply
}

/// A reply as the client expects it: from what the request went to.
pub fn from_vip(request: &Request, reply: &Ip) -> Ip {
    let mut ip = Ip { src: request.ip.dst, ..reply.clone() };
    ip.transport().src_port = request.port;
    ip
}

/// The packet with such data that what becomes of it has a checksum of zero;
/// UDP writes that as all ones.
pub fn balanced(mut ip: Ip, become_of: impl Fn(&Ip) -> Ip) -> Ip {
    let is_tcp = ip.payload.protocol() == 6;
    let check = |ip: &Ip| {
        let after = become_of(ip);
        let at = after.header_len() + if is_tcp { 16 } else { 6 };
        let bytes = after.bytes();
        [bytes[at], bytes[at + 1]]
    };
    ip.transport().data[..2].fill(0);
    let missing = check(&ip);
    ip.transport().data[..2].copy_from_slice(&missing);
    assert_eq!(check(&ip), if is_tcp { [0, 0] } else { [0xff, 0xff] });
    ip
}
