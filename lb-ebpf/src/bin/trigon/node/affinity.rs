//! Clients that stay with their endpoint: `sessionAffinity: ClientIP`.

use lb_common::maps::{Affinity, Endpoint, FlowKey, Service};

use crate::{
    clock, dry_run,
    maps::{self, AFFINITIES},
    scratch::{self, FlowScratch},
};

/// Endpoints of a service on one node among which a client's is looked for,
/// when they may have changed.
const MOST: u32 = 256;

/// Is there an endpoint here with which the client of `scratch.flow` is to
/// stay? It is in `scratch.affinity` then; in any case `scratch.client` is set.
#[inline(always)]
pub fn recall(service: &Service) -> bool {
    trigon_recall_client(service.id, service.affinity, service.generation, service.endpoints) != 0
}

/// A global function: see [`super::owners`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_recall_client(service: u32, timeout: u32, generation: u32, endpoints: u32) -> u32 {
    let Some(scratch) = scratch::flow() else { return 0 };
    scratch.client = FlowKey { client_port: 0, ..scratch.flow };
    let Some(affinity) = maps::affinity(&scratch.client) else { return 0 };
    if clock::seconds().wrapping_sub(affinity.used) > timeout {
        return 0;
    }
    scratch.affinity.endpoint = affinity.endpoint;
    let is_as_before = affinity.generation == generation;
    (is_as_before || is_ready(service, endpoints, &affinity.endpoint)) as u32
}

/// A flow of `scratch.client` begins at this endpoint: the next ones follow.
#[inline(never)]
pub fn keep(scratch: &mut FlowScratch, service: &Service) {
    scratch.affinity = Affinity {
        endpoint: scratch.node_flow.endpoint(),
        used: clock::seconds(),
        generation: service.generation,
    };
    // Without room for it the client's next flow may go elsewhere.
    let _ = dry_run::remember(&AFFINITIES, &scratch.client, &scratch.affinity);
}

/// Is it still one of the service's endpoints on this node that take new flows?
#[inline(always)]
fn is_ready(service: u32, endpoints: u32, endpoint: &Endpoint) -> bool {
    let addr = endpoint.addr.words();
    for index in 0..MOST {
        if index >= endpoints {
            break;
        }
        match maps::endpoint(service, index) {
            Some(other) if other.port == endpoint.port && other.addr.words() == addr => return true,
            _ => {}
        }
    }
    false
}
