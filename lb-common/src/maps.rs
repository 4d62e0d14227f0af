//! Keys and values of the BPF maps, by the name of the map.
//!
//! No struct has implicit padding: the kernel compares and hashes keys byte
//! by byte. A change of any of them is a change of what is pinned, and takes
//! another [`names::MAPS_DIR`].

mod endpoints;
mod layout;
pub mod names;

use crate::{Addr, checksum, gue};

pub use endpoints::{Affinity, Endpoint, EndpointKey, EndpointSlot, NodeFlow, Reply, ReplyKey, marked};

/// `SERVICES`: what a client connects to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(C)]
pub struct ServiceKey {
    pub addr: Addr,
    /// Network byte order.
    pub port: u16,
    /// IANA protocol number: 6 or 17.
    pub protocol: u8,
    pub pad: u8,
}

/// `SERVICES`: where its ring lies and what this node has of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Service {
    /// Index of `SERVICE_STATS`; part of the keys of flows and endpoints.
    pub id: u32,
    /// Bits: [`service_flags`]; the upper half is [`Service::incarnation`].
    pub flags: u32,
    /// First slot in the `RINGS` slab, a multiple of `ring::CHUNK_SLOTS`. The
    /// slab's first chunk is always empty: 0 where there is no ring.
    pub ring_offset: u32,
    /// Slots; 0 if the service has no backend.
    pub ring_len: u32,
    /// Endpoints on this node: `ENDPOINTS` has indices 0 to this.
    pub endpoints: u32,
    /// The plan that wrote this entry last; read back as proof.
    pub generation: u32,
    /// First element of its slots in `HISTORY`, a multiple of
    /// `ring::CHUNK_SLOTS`; 0 where there is none. It has `ring_len` slots.
    pub history_offset: u32,
    /// When a slot last changed hands: seconds of `CLOCK_MONOTONIC`, 0 never.
    pub changed: u32,
    /// `sessionAffinity: ClientIP`: seconds, 0 without.
    pub affinity: u32,
    /// New flows that this machine lets begin in a second; 0: any number.
    pub new_flows: u32,
    /// The largest MSS that a client may be offered; 0: leave it as it is.
    /// Host byte order.
    pub mss: u32,
}

impl Service {
    /// Tells apart the services that have had the same id, one after the other: part of
    /// the keys of flows, so that a flow of an earlier one is not found by packets to this one.
    #[inline(always)]
    pub const fn incarnation(&self) -> u16 {
        (self.flags >> service_flags::INCARNATION_SHIFT) as u16
    }

    /// Does kube-proxy carry it?
    #[inline(always)]
    pub const fn is_passed(&self) -> bool {
        self.flags & service_flags::PASS != 0
    }
}

pub mod service_flags {
    /// Where [`super::Service::incarnation`] begins.
    pub const INCARNATION_SHIFT: u32 = 16;
    /// Its backends are bare servers: the director remembers its flows.
    pub const BARE: u32 = 1;
    /// It admits only clients in `RANGES`.
    pub const RANGES: u32 = 2;
    /// It keeps clients with their endpoints: see `Service::affinity`.
    pub const AFFINITY: u32 = 4;
    /// A port of a VIP of ours that kube-proxy carries: its packets are left to the kernel. It has neither ring
    /// nor endpoints.
    pub const PASS: u32 = 8;
}

/// `VIPS`: an address that is ours, whatever the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Vip {
    /// Bits: [`vip_flags`]; above them, [`Vip::meeting`].
    pub flags: u32,
}

impl Vip {
    /// The same VIP, with the service by whose ring directors send fragments: its port, in network
    /// byte order, and its protocol.
    #[inline(always)]
    pub const fn with_meeting(self, port: u16, protocol: u8) -> Self {
        let place = (port as u32) << vip_flags::PORT_SHIFT | (protocol as u32) << vip_flags::PROTOCOL_SHIFT;
        Self { flags: self.flags | place }
    }

    /// Port and protocol of that service; a protocol of 0 if there is none.
    #[inline(always)]
    pub const fn meeting(self) -> (u16, u8) {
        ((self.flags >> vip_flags::PORT_SHIFT) as u16, (self.flags >> vip_flags::PROTOCOL_SHIFT) as u8)
    }
}

pub mod vip_flags {
    /// Directors answer echo requests.
    pub const ECHO: u32 = 1;
    /// Where the parts of [`super::Vip::meeting`] begin.
    pub const PROTOCOL_SHIFT: u32 = 8;
    pub const PORT_SHIFT: u32 = 16;
}

