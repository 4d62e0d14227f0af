//! The outcome in a few values, and what is wrong with them.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use serde::Serialize;

use super::PODS;

/// Of ours: directors, and nodes that are none.
const DAEMONSETS: usize = 2;

/// `--output json`
#[derive(Serialize)]
pub struct Summary {
    pub nodes_ready: usize,
    pub daemonsets_ready: usize,
    pub requests: u64,
    pub answered: u64,
    pub per_pod: BTreeMap<String, u64>,
    /// Every address of the client, and no other, is in the logs of the Pods.
    pub client_address_preserved: bool,
    /// Packets from a VIP to a director.
    pub replies_via_directors: u64,
}

pub fn text(summary: &Summary, nodes: usize, took: Duration) -> String {
    let mut text = String::new();
    let shares: Vec<_> = summary.per_pod.iter().map(|(pod, count)| format!("{pod} {count}")).collect();
    let is_preserved = summary.client_address_preserved;
    let seen = if is_preserved { "the client's own, in all Pods' logs" } else { "NOT the client's" };
    let _ = writeln!(text, "\n  nodes       {} of {nodes} ready", summary.nodes_ready);
    let _ = writeln!(text, "  DaemonSets  {} of {DAEMONSETS} ready", summary.daemonsets_ready);
    let _ = writeln!(text, "  answered    {} of {} HTTP requests", summary.answered, summary.requests);
    let _ = writeln!(text, "  by          {}", shares.join("  "));
    let _ = writeln!(text, "  addresses   {seen}");
    let _ = writeln!(text, "  replies     {} came to a director", summary.replies_via_directors);
    let wrong = list_defects(summary, nodes);
    if wrong.is_empty() {
        let _ = writeln!(text, "  all is as it should be, after {:.1} s", took.as_secs_f64());
    }
    for what in wrong {
        let _ = writeln!(text, "  WRONG: {what}");
    }
    text
}

/// Everything that is not as it should be.
pub fn list_defects(summary: &Summary, nodes: usize) -> Vec<&'static str> {
    let faults = [
        (summary.nodes_ready != nodes, "not all nodes are ready"),
        (summary.daemonsets_ready != DAEMONSETS, "not all DaemonSets are ready"),
        (summary.requests == 0 || summary.answered != summary.requests, "not all requests were answered"),
        (summary.per_pod.len() != PODS, "not all Pods answered"),
        (!summary.client_address_preserved, "Pods did not see the client's addresses"),
        (summary.replies_via_directors != 0, "replies came by the directors"),
    ];
    faults.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Summary {
        Summary {
            nodes_ready: 3,
            daemonsets_ready: 2,
            requests: 60,
            answered: 60,
            per_pod: (0..PODS).map(|number| (format!("web-{number}"), 10)).collect(),
            client_address_preserved: true,
            replies_via_directors: 0,
        }
    }

    /// Other programs read them.
    #[test]
    fn keys_are_those_that_were_promised() {
        let value = serde_json::to_value(good()).unwrap();
        let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut promised = [
            "nodes_ready",
            "daemonsets_ready",
            "requests",
            "answered",
            "per_pod",
            "client_address_preserved",
            "replies_via_directors",
        ];
        promised.sort_unstable();
        assert_eq!(keys, promised);
    }

    #[test]
    fn whatever_is_not_as_it_should_be_is_told() {
        assert_eq!(list_defects(&good(), 3), Vec::<&str>::new());
        let defects: [fn(&mut Summary); 7] = [
            |summary| summary.nodes_ready = 2,
            |summary| summary.daemonsets_ready = 1,
            |summary| summary.answered = 59,
            |summary| (summary.requests, summary.answered) = (0, 0),
            |summary| drop(summary.per_pod.pop_first()),
            |summary| summary.client_address_preserved = false,
            |summary| summary.replies_via_directors = 1,
        ];
        for (number, defect) in defects.iter().enumerate() {
            let mut summary = good();
            defect(&mut summary);
            assert_eq!(list_defects(&summary, 3).len(), 1, "defect {number}");
        }
    }
}
