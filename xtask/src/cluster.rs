//! `cargo xtask cluster`: Trigon on a real Kubernetes cluster, as its manifests install it.

mod hints;
mod images;
mod summary;

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use lb_testbed::{
    DirectorCounters,
    cluster::{Cluster, Parts},
};

use crate::{
    apt::{self, Package},
    kubernetes,
    output::Output,
    shell::{cargo, need_root, run_quietly, say},
    test,
};
use summary::Summary;

#[derive(clap::Args)]
pub struct ClusterArgs {
    /// Two of them are directors, on which Pods run too.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=20))]
    nodes: u8,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Leave the cluster standing, and tell what to try in it.
    #[arg(long)]
    keep: bool,
}

/// Of containers.
const PACKAGES: &[Package] = &[
    Package::new("containerd", "containerd"),
    Package::new("runc", "runc"),
    Package::new("containernetworking-plugins", "/usr/lib/cni/ptp"),
];
const PODS: usize = 6;
/// HTTP requests from each of the client's addresses to each VIP.
const EACH: u64 = 25;

pub fn run(args: ClusterArgs) -> Result<()> {
    need_root()?;
    apt::install(test::PACKAGES, "the cluster")?;
    if !prepare()? {
        bail!("{}", kubernetes::WITHOUT_GO);
    }
    say("building the testbed");
    run_quietly(cargo().args(["build", "--quiet", "--package", "lb-testbed", "--bins"]))?;
    let start = Instant::now();
    say(format!("starting a control plane and {} nodes", args.nodes));
    let cluster = Cluster::start(&Parts::find()?, args.nodes.into())?;
    let summary = try_out(&cluster).with_context(|| cluster.describe());
    let took = start.elapsed();
    let hints = args.keep.then(|| hints::text(&cluster)).transpose()?;
    if args.keep {
        cluster.keep()?;
    } else {
        say("tearing it down");
        drop(cluster);
    }
    // What is left standing has to be found also when something has failed in it.
    let summary = summary.inspect_err(|_| eprint!("{}", hints.as_deref().unwrap_or_default()))?;
    match args.output {
        Output::Text => print!("{}", summary::text(&summary, args.nodes.into(), took)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
    }
    if let Some(hints) = hints {
        match args.output {
            Output::Text => print!("{hints}"),
            // Standard output is for JSON.
            Output::Json => eprint!("{hints}"),
        }
    }
    let wrong = summary::list_defects(&summary, args.nodes.into());
    ensure!(wrong.is_empty(), "not as it should be: {}", wrong.join("; "));
    Ok(())
}

/// Installs and makes what a cluster needs beside the testbed's program. False: there is no Go to build Kubernetes with.
pub fn prepare() -> Result<bool> {
    if !kubernetes::build()? {
        return Ok(false);
    }
    apt::install(PACKAGES, "a cluster with containers")?;
    images::make()?;
    Ok(true)
}

/// Installs Trigon, and asks Pods by it.
fn try_out(cluster: &Cluster) -> Result<Summary> {
    say("kubectl apply -k manifests/base");
    cluster.install()?;
    say(format!("{PODS} Pods and a Service"));
    cluster.serve(PODS)?;
    let addresses = cluster.client_addresses();
    say(format!("HTTP from {} client addresses", addresses.len()));
    let counters = DirectorCounters::attach_to(&cluster.directors())?;
    let answers = cluster.send_requests(EACH)?;
    let seen: BTreeSet<_> = cluster.client_sources()?.into_values().flatten().collect();
    Ok(Summary {
        nodes_ready: cluster.count_ready_nodes()?,
        daemonsets_ready: cluster.count_ready_daemonsets()?,
        requests: answers.requests,
        answered: answers.answered,
        per_pod: answers.per_pod,
        client_address_preserved: seen == addresses,
        replies_via_directors: counters.read()?.reply_packets_in,
    })
}
