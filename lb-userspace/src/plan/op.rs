//! The changes that can be made to the maps.

use std::sync::Arc;

use lb_common::{
    Addr,
    maps::{Backend, EndpointKey, EndpointSlot, Peer, Service, ServiceKey, Vip, names},
    ring::Owners,
};

use super::{policy::SourceRange, uses};

/// One change of one map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    SetPeer(Addr, Peer),
    SetBackend(u16, Backend),
    WriteRing {
        offset: u32,
        slots: Arc<[u16]>,
    },
    WriteHistory {
        offset: u32,
        owners: Arc<[Owners]>,
    },
    SetEndpointSlot(u32, EndpointSlot),
    /// The value is a slot.
    SetEndpoint(EndpointKey, u32),
    /// A service, by its id, admits these clients.
    SetRange(u32, SourceRange),
    SetVip(Addr, Vip),
    SetService(ServiceKey, Service),
    DeleteService(ServiceKey),
    DeleteVip(Addr),
    DeleteEndpoint(EndpointKey),
    /// The endpoint is gone, and so are its flows. What is in the slot afterwards: another epoch.
    ClearEndpointSlot(u32, EndpointSlot),
    DeleteRange(u32, SourceRange),
    ClearBackend(u16),
    DeletePeer(Addr),
    /// Forget all flows that name a service or a backend that is not there (any more),
    /// before its id is used again.
    ForgetUnheld,
    /// The counters of an id of services, before another service has it.
    ResetServiceStats(u32),
    /// The counters of an id of backends, before another backend has it.
    ResetBackendStats(u16),
}

/// What a change of the maps writes or deletes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Entry {
    Peer(Addr),
    Backend(u16),
    /// By offset.
    Ring(u32),
    /// By offset.
    History(u32),
    EndpointSlot(u32),
    Endpoint(EndpointKey),
    Range(u32, SourceRange),
    Vip(Addr),
    Service(ServiceKey),
}

impl Op {
    /// None for those that concern flows or counters of a service.
    pub fn entry(&self) -> Option<Entry> {
        Some(match self {
            Self::SetPeer(addr, _) | Self::DeletePeer(addr) => Entry::Peer(*addr),
            Self::SetBackend(id, _) | Self::ClearBackend(id) | Self::ResetBackendStats(id) => {
                Entry::Backend(*id)
            }
            Self::WriteRing { offset, .. } => Entry::Ring(*offset),
            Self::WriteHistory { offset, .. } => Entry::History(*offset),
            Self::SetEndpointSlot(slot, _) | Self::ClearEndpointSlot(slot, _) => Entry::EndpointSlot(*slot),
            Self::SetEndpoint(key, _) | Self::DeleteEndpoint(key) => Entry::Endpoint(*key),
            Self::SetRange(service, range) | Self::DeleteRange(service, range) => {
                Entry::Range(*service, *range)
            }
            Self::SetVip(addr, _) | Self::DeleteVip(addr) => Entry::Vip(*addr),
            Self::SetService(key, _) | Self::DeleteService(key) => Entry::Service(*key),
            Self::ForgetUnheld | Self::ResetServiceStats(_) => return None,
        })
    }

    /// The backends that what it writes names.
    pub fn named_backends(&self) -> Vec<u16> {
        match self {
            Self::SetPeer(_, peer) => uses::peer_backend(peer).into_iter().collect(),
            Self::WriteRing { slots, .. } => uses::ring_backends(slots),
            Self::WriteHistory { owners, .. } => uses::history_backends(owners),
            _ => Vec::new(),
        }
    }

    /// Does it free room that can be used at once?
    pub fn makes_room(&self) -> bool {
        matches!(
            self,
            Self::DeleteEndpoint(_) | Self::DeleteRange(..) | Self::DeleteVip(_) | Self::DeletePeer(_)
        )
    }
}

impl Entry {
    pub fn map_name(&self) -> &'static str {
        match self {
            Self::Peer(_) => names::PEERS,
            Self::Backend(_) => names::BACKENDS,
            Self::Ring(_) => names::RINGS,
            Self::History(_) => names::HISTORY,
            Self::EndpointSlot(_) => names::ENDPOINT_SLOTS,
            Self::Endpoint(_) => names::ENDPOINTS,
            Self::Range(..) => names::RANGES,
            Self::Vip(_) => names::VIPS,
            Self::Service(_) => names::SERVICES,
        }
    }
}
