//! `cargo xtask demo`: real HTTP and UDP through two directors to Pods on three
//! nodes, over a router and on one link. The router learns its routes to them by BGP.

mod hints;
mod play;
mod report;
mod router;
mod summary;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lb_testbed::{Config, ServiceSpec, Triangle};

use crate::{
    apt, build_ebpf,
    output::Output,
    shell::{cargo, need_root, run_quietly, say},
    test,
};
use play::Act;
use router::BgpRouter;
use summary::Summary;

#[derive(clap::Args)]
pub struct DemoArgs {
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Leave the routed testbed standing, and tell what to try in it.
    #[arg(long)]
    keep: bool,
}

pub fn run(args: DemoArgs) -> Result<()> {
    need_root()?;
    apt::install(test::PACKAGES, "the demo")?;
    let has_bird = router::install_bird();
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
    let (routed, hints) = run_routed(has_bird, args.keep)?;
    let acts = [routed, run_switched(has_bird)?];
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

/// A testbed, and BIRD on its router.
struct Stage {
    // Declared first, to be dropped before the namespaces that it runs in.
    router: Option<BgpRouter>,
    triangle: Triangle,
}

impl Stage {
    /// Without BIRD, routes are static.
    fn build(config: Config, delivery: &str, has_bird: bool) -> Result<Self> {
        let triangle = Triangle::start(config, &[ServiceSpec::with_all_ports("web").delivery(delivery)])?;
        let router = has_bird.then(|| BgpRouter::start(&triangle)).transpose();
        let router = router.with_context(|| triangle.describe_agents())?;
        Ok(Self { router, triangle })
    }

    fn run_act(&self, place: &'static str, delivery: &'static str) -> Result<Act> {
        let mut act = play::run_act(place, delivery, &self.triangle)?;
        act.bgp_routes = self.router.as_ref().map(BgpRouter::read_routes).transpose()?;
        Ok(act)
    }
}

/// Over a router, in an outer header; and what to try if it is to be kept.
fn run_routed(has_bird: bool, keep: bool) -> Result<(Act, Option<String>)> {
    say("over a router, delivery ipip: building namespaces, starting nginx in 6 Pods and 5 agents");
    let mut stage = Stage::build(Config::l3(), "ipip", has_bird)?;
    let act = stage.run_act("over a router", "ipip").and_then(|mut act| {
        play::run_downloads(&stage.triangle, &mut act)?;
        Ok(act)
    });
    let act = act.with_context(|| stage.triangle.describe_agents());
    let hints = keep.then(|| hints::text(&mut stage.triangle, has_bird)).transpose()?;
    if keep {
        stage.triangle.keep()?;
    }
    Ok((act?, hints))
}

/// On one link, by MAC address.
fn run_switched(has_bird: bool) -> Result<Act> {
    say("on one link, delivery l2: the same again");
    let stage = Stage::build(Config::l2(), "l2", has_bird)?;
    stage.run_act("on one link", "l2").with_context(|| stage.triangle.describe_agents())
}
