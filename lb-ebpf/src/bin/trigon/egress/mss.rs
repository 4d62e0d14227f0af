//! The MSS option of a SYN-ACK (RFC 9293 section 3.7.1), lowered to what the
//! client's segments have room for on their way in.

use aya_ebpf::{EbpfContext, bindings::__sk_buff, programs::TcContext};
use lb_ebpf::{cursor::Cursor, header::tcp};

/// Options are as long as the data offset, four bits, allows.
const OPTIONS_LEN: usize = 40;

/// So many are looked at. SYNs have about five, of which MSS is the first; all 40
/// that are possible would cost the verifier 300,000 instructions.
const OPTIONS: usize = 16;

/// Kinds of options.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
/// Length of the option: kind, length, two bytes of MSS.
const MSS_LEN: usize = 4;

/// Where these lie in an option.
const KIND: usize = 0;
const OPTION_LEN: usize = 1;
const MSS_VALUE: usize = 2;

/// Lower the MSS that the segment whose TCP header begins at `tcp` offers, if
/// it is a SYN-ACK that offers more.
///
/// Takes the context anew: of a SYN-ACK, all options have to lie in the linear
/// part, of other segments no more than their headers.
#[inline(always)]
pub fn lower(ctx: &TcContext, tcp: usize, most: u16) -> Result<(), i64> {
    match trigon_lower_mss(ctx.as_ptr().cast(), tcp as u32, most as u32) {
        0 => Ok(()),
        error => Err(error),
    }
}

/// A global function, for its loop: see `node::owners`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_lower_mss(ctx: *mut __sk_buff, tcp: u32, most: u32) -> i64 {
    match rewrite(&TcContext::new(ctx), tcp as usize & 0x1ff, most as u16) {
        Ok(()) => 0,
        Err(error) => error,
    }
}

#[inline(always)]
fn rewrite(ctx: &TcContext, tcp: usize, most: u16) -> Result<(), i64> {
    // Fails for shorter packets, which then have all they have in place.
    let _ = ctx.pull_data((tcp + tcp::LEN + OPTIONS_LEN) as u32);
    let cursor = Cursor::of_tc(ctx);
    let Some(at) = find(&cursor, tcp) else { return Ok(()) };
    let Some(option) = cursor.window::<MSS_LEN>(at) else { return Ok(()) };
    let offered = option.get::<u16, MSS_VALUE>();
    if u16::from_be(offered) <= most {
        return Ok(());
    }
    // A word at an odd place of the checksum's has its bytes the other way.
    let (mut old, mut new) = (offered, most.to_be());
    if (at - tcp) % 2 == 1 {
        (old, new) = (old.swap_bytes(), new.swap_bytes());
    }
    ctx.l4_csum_replace(tcp + tcp::CHECK, old as u64, new as u64, 2)?;
    ctx.store(at + MSS_VALUE, &most.to_be(), 0)
}

/// Where the option is.
#[inline(always)]
fn find(cursor: &Cursor, tcp: usize) -> Option<usize> {
    let header = cursor.window::<{ tcp::LEN }>(tcp)?;
    let end = tcp + ((header.get::<u8, { tcp::DATA_OFFSET }>() >> 4) * 4) as usize;
    let mut at = tcp + tcp::LEN;
    for _ in 0..OPTIONS {
        if at + MSS_LEN > end {
            return None;
        }
        let option = cursor.window::<2>(at)?;
        at += match (option.get::<u8, KIND>(), option.get::<u8, OPTION_LEN>()) {
            (END, _) => return None,
            (NO_OPERATION, _) => 1,
            (MSS, len) => return (len as usize == MSS_LEN).then_some(at),
            (_, 0 | 1) => return None,
            (_, len) => len as usize,
        };
    }
    None
}
