//! The outcome for people.

use std::{fmt::Write, net::IpAddr, time::Duration};

use super::{
    play::{Act, Download, InFamily, Legs},
    router::BgpRoutes,
    summary::{Summary, list_defects},
};

pub fn text(acts: &[Act], summary: &Summary, took: Duration) -> String {
    let mut text = String::new();
    for act in acts {
        text += &act_text(act);
    }
    let _ = writeln!(text, "together");
    let _ = writeln!(text, "  answered    {} of {} HTTP requests", summary.answered, summary.requests);
    let shares: Vec<_> = summary.per_pod.iter().map(|(pod, count)| format!("{pod} {count}")).collect();
    let _ = writeln!(text, "  by          {}", shares.join("  "));
    let wrong = list_defects(acts);
    if wrong.is_empty() {
        let _ = writeln!(text, "  all is as it should be, after {:.1} s", took.as_secs_f64());
    }
    for what in wrong {
        let _ = writeln!(text, "  WRONG: {what}");
    }
    text
}

fn act_text(act: &Act) -> String {
    let mut text = format!("\n{}, delivery {}\n\n{}\n", act.place, act.delivery, draw_triangle(&act.legs));
    for family in &act.families {
        text += &family_text(family);
    }
    let seen =
        if act.client_address_preserved { "the client's own, in all Pods' logs" } else { "NOT the client's" };
    let _ = writeln!(text, "  addresses   {seen}");
    if let Some(download) = &act.download {
        text += &download_text(download);
    }
    text += &routes_text(act.bgp_routes.as_ref());
    text + "\n"
}

/// The triangle, with the packets on its sides.
fn draw_triangle(legs: &Legs) -> String {
    let forwarded = centred(legs.to_nodes, "packets");
    let delivered = centred(legs.delivered, "packets");
    let by_directors = centred(legs.by_directors, "replies");
    let replies = centred(legs.to_client, "packets");
    let lines = [
        format!(".--------. {forwarded} .-----------. {delivered} .-------."),
        "| client | -----------------------> | director1 | -----------------------> | node1 |".to_owned(),
        format!("'--------' {by_directors} | director2 |                          | node2 |"),
        "    ^                               '-----------'                          | node3 |".to_owned(),
        format!("    |                      {replies}                        '-------'"),
        "    '--------------------------------------------------------------------------'".to_owned(),
    ];
    lines.map(|line| format!("  {line}\n")).concat()
}

/// A number of packets, in the middle of as much as a side has room for.
fn centred(packets: u64, of: &str) -> String {
    format!("{:^24}", format!("{} {of}", grouped(packets)))
}

fn family_text(family: &InFamily) -> String {
    let http = &family.http;
    let mut line = String::new();
    let _ = writeln!(
        line,
        "  {:<11} HTTP {} of {} requests answered by {} Pods, UDP {} of {} datagrams",
        if family.vip.is_ipv4() { "IPv4" } else { "IPv6" },
        http.answered,
        http.requests,
        http.per_pod.len(),
        grouped(family.datagrams_answered),
        grouped(family.datagrams),
    );
    line
}

fn download_text(download: &Download) -> String {
    let share = 100.0 * download.by_directors as f64 / download.bytes.max(1) as f64;
    format!(
        "  downloads   {} bytes (IPv4 and IPv6) in {:.1} s, as they were sent; {} bytes passed the directors: {share:.1} %\n",
        grouped(download.bytes),
        download.took.as_secs_f64(),
        grouped(download.by_directors),
    )
}

fn routes_text(routes: Option<&BgpRoutes>) -> String {
    let Some(routes) = routes else { return "  routes      static\n".to_owned() };
    let mut text = String::new();
    for (vip, next_hops) in routes {
        let next_hops: Vec<_> = next_hops.iter().map(IpAddr::to_string).collect();
        let _ = writeln!(text, "  routes      {vip} by {}: from BGP, in BIRD", next_hops.join(" and "));
    }
    text
}

/// 1234567 -> `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (67_108_864, "67,108,864")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
