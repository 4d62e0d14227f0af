//! Maps that are to be larger than they were made, or of another layout, without a packet lost.
//!
//! ```text
//! maps-2/NAME          the map, as it is; or maps-1/NAME       old programs
//! maps-2/next/NAME     the new one, being filled               nobody
//! maps-2/switch/NAME   `next` renamed: links may use it now    new programs, one link after the other
//! maps-2/NAME          renamed: nothing names the old one      new programs
//! ```
//!
//! What the agent writes stands still meanwhile, and is copied once. Tables of flows go on: what the old
//! programs have begun since the first copy is copied when all links have the new ones. Until then
//! `trigon_egress` looks for a reply in the former table as well, since replies may leave at once; a
//! packet of such a flow that comes in meanwhile begins it again, by the same hash at the same endpoint.
//!
//! A start that finds `next` throws it away: no packet has seen it. One that finds `switch` goes on from
//! there. Each step can be done twice: a copy leaves what is there as it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lb_common::maps::names;

use super::{
    attach::AttachError,
    copy::copy_map,
    error::LoadError,
    load::{self, DatapathConfig, Growing, Purpose},
    map_specs::map_specs,
    pinned::{NEXT, SWITCH, list, map_capacity, map_pin, maps_dir},
    upgrade::{self, former_maps},
};

/// Goes on with the growth that an earlier start was killed in, and may have been for long.
pub fn finish(options: &DatapathConfig) -> Result<(), LoadError> {
    let dir = maps_dir(&options.pin_dir).join(SWITCH);
    if !dir.exists() {
        return remove_former(&options.pin_dir);
    }
    let names = map_specs(options).map(|spec| spec.name).into_iter();
    let names = names.filter(|name| dir.join(name).exists()).collect();
    let growing = Growing { from: old_maps(&options.pin_dir), dir, names };
    let programs = load::load_programs(options, &Purpose::Growth(growing.clone()))?;
    copy_flows(&growing)
        .and_then(|()| switch_links(options, programs, growing))
        .map_err(|source| LoadError::Growth(source.into()))
}

/// Makes the maps as large as they are asked to be, or those of a former layout anew. The programs that are
/// attached afterwards still know the former replies: others have to follow.
pub fn grow_maps(options: &DatapathConfig) -> Result<(), LoadError> {
    let (next, switch) = (maps_dir(&options.pin_dir).join(NEXT), maps_dir(&options.pin_dir).join(SWITCH));
    remove_copies(&next)?;
    let from = old_maps(&options.pin_dir);
    let names = if from != maps_dir(&options.pin_dir) {
        map_specs(options).iter().map(|spec| spec.name).collect()
    } else {
        too_small(options)?
    };
    if names.is_empty() {
        return Ok(());
    }
    tracing::info!(from = %from.display(), maps = names.join(","), "making maps anew");
    fs::create_dir(&next).map_err(|source| pin_error(&next, source))?;
    let growing = Growing { from, dir: next.clone(), names };
    let grown = fill(options, growing.clone());
    if grown.is_err() {
        // The error of the growth is returned, not of this: the next start removes them too.
        let _ = remove_copies(&next);
    }
    grown
        .and_then(|programs| {
            rename(&next, &switch)?;
            switch_links(options, programs, Growing { dir: switch, ..growing })
        })
        .map_err(|source| LoadError::Growth(source.into()))
}

/// Where the maps are that may give way: those of the former layout, until there are others.
fn old_maps(pin_dir: &Path) -> PathBuf {
    let is_new = map_pin(pin_dir, names::SERVICES).exists() && !maps_dir(pin_dir).join(SWITCH).exists();
    former_maps(pin_dir).filter(|_| !is_new).unwrap_or_else(|| maps_dir(pin_dir))
}

/// Nothing uses them any more.
fn remove_former(pin_dir: &Path) -> Result<(), LoadError> {
    let is_done = map_pin(pin_dir, names::SERVICES).exists();
    match former_maps(pin_dir).filter(|_| is_done) {
        Some(dir) => Ok(fs::remove_dir_all(&dir).map_err(|source| pin_error(&dir, source))?),
        None => Ok(()),
    }
}

/// Loads the programs, which makes the new maps, and fills these: the verifier's time is not between
/// the copy and the switch.
fn fill(options: &DatapathConfig, growing: Growing) -> Result<aya::Ebpf, LoadError> {
    let programs = load::load_programs(options, &Purpose::Growth(growing.clone()))?;
    growing.names.iter().try_for_each(|name| copy(&growing, name))?;
    Ok(programs)
}

fn switch_links(
    options: &DatapathConfig,
    mut programs: aya::Ebpf,
    growing: Growing,
) -> Result<(), LoadError> {
    load::attach_programs(&mut programs, options)?;
    copy_flows(&growing)?;
    // Tables of flows stand after what is looked up to convert them: a start that is killed here and finds
    // some of them still in `switch` finds that there too.
    for name in growing.names.iter().rev() {
        rename(&growing.dir.join(name), &map_pin(&options.pin_dir, name))?;
    }
    remove_copies(&growing.dir)?;
    remove_former(&options.pin_dir)
}

/// Those that the new maps do not have yet.
fn copy_flows(growing: &Growing) -> Result<(), LoadError> {
    let mut names = growing.names.iter().filter(|name| TABLES_OF_FLOWS.contains(name));
    names.try_for_each(|name| copy(growing, name))
}

fn copy(growing: &Growing, name: &str) -> Result<(), LoadError> {
    if growing.is_former() {
        upgrade::convert(name, &growing.from, &growing.dir)
    } else {
        copy_map(&growing.from.join(name), &growing.dir.join(name))
    }
}

/// Of the tables that programs write, those that have to be right.
const TABLES_OF_FLOWS: [&str; 5] =
    [names::NODE_REPLIES, names::NODE_FLOWS, names::BARE_FLOWS, names::AFFINITIES, names::FRAGMENTS];

/// The maps that have less room than they are to have.
fn too_small(options: &DatapathConfig) -> Result<Vec<&'static str>, LoadError> {
    let mut names = Vec::new();
    for spec in map_specs(options) {
        let pin = map_pin(&options.pin_dir, spec.name);
        if pin.exists() && map_capacity(&pin)? < spec.entries {
            names.push(spec.name);
        }
    }
    Ok(names)
}

fn remove_copies(dir: &Path) -> Result<(), AttachError> {
    if !dir.exists() {
        return Ok(());
    }
    list(dir).try_for_each(|pin| fs::remove_file(&pin).map_err(|source| pin_error(&pin, source)))?;
    fs::remove_dir(dir).map_err(|source| pin_error(dir, source))
}

fn rename(from: &Path, to: &Path) -> Result<(), AttachError> {
    fs::rename(from, to).map_err(|source| pin_error(from, source))
}

fn pin_error(path: &Path, source: io::Error) -> AttachError {
    AttachError::Pin { path: PathBuf::from(path), source }
}
