//! What a churn did, for people and for programs.

use std::fmt;

use serde::Serialize;

/// What an event did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ChurnRow {
    pub event: String,
    /// Connections to Pods that live.
    pub connections: u64,
    /// Those of them that broke since the beginning.
    pub broken: u64,
    /// Packets that took a second hop during the event.
    #[serde(rename = "second_hop")]
    pub second_hops: u64,
    /// The slowest answer since the beginning.
    pub slowest_ms: u64,
}

impl fmt::Display for ChurnRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, connections, broken, second_hops, slowest_ms } = self;
        write!(f, "{event:<44} {connections:>11} {broken:>6} {second_hops:>11} {slowest_ms:>9} ms")
    }
}

/// Above the rows.
pub const TABLE_HEADER: &str =
    "event                                        connections broken second hops  slowest answer";

/// What all events did.
#[derive(Debug, Serialize)]
pub struct ChurnReport {
    events: Vec<ChurnRow>,
    /// Connections to Pods that live.
    broken: u64,
    /// Packets that took a second hop.
    #[serde(rename = "second_hop")]
    second_hops: u64,
    /// The same where nodes ask no former owners, up to the first event that breaks connections; None: not tried.
    broken_without_former_owners: Option<u64>,
}

impl ChurnReport {
    /// Of a churn with former owners, and of one without, if there was one.
    pub fn new(events: Vec<ChurnRow>, without: Option<&[ChurnRow]>) -> Self {
        Self {
            broken: broken_connections(&events),
            second_hops: events.iter().map(|row| row.second_hops).sum(),
            broken_without_former_owners: without.map(broken_connections),
            events,
        }
    }
}

/// Rows count since the beginning, but without Pods that are dead by then.
pub fn broken_connections(rows: &[ChurnRow]) -> u64 {
    rows.iter().map(|row| row.broken).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_get_one_document() {
        let row = |event: &str, broken, second_hops| ChurnRow {
            event: event.into(),
            connections: 2000,
            broken,
            second_hops,
            slowest_ms: 7,
        };
        let rows = vec![row("nothing", 0, 0), row("a node joins", 0, 12), row("a Pod ends", 0, 3)];
        let without = [row("nothing", 0, 0), row("a node joins", 40, 0)];
        let report = serde_json::to_value(ChurnReport::new(rows, Some(&without))).unwrap();
        let event = json!({
            "event": "a node joins", "connections": 2000, "broken": 0, "second_hop": 12, "slowest_ms": 7,
        });
        assert_eq!(report["events"][1], event);
        let (broken, without) = (&report["broken"], &report["broken_without_former_owners"]);
        assert_eq!((broken, &report["second_hop"], without), (&json!(0), &json!(15), &json!(40)));
        assert_eq!(report.as_object().map(serde_json::Map::len), Some(4));
    }
}
