//! Virtual machines: real kernels, of Debian's releases, in QEMU without KVM.

pub mod debian;
pub mod initramfs;
pub mod machine;

use anyhow::Result;

use crate::apt::{self, Package};

const PACKAGES: &[Package] = &[
    Package::new("qemu-system-x86", "qemu-system-x86_64"),
    Package::new("busybox-static", "busybox"),
    Package::new("kmod", "modprobe"),
    Package::new("cpio", "cpio"),
    Package::new("xz-utils", "xz"),
    Package::new("binutils", "strip"),
];

/// Installs the packages by which a virtual machine is made and run.
pub fn install() -> Result<()> {
    apt::install(PACKAGES, "virtual machines")
}

/// Can this machine get the kernels?
pub fn is_possible() -> bool {
    debian::own_release().is_some()
}
