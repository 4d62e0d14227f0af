//! Counting. Per CPU, so a plain addition is enough.

use lb_common::{Verdict, maps::Traffic};

use crate::{
    dry_run::{self, dry_run},
    maps::{BACKEND_STATS, SEARCHES, SERVICE_STATS, VERDICTS, own},
};

/// One more packet with this verdict.
#[inline(always)]
pub fn count(verdict: Verdict) {
    if dry_run::tell(|story| story.verdict = verdict as u32) {
        return;
    }
    if let Some(counter) = own(&VERDICTS, verdict as u32) {
        *counter += 1;
    }
}

/// A packet of `bytes` for a service, by its id.
#[inline(always)]
pub fn service(id: u32, bytes: u32) {
    if !dry_run::tell(|story| story.service = id) {
        add(own(&SERVICE_STATS, id), bytes);
    }
}

/// A packet of `bytes` for a backend, by its id.
#[inline(always)]
pub fn backend(id: u32, bytes: u32) {
    if !dry_run() {
        add(own(&BACKEND_STATS, id), bytes);
    }
}

/// A search for a flow that ended here: found by as many hops, or nowhere (0).
#[inline(always)]
pub fn search(hops: u32) {
    if !dry_run()
        && let Some(counter) = own(&SEARCHES, hops)
    {
        *counter += 1;
    }
}

#[inline(always)]
fn add(traffic: Option<&mut Traffic>, bytes: u32) {
    if let Some(traffic) = traffic {
        traffic.packets += 1;
        traffic.bytes += bytes as u64;
    }
}
