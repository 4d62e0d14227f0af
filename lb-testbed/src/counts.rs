//! What loaded programs have counted, summed over CPUs.

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{MapData, PerCpuArray},
};
use lb_common::{
    Verdict,
    maps::{SEARCHES_LEN, Traffic, names},
};

/// Packets by verdict, at the index that is its number.
pub fn read_verdicts(ebpf: &Ebpf) -> Result<[u64; Verdict::LIMIT as usize]> {
    let map = per_cpu_array::<u64>(ebpf, names::VERDICTS)?;
    let mut sums = [0; Verdict::LIMIT as usize];
    for (index, sum) in (0..).zip(&mut sums) {
        *sum = map.get(&index, 0)?.iter().sum();
    }
    Ok(sums)
}

/// `SERVICE_STATS` or `BACKEND_STATS`: what went to the first `count` ids.
pub fn read_traffic(ebpf: &Ebpf, name: &str, count: u32) -> Result<Vec<Traffic>> {
    let map = per_cpu_array::<Traffic>(ebpf, name)?;
    let add = |sum: Traffic, cpu: &Traffic| Traffic {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
    };
    (0..count).map(|id| Ok(map.get(&id, 0)?.iter().fold(Traffic::default(), add))).collect()
}

/// `SEARCHES`: how searches for flows ended.
pub fn read_searches(ebpf: &Ebpf) -> Result<[u64; SEARCHES_LEN as usize]> {
    let map = per_cpu_array::<u64>(ebpf, names::SEARCHES)?;
    let mut sums = [0; SEARCHES_LEN as usize];
    for (index, sum) in (0..).zip(&mut sums) {
        *sum = map.get(&index, 0)?.iter().sum();
    }
    Ok(sums)
}

fn per_cpu_array<'a, V: Pod>(ebpf: &'a Ebpf, name: &str) -> Result<PerCpuArray<&'a MapData, V>> {
    let map = ebpf.map(name).with_context(|| format!("the object has no map {name}"))?;
    PerCpuArray::try_from(map).with_context(|| format!("map {name}"))
}
