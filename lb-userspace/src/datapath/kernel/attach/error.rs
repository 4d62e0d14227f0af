//! Errors of attaching and detaching.

use std::{io, path::PathBuf};

use thiserror::Error;

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
    pub fn refused(
        interface: &str,
        program: &'static str,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        Self::Refused { interface: interface.into(), program, reason: innermost_message(error) }
    }
}

pub fn errno_of(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut chain = std::iter::successors(Some(error), |e| e.source());
    chain.find_map(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error)
}

pub fn innermost_message(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().unwrap_or(error).to_string()
}
