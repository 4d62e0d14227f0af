//! Egress: a tcx link where the kernel has them, else a filter.

use std::path::Path;

use aya::{
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{SchedClassifierLink, TcAttachOptions},
    },
    util::KernelVersion,
};

use super::{error::AttachError, filter, pins};

/// The first kernel release with tcx. The version decides, not a first try: the error does
/// not tell a kernel without tcx from one that has another reason to refuse.
const FIRST_WITH_TCX: KernelVersion = KernelVersion::new(6, 6, 0);

/// Attach to `interface`, in the place of what an earlier agent attached.
pub fn attach(program: &mut SchedClassifier, pin_dir: &Path, interface: &str) -> Result<(), AttachError> {
    if KernelVersion::current().is_ok_and(|version| version >= FIRST_WITH_TCX) {
        attach_link(program, pin_dir, interface)
    } else {
        filter::attach(program, pin_dir, interface)
    }
}

fn attach_link(program: &mut SchedClassifier, pin_dir: &Path, interface: &str) -> Result<(), AttachError> {
    let pin = pins::egress_link(pin_dir, interface);
    let adopted = pins::open_link(&pin)
        .and_then(|link| SchedClassifierLink::try_from(link).ok())
        .is_some_and(|link| program.attach_to_link(link).is_ok());
    if adopted {
        return Ok(());
    }
    pins::remove(&pin)?;
    let error = |e: &(dyn std::error::Error + 'static)| AttachError::refused(interface, "trigon_egress", e);
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program.attach_with_options(interface, TcAttachType::Egress, options).map_err(|e| error(&e))?;
    let link = program.take_link(id).map_err(|e| error(&e))?;
    let link = FdLink::try_from(link).map_err(|e| error(&e))?;
    link.pin(&pin).map_err(|e| error(&e))?;
    Ok(())
}
