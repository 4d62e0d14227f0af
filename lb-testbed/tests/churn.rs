//! Nodes, Pods and directors come, go and drain. Connections to Pods that still run don't break, although directors
//! keep no state for connections.

use anyhow::{Result, ensure};
use lb_testbed::churn::{Churn, ChurnRow, ChurnSize, TABLE_HEADER};

fn run_and_print(size: ChurnSize) -> (Result<()>, Vec<ChurnRow>) {
    println!("{TABLE_HEADER}");
    let mut rows = Vec::new();
    let result = Churn::start(size).and_then(|mut churn| {
        let result = churn.run(|row| {
            println!("{row}");
            rows.push(row.clone());
        });
        result.map_err(|error| {
            let story = churn.describe_agents();
            error.context(story)
        })
    });
    (result, rows)
}

#[test]
fn no_connection_breaks_whatever_comes_and_goes() -> Result<()> {
    run_and_print(ChurnSize::small()).0
}

/// Shows that the churn of the test above does break connections where nodes don't ask former owners.
#[test]
fn without_former_owners_connections_break() -> Result<()> {
    let size = ChurnSize { agent_args: vec!["--no-former-owners".into()], ..ChurnSize::small() };
    let (result, rows) = run_and_print(size);
    let last = rows.last();
    ensure!(last.is_some_and(|row| row.broken > 0), "nothing broke: {result:?}, {rows:?}");
    Ok(())
}
