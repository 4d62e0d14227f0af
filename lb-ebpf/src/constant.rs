//! Load-time constants.

/// The value of a static that the loader may have written.
#[inline(always)]
pub fn loaded<T: Copy>(constant: &'static T) -> T {
    // SAFETY: a reference is valid. Volatile, so that the compiler does not take
    // the value from the source file for the one that the loader wrote.
    unsafe { core::ptr::read_volatile(constant) }
}
