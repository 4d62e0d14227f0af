//! Ingress.

use std::path::Path;

use aya::programs::{Xdp, XdpMode as AyaXdpMode, links::FdLink, xdp::XdpLink};

use super::{
    attachment::{Attachment, XdpMode},
    error::{AttachError, errno_of, innermost_message},
    pins,
};

const NAME: &str = "trigon_xdp";

/// Attach to `interface`; if a link is pinned, have it run this program.
pub fn attach(
    program: &mut Xdp,
    pin_dir: &Path,
    interface: &str,
    mode: XdpMode,
) -> Result<Attachment, AttachError> {
    let pin = pins::xdp_link(pin_dir, interface, mode);
    let adopted = pins::open_link(&pin)
        .and_then(|link| XdpLink::try_from(link).ok())
        .is_some_and(|link| program.attach_to_link(link).is_ok());
    if !adopted {
        pins::remove(&pin)?;
        let error = |e: &(dyn std::error::Error + 'static)| AttachError::refused(interface, NAME, e);
        let flags = match mode {
            XdpMode::Native => AyaXdpMode::Driver,
            XdpMode::Generic => AyaXdpMode::Skb,
        };
        let id = program.attach(interface, flags).map_err(|e| attach_error(interface, mode, &e))?;
        let link = program.take_link(id).map_err(|e| error(&e))?;
        let link = FdLink::try_from(link).map_err(|e| error(&e))?;
        link.pin(&pin).map_err(|e| error(&e))?;
    }
    Ok(Attachment { interface: interface.into(), mode, adopted })
}

fn attach_error(interface: &str, mode: XdpMode, error: &(dyn std::error::Error + 'static)) -> AttachError {
    match errno_of(error) {
        Some(libc::EBUSY | libc::EEXIST) => AttachError::Busy { interface: interface.into() },
        _ if mode == XdpMode::Native => {
            AttachError::NoNativeXdp { interface: interface.into(), reason: innermost_message(error) }
        }
        _ => AttachError::refused(interface, NAME, error),
    }
}
