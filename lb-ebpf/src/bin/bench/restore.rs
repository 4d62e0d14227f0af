//! `BPF_PROG_TEST_RUN` does not reset the packet between repetitions: after
//! one encapsulation the program would meet its own output, and the figure
//! would be that of another path. So this undoes what the program did, checks
//! that it did it, and writes all headers anew with the next flow's client.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext,
    btf_maps::{Array, ProgramArray},
    macros::btf_map,
    programs::{TcContext, XdpContext},
};
use lb_ebpf::{constant::loaded, context::adjust_head, cursor::Cursor};

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

/// The first of the flows that never come back.
const NEW: u32 = 1 << 22;

/// Words of the longest frame.
const WORDS: usize = 17;

// Constants by the time the verifier reads the program.

/// The frame to restore.
#[unsafe(no_mangle)]
static FRAME: [u64; WORDS] = [0; WORDS];
/// How many words of it there are.
#[unsafe(no_mangle)]
static LENGTH: u32 = 0;
/// By how many bytes the program under test lengthens it.
#[unsafe(no_mangle)]
static GROWTH: i32 = 0;
/// How many flows there are; 0 if no flow ever comes back.
#[unsafe(no_mangle)]
static FLOWS: u32 = 0;
/// Where the last word of the client's address lies.
#[unsafe(no_mangle)]
static ADDRESS_AT: u32 = 0;
/// Where the client's port lies.
#[unsafe(no_mangle)]
static PORT_AT: u32 = 0;
/// Where, and what, a byte is that only the right output has.
#[unsafe(no_mangle)]
static PROOF_AT: u32 = 0;
#[unsafe(no_mangle)]
static PROOF: u32 = 0;

/// Check the last output and make it the next input.
#[inline(always)]
pub fn arriving(ctx: &XdpContext) -> Option<()> {
    let output = Cursor::of_xdp(ctx);
    let progress = check(&output)?;
    let packet = match loaded(&GROWTH) {
        0 => output,
        growth => adjust_head(ctx, growth)?,
    };
    next(&packet, progress)
}

/// The same of a packet on its way out, which keeps its length.
#[inline(always)]
pub fn leaving(ctx: &TcContext) -> Option<()> {
    let cursor = Cursor::of_tc(ctx);
    next(&cursor, check(&cursor)?)
}

/// Is the last output as it should be?
#[inline(always)]
fn check(output: &Cursor) -> Option<&'static mut Progress> {
    // SAFETY: memory of the map, which outlives the program; nothing else has it
    // while the benchmark runs.
    let progress = unsafe { &mut *PROGRESS.get_ptr_mut(0)? };
    if !is_expected(output) {
        progress.errors += 1;
        return None;
    }
    Some(progress)
}

#[inline(always)]
fn next(packet: &Cursor, progress: &mut Progress) -> Option<()> {
    write(packet, progress.runs)?;
    // SAFETY: a reference is valid.
    unsafe { add_and_settle(&raw mut progress.runs) };
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
    let len = loaded(&LENGTH) as i32 * 8 + loaded(&GROWTH);
    output.len() == len as usize
        && output
            .window::<1>(loaded(&PROOF_AT) as usize)
            .is_some_and(|byte| byte.get::<u8, 0>() as u32 == loaded(&PROOF))
}

/// Write the frame, its client that of the flow whose turn it is.
#[inline(always)]
fn write(packet: &Cursor, run: u64) -> Option<()> {
    let words = loaded(&LENGTH) as usize;
    let mut at = 0;
    while at < WORDS && at < words {
        let word = packet.window::<8>(at * 8)?;
        let value = loaded(&FRAME[at]);
        word.set::<u32, 0>(value as u32);
        word.set::<u32, 4>((value >> 32) as u32);
        at += 1;
    }
    let flow = match loaded(&FLOWS) {
        0 => NEW + run as u32,
        flows => run as u32 % flows,
    };
    packet.window::<4>(loaded(&ADDRESS_AT) as usize)?.set::<u32, 0>((0x0a00_0000 + flow).to_be());
    packet.window::<2>(loaded(&PORT_AT) as usize)?.set::<u16, 0>((1024 + flow as u16 % 60_000).to_be());
    Some(())
}

/// Run the program under test; comes back only if there is none.
#[inline(always)]
pub fn run(ctx: &impl EbpfContext) {
    // SAFETY: the context is the kernel's own; what is borrowed from the packet or
    // a map is not used after it.
    unsafe { PROGRAM.tail_call(ctx, 0) };
}
