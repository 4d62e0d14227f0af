//! Logging of dropped packets, as the programs report them (`--log-drops`).

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use aya::maps::{Map, MapData, RingBuf};
use lb_common::{
    Verdict,
    maps::{Dropped, names},
};
use tokio::io::unix::AsyncFd;
use tracing::info;

use super::{
    error::LoadError,
    pinned::{map_pin, open_map},
};

/// Logs each packet that comes through the ring `DROPPED`, until the future is dropped.
pub async fn log(pin_dir: &Path) -> anyhow::Result<()> {
    let ring = open_ring(pin_dir)?;
    // SAFETY: the ring owns its descriptor and never exchanges it.
    let mut ring = unsafe { AsyncFd::register(ring) }.map_err(std::io::Error::from)?;
    loop {
        let mut guard = ring.readable_mut().await?;
        while let Some(item) = guard.get_inner_mut().next() {
            if let Some(dropped) = decode(&item) {
                log_packet(&dropped);
            }
        }
        guard.clear_ready();
    }
}

fn open_ring(pin_dir: &Path) -> Result<RingBuf<MapData>, LoadError> {
    RingBuf::try_from(Map::RingBuf(open_map(pin_dir, names::DROPPED)?))
        .map_err(|source| LoadError::Pinned { path: map_pin(pin_dir, names::DROPPED), source })
}

fn decode(bytes: &[u8]) -> Option<Dropped> {
    let bytes = bytes.get(..size_of::<Dropped>())?;
    // SAFETY: as long as a `Dropped`, for which every bit pattern is valid.
    Some(unsafe { bytes.as_ptr().cast::<Dropped>().read_unaligned() })
}

fn log_packet(dropped: &Dropped) {
    let verdict = Verdict::from_number(dropped.verdict.into());
    let place = |addr, port| SocketAddr::new(IpAddr::from(addr), u16::from_be(port));
    info!(
        reason = verdict.map(Verdict::label),
        from = %place(dropped.client, dropped.client_port),
        to = %place(dropped.to.addr, dropped.to.port),
        protocol = dropped.to.protocol,
        "dropped: {}",
        verdict.map_or("by another release", Verdict::sentence),
    );
}
