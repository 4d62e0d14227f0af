//! Egress on kernels before 6.6, which have no tcx links: a filter of the
//! `clsact` queueing discipline.
//!
//! A filter belongs to the interface and to no process, so it outlives the agent. But it
//! cannot be pinned. Its program is pinned instead, as a record that there is a filter
//! to detach later.

use std::{io, mem, path::Path};

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    tc::{
        NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle,
        qdisc_add_clsact, qdisc_detach_program,
    },
};

use super::{
    error::{AttachError, errno_of, innermost_message},
    pins,
};

/// Name of the filter and of its program, as in `tc filter show dev IF egress`.
const NAME: &str = "trigon_egress";
/// The first; filters of others may have the same.
const PRIORITY: u16 = 1;
/// "trig" in ASCII. Always the same, so that a new program replaces an older one of ours, and
/// no filter of others.
const HANDLE: TcHandle = TcHandle::new(0x7472, 0x6967);

/// Attach to `interface`, or have the filter that is there run this program.
pub fn attach(program: &mut SchedClassifier, pin_dir: &Path, interface: &str) -> Result<(), AttachError> {
    let pin = pins::egress_filter(pin_dir, interface);
    pin_record(program, &pin)?;
    let id = replace_program(program, interface)
        .or_else(|_| create_filter(program, interface))
        .map_err(|e| filter_error(interface, &e))?;
    let link = program.take_link(id).map_err(|e| filter_error(interface, &e))?;
    // Dropping the link would detach the filter.
    mem::forget(link);
    Ok(())
}

/// To be called before the filter is attached: a record without a filter does no harm.
fn pin_record(program: &mut SchedClassifier, pin: &Path) -> Result<(), AttachError> {
    // Pinned under another name, then renamed: at no time is there a filter without a record.
    let new = pin.with_file_name("new");
    pins::remove(&new)?;
    let error = |source| AttachError::Pin { path: pin.into(), source };
    program.pin(&new).map_err(|e| error(io::Error::other(e)))?;
    std::fs::rename(&new, pin).map_err(error)
}

/// In one step, so that no packet passes the interface without a program.
fn replace_program(
    program: &mut SchedClassifier,
    interface: &str,
) -> Result<SchedClassifierLinkId, ProgramError> {
    let there = SchedClassifierLink::attached(interface, TcAttachType::Egress, PRIORITY, HANDLE, None);
    program.attach_to_link(there.map_err(TcError::from)?)
}

fn create_filter(
    program: &mut SchedClassifier,
    interface: &str,
) -> Result<SchedClassifierLinkId, ProgramError> {
    match qdisc_add_clsact(interface) {
        Err(e) if errno_of(&e) != Some(libc::EEXIST) => return Err(e.into()),
        _ => {}
    }
    let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
    program.attach_with_options(interface, TcAttachType::Egress, TcAttachOptions::Netlink(options))
}

/// Take the filter off `interface`. It is no error if either is gone. The
/// queueing discipline stays: others may use it by now.
pub fn detach(interface: &str) -> Result<(), AttachError> {
    match qdisc_detach_program(interface, TcAttachType::Egress, NAME) {
        Err(TcError::IoError(e)) if is_gone(&e) => Ok(()),
        result => result
            .map_err(|e| AttachError::Stuck { interface: interface.into(), reason: innermost_message(&e) }),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn filter_error(interface: &str, error: &(dyn std::error::Error + 'static)) -> AttachError {
    AttachError::NoFilter { interface: interface.into(), reason: innermost_message(error) }
}
