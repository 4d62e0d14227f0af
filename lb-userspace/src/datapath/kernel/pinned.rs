//! Where things are pinned, below the pin directory.

use std::path::{Path, PathBuf};

use aya::maps::{MapData, MapInfo};
use lb_common::maps::names;

use super::error::LoadError;

/// Below the directory of maps, while some are made anew: those that no program has yet, and those that
/// programs are given.
pub const NEXT: &str = "next";
pub const SWITCH: &str = "switch";

/// The names of directories of maps begin with it, whatever their layout.
const MAPS_PREFIX: &str = "maps";

pub fn map_pin(pin_dir: &Path, name: &str) -> PathBuf {
    maps_dir(pin_dir).join(name)
}

pub fn maps_dir(pin_dir: &Path) -> PathBuf {
    pin_dir.join(names::MAPS_DIR)
}

/// Those that there are, of any layout.
pub fn all_maps_dirs(pin_dir: &Path) -> impl Iterator<Item = PathBuf> {
    list(pin_dir).filter(|path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(MAPS_PREFIX.as_bytes()))
    })
}

pub fn links_dir(pin_dir: &Path) -> PathBuf {
    pin_dir.join("links")
}

/// All that is in a directory; nothing if there is none.
pub fn list(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A map, by its pin.
pub fn open_map(pin_dir: &Path, name: &str) -> Result<MapData, LoadError> {
    let path = map_pin(pin_dir, name);
    MapData::from_pin(&path).map_err(|source| LoadError::Pinned { path, source })
}

pub fn map_info(path: &Path) -> Result<MapInfo, LoadError> {
    MapInfo::from_pin(path).map_err(|source| LoadError::Pinned { path: path.into(), source })
}

/// How many entries a pinned map has room for.
pub fn map_capacity(path: &Path) -> Result<u32, LoadError> {
    Ok(map_info(path)?.max_entries())
}
