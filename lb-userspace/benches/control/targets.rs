//! What a change may cost, and whether it does.

use super::{Row, SIZES, target::Target};

/// Of the largest size.
pub const TARGETS: [Target<Row>; 6] = [
    Target {
        what: "endpoint change in the engine",
        value: |rows| {
            Some(cpu_ms(rows, "endpoint-change", "total")? - cpu_ms(rows, "endpoint-change", "read")?)
        },
        unit: "ms CPU",
        at_most: 1.0,
    },
    Target {
        what: "endpoint change with the file source",
        value: |rows| cpu_ms(rows, "endpoint-change", "total"),
        unit: "ms CPU",
        at_most: 3.0,
    },
    Target {
        what: "next hop changed",
        value: |rows| cpu_ms(rows, "next-hop-changed", "total"),
        unit: "ms CPU",
        at_most: 0.2,
    },
    Target {
        what: "start",
        value: |rows| Some(largest(rows, "start", "total")?.wall_us / 1e6),
        unit: "s",
        at_most: 2.0,
    },
    Target {
        what: "memory after the start",
        value: |rows| largest(rows, "start", "total")?.resident_mib,
        unit: "MiB",
        at_most: 200.0,
    },
    Target {
        what: "endpoint change, of 10,000 services / of 1,000",
        value: |rows| {
            let [small, large] = SIZES.map(|(services, ..)| find(rows, services, "endpoint-change", "total"));
            Some(large?.cpu_us / small?.cpu_us)
        },
        unit: "times the CPU",
        at_most: 1.5,
    },
];

fn find<'a>(rows: &'a [Row], services: usize, case: &str, stage: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.services == services && row.case == case && row.stage == stage)
}

fn largest<'a>(rows: &'a [Row], case: &str, stage: &str) -> Option<&'a Row> {
    find(rows, SIZES.last()?.0, case, stage)
}

fn cpu_ms(rows: &[Row], case: &str, stage: &str) -> Option<f64> {
    Some(largest(rows, case, stage)?.cpu_us / 1e3)
}
