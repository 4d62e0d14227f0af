//! When sessions or routes began, as a router reports it: whether any has begun again.

use anyhow::Result;

/// Sessions or routes by name, each with a number that changes when it begins again: a time of
/// day in seconds, or a count.
#[derive(Debug)]
pub struct Moments(pub Vec<(String, f64)>);

impl Moments {
    /// Whether none has begun again. Half a second is tolerated: BIRD prints the same moment a
    /// millisecond earlier or later now and then; a session that fell takes a second to come back.
    pub fn is_same(&self, other: &Self) -> bool {
        let stood = |((name, at), (other, at_other)): (&(String, f64), &(String, f64))| {
            name == other && (at - at_other).abs() < 0.5
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(stood)
    }

    /// Only those whose name contains `part`.
    pub fn filter_by_name(&self, part: &str) -> Self {
        Self(self.0.iter().filter(|(name, _)| name.contains(part)).cloned().collect())
    }
}

/// Parses a time of day, such as `22:14:32.036`.
pub fn seconds_of_day(text: &str) -> Result<f64> {
    text.split(':').try_fold(0.0, |sum, part| Ok(sum * 60.0 + part.parse::<f64>()?))
}
