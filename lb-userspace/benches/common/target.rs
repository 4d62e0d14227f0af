//! What something may cost, and whether it does.

pub struct Target<R> {
    pub what: &'static str,
    /// None: it was not measured.
    pub value: fn(&[R]) -> Option<f64>,
    pub unit: &'static str,
    pub at_most: f64,
}

/// A line for each target.
pub fn judge_all<R>(targets: &[Target<R>], rows: &[R]) -> Vec<String> {
    targets.iter().filter_map(|target| Some(judge(target, (target.value)(rows)?))).collect()
}

fn judge<R>(Target { what, unit, at_most, .. }: &Target<R>, value: f64) -> String {
    let verdict = if value <= *at_most { "met" } else { "missed" };
    format!("{what}: {value:.2} {unit}, at most {at_most}: {verdict}")
}
