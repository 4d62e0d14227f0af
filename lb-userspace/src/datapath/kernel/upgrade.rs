//! From the layout of maps that the release before this one had.
//!
//! There, a flow had the address of its endpoint. Now it names a slot of `ENDPOINT_SLOTS`, which endpoints
//! get here: those of services first, and then those that only flows know, which drain.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use lb_common::maps::names;

use super::{
    copy::{Table, copy_map},
    error::LoadError,
    map_specs::Shape,
    pinned::{SWITCH, list, map_capacity},
};
use crate::{os::moment::Now, plan::mirror::EndpointSlots};

/// What [`names::MAPS_DIR`] was.
const FORMER_DIR: &str = "maps-1";

/// Bytes of an address, a port and two that were not used: what stood for an endpoint, and still does
/// in a slot.
const ENDPOINT: usize = 20;
/// Of all slots that are given here.
const EPOCH: u16 = 1;

/// The directory of the former layout, if there is anything in it. Not if its release has not ended a
/// growth: only that release can.
pub fn former_maps(pin_dir: &Path) -> Option<PathBuf> {
    let dir = pin_dir.join(FORMER_DIR);
    let is_whole = list(&dir).next().is_some() && !dir.join(SWITCH).exists();
    is_whole.then_some(dir)
}

/// What a map was there, if it is this now.
pub fn former_shape(name: &str, shape: Shape) -> Shape {
    match name {
        names::ENDPOINTS | names::NODE_FLOWS => shape.with_values(20),
        names::AFFINITIES => shape.with_values(28),
        _ => shape,
    }
}

/// How many entries a map of the former layout, in `dir`, has room for; of `ENDPOINT_SLOTS`, how many are
/// needed for its endpoints.
pub fn former_capacity(dir: &Path, name: &str) -> Result<u32, LoadError> {
    let capacity = |name| {
        let path = dir.join(name);
        if path.exists() { map_capacity(&path) } else { Ok(0) }
    };
    match name {
        names::ENDPOINT_SLOTS => Ok(EndpointSlots::needed_for(capacity(names::ENDPOINTS)?)),
        _ => capacity(name),
    }
}

/// Fills a map of the directory `to` from those of the former layout in `from`. It can be done again: what
/// is there stays. Maps in their order in `map_specs`.
pub fn convert(name: &str, from: &Path, to: &Path) -> Result<(), LoadError> {
    let (old, new) = (from.join(name), to.join(name));
    if !old.exists() {
        return Ok(());
    }
    let result = match name {
        names::ENDPOINTS => {
            convert_endpoints(&Table::open(&old)?, &Table::open(&new)?, &mut Slots::open(to)?)
        }
        names::NODE_FLOWS => convert_flows(&Table::open(&old)?, &Table::open(&new)?, &mut Slots::open(to)?),
        names::AFFINITIES => convert_affinities(&Table::open(&old)?, &Table::open(&new)?, &Slots::open(to)?),
        _ => return copy_map(&old, &new),
    };
    result.map_err(|source| LoadError::Copy { from: old, to: new, source })
}

/// `ENDPOINTS`: key (service, number) to an endpoint, to a slot.
fn convert_endpoints(old: &Table, new: &Table, slots: &mut Slots) -> io::Result<()> {
    old.for_each(|key, endpoint| {
        let slot = slots.take(part(key, 0)?, endpoint, 0)?;
        new.add(key, &slot.to_ne_bytes())
    })
}

/// `NODE_FLOWS`: (client, service, ..) to endpoint and the client's port there, which stands last; to slot,
/// epoch, that port, and when it was seen.
fn convert_flows(old: &Table, new: &Table, slots: &mut Slots) -> io::Result<()> {
    let now = u32::try_from(Now::read().monotonic.as_secs()).unwrap_or(u32::MAX).max(1);
    old.for_each(|key, flow| {
        let mut endpoint: [u8; ENDPOINT] = part(flow, 0)?;
        let client_port: [u8; 2] = part(flow, ENDPOINT - 2)?;
        endpoint[ENDPOINT - 2..].fill(0);
        let slot = slots.take(part(key, 16)?, &endpoint, now)?;
        let slot = slot.to_ne_bytes();
        new.add(key, &[&slot[..], &EPOCH.to_ne_bytes(), &client_port, &[0; 4]].concat())
    })
}

/// `AFFINITIES`: (client, service, ..) to endpoint, time and generation; to slot, epoch and time.
fn convert_affinities(old: &Table, new: &Table, slots: &Slots) -> io::Result<()> {
    old.for_each(|key, affinity| {
        let (endpoint, used): ([u8; ENDPOINT], [u8; 4]) = (part(affinity, 0)?, part(affinity, ENDPOINT)?);
        let Some(slot) = slots.known.get(&(part(key, 16)?, endpoint)) else { return Ok(()) };
        new.add(key, &[&slot.to_ne_bytes()[..], &EPOCH.to_ne_bytes(), &[0; 2], &used].concat())
    })
}

/// The slots of endpoints, by service.
struct Slots {
    table: Table,
    known: HashMap<([u8; 4], [u8; ENDPOINT]), u32>,
    next: u32,
}

impl Slots {
    fn open(dir: &Path) -> Result<Self, LoadError> {
        let path = dir.join(names::ENDPOINT_SLOTS);
        let table = Table::open(&path)?;
        let (mut known, mut next) = (HashMap::new(), 0);
        let read = table.for_each(|slot, entry| {
            let endpoint: [u8; ENDPOINT] = part(entry, 0)?;
            if endpoint != [0; ENDPOINT] {
                let slot = u32::from_ne_bytes(part(slot, 0)?);
                known.insert((part(entry, ENDPOINT)?, endpoint), slot);
                next = next.max(slot + 1);
            }
            Ok(())
        });
        read.map_err(|source| LoadError::Copy { from: path.clone(), to: path, source })?;
        Ok(Self { table, known, next })
    }

    /// The slot of an endpoint of a service; a new one takes no new flows since `drained`.
    fn take(&mut self, service: [u8; 4], endpoint: &[u8], drained: u32) -> io::Result<u32> {
        let endpoint: [u8; ENDPOINT] = part(endpoint, 0)?;
        if let Some(slot) = self.known.get(&(service, endpoint)) {
            return Ok(*slot);
        }
        let slot = self.next;
        let entry = [&endpoint[..], &service, &drained.to_ne_bytes(), &EPOCH.to_ne_bytes(), &[0; 2]];
        self.table.add(&slot.to_ne_bytes(), &entry.concat()).map_err(|error| match error.raw_os_error() {
            Some(libc::E2BIG) => {
                io::Error::other("no endpoint slot is free: start with a larger --max-endpoints")
            }
            _ => error,
        })?;
        self.known.insert((service, endpoint), slot);
        self.next += 1;
        Ok(slot)
    }
}

/// Some bytes of a key or a value, from `at` on.
fn part<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    let part = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    part.copied().ok_or_else(|| io::ErrorKind::InvalidData.into())
}
