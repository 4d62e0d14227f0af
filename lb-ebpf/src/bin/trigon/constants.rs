//! Load-time constants: the agent writes them before the verifier reads the
//! program, so that it removes what is switched off.

use lb_ebpf::constant::loaded;

/// The roles of this machine, `lb_common::roles`.
#[unsafe(no_mangle)]
static ROLES: u32 = 0;

/// Are dropped packets to be reported one by one?
#[unsafe(no_mangle)]
static LOG_DROPS: u32 = 0;

/// Is this the copy of the programs for dry runs: see `dry_run`.
#[unsafe(no_mangle)]
static DRY_RUN: u32 = 0;

/// Is `FORMER_REPLIES` to be looked at?
#[unsafe(no_mangle)]
static HAS_FORMER_REPLIES: u32 = 0;

/// Packets of unknown flows that each CPU hands on in a second.
#[unsafe(no_mangle)]
static STRAY_LIMIT: u32 = 50_000;

/// For how many seconds after a change of owners datagrams of unknown flows
/// are offered to former owners.
#[unsafe(no_mangle)]
static UDP_WINDOW: u32 = 120;

/// The bits of an outer source address towards a bare server that are taken
/// from the flow hash, in memory order: of IPv4, and of the last word of IPv6.
#[unsafe(no_mangle)]
static SOURCE_MASK_V4: u32 = 0;

#[unsafe(no_mangle)]
static SOURCE_MASK_V6: u32 = 0;

#[inline(always)]
pub fn role(bit: u32) -> bool {
    loaded(&ROLES) & bit != 0
}

#[inline(always)]
pub fn log_drops() -> bool {
    loaded(&LOG_DROPS) != 0
}

#[inline(always)]
pub fn dry_run() -> bool {
    loaded(&DRY_RUN) != 0
}

#[inline(always)]
pub fn has_former_replies() -> bool {
    loaded(&HAS_FORMER_REPLIES) != 0
}

#[inline(always)]
pub fn stray_limit() -> u32 {
    loaded(&STRAY_LIMIT)
}

#[inline(always)]
pub fn udp_window() -> u32 {
    loaded(&UDP_WINDOW)
}

#[inline(always)]
pub fn source_mask(is_v4: bool) -> u32 {
    loaded(if is_v4 { &SOURCE_MASK_V4 } else { &SOURCE_MASK_V6 })
}
