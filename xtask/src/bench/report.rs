//! From rounds to figures.

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    cases::Side,
    measure::{Round, Subject},
};

/// One line of the table.
#[derive(Serialize)]
pub struct Figure {
    case: &'static str,
    net_ns_min: f64,
    net_ns_median: f64,
    ratio_to_encap: f64,
    /// What does the least on the same side.
    baseline: &'static str,
    ratio_to_baseline: f64,
    #[serde(skip)]
    ratio_of_min: f64,
    #[serde(skip)]
    nets: Vec<f64>,
}

pub fn results(subjects: &[Subject]) -> Result<Vec<Figure>> {
    subjects.iter().map(|subject| figure_of(subject, subjects)).collect()
}

fn figure_of(subject: &Subject, all: &[Subject]) -> Result<Figure> {
    let rounds = |name| {
        let found = all.iter().find(|subject| subject.case.name == name);
        found.map(|subject| subject.rounds.as_slice()).context("a baseline did not run")
    };
    let baseline = subject.case.side.reference();
    let (encap, reference) = (rounds(Side::Director.reference())?, rounds(baseline)?);
    let nets = net_costs(&subject.rounds);
    let net_ns_min = least_net_cost(&subject.rounds);
    Ok(Figure {
        case: subject.case.name,
        net_ns_min: rounded(net_ns_min),
        net_ns_median: rounded(median(nets.clone())),
        ratio_to_encap: rounded(median_ratio(&nets, &net_costs(encap))),
        baseline,
        ratio_to_baseline: rounded(median_ratio(&nets, &net_costs(reference))),
        ratio_of_min: rounded(net_ns_min / least_net_cost(reference)),
        nets,
    })
}

fn net_costs(rounds: &[Round]) -> Vec<f64> {
    rounds.iter().map(Round::net_cost).collect()
}

/// The net of the least of each part: the least of the nets would be the
/// round whose calibration was disturbed most.
fn least_net_cost(rounds: &[Round]) -> f64 {
    rounds
        .iter()
        .copied()
        .reduce(|least, round| least.least_parts(&round))
        .map_or(0.0, |least| least.net_cost())
}

/// The median of the ratios of each round: what disturbs a whole round
/// disturbs both sides of its ratio.
fn median_ratio(a: &[f64], b: &[f64]) -> f64 {
    median(a.iter().zip(b).map(|(a, b)| a / b).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// To hundredths.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// At most so many times the cost of another case.
struct Target {
    case: &'static str,
    to: &'static str,
    at_most: f64,
}

const TARGETS: [Target; 6] = [
    Target { case: "tcp4-ipip-1", to: "encap", at_most: 1.75 },
    Target { case: "tcp4-ipip-1m", to: "tcp4-ipip-1", at_most: 1.15 },
    Target { case: "tcp4-ipip-new", to: "tcp4-ipip-1", at_most: 1.15 },
    Target { case: "tcp6-ipip-1", to: "tcp4-ipip-1", at_most: 1.25 },
    Target { case: "tcp4-gue-1", to: "tcp4-ipip-1", at_most: 1.15 },
    Target { case: "tcp6-gue6-1", to: "tcp6-ipip6-1", at_most: 1.15 },
];

/// The table, and how the targets were met.
pub fn print_text(figures: &[Figure]) {
    println!("{:<20} {:>8} {:>10} {:>9} {:>12}", "case", "min ns", "median ns", "ratio to", "(of minima)");
    for f in figures {
        println!(
            "{:<20} {:>8.2} {:>10.2} {:>6} {:>7.2} {:>8.2}",
            f.case, f.net_ns_min, f.net_ns_median, f.baseline, f.ratio_to_baseline, f.ratio_of_min
        );
    }
    println!();
    let find = |name| figures.iter().find(|figure| figure.case == name);
    for target in &TARGETS {
        if let (Some(case), Some(to)) = (find(target.case), find(target.to)) {
            println!("{}", judge_target(target, case, to));
        }
    }
}

/// A line for each case: the least that any round needed.
pub fn print_instructions(subjects: &[Subject]) {
    for subject in subjects {
        println!("icount: {} {:.0}", subject.case.name, least_net_cost(&subject.rounds));
    }
}

/// A line that says whether a target is met, by medians and by minima.
fn judge_target(target: &Target, case: &Figure, to: &Figure) -> String {
    let by_median = median_ratio(&case.nets, &to.nets);
    let by_min = case.net_ns_min / to.net_ns_min;
    let verdict = match (by_median <= target.at_most, by_min <= target.at_most) {
        (true, true) => "met",
        (false, false) => "missed",
        _ => "undecided: median and minimum disagree",
    };
    let Target { case, to, at_most } = target;
    format!("{case} / {to}: {by_median:.2} (of minima {by_min:.2}), at most {at_most:.2}: {verdict}")
}
