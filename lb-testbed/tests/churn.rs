//! Nodes, Pods and directors come, go and drain: connections to Pods that
//! live don't notice, although no director remembers any.

use anyhow::{Result, ensure};
use lb_testbed::churn::{Churn, HEADER, Row, Size};

fn run(size: Size) -> (Result<()>, Vec<Row>) {
    println!("{HEADER}");
    let mut rows = Vec::new();
    let result = Churn::begin(size).and_then(|mut churn| {
        let result = churn.run(|row| {
            println!("{row}");
            rows.push(row.clone());
        });
        result.map_err(|error| {
            let story = churn.story();
            error.context(story)
        })
    });
    (result, rows)
}

#[test]
fn no_connection_breaks_whatever_comes_and_goes() -> Result<()> {
    run(Size::small()).0
}

/// Or else the test above would show nothing.
#[test]
fn without_former_owners_connections_break() -> Result<()> {
    let size = Size { agent_args: vec!["--no-former-owners".into()], ..Size::small() };
    let (result, rows) = run(size);
    let last = rows.last();
    ensure!(last.is_some_and(|row| row.broken > 0), "nothing broke: {result:?}, {rows:?}");
    Ok(())
}
