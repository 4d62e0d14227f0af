//! `cargo xtask churn`: directors, nodes and Pods come, go and drain while
//! 2,000 connections live.

use anyhow::Result;
use lb_testbed::churn::{Churn, ChurnSize, TABLE_HEADER};

use crate::{
    apt, build_ebpf,
    output::Output,
    shell::{cargo, need_root, run_quietly, say},
    test,
};

#[derive(clap::Args)]
pub struct ChurnArgs {
    /// `json`: one document a row.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Connections, of both families together.
    #[arg(long, default_value_t = 2000)]
    connections: usize,
    /// Without former owners, to see what they are good for: ends at the first
    /// event that breaks connections.
    #[arg(long)]
    no_former_owners: bool,
}

pub fn run(args: ChurnArgs) -> Result<()> {
    need_root()?;
    apt::install(test::PACKAGES, "the churn")?;
    build_ebpf::run()?;
    say("building trigon and the testbed");
    run_quietly(cargo().args(["build", "--quiet", "-p", "lb-userspace", "-p", "lb-testbed", "--bins"]))?;
    let off = args.no_former_owners.then(|| "--no-former-owners".to_owned());
    let size = ChurnSize {
        connections: args.connections,
        agent_args: off.into_iter().collect(),
        ..ChurnSize::full()
    };
    say(format!("opening {} connections to 6 nodes by 3 directors; about two minutes", size.connections));
    if args.output == Output::Text {
        println!("{TABLE_HEADER}");
    }
    let mut churn = Churn::start(size)?;
    churn.run(|row| match args.output {
        Output::Text => println!("{row}"),
        Output::Json => println!("{}", serde_json::json!(row)),
    })
}
