//! What is pinned below `links/`, by name: `KIND@INTERFACE`. A link is detached when its
//! pin is removed; a filter has to be taken off its interface as well.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::programs::links::{FdLink, PinnedLink};

use super::{attachment::XdpMode, error::AttachError};
use crate::datapath::kernel::pinned::links_dir;

/// The record of a filter, see `filter`; all others are links.
const FILTER: &str = "egress-filter";
/// A link of XDP; the mode follows.
const XDP: &str = "xdp-";

pub fn xdp_link(pin_dir: &Path, interface: &str, mode: XdpMode) -> PathBuf {
    pin_path(pin_dir, &format!("{XDP}{mode}"), interface)
}

pub fn egress_link(pin_dir: &Path, interface: &str) -> PathBuf {
    pin_path(pin_dir, "egress", interface)
}

pub fn egress_filter(pin_dir: &Path, interface: &str) -> PathBuf {
    pin_path(pin_dir, FILTER, interface)
}

/// A BPF file system refuses names with dots, interfaces of VLANs have them.
fn pin_path(pin_dir: &Path, kind: &str, interface: &str) -> PathBuf {
    links_dir(pin_dir).join(format!("{kind}@{}", interface.replace('.', "%2e")))
}

/// A second descriptor of the pinned link. The pin stays where it is: if the agent is killed
/// in between, everything stays attached.
pub fn open_link(pin: &Path) -> Option<FdLink> {
    PinnedLink::from_pin(pin).ok().map(FdLink::from)
}

/// The interface, if it is the record of a filter.
pub fn filter_interface(pin: &Path) -> Option<String> {
    let (kind, interface) = pin.file_name()?.to_str()?.split_once('@')?;
    (kind == FILTER).then(|| interface.replace("%2e", "."))
}

/// The interface, if it is a link of XDP.
pub fn xdp_interface(pin: &Path) -> Option<String> {
    let (kind, interface) = pin.file_name()?.to_str()?.split_once('@')?;
    kind.starts_with(XDP).then(|| interface.replace("%2e", "."))
}

pub fn remove(pin: &Path) -> Result<(), AttachError> {
    match std::fs::remove_file(pin) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(AttachError::Pin { path: pin.into(), source: e })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::kernel::pinned::map_pin;

    #[test]
    fn what_a_pin_holds_is_told_by_its_name() {
        let dir = Path::new("/sys/fs/bpf/trigon");
        assert_eq!(filter_interface(&egress_filter(dir, "eth0.5")).as_deref(), Some("eth0.5"));
        assert_eq!(filter_interface(&egress_link(dir, "eth0")), None);
        assert_eq!(filter_interface(&xdp_link(dir, "eth0", XdpMode::Native)), None);
        assert_eq!(filter_interface(&map_pin(dir, "SERVICES")), None);
        assert_eq!(xdp_interface(&xdp_link(dir, "eth0.5", XdpMode::Native)).as_deref(), Some("eth0.5"));
        assert_eq!(xdp_interface(&egress_link(dir, "eth0")), None);
        assert_eq!(xdp_interface(&egress_filter(dir, "eth0")), None);
    }
}
