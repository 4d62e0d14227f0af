//! Announcements as text.
#[cfg(test)]
mod tests;

use std::{fmt::Write, net::IpAddr};

use super::table::{header_row, render_table};
use crate::protocols::{
    bgp::{PeerStatus, State},
    l2::VipStatus,
};

pub fn bgp(peers: &[PeerStatus]) -> String {
    let mut table =
        vec![header_row(&["PEER", "REMOTE", "AS", "STATE", "FOR", "FAMILIES", "ROUTES", "REFUSED", "BFD"])];
    table.extend(peers.iter().map(|peer| {
        let state = match peer.state {
            State::Established => "Established".to_owned(),
            other => format!("{other:?}").to_uppercase(),
        };
        let waiting =
            if peer.routes_pending > 0 { format!(" (+{})", peer.routes_pending) } else { String::new() };
        vec![
            peer.name.clone(),
            remote_cell(&peer.remote, peer.address),
            peer.remote_as.map_or("?".into(), |number| number.to_string()),
            state,
            format!("{} s", peer.seconds),
            if peer.families.is_empty() { "-".into() } else { peer.families.join(" ") },
            format!("{}{waiting}", peer.routes_sent),
            peer.routes_refused.to_string(),
            peer.bfd.clone().unwrap_or_else(|| "-".into()),
        ]
    }));
    let mut text = render_table(&table);
    for peer in peers {
        for problem in &peer.problems {
            let _ = writeln!(text, "{}: {problem}", peer.name);
        }
        // Also for a session that is established again: the error says why it is so recent.
        let Some(error) = &peer.last_error else { continue };
        let who = match (error.code, error.sent) {
            // TCP failed, and nobody said anything.
            (None, _) => "",
            (Some(_), true) => " we said",
            (Some(_), false) => " the peer said",
        };
        let detail = if error.detail.is_empty() { String::new() } else { format!(" ({})", error.detail) };
        let _ = writeln!(
            text,
            "{}: {} s ago{who}: {}{detail}; {}",
            peer.name, error.seconds_ago, error.name, error.remedy
        );
    }
    text
}

/// The peer as configured; for an interface, the address that was found on it, too.
fn remote_cell(written: &str, found: Option<IpAddr>) -> String {
    match found.map(|address| address.to_string()) {
        Some(address) if !written.contains(&address) => format!("{written} ({address})"),
        _ => written.to_owned(),
    }
}

pub fn l2(vips: &[VipStatus]) -> String {
    let mut table = vec![header_row(&["VIP", "OWNER", "HERE", "INTERFACES", "CANDIDATES"])];
    table.extend(vips.iter().map(|vip| {
        let candidate = |c: &crate::protocols::l2::CandidateStatus| match (c.alive, c.ready) {
            (true, true) => c.node.clone(),
            (true, false) => format!("{} (not ready)", c.node),
            (false, _) => format!("{} (DEAD)", c.node),
        };
        vec![
            vip.vip.to_string(),
            vip.owner.clone().unwrap_or_else(|| "NOBODY".into()),
            if vip.announcing { "announced".into() } else { "-".into() },
            vip.interfaces
                .iter()
                .cloned()
                .chain(vip.faults.iter().map(ToString::to_string))
                .collect::<Vec<_>>()
                .join(" "),
            vip.candidates.iter().map(candidate).collect::<Vec<_>>().join(" "),
        ]
    }));
    render_table(&table)
}
