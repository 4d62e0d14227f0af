//! Expected output packets, computed from the input.

use std::net::IpAddr;

use crate::{
    packet::{Gue, Icmp, Ip, Macs, Payload, frame},
    services::{TARGET_PORT, TO_BACKEND},
    world::{ARRIVING, DIRECTOR, Family, Host, LEAVING, NODE, OTHER_NODE, Request},
};

/// Forwarded on the same link: with these MAC addresses, and its TTL decremented.
pub fn by_mac(macs: Macs, request: &Request) -> Vec<u8> {
    frame(macs, &with_decremented_ttl(&request.ip))
}

/// The same packet with its TTL decremented.
pub fn with_decremented_ttl(ip: &Ip) -> Ip {
    Ip { ttl: ip.ttl - 1, ..ip.clone() }
}

/// The frame that tells a client that its packet is too big, sent back the way it
/// came. `mtu` is in bytes.
pub fn too_big_frame(request: &Request, mtu: usize) -> Vec<u8> {
    frame(LEAVING, &too_big_message(request, mtu))
}

/// Frag-needed or packet-too-big about a request, from the VIP.
pub fn too_big_message(request: &Request, mtu: usize) -> Ip {
    too_big_message_about(&request.ip, mtu)
}

/// The same about any packet to the VIP.
pub fn too_big_message_about(packet: &Ip, mtu: usize) -> Ip {
    let (kind, code) = if packet.is_v4() { (3, 4) } else { (2, 0) };
    let payload = Payload::Icmp(Icmp::error(kind, code, mtu as u32, packet, 512));
    Ip { tos: 0xc0, ..Ip::new(packet.dst, packet.src, payload) }
}

/// Sent on to `services::backends` in an outer header.
pub fn in_tunnel(outer: Family, request: &Request) -> Vec<u8> {
    part_in_tunnel(outer, request, &request.ip)
}

/// The same of a part of the request.
pub fn part_in_tunnel(outer: Family, request: &Request, part: &Ip) -> Vec<u8> {
    encapsulated_in_ip(outer, part, request.hash())
}

/// Any packet of a flow with this hash, sent on in an outer header.
pub fn encapsulated_in_ip(outer: Family, inner: &Ip, hash: u64) -> Vec<u8> {
    let label = if outer == Family::V6 { hash as u32 & 0xf_ffff } else { 0 };
    let outer = Ip { label, ..ip_in_ip_packet(inner, DIRECTOR.ip(outer), OTHER_NODE.ip(outer)) };
    frame(TO_BACKEND, &outer)
}

/// Sent on to `services::backends` within UDP.
pub fn in_gue(outer: Family, request: &Request) -> Vec<u8> {
    encapsulated_in_gue(outer, &request.ip, request.hash())
}

/// Any packet of a flow with this hash, sent on within UDP.
pub fn encapsulated_in_gue(outer: Family, inner: &Ip, hash: u64) -> Vec<u8> {
    let gue = Gue::new(dynamic_port(hash), &[], inner);
    frame(TO_BACKEND, &gue_packet(&gue, outer, DIRECTOR, OTHER_NODE, hash))
}

/// The dynamic port that the flow's hash gives (RFC 6335).
pub fn source_port(request: &Request) -> u16 {
    dynamic_port(request.hash())
}

fn dynamic_port(hash: u64) -> u16 {
    0xc000 | (hash >> 16) as u16
}

/// An IP packet around a GUE datagram.
pub fn gue_packet(gue: &Gue, outer: Family, src: Host, dst: Host, hash: u64) -> Ip {
    let label = if outer == Family::V6 { hash as u32 & 0xf_ffff } else { 0 };
    Ip { tos: gue.inner.tos, label, ..Ip::new(src.ip(outer), dst.ip(outer), gue.payload()) }
}

/// In an outer header: DSCP and ECN of the inner one, a TTL of its own, and
/// no fragmentation.
pub fn ip_in_ip_packet(inner: &Ip, src: IpAddr, dst: IpAddr) -> Ip {
    Ip { tos: inner.tos, ttl: 64, ..Ip::new(src, dst, Payload::Ip(Box::new(inner.clone()))) }
}

/// As it arrives at the node from the director.
pub fn from_director(outer: Family, inner: &Ip) -> Vec<u8> {
    frame(ARRIVING, &ip_in_ip_packet(inner, DIRECTOR.ip(outer), NODE.ip(outer)))
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

/// Addressed to an endpoint that sees the VIP as the client, which is on this node, from this port.
pub fn hidden_at_endpoint(request: &Request, pod: Host, port: u16) -> Request {
    let mut hidden = at_endpoint(request, pod).with_client_port(port);
    hidden.ip.src = request.ip.dst;
    hidden
}

/// The endpoint's reply to it, as it leaves the Pod.
pub fn reply_to_vip(request: &Request, pod: Host, port: u16) -> Ip {
    let mut ip = reply(&request.clone().with_client_port(port), pod).ip;
    ip.dst = request.ip.dst;
    ip
}

/// That reply as the client expects it.
pub fn returned(request: &Request, reply: &Ip) -> Ip {
    let mut ip = Ip { dst: request.ip.src, ..from_vip(request, reply) };
    ip.transport().dst_port = request.client_port();
    ip
}

/// A reply as the client expects it: from what the request went to.
pub fn from_vip(request: &Request, reply: &Ip) -> Ip {
    let mut ip = Ip { src: request.ip.dst, ..reply.clone() };
    ip.transport().src_port = request.port;
    ip
}

/// The packet with such data that what becomes of it has a checksum of zero;
/// UDP writes that as all ones.
pub fn with_zero_checksum(mut ip: Ip, become_of: impl Fn(&Ip) -> Ip) -> Ip {
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
