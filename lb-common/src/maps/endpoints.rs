//! The endpoints on a node, and the flows to them.

use super::FlowKey;
use crate::Addr;

/// `ENDPOINTS`: one of a service's endpoints on this node, by number. The value is an index of
/// `ENDPOINT_SLOTS`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(C)]
pub struct EndpointKey {
    /// `Service::id`.
    pub service: u32,
    /// 0 to `Service::endpoints`.
    pub index: u32,
}

/// `ENDPOINT_SLOTS`: an endpoint of a service on this node, as flows name it. When the endpoint is
/// gone, nobody has to look for its flows: they name an epoch that is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(C)]
pub struct EndpointSlot {
    /// Zeros if there is none.
    pub endpoint: Endpoint,
    /// `Service::id`.
    pub service: u32,
    /// Since when it takes no new flows: seconds of `CLOCK_MONOTONIC`; 0: it takes them.
    pub drained: u32,
    /// Odd while somebody has the slot, even while nobody does; another one each time that this changes.
    pub epoch: u16,
    pub pad: u16,
}

impl EndpointSlot {
    /// The slot after its endpoint is gone.
    pub const fn cleared(self) -> Self {
        Self {
            endpoint: Endpoint { addr: Addr::from_words([0; 4]), port: 0, pad: 0 },
            service: 0,
            drained: 0,
            epoch: self.epoch.wrapping_add(1),
            pad: 0,
        }
    }

    /// Does an endpoint have it?
    #[inline(always)]
    pub const fn is_held(&self) -> bool {
        self.epoch & 1 == 1
    }
}

/// A bit that no slot and no service's id has: the flow's client is inside, which is to say on this very
/// node, and its endpoint sees the VIP as the client. A release that does not know the bit finds neither
/// endpoint nor service by it: such a flow begins anew there.
const INSIDE: u32 = 1 << 31;

/// Another one: the flow's endpoint has ended its connection. A release that does not know the bit begins the
/// flow anew.
const ENDED: u32 = 1 << 30;

/// A slot or a service's id, with the mark of a flow whose client is inside, if it is.
#[inline(always)]
pub const fn marked(number: u32, is_inside: bool) -> u32 {
    if is_inside { number | INSIDE } else { number }
}

/// `NODE_FLOWS`: the endpoint that a flow's packets go to, and the client's port there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct NodeFlow {
    /// [`Self::slot`], [`marked`] if the client is inside; see [`Self::has_ended`].
    pub marked_slot: u32,
    /// [`EndpointSlot::epoch`] when it began: with another one the endpoint is gone.
    pub epoch: u16,
    /// The client's port as the endpoint sees it: the client's own, unless a
    /// flow of the client's to another service has it there. Network byte order.
    pub client_port: u16,
    /// When its last packet came, if the client is inside, or it is UDP and the endpoint drains:
    /// seconds of `CLOCK_MONOTONIC`, 0 none. Of all other TCP, the sequence number of its last SYN, in
    /// host byte order; 0 if it is not known.
    pub seen: u32,
}

impl NodeFlow {
    /// Index of `ENDPOINT_SLOTS`.
    #[inline(always)]
    pub const fn slot(&self) -> u32 {
        self.marked_slot & !(INSIDE | ENDED)
    }

    /// Is the client on this node?
    #[inline(always)]
    pub const fn is_inside(&self) -> bool {
        self.marked_slot & INSIDE != 0
    }

    /// Has the endpoint sent a FIN or an RST since the last SYN? Then the client's next connection from that port
    /// is a flow of its own.
    #[inline(always)]
    pub const fn has_ended(&self) -> bool {
        self.marked_slot & ENDED != 0
    }

    /// Is it unlike most: inside, or ended?
    #[inline(always)]
    pub const fn is_marked(&self) -> bool {
        self.marked_slot & (INSIDE | ENDED) != 0
    }

    /// The same flow, ended or not.
    #[inline(always)]
    pub const fn with_end(&self, has_ended: bool) -> Self {
        let marked_slot = if has_ended { self.marked_slot | ENDED } else { self.marked_slot & !ENDED };
        Self { marked_slot, epoch: self.epoch, client_port: self.client_port, seen: self.seen }
    }
}

/// The address and target port of a Pod.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
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
    /// As the endpoint sees it: the VIP if the client is inside.
    pub client: Addr,
    /// Network byte order.
    pub endpoint_port: u16,
    /// As the endpoint sees it. Network byte order.
    pub client_port: u16,
    pub protocol: u8,
    pub pad: [u8; 3],
}

impl ReplyKey {
    /// The key of a reply from `endpoint` to `client`, each with its port.
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

/// `NODE_REPLIES`: the source that the client expects, and its own port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Reply {
    /// What the key does not have: the VIP, or the client if it is inside.
    pub other: Addr,
    /// The VIP's. Network byte order.
    pub port: u16,
    /// The client's own. Network byte order.
    pub client_port: u16,
    /// [`super::Service::mss`] when the flow began. Host byte order.
    pub mss: u16,
    /// [`super::Service::incarnation`]
    pub incarnation: u16,
    /// [`Self::service`], [`marked`] if the client is inside.
    pub marked_service: u32,
}

impl Reply {
    /// `Service::id`.
    #[inline(always)]
    pub const fn service(&self) -> u32 {
        self.marked_service & !INSIDE
    }

    /// Is the client on this node? Then the key has the VIP in its place.
    #[inline(always)]
    pub const fn is_inside(&self) -> bool {
        self.marked_service & INSIDE != 0
    }

    /// The flow whose replies have this key.
    ///
    /// The client is copied word by word: a copy of the struct becomes a call of `memmove`, which takes a stack
    /// frame of its own.
    #[inline(always)]
    pub const fn flow(&self, key: &ReplyKey) -> FlowKey {
        let client = if self.is_inside() { &self.other } else { &key.client };
        let [a, b, c, d] = client.words();
        FlowKey {
            client: Addr::from_words([a, b, c, d]),
            service: self.service(),
            client_port: self.client_port,
            incarnation: self.incarnation,
        }
    }
}

/// `AFFINITIES`: the endpoint that a client stays with, as long as it takes new flows. The key is that
/// of a flow, without a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Affinity {
    /// Index of `ENDPOINT_SLOTS`.
    pub slot: u32,
    /// [`EndpointSlot::epoch`]
    pub epoch: u16,
    pub pad: u16,
    /// When a flow of the client's last began: seconds of `CLOCK_MONOTONIC`.
    pub used: u32,
}
