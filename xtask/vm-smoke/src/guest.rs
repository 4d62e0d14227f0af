//! The way out of the virtual machine.

/// Have the device `isa-debug-exit` end QEMU with 33 if all is well, else 35:
/// twice what is written to it, plus one. QEMU itself ends with 1 if it could
/// not start, and with 0 if the kernel panicked.
#[cfg(target_arch = "x86_64")]
pub fn end(passed: bool) {
    const PORT: u16 = 0x501;
    let code: u8 = if passed { 16 } else { 17 };
    // SAFETY: iopl(2) touches no memory; without the privilege `out` faults,
    // so it is not tried. The port belongs to no other device of this machine.
    unsafe {
        if libc::iopl(3) == 0 {
            std::arch::asm!("out dx, al", in("dx") PORT, in("al") code, options(nomem, nostack));
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn end(_passed: bool) {}
