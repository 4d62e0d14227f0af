//! What an earlier agent has pinned: is it what this release needs, and what of it has to give way?

use std::path::{Path, PathBuf};

use lb_common::maps::{Service, ServiceKey, names};

use super::{
    attach::AttachError,
    error::LoadError,
    hash_map::PinnedHashMap,
    load::DatapathConfig,
    map_specs::{MapSpec, Shape, map_specs},
    pinned::{map_capacity, map_info, map_pin},
    upgrade::{former_maps, former_shape},
};

/// To be called before anything is changed.
pub fn check_shapes(options: &DatapathConfig) -> Result<(), LoadError> {
    let former = former_maps(&options.pin_dir);
    map_specs(options).iter().try_for_each(|MapSpec { name, shape, .. }| {
        check_shape(map_pin(&options.pin_dir, name), *shape)?;
        former.iter().try_for_each(|dir| check_shape(dir.join(name), former_shape(name, *shape)))
    })
}

/// Makes room for the maps of a role that is new.
pub fn unpin_placeholders(options: &DatapathConfig) -> Result<(), LoadError> {
    let specs = map_specs(options);
    let mut specs = specs.iter().filter(|spec| OF_ONE_ROLE.contains(&spec.name));
    specs.try_for_each(|spec| unpin_placeholder(&options.pin_dir, spec))
}

fn check_shape(path: PathBuf, wanted: Shape) -> Result<(), LoadError> {
    if !path.exists() {
        return Ok(());
    }
    let found = Shape::read(&map_info(&path)?);
    if found == wanted { Ok(()) } else { Err(LoadError::OtherShape { path, found, wanted }) }
}

/// The maps that only one of the roles has a use for.
const OF_ONE_ROLE: [&str; 7] = [
    names::RINGS,
    names::HISTORY,
    names::ENDPOINTS,
    names::ENDPOINT_SLOTS,
    names::NODE_FLOWS,
    names::NODE_REPLIES,
    names::AFFINITIES,
];

/// A map that the roles of an earlier agent had no use for has one entry. If it is to have
/// more now, its pin is removed, and a new map is made.
fn unpin_placeholder(pin_dir: &Path, spec: &MapSpec) -> Result<(), LoadError> {
    let path = map_pin(pin_dir, spec.name);
    let is_there = path.exists();
    let is_placeholder = is_there && spec.entries > 1 && map_capacity(&path)? == 1;
    if !is_there || is_placeholder {
        // Before the pin goes: an agent that is killed in between does it again.
        forget_slots(pin_dir, spec.name)?;
    }
    if is_placeholder {
        std::fs::remove_file(&path).map_err(|source| AttachError::Pin { path, source })?;
    }
    Ok(())
}

/// Services that name slots of a slab which is about to be made are to have none: they would be empty,
/// and later those of others. The programs that still run don't look into a slab that is not there.
fn forget_slots(pin_dir: &Path, slab: &str) -> Result<(), LoadError> {
    let offset: fn(&mut Service) -> &mut u32 = match slab {
        names::RINGS => |service| &mut service.ring_offset,
        names::HISTORY => |service| &mut service.history_offset,
        _ => return Ok(()),
    };
    if !map_pin(pin_dir, names::SERVICES).exists() {
        return Ok(());
    }
    let mut services = PinnedHashMap::<ServiceKey, Service>::open(pin_dir, names::SERVICES)?;
    for (key, mut service) in services.read_all::<Vec<_>>()? {
        if std::mem::take(offset(&mut service)) > 0 {
            services.set(&key, &service)?;
        }
    }
    Ok(())
}
