//! Links: made once, pinned, and from then on pointed to newer programs.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use aya::programs::{
    LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode as AyaXdpMode,
    links::{FdLink, PinnedLink},
    tc::{SchedClassifierLink, TcAttachOptions},
    xdp::XdpLink,
};
use lb_common::roles;
use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index};
use serde::Serialize;
use thiserror::Error;

use super::links_dir;

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
    #[error("--interface {interface}: {program} cannot be attached: {reason}")]
    Refused { interface: String, program: &'static str, reason: String },
    #[error("{path}: {source}")]
    Pin { path: PathBuf, source: io::Error },
}

/// Do they exist? Asked of the kernel: /sys may show another network namespace.
pub fn check_interfaces(interfaces: &[String]) -> Result<(), AttachError> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(|e| {
        AttachError::Refused { interface: interfaces.join(","), program: "a socket", reason: e.to_string() }
    })?;
    let missing = interfaces.iter().find(|name| name_to_index(&socket, name).is_err());
    missing.map_or(Ok(()), |name| Err(AttachError::NoInterface(name.clone())))
}

fn xdp_pin(pin_dir: &Path, interface: &str, mode: XdpMode) -> PathBuf {
    links_dir(pin_dir).join(format!("xdp-{mode}@{}", without_dots(interface)))
}

fn egress_pin(pin_dir: &Path, interface: &str) -> PathBuf {
    links_dir(pin_dir).join(format!("egress@{}", without_dots(interface)))
}

/// A BPF file system refuses names with dots, interfaces of VLANs have them.
fn without_dots(interface: &str) -> String {
    interface.replace('.', "%2e")
}

/// Attach to `interface`, or point the link that is pinned to this program.
pub fn xdp(
    program: &mut Xdp,
    pin_dir: &Path,
    interface: &str,
    mode: XdpMode,
) -> Result<Attachment, AttachError> {
    let pin = xdp_pin(pin_dir, interface, mode);
    let adopted = pinned(&pin)
        .and_then(|link| XdpLink::try_from(link).ok())
        .is_some_and(|link| program.attach_to_link(link).is_ok());
    if !adopted {
        remove(&pin)?;
        let flags = match mode {
            XdpMode::Native => AyaXdpMode::Driver,
            XdpMode::Generic => AyaXdpMode::Skb,
        };
        let id = program.attach(interface, flags).map_err(|e| refused(interface, mode, &e))?;
        let link = program.take_link(id).map_err(|e| other(interface, "trigon_xdp", &e))?;
        let link = FdLink::try_from(link).map_err(|e| other(interface, "trigon_xdp", &e))?;
        link.pin(&pin).map_err(|e| other(interface, "trigon_xdp", &e))?;
    }
    Ok(Attachment { interface: interface.into(), mode, adopted })
}

/// The same for egress.
pub fn egress(program: &mut SchedClassifier, pin_dir: &Path, interface: &str) -> Result<(), AttachError> {
    let pin = egress_pin(pin_dir, interface);
    let adopted = pinned(&pin)
        .and_then(|link| SchedClassifierLink::try_from(link).ok())
        .is_some_and(|link| program.attach_to_link(link).is_ok());
    if adopted {
        return Ok(());
    }
    remove(&pin)?;
    let error = |e: &(dyn std::error::Error + 'static)| other(interface, "trigon_egress", e);
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program.attach_with_options(interface, TcAttachType::Egress, options).map_err(|e| error(&e))?;
    let link = program.take_link(id).map_err(|e| error(&e))?;
    let link = FdLink::try_from(link).map_err(|e| error(&e))?;
    link.pin(&pin).map_err(|e| error(&e))?;
    Ok(())
}

/// Detach from interfaces, and in modes, that are no longer asked for.
pub fn detach_others(
    pin_dir: &Path,
    interfaces: &[String],
    roles: u32,
    mode: XdpMode,
) -> Result<(), AttachError> {
    let is_node = roles & roles::NODE != 0;
    for pin in pins(&links_dir(pin_dir)) {
        let wanted = interfaces.iter().any(|interface| {
            pin == xdp_pin(pin_dir, interface, mode) || (is_node && pin == egress_pin(pin_dir, interface))
        });
        if !wanted {
            tracing::info!(pin = %pin.display(), "detaching what is not asked for any more");
            remove(&pin)?;
        }
    }
    Ok(())
}

/// Remove everything that is pinned: first links, so that traffic stops being
/// touched, then maps. True if there was anything.
pub fn unload(pin_dir: &Path) -> Result<bool, AttachError> {
    let found = pins(&links_dir(pin_dir)).chain(pins(&pin_dir.join("maps"))).collect::<Vec<_>>();
    for pin in &found {
        remove(pin)?;
    }
    for dir in [links_dir(pin_dir), pin_dir.join("maps"), pin_dir.to_path_buf()] {
        if dir.exists() {
            std::fs::remove_dir(&dir).map_err(|source| AttachError::Pin { path: dir, source })?;
        }
    }
    Ok(!found.is_empty())
}

fn pins(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A second descriptor of the pinned link: the pin stays where it is, so that
/// a death in between leaves everything attached.
fn pinned(pin: &Path) -> Option<FdLink> {
    PinnedLink::from_pin(pin).ok().map(FdLink::from)
}

fn remove(pin: &Path) -> Result<(), AttachError> {
    match std::fs::remove_file(pin) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(AttachError::Pin { path: pin.into(), source: e })
        }
        _ => Ok(()),
    }
}

fn refused(interface: &str, mode: XdpMode, error: &(dyn std::error::Error + 'static)) -> AttachError {
    let reason = innermost(error);
    let interface = interface.to_owned();
    match errno(error) {
        Some(libc::EBUSY | libc::EEXIST) => AttachError::Busy { interface },
        _ if mode == XdpMode::Native => AttachError::NoNativeXdp { interface, reason },
        _ => AttachError::Refused { interface, program: "trigon_xdp", reason },
    }
}

fn other(interface: &str, program: &'static str, error: &(dyn std::error::Error + 'static)) -> AttachError {
    AttachError::Refused { interface: interface.into(), program, reason: innermost(error) }
}

fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut chain = std::iter::successors(Some(error), |e| e.source());
    chain.find_map(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().unwrap_or(error).to_string()
}
