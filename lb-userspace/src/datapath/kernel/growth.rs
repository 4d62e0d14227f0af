//! Maps that are to be larger than they were made, without a packet lost.
//!
//! ```text
//! maps-1/NAME          the map, as it is                       old programs
//! maps-1/next/NAME     the larger one, being filled            nobody
//! maps-1/switch/NAME   `next` renamed: links may use it now    new programs, one link after the other
//! maps-1/NAME          renamed: nothing names the old one      new programs
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
};

/// Goes on with the growth that an earlier start was killed in, and may have been for long.
pub fn finish(options: &DatapathConfig) -> Result<(), LoadError> {
    let dir = maps_dir(&options.pin_dir).join(SWITCH);
    if !dir.exists() {
        return Ok(());
    }
    let names = map_specs(options).map(|spec| spec.name).into_iter();
    let growing = Growing { names: names.filter(|name| dir.join(name).exists()).collect(), dir };
    let programs = load::load_programs(options, &Purpose::Growth(growing.clone()))?;
    copy_flows(options, &growing)
        .and_then(|()| switch_links(options, programs, growing))
        .map_err(|source| LoadError::Growth(source.into()))
}

/// Makes the maps as large as they are asked to be. The programs that are attached afterwards still know
/// the former replies: others have to follow.
pub fn grow_maps(options: &DatapathConfig) -> Result<(), LoadError> {
    let (next, switch) = (maps_dir(&options.pin_dir).join(NEXT), maps_dir(&options.pin_dir).join(SWITCH));
    remove_copies(&next)?;
    let names = too_small(options)?;
    if names.is_empty() {
        return Ok(());
    }
    tracing::info!(maps = names.join(","), "making larger maps");
    fs::create_dir(&next).map_err(|source| pin_error(&next, source))?;
    let grown = fill(options, Growing { dir: next.clone(), names: names.clone() });
    if grown.is_err() {
        // The error of the growth is returned, not of this: the next start removes them too.
        let _ = remove_copies(&next);
    }
    grown
        .and_then(|programs| {
            rename(&next, &switch)?;
            switch_links(options, programs, Growing { dir: switch, names })
        })
        .map_err(|source| LoadError::Growth(source.into()))
}

/// Loads the programs, which makes the larger maps, and fills these: the verifier's time is not between
/// the copy and the switch.
fn fill(options: &DatapathConfig, growing: Growing) -> Result<aya::Ebpf, LoadError> {
    let programs = load::load_programs(options, &Purpose::Growth(growing.clone()))?;
    for name in &growing.names {
        copy_map(&map_pin(&options.pin_dir, name), &growing.dir.join(name))?;
    }
    Ok(programs)
}

fn switch_links(
    options: &DatapathConfig,
    mut programs: aya::Ebpf,
    growing: Growing,
) -> Result<(), LoadError> {
    load::attach_programs(&mut programs, options)?;
    copy_flows(options, &growing)?;
    for name in &growing.names {
        rename(&growing.dir.join(name), &map_pin(&options.pin_dir, name))?;
    }
    Ok(remove_copies(&growing.dir)?)
}

/// Those that the larger maps do not have yet.
fn copy_flows(options: &DatapathConfig, growing: &Growing) -> Result<(), LoadError> {
    let mut names = growing.names.iter().filter(|name| TABLES_OF_FLOWS.contains(name));
    names.try_for_each(|name| copy_map(&map_pin(&options.pin_dir, name), &growing.dir.join(name)))
}

/// Of the tables that programs write, those that have to be right.
const TABLES_OF_FLOWS: [&str; 5] =
    [names::NODE_REPLIES, names::NODE_FLOWS, names::BARE_FLOWS, names::AFFINITIES, names::FRAGMENTS];

/// The maps that have less room than they are to have.
fn too_small(options: &DatapathConfig) -> Result<Vec<&'static str>, LoadError> {
    let mut names = Vec::new();
    for spec in map_specs(options) {
        let is_there = map_pin(&options.pin_dir, spec.name).exists();
        if is_there && map_capacity(&options.pin_dir, spec.name)? < spec.entries {
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
