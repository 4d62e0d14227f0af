//! Keys and values of the BPF maps, by the name of the map.
//!
//! No struct has implicit padding: the kernel compares and hashes keys byte
//! by byte. Sizes are asserted at the end of the file; a change of any of
//! them is a change of what is pinned: `trigon unload` has to come before it.

use crate::{Addr, checksum};

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
    /// Bits: [`service_flags`].
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
}

pub mod service_flags {
    /// Its backends are bare servers: the director remembers its flows.
    pub const BARE: u32 = 1;
}

/// `VIPS`: an address that is ours, whatever the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Vip {
    pub flags: u32,
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
    /// One of [`delivery`].
    pub delivery: u8,
    /// Bits: [`backend_flags`].
    pub flags: u8,
    /// MTU of the path, in bytes of IP packet. Host byte order.
    pub mtu: u16,
    /// Sum of the outer IPv4 header's constant words, not complemented: all
    /// but type of service, length and protocol.
    pub outer_sum: u32,
}

impl Backend {
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
}

/// `FLOWS`, `NODE_FLOWS`: a client's side of a connection to a service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct FlowKey {
    pub client: Addr,
    /// `Service::id`.
    pub service: u32,
    /// Network byte order.
    pub client_port: u16,
    pub pad: u16,
}

/// `FLOWS`: which bare server has the flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct BareFlow {
    /// Index of `BACKENDS`.
    pub backend: u32,
}

/// `ENDPOINTS`: one of a service's endpoints on this node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(C)]
pub struct EndpointKey {
    /// `Service::id`.
    pub service: u32,
    /// 0 to `Service::endpoints`.
    pub index: u32,
}

/// `ENDPOINTS`, `NODE_FLOWS`: the address and target port of a Pod.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(C)]
pub struct Endpoint {
    pub addr: Addr,
    /// Network byte order.
    pub port: u16,
    pub pad: u16,
}

/// `NODE_REPLIES`: a reply as it leaves the Pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C)]
pub struct ReplyKey {
    pub endpoint: Addr,
    pub client: Addr,
    /// Network byte order.
    pub endpoint_port: u16,
    /// Network byte order.
    pub client_port: u16,
    pub protocol: u8,
    pub pad: [u8; 3],
}

impl ReplyKey {
    /// Of a reply from `endpoint` to `client`, each with its port.
    ///
    /// The three zeros stand one by one: `[0; 3]` becomes a call of `memset`.
    /// Old kernels round the stack of each function up to 32 bytes, even of one
    /// that needs none, and allow 512 for all that call each other ("combined
    /// stack size of 4 calls is 544. Too large", 5.10).
    #[inline(always)]
    pub const fn new(endpoint: Endpoint, client: Addr, client_port: u16, protocol: u8) -> Self {
        Self {
            endpoint: endpoint.addr,
            client,
            endpoint_port: endpoint.port,
            client_port,
            protocol,
            pad: [0, 0, 0],
        }
    }
}

/// `NODE_REPLIES`: the source that the client expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Reply {
    pub vip: Addr,
    /// Network byte order.
    pub port: u16,
    pub pad: u16,
    /// `Service::id`.
    pub service: u32,
}

/// `PEERS`: an address from which, or to which, tunnels are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Peer {
    /// Bits: [`crate::roles`].
    pub roles: u32,
}

/// `SERVICE_STATS`, `BACKEND_STATS`: per CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Traffic {
    pub packets: u64,
    /// Of IP packets as they came in: headers included, Ethernet not.
    pub bytes: u64,
}

/// `DROPPED`: a packet that was dropped, for who wants to see each of them.
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

const _: () = {
    assert!(size_of::<ServiceKey>() == 20);
    assert!(size_of::<Service>() == 24);
    assert!(size_of::<Vip>() == 4);
    assert!(size_of::<Backend>() == 56);
    assert!(size_of::<FlowKey>() == 24);
    assert!(size_of::<BareFlow>() == 4);
    assert!(size_of::<EndpointKey>() == 8);
    assert!(size_of::<Endpoint>() == 20);
    assert!(size_of::<ReplyKey>() == 40);
    assert!(size_of::<Reply>() == 24);
    assert!(size_of::<Peer>() == 4);
    assert!(size_of::<Traffic>() == 16);
    assert!(size_of::<Dropped>() == 40);
};

#[cfg(feature = "user")]
mod user {
    use super::*;
    use crate::ring::RingChunk;

    /// SAFETY of all: `repr(C)`, no padding (the sizes above are the sums of
    /// the fields), every bit pattern valid.
    macro_rules! pod {
        ($($name:ty),* $(,)?) => { $(unsafe impl aya::Pod for $name {})* };
    }
    pod!(
        ServiceKey,
        Service,
        Vip,
        Backend,
        FlowKey,
        BareFlow,
        EndpointKey,
        Endpoint,
        ReplyKey,
        Reply,
        Peer,
        Traffic,
        RingChunk,
        Addr,
    );
}
