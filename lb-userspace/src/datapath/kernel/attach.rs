//! Links: made once and pinned; a newer agent replaces their programs.

mod attachment;
mod detach;
mod egress;
mod error;
mod filter;
mod pins;
mod xdp;

use std::{collections::BTreeMap, path::Path};

use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index};

use super::pinned::{NEXT, SWITCH, all_maps_dirs, links_dir, list};
pub use attachment::{Attachment, XdpMode};
pub use egress::attach as egress;
pub use error::{AttachError, errno_of};
pub use xdp::attach as xdp;

/// The interfaces that exist, by index.
pub fn interfaces_by_index(interfaces: &[String]) -> BTreeMap<u32, String> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
    let index = |name: &String| Some((name_to_index(socket.as_ref().ok()?, name).ok()?, name.clone()));
    interfaces.iter().filter_map(index).collect()
}

/// The interfaces that have been attached to, and still exist.
pub fn attached_interfaces(pin_dir: &Path) -> Vec<String> {
    let names: Vec<_> = list(&links_dir(pin_dir)).filter_map(|pin| pins::xdp_interface(&pin)).collect();
    interfaces_by_index(&names).into_values().collect()
}

/// Do they exist? Asked of the kernel: /sys may show another network namespace.
pub fn check_interfaces(interfaces: &[String]) -> Result<(), AttachError> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(|e| {
        AttachError::Refused { interface: interfaces.join(","), program: "a socket", reason: e.to_string() }
    })?;
    let missing = interfaces.iter().find(|name| name_to_index(&socket, name).is_err());
    missing.map_or(Ok(()), |name| Err(AttachError::NoInterface(name.clone())))
}

/// Detach from interfaces, and in modes, that are no longer asked for.
pub fn detach_others(pin_dir: &Path, interfaces: &[String], mode: XdpMode) -> Result<(), AttachError> {
    for pin in list(&links_dir(pin_dir)) {
        let wanted = interfaces.iter().any(|interface| {
            let egress = [pins::egress_link(pin_dir, interface), pins::egress_filter(pin_dir, interface)];
            pin == pins::xdp_link(pin_dir, interface, mode) || egress.contains(&pin)
        });
        if !wanted {
            tracing::info!(pin = %pin.display(), "detaching what is not asked for any more");
            detach_pin(&pin)?;
        }
    }
    Ok(())
}

/// Remove everything that is pinned: first links, so that traffic stops being
/// touched, then maps, of any layout. True if there was anything.
pub fn unload(pin_dir: &Path) -> Result<bool, AttachError> {
    let (links_dir, maps_dirs) = (links_dir(pin_dir), all_maps_dirs(pin_dir).collect::<Vec<_>>());
    let links = list(&links_dir).collect::<Vec<_>>();
    let has_maps = maps_dirs.iter().any(|dir| list(dir).next().is_some());
    links.iter().try_for_each(|pin| detach_pin(pin))?;
    // Copies first, that a growth has left: a start would go on with it.
    let copies = maps_dirs.iter().flat_map(|dir| [dir.join(SWITCH), dir.join(NEXT)]);
    let dirs = copies.chain(maps_dirs.iter().cloned()).chain([links_dir]);
    for dir in &dirs.filter(|dir| dir.exists()).collect::<Vec<_>>() {
        std::fs::remove_dir_all(dir).map_err(|source| AttachError::Pin { path: dir.into(), source })?;
    }
    std::fs::remove_dir(pin_dir).map_err(|source| AttachError::Pin { path: pin_dir.into(), source })?;
    Ok(!links.is_empty() || has_maps)
}

/// Detach what the pin holds or records, and remove it.
fn detach_pin(pin: &Path) -> Result<(), AttachError> {
    match pins::filter_interface(pin) {
        Some(interface) => filter::detach(&interface)?,
        // Should it fail, the kernel does it a moment after the pin is gone.
        None => drop(detach::detach_link(pin)),
    }
    pins::remove(pin)
}
