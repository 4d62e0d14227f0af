//! Valid messages, damaged at random: decoding them must not panic.
//!
//! `TRIGON_FUZZ` sets the number of messages (default: 1,000,000):
//! `TRIGON_FUZZ=10000000 cargo test -p lb-userspace --lib fuzz`

use super::*;
use crate::hash::Random;

/// A seeded generator, so that each run does the same damage.
struct Seeded(Random);

impl Seeded {
    fn random_below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.below(u64::try_from(end.max(1)).unwrap())).unwrap()
    }

    fn random_byte(&mut self) -> u8 {
        const NASTY: [u8; 8] = [0, 1, 4, 16, 0x7f, 0x80, 0xfe, 0xff];
        let any = self.0.next().to_le_bytes()[0];
        if self.random_below(2) == 0 { any } else { NASTY[self.random_below(NASTY.len())] }
    }

    /// One way of many to damage the body of a message; its header stays valid.
    fn damage_body(&mut self, body: &mut Vec<u8>) {
        let at = self.random_below(body.len());
        match self.random_below(5) {
            0 | 1 if !body.is_empty() => body[at] = self.random_byte(),
            2 => body.insert(at, self.random_byte()),
            3 if !body.is_empty() => drop(body.remove(at)),
            4 => body.truncate(at),
            _ => body.extend((0..self.random_below(20)).map(|_| 0xff)),
        }
    }
}

#[test]
fn damaged_messages_never_panic() {
    let count = std::env::var("TRIGON_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let bodies: Vec<(u8, Vec<u8>)> = samples()
        .iter()
        .map(|message| (message.encode(true).unwrap()[18], message.encode(true).unwrap()[HEADER..].to_vec()))
        .collect();
    let mut seeded = Seeded(Random::new(4271));
    let (mut understood, mut refused) = (0_u64, 0_u64);
    for _ in 0..count {
        let (number, body) = &bodies[seeded.random_below(bodies.len())];
        let mut body = body.clone();
        for _ in 0..=seeded.random_below(4) {
            seeded.damage_body(&mut body);
        }
        let number = if seeded.random_below(20) == 0 { seeded.random_byte() } else { *number };
        let mut bytes = raw_message(number, &body);
        if seeded.random_below(50) == 0 {
            let at = seeded.random_below(HEADER);
            bytes[at] = seeded.random_byte();
        }
        match decode_as(&bytes, seeded.random_below(2) == 0) {
            Ok(Some(message)) => {
                understood += 1;
                // Formatting and encoding a decoded message must not panic; encoding may fail.
                let _ = (format!("{message:?}"), message.encode(true));
            }
            Ok(None) => {}
            Err(notification) => {
                refused += 1;
                assert!(!notification.to_string().is_empty() && !error_remedy(notification.code).is_empty());
            }
        }
    }
    assert!(understood > count / 10 && refused > count / 10, "{understood} understood, {refused} refused");
}
