//! What the programs counted.

use lb_common::{
    Verdict,
    maps::{SEARCHES_LEN, Traffic, names},
};
use lb_testbed::counts::{read_searches, read_traffic, read_verdicts};

use super::Machine;
use crate::services::IDS;

/// The counters at one moment, summed over CPUs.
pub struct Counts {
    verdicts: [u64; Verdict::LIMIT as usize],
    services: Vec<Traffic>,
    backends: Vec<Traffic>,
}

/// What was added between two moments; zeros left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Added {
    pub verdicts: Vec<(Verdict, u64)>,
    pub services: Vec<(u32, Traffic)>,
    pub backends: Vec<(u32, Traffic)>,
}

impl Counts {
    pub fn since(&self, before: &Self) -> Added {
        let more = |verdict: Verdict| self.verdicts[verdict as usize] - before.verdicts[verdict as usize];
        let verdicts = Verdict::all().map(|verdict| (verdict, more(verdict)));
        Added {
            verdicts: verdicts.filter(|(_, count)| *count > 0).collect(),
            services: traffic_since(&self.services, &before.services),
            backends: traffic_since(&self.backends, &before.backends),
        }
    }
}

fn traffic_since(now: &[Traffic], before: &[Traffic]) -> Vec<(u32, Traffic)> {
    let added = now
        .iter()
        .zip(before)
        .map(|(now, then)| Traffic { packets: now.packets - then.packets, bytes: now.bytes - then.bytes });
    (0..).zip(added).filter(|(_, traffic)| *traffic != Traffic::default()).collect()
}

impl Machine {
    pub fn counts(&self) -> Counts {
        Counts {
            verdicts: read_verdicts(&self.ebpf).unwrap(),
            services: read_traffic(&self.ebpf, names::SERVICE_STATS, IDS).unwrap(),
            backends: read_traffic(&self.ebpf, names::BACKEND_STATS, IDS).unwrap(),
        }
    }

    /// How searches for flows ended.
    pub fn searches(&self) -> [u64; SEARCHES_LEN as usize] {
        read_searches(&self.ebpf).unwrap()
    }

    /// How often a verdict was counted.
    pub fn verdict_count(&self, verdict: Verdict) -> u64 {
        read_verdicts(&self.ebpf).unwrap()[verdict as usize]
    }
}
