//! When things began, as a router tells it.

use anyhow::Result;

/// By name, each with what changes when it begins anew: a time of day in seconds, or a count.
#[derive(Debug)]
pub struct Moments(pub Vec<(String, f64)>);

impl Moments {
    /// Did all stand between the two looks? BIRD tells the same moment a millisecond
    /// earlier or later now and then; a session that fell takes a second to come back.
    pub fn is_same(&self, other: &Self) -> bool {
        let stood = |((name, at), (other, at_other)): (&(String, f64), &(String, f64))| {
            name == other && (at - at_other).abs() < 0.5
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(stood)
    }

    /// Of those whose name has this in it.
    pub fn named(&self, part: &str) -> Self {
        Self(self.0.iter().filter(|(name, _)| name.contains(part)).cloned().collect())
    }
}

/// `22:14:32.036`
pub fn seconds_of_day(text: &str) -> Result<f64> {
    text.split(':').try_fold(0.0, |sum, part| Ok(sum * 60.0 + part.parse::<f64>()?))
}
