//! Links: made once, pinned, and from then on pointed to newer programs.

mod detach;
mod egress;
mod filter;
mod pins;
mod xdp;

use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index};
use serde::Serialize;
use thiserror::Error;

use super::links_dir;
pub use egress::attach as egress;
pub use xdp::attach as xdp;

/// Where in the stack the XDP program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver.
    #[default]
    Native,
    /// After the kernel made a socket buffer: any interface, but slow.
    Generic,
}

impl FromStr for XdpMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "native" => Ok(Self::Native),
            "generic" => Ok(Self::Generic),
            _ => Err(format!("{text} is neither native nor generic")),
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// A program on an interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Attachment {
    pub interface: String,
    pub mode: XdpMode,
    /// Was there a link, which now has a new program?
    pub adopted: bool,
}

#[derive(Debug, Error)]
pub enum AttachError {
    #[error("--interface {0}: no such interface here; `ip link` lists those there are")]
    NoInterface(String),
    #[error(
        "--interface {interface}: its driver refuses native XDP ({reason}); use --xdp-mode generic, \
         which is slower, or another interface"
    )]
    NoNativeXdp { interface: String, reason: String },
    #[error(
        "--interface {interface}: another XDP program is attached; remove it \
         (`ip link set dev {interface} xdp off`), or the agent that owns it (`trigon unload`)"
    )]
    Busy { interface: String },
    #[error(
        "--interface {interface}: trigon_egress cannot be attached as a filter ({reason}); the kernel \
         needs the modules sch_ingress and cls_bpf for it (`modprobe -a sch_ingress cls_bpf`), and the \
         interface no other filter of priority 1 than those of BPF (`tc filter show dev {interface} egress`)"
    )]
    NoFilter { interface: String, reason: String },
    #[error("--interface {interface}: {program} cannot be attached: {reason}")]
    Refused { interface: String, program: &'static str, reason: String },
    #[error(
        "{interface}: the filter trigon_egress cannot be detached: {reason}; \
         `tc filter del dev {interface} egress pref 1 handle 0x74726967 bpf` does it"
    )]
    Stuck { interface: String, reason: String },
    #[error("{path}: {source}")]
    Pin { path: PathBuf, source: io::Error },
}

impl AttachError {
    fn refused(interface: &str, program: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Refused { interface: interface.into(), program, reason: innermost(error) }
    }
}

/// The indices of interfaces, of those that exist.
pub fn indices(interfaces: &[String]) -> BTreeSet<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
    let index = |name: &String| name_to_index(socket.as_ref().ok()?, name).ok();
    interfaces.iter().filter_map(index).collect()
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
    for pin in pins::all(&links_dir(pin_dir)) {
        let wanted = interfaces.iter().any(|interface| {
            let egress = [pins::egress_link(pin_dir, interface), pins::egress_filter(pin_dir, interface)];
            pin == pins::xdp(pin_dir, interface, mode) || egress.contains(&pin)
        });
        if !wanted {
            tracing::info!(pin = %pin.display(), "detaching what is not asked for any more");
            pins::detach(&pin)?;
        }
    }
    Ok(())
}

/// Remove everything that is pinned: first links, so that traffic stops being
/// touched, then maps. True if there was anything.
pub fn unload(pin_dir: &Path) -> Result<bool, AttachError> {
    let (links_dir, maps_dir) = (links_dir(pin_dir), pin_dir.join("maps"));
    let links = pins::all(&links_dir).collect::<Vec<_>>();
    let maps = pins::all(&maps_dir).collect::<Vec<_>>();
    links.iter().try_for_each(|pin| pins::detach(pin))?;
    maps.iter().try_for_each(|pin| pins::remove(pin))?;
    for dir in [&links_dir, &maps_dir, pin_dir] {
        if dir.exists() {
            std::fs::remove_dir(dir).map_err(|source| AttachError::Pin { path: dir.into(), source })?;
        }
    }
    Ok(!links.is_empty() || !maps.is_empty())
}

fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut chain = std::iter::successors(Some(error), |e| e.source());
    chain.find_map(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().unwrap_or(error).to_string()
}
