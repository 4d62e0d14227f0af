//! What the programs counted.

use aya::{Pod, maps::PerCpuArray};
use lb_common::{
    Verdict,
    maps::{Traffic, names},
};

use super::Machine;
use crate::services::IDS;

/// The counters at one moment, summed over CPUs.
pub struct Counts {
    verdicts: Vec<u64>,
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
        let verdicts = self.verdicts.iter().zip(&before.verdicts).map(|(now, then)| now - then);
        Added {
            verdicts: Verdict::all().zip(verdicts).filter(|(_, count)| *count > 0).collect(),
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
            verdicts: Verdict::all().map(|verdict| self.counted(verdict)).collect(),
            services: self.traffic(names::SERVICE_STATS),
            backends: self.traffic(names::BACKEND_STATS),
        }
    }

    /// How often a verdict was counted.
    pub fn counted(&self, verdict: Verdict) -> u64 {
        self.per_cpu::<u64>(names::VERDICTS).get(&(verdict as u32), 0).unwrap().iter().sum()
    }

    fn traffic(&self, name: &str) -> Vec<Traffic> {
        let map = self.per_cpu::<Traffic>(name);
        let sum = |id| {
            map.get(&id, 0).unwrap().iter().fold(Traffic::default(), |sum, cpu| Traffic {
                packets: sum.packets + cpu.packets,
                bytes: sum.bytes + cpu.bytes,
            })
        };
        (0..IDS).map(sum).collect()
    }

    fn per_cpu<V: Pod>(&self, name: &str) -> PerCpuArray<&aya::maps::MapData, V> {
        PerCpuArray::try_from(self.ebpf.map(name).unwrap()).unwrap()
    }
}
