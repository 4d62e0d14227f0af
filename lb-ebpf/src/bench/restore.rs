//! `BPF_PROG_TEST_RUN` does not reset the packet between repetitions: after
//! one encapsulation the program would meet its own output, and the figure
//! would be that of another path. So this undoes what the program did, checks
//! that it did it, and writes all headers anew with the next flow's source.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext,
    bindings::{xdp_action, xdp_md},
    btf_maps::{Array, ProgramArray},
    helpers::bpf_xdp_adjust_head,
    macros::btf_map,
    programs::XdpContext,
};

use crate::cursor::Cursor;

/// The program under test is the only element.
#[btf_map]
static PROGRAM: ProgramArray<1> = ProgramArray::new();

#[btf_map]
static PROGRESS: Array<Progress, 1> = Array::new();

/// How far the repetitions came; one thread runs them.
#[repr(C)]
struct Progress {
    runs: u64,
    errors: u64,
}

/// Words of the frame, as many as hold any of the headers.
const WORDS: usize = 10;
const LEN: usize = WORDS * 8;

// Constants by the time the verifier reads the program.

/// The frame to restore.
#[unsafe(no_mangle)]
static FRAME: [u64; WORDS] = [0; WORDS];
/// By how many bytes the program under test lengthens it.
#[unsafe(no_mangle)]
static GROWTH: u32 = 0;
/// How many flows there are; 0 if no flow ever comes back.
#[unsafe(no_mangle)]
static FLOWS: u32 = 0;
/// Where the last word of the source address lies.
#[unsafe(no_mangle)]
static ADDRESS_AT: u32 = 0;
/// Where the source port lies.
#[unsafe(no_mangle)]
static PORT_AT: u32 = 0;
/// Where, and what, a byte is that only the right output has.
#[unsafe(no_mangle)]
static PROOF_AT: u32 = 0;
#[unsafe(no_mangle)]
static PROOF: u32 = 0;

#[inline(always)]
fn constant<T: Copy>(global: &'static T) -> T {
    // SAFETY: a plain read; volatile, so that the compiler does not take the
    // value from the source file for the one that the loader writes.
    unsafe { core::ptr::read_volatile(global) }
}

/// Check the last output and make it the next input.
#[inline(always)]
pub fn packet(ctx: &XdpContext) -> Option<()> {
    let progress = PROGRESS.get_ptr_mut(0)?;
    if !is_expected(&Cursor::new(ctx.data(), ctx.data_end())) {
        // SAFETY: nothing else writes it while the benchmark runs.
        unsafe { (*progress).errors += 1 };
        return None;
    }
    let growth = constant(&GROWTH) as i32;
    // SAFETY: a plain helper call; all packet pointers are taken anew below.
    if growth != 0 && unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast::<xdp_md>(), growth) } != 0 {
        return None;
    }
    // SAFETY: as above.
    write(&Cursor::new(ctx.data(), ctx.data_end()), unsafe { (*progress).runs })?;
    // SAFETY: as above.
    unsafe { add_and_settle(&raw mut (*progress).runs) };
    Some(())
}

/// Add one, atomically for the sake of what that does besides: it empties the
/// store buffer. Otherwise the speed of the program's first loads would depend
/// on the widths of the stores that wrote the frame, and no packet in earnest
/// comes from a store buffer.
///
/// # Safety
/// `counter` must be valid for writing.
#[inline(always)]
unsafe fn add_and_settle(counter: *mut u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) 1u64) }
}

#[inline(always)]
fn is_expected(output: &Cursor) -> bool {
    output.len() == LEN + constant(&GROWTH) as usize
        && output
            .window::<1>(constant(&PROOF_AT) as usize)
            .is_some_and(|byte| byte.get::<u8, 0>() as u32 == constant(&PROOF))
}

/// Write the frame, its source that of the flow whose turn it is.
#[inline(always)]
fn write(packet: &Cursor, run: u64) -> Option<()> {
    let mut at = 0;
    while at < WORDS {
        let word = packet.window::<8>(at * 8)?;
        let value = constant(&FRAME[at]);
        word.set::<u32, 0>(value as u32);
        word.set::<u32, 4>((value >> 32) as u32);
        at += 1;
    }
    let flow = match constant(&FLOWS) {
        0 => run as u32,
        flows => run as u32 % flows,
    };
    packet.window::<4>(constant(&ADDRESS_AT) as usize)?.set::<u32, 0>((0x0a00_0000 + flow).to_be());
    packet.window::<2>(constant(&PORT_AT) as usize)?.set::<u16, 0>((1024 + flow as u16 % 60_000).to_be());
    Some(())
}

/// Run the program under test; comes back only if there is none.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> u32 {
    // SAFETY: no reference into the packet or a map is alive.
    unsafe { PROGRAM.tail_call(ctx, 0) };
    xdp_action::XDP_ABORTED
}
