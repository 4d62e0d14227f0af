//! What changes from an API server may take, and cost an agent.

use super::{Row, target::Target};

pub const TARGETS: [Target<Row>; 4] = [
    Target {
        what: "endpoint change, with 1,000 Services, from the write to the map (p99)",
        value: |rows| Some(find(rows, "endpoint-change-1000")?.p99_ms),
        unit: "ms",
        at_most: 20.0,
    },
    Target {
        what: "start with 10,000 Services, until all are programmed",
        value: |rows| Some(find(rows, "start-10000")?.p50_ms / 1e3),
        unit: "s",
        at_most: 5.0,
    },
    Target {
        what: "memory after the start with 10,000 Services, or after changes",
        value: |rows| {
            let [start, change] = ["start-10000", "endpoint-change-10000"].map(|case| find(rows, case));
            Some(start?.memory_mib.max(change?.memory_mib))
        },
        unit: "MiB",
        at_most: 250.0,
    },
    Target {
        what: "endpoint change, with 10,000 Services",
        value: |rows| Some(find(rows, "endpoint-change-10000")?.cpu_ms),
        unit: "ms CPU",
        at_most: 2.0,
    },
];

fn find<'a>(rows: &'a [Row], case: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.case == case)
}
