//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! Sums are taken over 16-bit words in memory order; the one's complement sum
//! is indifferent to byte order (RFC 1071 section 2 (B)), so nothing is swapped.

/// Fold a sum of 16-bit words to 16 bits, with end-around carry.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The sum of some 32-bit words in memory order, not folded.
#[inline(always)]
pub const fn sum<const N: usize>(words: &[u32; N]) -> u64 {
    let mut total = 0u64;
    let mut i = 0;
    while i < N {
        total += words[i] as u64;
        i += 1;
    }
    total
}

/// What has to be added to a checksum's complement when `old` becomes `new`.
///
/// RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
#[inline(always)]
pub const fn difference<const N: usize>(old: &[u32; N], new: &[u32; N]) -> u64 {
    let mut total = 0u64;
    let mut i = 0;
    while i < N {
        total += !old[i] as u64;
        total += new[i] as u64;
        i += 1;
    }
    total
}

/// Apply a [`difference`] to a checksum as it stands in a header.
#[inline(always)]
pub const fn update(check: u16, difference: u64) -> u16 {
    // Fold before adding: a difference of ten words is far below 2^64.
    !fold(!check as u64 + fold(difference) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full_checksum(words: &[u32]) -> u16 {
        !fold(words.iter().map(|&w| u64::from(w)).sum())
    }

    /// The one's complement has two zeros; both verify.
    fn are_equal(a: u16, b: u16) -> bool {
        a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0)
    }

    #[test]
    fn the_example_of_rfc_1071_has_its_sum() {
        let words = [0x0001_f203u32, 0xf4f5_f6f7];
        assert_eq!(fold(sum(&words)), 0xddf2);
    }

    proptest! {
        #[test]
        fn an_update_equals_the_full_sum(old: [u32; 5], new: [u32; 5], rest: [u32; 4]) {
            let before = full_checksum(&[&old[..], &rest[..]].concat());
            let after = full_checksum(&[&new[..], &rest[..]].concat());
            prop_assert!(are_equal(update(before, difference(&old, &new)), after));
        }
    }
}
