//! Reports as text.

mod announce;
mod table;

use std::fmt::Write;

pub use announce::{bgp, l2};
use table::{header_row, render_table};

use crate::agent::report::{
    AgentStatus, BackendReport, HandedOn, HealthReport, ServiceReport, VerdictReport,
};

pub fn status(status: &AgentStatus) -> String {
    let interfaces: Vec<_> =
        status.interfaces.iter().map(|i| format!("{} ({} XDP)", i.name, i.xdp)).collect();
    let source = if status.source.good { "good" } else { "NOT GOOD: what was good last stays in effect" };
    let state = match (status.ready, status.degraded) {
        (true, false) => "ready",
        (true, true) => "DEGRADED: ready, with problems",
        (false, _) => "NOT READY",
    };
    let mut text = render_table(&[
        vec!["agent".into(), state.into()],
        vec!["node".into(), format!("{} ({})", status.node, status.roles.join(", "))],
        vec!["interfaces".into(), interfaces.join(", ")],
        vec!["source".into(), format!("{} ({source})", status.source.place)],
        vec!["services".into(), format!("{} of {} programmed", status.services.good, status.services.total)],
        vec!["backends".into(), format!("{} of {} reachable", status.backends.good, status.backends.total)],
        vec!["handed on".into(), handed_on_cell(&status.handed_on)],
        vec!["generation".into(), status.generation.to_string()],
        vec!["uptime".into(), format!("{} s, release {}", status.uptime_seconds, status.version)],
    ]);
    for problem in &status.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// `12 packets took a second hop; 3 searches found the flow here, 0 nobody`, and what was dropped, if anything was.
fn handed_on_cell(handed_on: &HandedOn) -> String {
    let HandedOn { second_hop, found, nobody, .. } = handed_on;
    let found: u64 = found.iter().sum();
    let mut text = format!("{second_hop} packets took a second hop; ");
    let _ = write!(text, "{found} searches found the flow here, {nobody} nobody");
    if handed_on.limited > 0 {
        let _ = write!(text, ", {} dropped beyond the limit", handed_on.limited);
    }
    if handed_on.dead_owner > 0 {
        let _ = write!(text, ", {} dropped for an owner that does not answer", handed_on.dead_owner);
    }
    text
}

/// `1 backend`, `2 backends`.
pub fn count_of(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

pub fn services(services: &[ServiceReport]) -> String {
    let mut table = vec![header_row(&[
        "SERVICE",
        "VIP",
        "STATE",
        "BACKENDS (SLOTS)",
        "MOVED (DEPTH)",
        "HERE",
        "POLICY",
        "PACKETS",
        "BYTES",
    ])];
    table.extend(services.iter().map(|service| {
        let vip = std::net::SocketAddr::new(service.vip, service.port);
        let state = service.programmed.map_or("NOT PROGRAMMED".into(), |g| format!("programmed ({g})"));
        vec![
            service.name.clone(),
            format!("{} {vip}", service.protocol),
            state,
            backends_cell(service),
            format!("{} ({})", service.slots_moved, service.history_depth),
            endpoints_cell(service),
            policy_cell(service),
            service.packets.to_string(),
            service.bytes.to_string(),
        ]
    }));
    render_table(&table)
}

fn backends_cell(service: &ServiceReport) -> String {
    if service.kube_proxy {
        return "kube-proxy's".into();
    }
    let shares: Vec<_> = service.backends.iter().map(|b| format!("{} ({})", b.address, b.slots)).collect();
    if shares.is_empty() { "none".into() } else { shares.join(" ") }
}

fn endpoints_cell(service: &ServiceReport) -> String {
    let draining = service.draining.iter().map(|endpoint| format!("{endpoint} (draining)"));
    let all: Vec<_> = service.endpoints.iter().cloned().chain(draining).collect();
    if all.is_empty() { "none".into() } else { all.join(" ") }
}

fn policy_cell(service: &ServiceReport) -> String {
    let affinity = service.affinity_seconds.map(|seconds| format!("affinity {seconds} s"));
    let limit = service.new_flows_per_second.map(|flows| format!("{flows} new flows/s here"));
    let ranges = service.source_ranges.join(" ");
    let ranges = (!ranges.is_empty()).then(|| format!("from {ranges}"));
    let all: Vec<_> = [affinity, limit, ranges].into_iter().flatten().collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

pub fn backends(backends: &[BackendReport]) -> String {
    let mut table = vec![header_row(&[
        "ID", "BACKEND", "NODE", "DELIVERY", "STATE", "HEALTH", "NEXT HOP", "MTU", "PACKETS", "BYTES",
    ])];
    table.extend(backends.iter().map(|backend| {
        vec![
            backend.id.to_string(),
            backend.address.to_string(),
            backend.node.clone().unwrap_or_else(|| "bare".into()),
            backend.delivery.clone(),
            if backend.resolved { "reachable".into() } else { "UNREACHABLE".into() },
            health_cell(&backend.health),
            backend.next_hop.clone(),
            backend.mtu.to_string(),
            backend.packets.to_string(),
            backend.bytes.to_string(),
        ]
    }));
    render_table(&table)
}

/// `alive 12 s, 3 of 120 lost, 0.21 ms`: of a dead one, if any is.
fn health_cell(reports: &[HealthReport]) -> String {
    let Some(worst) = reports.iter().min_by_key(|report| report.alive) else { return "-".into() };
    let state = if worst.alive { "alive" } else { "DEAD" };
    let mut text = format!("{state} {} s, {} of {} lost", worst.seconds, worst.lost, worst.asked);
    if let Some(service) = worst.service.as_ref().filter(|_| !worst.alive) {
        let _ = write!(text, " ({service})");
    }
    if let Some(microseconds) = worst.round_trip_microseconds.filter(|_| worst.alive) {
        let _ = write!(text, ", {:.2} ms", microseconds as f64 / 1000.0);
    }
    text
}

pub fn drops(verdicts: &[VerdictReport]) -> String {
    if verdicts.is_empty() {
        return "nothing was dropped\n".into();
    }
    let mut table = vec![header_row(&["REASON", "FATE", "PACKETS", "MEANING"])];
    table.extend(verdicts.iter().map(|verdict| {
        vec![
            verdict.reason.clone(),
            verdict.fate.clone(),
            verdict.packets.to_string(),
            verdict.meaning.clone(),
        ]
    }));
    let happened = verdicts.iter().filter(|verdict| verdict.packets > 0);
    happened.fold(render_table(&table), |text, verdict| match &verdict.remedy {
        Some(remedy) => text + &format!("{}: {remedy}\n", verdict.reason),
        None => text,
    })
}
