//! Reports as text.

use std::fmt::Write;

use crate::report::{BackendReport, ServiceReport, Status, VerdictReport};

pub fn status(status: &Status) -> String {
    let interfaces: Vec<_> =
        status.interfaces.iter().map(|i| format!("{} ({} XDP)", i.name, i.xdp)).collect();
    let source = if status.source.good { "good" } else { "BROKEN: the last good state is kept" };
    let mut text = rows(&[
        vec!["agent".into(), if status.ready { "ready".into() } else { "NOT READY".into() }],
        vec!["node".into(), format!("{} ({})", status.node, status.roles.join(", "))],
        vec!["interfaces".into(), interfaces.join(", ")],
        vec!["source".into(), format!("{} ({source})", status.source.directory)],
        vec!["services".into(), format!("{} of {} programmed", status.services.good, status.services.total)],
        vec!["backends".into(), format!("{} of {} reachable", status.backends.good, status.backends.total)],
        vec!["generation".into(), status.generation.to_string()],
        vec!["uptime".into(), format!("{} s, release {}", status.uptime_seconds, status.version)],
    ]);
    for problem in &status.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    text
}

pub fn services(services: &[ServiceReport]) -> String {
    let mut table = vec![head(&["SERVICE", "VIP", "STATE", "BACKENDS (SLOTS)", "HERE", "PACKETS", "BYTES"])];
    table.extend(services.iter().map(|service| {
        let vip = std::net::SocketAddr::new(service.vip, service.port);
        let shares: Vec<_> =
            service.backends.iter().map(|b| format!("{} ({})", b.address, b.slots)).collect();
        let state = service.programmed.map_or("NOT PROGRAMMED".into(), |g| format!("programmed ({g})"));
        vec![
            service.name.clone(),
            format!("{} {vip}", service.protocol),
            state,
            if shares.is_empty() { "none".into() } else { shares.join(" ") },
            if service.endpoints.is_empty() { "none".into() } else { service.endpoints.join(" ") },
            service.packets.to_string(),
            service.bytes.to_string(),
        ]
    }));
    rows(&table)
}

pub fn backends(backends: &[BackendReport]) -> String {
    let mut table =
        vec![head(&["ID", "BACKEND", "NODE", "DELIVERY", "STATE", "NEXT HOP", "MTU", "PACKETS", "BYTES"])];
    table.extend(backends.iter().map(|backend| {
        vec![
            backend.id.to_string(),
            backend.address.to_string(),
            backend.node.clone().unwrap_or_else(|| "bare".into()),
            backend.delivery.clone(),
            if backend.resolved { "reachable".into() } else { "UNREACHABLE".into() },
            backend.next_hop.clone(),
            backend.mtu.to_string(),
            backend.packets.to_string(),
            backend.bytes.to_string(),
        ]
    }));
    rows(&table)
}

pub fn drops(verdicts: &[VerdictReport]) -> String {
    if verdicts.is_empty() {
        return "nothing was dropped\n".into();
    }
    let mut table = vec![head(&["REASON", "FATE", "PACKETS", "MEANING"])];
    table.extend(verdicts.iter().map(|verdict| {
        vec![
            verdict.reason.clone(),
            verdict.fate.clone(),
            verdict.packets.to_string(),
            verdict.meaning.clone(),
        ]
    }));
    rows(&table)
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Columns as wide as their widest cell, two blanks between.
fn rows(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column| table.iter().filter_map(|row| row.get(column)).map(|c: &String| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in table {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}
