//! `up` and `down`: testbeds by hand.

use std::{collections::BTreeMap, thread};

use anyhow::Result;
use clap::Args;
use lb_testbed::{
    Config, Layer, Process, TCP_ECHO_PORT, Testbed, UDP_ECHO_PORT, list_testbeds, teardown_abandoned,
    teardown_all, teardown_of_process,
};
use serde_json::json;

#[derive(Args)]
pub struct Up {
    /// `l2`: one switched link; `l3`: a router between all
    #[arg(long, default_value = "l3")]
    layer: Layer,
    #[arg(long, default_value_t = 2)]
    directors: usize,
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Pods on each node
    #[arg(long, default_value_t = 2)]
    pods: usize,
    /// Start the servers in all Pods
    #[arg(long)]
    serve: bool,
    /// End at once and leave it standing, until `testbed-tool down`
    #[arg(long)]
    keep: bool,
}

#[derive(Args)]
pub struct Down {
    /// Those that these processes built; without, those whose builders are gone
    pids: Vec<u32>,
    /// All of this machine
    #[arg(long, conflicts_with = "pids")]
    all: bool,
}

pub fn up(options: &Up) -> Result<()> {
    let testbed = Testbed::new(Config {
        layer: options.layer,
        directors: options.directors,
        nodes: options.nodes,
        pods_per_node: options.pods,
        keep: options.keep,
        ..Config::default()
    })?;
    let _servers = if options.serve { serve(&testbed)? } else { Vec::new() };
    println!("{}", describe(&testbed));
    if options.keep {
        return testbed.keep();
    }
    // Until a signal comes: then the reaper takes over.
    loop {
        thread::park();
    }
}

fn serve(testbed: &Testbed) -> Result<Vec<Process>> {
    let mut servers = Vec::new();
    for pod in testbed.pods() {
        servers.push(testbed.start_http(pod)?);
        servers.push(testbed.start_tcp_echo(pod, TCP_ECHO_PORT)?);
        servers.push(testbed.start_udp_echo(pod, UDP_ECHO_PORT)?);
    }
    Ok(servers)
}

/// One line for programs, which also tells people how to get in.
fn describe(testbed: &Testbed) -> serde_json::Value {
    let machines = testbed.machines().iter().map(|machine| (&machine.name, &machine.address));
    let pods = testbed.pods().iter().map(|pod| (&pod.name, &pod.address));
    json!({
        "prefix": testbed.prefix(),
        "dir": testbed.dir(),
        "client": testbed.client().enter_hint(),
        "machines": machines.collect::<BTreeMap<_, _>>(),
        "pods": pods.collect::<BTreeMap<_, _>>(),
    })
}

pub fn down(options: &Down) -> Result<()> {
    if options.all {
        report(&teardown_all()?);
    } else if options.pids.is_empty() {
        report(&teardown_abandoned()?);
    }
    options.pids.iter().try_for_each(|pid| teardown_of_process(*pid))?;
    let left = list_testbeds();
    if !left.is_empty() {
        println!("still standing: {}", left.join(" "));
    }
    Ok(())
}

fn report(torn: &[String]) {
    for prefix in torn {
        println!("torn down: {prefix}");
    }
}
