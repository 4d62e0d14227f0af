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
    request.clone().to_host(pod).to_port(TARGET_PORT)
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
