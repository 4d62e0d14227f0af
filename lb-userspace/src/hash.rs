//! Hashes for decisions that all machines must make alike. Changing one of them
//! moves every ring slot and every elected VIP.

/// FNV-1a, 64 bits: short, and the same on every machine and in every build.
pub fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// SplitMix64 (Steele, Lea, Flood 2014), one step.
pub fn mix(hash: u64) -> u64 {
    let hash = hash.wrapping_add(STEP);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64: pseudo-random numbers for uses where it does no harm if somebody
/// predicts them.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        number
    }

    /// A number less than `limit`, which must not be zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
