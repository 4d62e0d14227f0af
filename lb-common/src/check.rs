//! Checks of bare servers: packets of the agent's own sockets to a VIP, whose
//! mark (`SO_MARK`) says to which backend they go.
//!
//! The upper half is the index of `BACKENDS`, the lower half a constant that
//! tells these marks from others. Its bits keep clear of kube-proxy's (0x4000,
//! 0x8000) and Cilium's (0x0f00).

const MAGIC: u32 = 0x30d5;

/// The mark of packets to this backend.
pub const fn mark(backend: u16) -> u32 {
    (backend as u32) << 16 | MAGIC
}

/// The backend that a packet with this mark goes to.
#[inline(always)]
pub const fn backend(mark: u32) -> Option<u32> {
    if mark & 0xffff == MAGIC { Some(mark >> 16) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_backend_and_no_other_mark_names_one() {
        for id in [0, 1, 0x30d5, u16::MAX] {
            assert_eq!(backend(mark(id)), Some(u32::from(id)));
        }
        for other in [0, 1, 0x4000, 0x8000, 0x30d5_0000, 0x30d4] {
            assert_eq!(backend(other), None);
        }
    }
}