/// `BACKENDS`: all that a director needs to send a packet on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(8))]
pub struct Backend {
    /// Destination and source of the Ethernet header, as they stand in it.
    pub macs: [u8; 12],
    /// The interface to leave by. Host byte order.
    pub ifindex: u32,
    /// Source of the outer header.
    pub outer_src: Addr,
    /// Destination of the outer header: the backend's address.
    pub outer_dst: Addr,
    /// One of [`delivery`]; on a machine that is no director, how to hand on.
    pub delivery: u8,
    /// Bits: [`backend_flags`].
    pub flags: u8,
    /// MTU of the path, in bytes of IP packet. Host byte order.
    pub mtu: u16,
    /// Sum of the outer IPv4 header's constant words, not complemented: all
    /// but type of service, length and protocol.
    pub outer_sum: u32,
    /// VLAN tags (TPID and TCI as they stand in the frame), outermost first; 0
    /// where there is none.
    pub tags: [u32; 2],
}

impl Backend {
    /// What an entry is after its backend is gone. Its id is free when all flows that name it
    /// are forgotten; an agent that is started before that sees here which they are.
    pub const CLEARED: Self = Self {
        macs: [0; 12],
        ifindex: 0,
        outer_src: Addr::from_words([0; 4]),
        outer_dst: Addr::from_words([0; 4]),
        delivery: delivery::NONE,
        flags: backend_flags::DEAD,
        mtu: 0,
        outer_sum: 0,
        tags: [0; 2],
    };

    /// [`Backend::outer_sum`] for these outer addresses.
    pub const fn outer_sum(src: &Addr, dst: &Addr) -> u32 {
        let words = [OUTER_DONT_FRAGMENT as u32, src.words()[3], dst.words()[3]];
        checksum::fold(checksum::sum(&words)) as u32
    }
}

/// Flags and fragment offset of an outer IPv4 header: DF, in memory order.
pub const OUTER_DONT_FRAGMENT: u16 = 0x4000u16.to_be();

/// How a packet gets to a backend.
pub mod delivery {
    /// The entry is empty.
    pub const NONE: u8 = 0;
    /// Rewrite the MAC addresses.
    pub const L2: u8 = 1;
    /// IPv4 or IPv6 in an outer IPv4 header (RFC 2003, RFC 4213).
    pub const IPIP4: u8 = 2;
    /// IPv4 or IPv6 in an outer IPv6 header (RFC 2473).
    pub const IPIP6: u8 = 3;
    /// The same as `IPIP4` within UDP (draft-ietf-intarea-gue).
    pub const GUE4: u8 = 4;
    /// The same as `IPIP6` within UDP.
    pub const GUE6: u8 = 5;
}

pub mod backend_flags {
    /// This machine: the packet stays.
    pub const LOCAL: u8 = 1;
    /// MAC address and interface are known.
    pub const RESOLVED: u8 = 2;
    /// A bare server, which owns the VIP itself.
    pub const BARE: u8 = 4;
    /// Not for the programs: the delivery that the Service asks for, without
    /// which an agent could not tell again whose entry this is.
    pub const FORCED_L2: u8 = 8;
    pub const FORCED_IPIP: u8 = 16;
    pub const FORCED_GUE: u8 = 32;
    /// A node that does not answer: others hand no packet on to it.
    pub const DEAD: u8 = 64;
    /// It has VLAN tags: `Backend::tags`.
    pub const TAGGED: u8 = 128;
}

/// `BARE_FLOWS`, `NODE_FLOWS`: a client's side of a connection to a service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct FlowKey {
    pub client: Addr,
    /// `Service::id`.
    pub service: u32,
    /// Network byte order.
    pub client_port: u16,
    /// [`Service::incarnation`]
    pub incarnation: u16,
}

/// `BARE_FLOWS`: who has a flow: which bare server, or which node it was found on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Holder {
    /// Index of `BACKENDS`, with [`Self::PASSED_ON`] or without.
    pub backend: u32,
}

impl Holder {
    /// A bit that no index has: the node got the flow's SYN from this one, and may have passed it on. A release
    /// that does not know the bit finds no backend by it: it knows nothing of the flow.
    pub const PASSED_ON: u32 = 1 << 31;

    #[inline(always)]
    pub const fn passed_on(backend: u32) -> Self {
        Self { backend: backend | Self::PASSED_ON }
    }

    /// Index of `BACKENDS`.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.backend & !Self::PASSED_ON
    }
}

/// `FRAGMENTS`: a packet that comes in fragments (RFC 791 section 3.2, RFC 8200
/// section 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct FragmentKey {
    pub src: Addr,
    pub dst: Addr,
    /// The identification, as it stands in the header.
    pub id: u32,
    /// IANA protocol number; 0 in IPv6, where it is the first fragment's alone
    /// that counts.
    pub protocol: u32,
}

