//! Where things are pinned, below the pin directory.

use std::path::{Path, PathBuf};

use aya::maps::MapData;

use super::error::LoadError;

pub fn map_pin(pin_dir: &Path, name: &str) -> PathBuf {
    pin_dir.join("maps").join(name)
}

pub fn links_dir(pin_dir: &Path) -> PathBuf {
    pin_dir.join("links")
}

/// A map, by its pin.
pub fn open_map(pin_dir: &Path, name: &str) -> Result<MapData, LoadError> {
    let path = map_pin(pin_dir, name);
    MapData::from_pin(&path).map_err(|source| LoadError::Pinned { path, source })
}
