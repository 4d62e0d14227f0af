//! `cargo xtask churn`: directors, nodes and Pods come, go and drain while
//! 2,000 connections live; and once more with nodes that ask no former owners.

use anyhow::{Result, ensure};
use lb_testbed::churn::{Churn, ChurnReport, ChurnRow, ChurnSize, TABLE_HEADER, broken_connections};

use crate::{
    apt, build_ebpf,
    output::Output,
    shell::{cargo, need_root, run_quietly, say},
    test,
};

#[derive(clap::Args)]
pub struct ChurnArgs {
    /// `json`: one document, at the end.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Connections, of both families together.
    #[arg(long, default_value_t = 2000)]
    connections: usize,
}

pub fn run(args: ChurnArgs) -> Result<()> {
    need_root()?;
    apt::install(test::PACKAGES, "the churn")?;
    build_ebpf::run()?;
    say("building trigon and the testbed");
    run_quietly(cargo().args(["build", "--quiet", "-p", "lb-userspace", "-p", "lb-testbed", "--bins"]))?;
    let size = ChurnSize { connections: args.connections, ..ChurnSize::full() };
    say(format!("opening {} connections to 6 nodes by 3 directors; about two minutes", size.connections));
    let (rows, result) = churn(size.clone(), args.output);
    if let Err(error) = result {
        print_report(args.output, ChurnReport::new(rows, None));
        return Err(error);
    }
    say("the same without former owners, until connections break");
    // That it fails is what it is for.
    let (without, _) =
        churn(ChurnSize { agent_args: vec!["--no-former-owners".into()], ..size }, args.output);
    print_report(args.output, ChurnReport::new(rows, Some(&without)));
    ensure!(
        broken_connections(&without) > 0,
        "without former owners no connection broke: nothing was tested"
    );
    Ok(())
}

/// Its rows, and whether all connections lived.
fn churn(size: ChurnSize, output: Output) -> (Vec<ChurnRow>, Result<()>) {
    if output == Output::Text {
        println!("{TABLE_HEADER}");
    }
    let mut rows = Vec::new();
    let result = Churn::start(size).and_then(|mut churn| {
        churn.run(|row| {
            if output == Output::Text {
                println!("{row}");
            }
            rows.push(row.clone());
        })
    });
    (rows, result)
}

fn print_report(output: Output, report: ChurnReport) {
    if output == Output::Json {
        println!("{}", serde_json::json!(report));
    }
}