/// `FRAGMENTS`: what only the first fragment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Ports {
    /// Network byte order.
    pub src: u16,
    /// Network byte order.
    pub dst: u16,
    /// IANA protocol number.
    pub protocol: u32,
    /// When it came: seconds of `CLOCK_MONOTONIC`.
    pub seen: u32,
}

/// `RANGES`: addresses of clients that a service admits. In the trie's keys it
/// stands behind the length of the prefix that counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(C)]
pub struct RangeKey {
    /// `Service::id`; always part of the prefix.
    pub service: u32,
    pub addr: Addr,
}

impl RangeKey {
    /// Bits before the address.
    pub const SERVICE_BITS: u32 = 32;
    /// Bits of the whole key.
    pub const BITS: u32 = Self::SERVICE_BITS + 128;
}

/// `PEERS`: an address from which, or to which, tunnels are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Peer {
    /// Bits: [`crate::roles`].
    pub roles: u32,
    /// On a node: the index of `BACKENDS` by which it hands on to this peer,
    /// or `ring::NO_BACKEND`.
    pub backend: u32,
}

/// `UPLINKS`: interfaces whose packets leave through `trigon_egress`, each with itself as the value: those
/// that we are attached to, and those that stand on one of them, like VLAN devices.
pub mod uplinks {
    /// The index of no interface. It is there once the others are.
    pub const COMPLETE: u32 = 0;
}

/// `STRAYS`, `TOLD`: how many there were in a second; per CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Spent {
    /// The second of `CLOCK_MONOTONIC`.
    pub second: u32,
    pub count: u32,
}

/// `SERVICE_STATS`, `BACKEND_STATS`: per CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Traffic {
    pub packets: u64,
    /// Of IP packets as they came in: headers included, Ethernet not.
    pub bytes: u64,
}

/// Elements of `SEARCHES`: of searches for flows that ended here, how many found nobody who knows the flow, at index 0;
/// at the others, how many found it here, as the node of this number that was asked. Per CPU.
pub const SEARCHES_LEN: u32 = 1 + gue::TAGS as u32;

/// Bytes of `DROPPED`.
pub const DROPPED_LEN: u32 = 1 << 16;

/// `DROPPED`: one packet that was dropped, for readers that want more than counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Dropped {
    pub to: ServiceKey,
    pub client: Addr,
    /// Network byte order.
    pub client_port: u16,
    /// [`crate::Verdict`], in host byte order.
    pub verdict: u16,
}

/// `STORY`: what happened to a packet on a dry run. Before it the agent writes
/// [`NOT_TOLD`] everywhere but in what is given, and zeros to `endpoint`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Story {
    /// Given: the interface that the packet comes in by. Host byte order.
    pub ingress: u32,
    /// [`crate::Verdict`]
    pub verdict: u32,
    /// `Service::id` of the service that it is for.
    pub service: u32,
    /// Its slot in the service's ring, or in its history.
    pub slot: u32,
    /// The backend that a director chose.
    pub backend: u32,
    /// One of [`memory`].
    pub memory: u32,
    /// The backend that it is handed on to, and what the header says: the
    /// number of nodes it has been to, or one of the words of [`crate::gue`].
    pub next: u32,
    pub hops: u32,
    /// The endpoint that it is delivered to.
    pub endpoint: Endpoint,
    /// Does that endpoint see the VIP as the client, which is on this node? 0 or 1.
    pub inside: u32,
}

pub const NOT_TOLD: u32 = u32::MAX;

impl Story {
    /// What the agent writes before a packet that comes in by interface `ingress`.
    pub const fn of_packet_from(ingress: u32) -> Self {
        Self {
            ingress,
            verdict: NOT_TOLD,
            service: NOT_TOLD,
            slot: NOT_TOLD,
            backend: NOT_TOLD,
            memory: NOT_TOLD,
            next: NOT_TOLD,
            hops: NOT_TOLD,
            endpoint: Endpoint { addr: Addr::from_words([0; 4]), port: 0, pad: 0 },
            inside: NOT_TOLD,
        }
    }
}

/// What this machine knew of a flow.
pub mod memory {
    /// It has begun here: `NODE_FLOWS` has its endpoint.
    pub const HERE: u32 = 1;
    /// `BARE_FLOWS` says who has it.
    pub const ELSEWHERE: u32 = 2;
    /// Nothing; it begins here.
    pub const BEGINS: u32 = 3;
}
