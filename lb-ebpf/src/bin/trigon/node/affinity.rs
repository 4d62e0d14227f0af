//! Clients that stay with their endpoint: `sessionAffinity: ClientIP`.

use lb_common::maps::{Affinity, FlowKey, Service};

use crate::{
    clock, dry_run,
    maps::{self, AFFINITIES},
    scratch::{self, FlowScratch},
};

/// Is there an endpoint here with which the client of `scratch.flow` is to
/// stay? It is in `scratch.affinity` then; in any case `scratch.client` is set.
#[inline(always)]
pub fn recall(service: &Service) -> bool {
    trigon_recall_client(service.affinity) != 0
}

/// A global function: see [`super::owners`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_recall_client(timeout: u32) -> u32 {
    let Some(scratch) = scratch::flow() else { return 0 };
    scratch.client = FlowKey { client_port: 0, ..scratch.flow };
    let Some(affinity) = maps::affinity(&scratch.client) else { return 0 };
    if clock::seconds().wrapping_sub(affinity.used) > timeout {
        return 0;
    }
    scratch.affinity = *affinity;
    let held = maps::held_slot(affinity.slot, affinity.epoch, scratch.client.service);
    held.is_some_and(|slot| slot.drained == 0) as u32
}

/// A flow of `scratch.client` begins at this endpoint: the next ones follow.
#[inline(never)]
pub fn keep(scratch: &mut FlowScratch) {
    let flow = &scratch.node_flow;
    scratch.affinity = Affinity { slot: flow.slot(), epoch: flow.epoch, pad: 0, used: clock::seconds() };
    // Without room for it the client's next flow may go elsewhere.
    let _ = dry_run::remember(&AFFINITIES, &scratch.client, &scratch.affinity);
}
