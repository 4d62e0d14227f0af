//! From good frames to bad ones.

use crate::{packet::ETH_LEN, random::Random};

/// No header lies further in.
const HEADERS: usize = 200;
/// Bytes that mean something in one header or another.
const MEANINGFUL: [u8; 20] =
    [0, 1, 2, 4, 5, 6, 17, 20, 40, 41, 43, 44, 58, 60, 0x45, 0x46, 0x60, 0x7f, 0x81, 0xff];

/// One of the seeds, with a few bytes changed, most of them in headers;
/// sometimes cut, sometimes longer.
pub fn mutated_frame(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut frame = random.choose(seeds).clone();
    // MAC addresses mean nothing to the programs.
    let after_macs = frame.len().min(HEADERS).saturating_sub(ETH_LEN - 2);
    for _ in 0..random.next_below(6) {
        if after_macs == 0 {
            break;
        }
        let at = ETH_LEN - 2 + random.next_below(after_macs);
        frame[at] = match random.next_below(3) {
            0 => random.next_byte(),
            1 => frame[at] ^ 1 << random.next_below(8),
            _ => *random.choose(&MEANINGFUL),
        };
    }
    match random.next_below(8) {
        0 if frame.len() > ETH_LEN => frame.truncate(ETH_LEN + random.next_below(frame.len() - ETH_LEN)),
        1 => frame.resize(frame.len() + random.next_below(200), random.next_byte()),
        _ => {}
    }
    frame
}
