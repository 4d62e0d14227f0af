//! `cargo xtask demo`: real HTTP and UDP through two directors to Pods on three
//! nodes, over a router and on one link.

mod hints;
mod play;
mod report;
mod summary;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use lb_testbed::{Config, ServiceSpec, Triangle};

use crate::{
    apt, build_ebpf,
    shell::{cargo, need_root, run_quietly, say},
    test,
};
use play::Act;
use summary::Summary;

#[derive(clap::Args)]
pub struct DemoArgs {
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Leave the routed testbed standing, and tell what to try in it.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub fn run(args: DemoArgs) -> Result<()> {
    need_root()?;
    apt::install(test::PACKAGES, "the demo")?;
    build_ebpf::run()?;
    say("building trigon and the testbed");
    run_quietly(cargo().args([
        "build",
        "--quiet",
        "--package",
        "lb-userspace",
        "--package",
        "lb-testbed",
        "--bins",
    ]))?;
    let start = Instant::now();
    let (routed, hints) = run_routed(args.keep)?;
    let acts = [routed, run_switched()?];
    let summary = Summary::from_acts(&acts);
    match args.output {
        Output::Text => print!("{}", report::text(&acts, &summary, start.elapsed())),
        Output::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
    }
    if let Some(hints) = hints {
        match args.output {
            Output::Text => print!("{hints}"),
            // Standard output is for JSON.
            Output::Json => eprint!("{hints}"),
        }
    }
    let wrong = summary::list_defects(&acts);
    ensure!(wrong.is_empty(), "not as it should be: {}", wrong.join("; "));
    Ok(())
}

/// Over a router, in an outer header; and what to try if it is to be kept.
fn run_routed(keep: bool) -> Result<(Act, Option<String>)> {
    say("over a router, delivery ipip: building namespaces, starting nginx in 6 Pods and 5 agents");
    let mut triangle = start_triangle(Config::l3(), "ipip")?;
    let act = play::run_act("over a router", "ipip", &triangle).and_then(|mut act| {
        play::run_downloads(&triangle, &mut act)?;
        Ok(act)
    });
    let act = act.with_context(|| triangle.describe_agents());
    let hints = keep.then(|| hints::text(&mut triangle)).transpose()?;
    if keep {
        triangle.keep()?;
    }
    Ok((act?, hints))
}

/// On one link, by MAC address.
fn run_switched() -> Result<Act> {
    say("on one link, delivery l2: the same again");
    let triangle = start_triangle(Config::l2(), "l2")?;
    play::run_act("on one link", "l2", &triangle).with_context(|| triangle.describe_agents())
}

fn start_triangle(config: Config, delivery: &str) -> Result<Triangle> {
    Triangle::start(config, &[ServiceSpec::with_all_ports("web").delivery(delivery)])
}
