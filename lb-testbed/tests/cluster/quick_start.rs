//! The README's way to a Service on a cluster of one's own: what is run here is what it says, word for word.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use lb_testbed::{
    DirectorCounters, HTTP_PORT, VIP,
    cluster::{Cluster, Parts, WORKLOAD, images},
    run,
};

use super::{NODES, PODS, run_with_diagnostics};

const README: &str = include_str!("../../../README.md");
const HEADING: &str = "\n## On a cluster of your own\n";
/// Where its commands are typed.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Five that lead there, and two that show it.
const COMMANDS: [usize; 2] = [5, 2];

#[test]
fn its_commands_have_a_service_answered_from_outside() -> Result<()> {
    let Some(mut parts) = Parts::find_or_skip()? else { return Ok(()) };
    // Its commands bring this one.
    parts.images.retain(|image| *image != images::TRIGON);
    let mut cluster = Cluster::start(&parts, NODES)?;
    run_with_diagnostics(&mut cluster, |cluster| {
        expose_inside(cluster)?;
        let mut answer = String::new();
        for command in read_blocks()?.concat() {
            println!("{command}");
            answer = run_as_written(cluster, &command).with_context(|| command.clone())?;
        }
        ensure!(cluster.pods()?.contains(answer.trim()), "`{answer}` is the answer of no Pod");
        check_triangle(cluster)
    })
}

/// What it takes for given: Pods, and a Service that has them answer inside of the cluster.
pub fn expose_inside(cluster: &Cluster) -> Result<()> {
    cluster.change(PODS, 1)?;
    cluster.wait_rolled_out()?;
    let target = format!("--target-port={HTTP_PORT}");
    cluster.kubectl(&["expose", "deployment", WORKLOAD, "--port=80", &target]).map(drop)
}

/// Runs a command where one would type it. What the testbed has for it:
///
/// | program | where | |
/// | --- | --- | --- |
/// | `cargo` | here | |
/// | `ctr` | on each node | nodes see the machine's files: the archive is not copied to them |
/// | `kubectl` | beside the API server | the program and the kubeconfig of the testbed |
/// | `curl` | the client | |
fn run_as_written(cluster: &Cluster, command: &str) -> Result<String> {
    let line = format!("cd '{ROOT}'\n{command}");
    match command.split_whitespace().next().unwrap_or_default() {
        "cargo" => {
            let mut shell = Command::new("sh");
            shell.args(["-ec", &line]);
            run(shell, "")
        }
        "ctr" => cluster.run_on_nodes(&line).map(|()| String::new()),
        "kubectl" => {
            // Its cache of the API is not for the home of whoever tests.
            let (home, program) = (cluster.testbed.dir().display(), cluster.kubectl_command());
            let function = format!("kubectl() {{ HOME='{home}' {program} \"$@\"; }}\n");
            cluster.testbed.router().run(&["sh", "-ec", &(function + &line)])
        }
        "curl" => cluster.testbed.client().run(&["sh", "-ec", &line]),
        other => bail!("the testbed does not know where `{other}` is typed"),
    }
}

/// Not kube-proxy answers, which would hide clients from Pods.
fn check_triangle(cluster: &Cluster) -> Result<()> {
    cluster.wait_agents_ready()?;
    let target = SocketAddr::new(IpAddr::from(VIP.v4), 80);
    cluster.wait_all_answer_at(target)?;
    let counters = DirectorCounters::attach_to(&cluster.directors())?;
    for _ in 0..PODS {
        let seen: IpAddr = cluster.testbed.get(target, "/echo-addr")?.trim().parse()?;
        ensure!(cluster.client_addresses().contains(&seen), "a Pod sees the client as {seen}");
    }
    let count = counters.read()?;
    ensure!(count.packets > 0 && count.reply_packets_in == 0, "{count:?}");
    Ok(())
}

/// The commands in each of its blocks.
fn read_blocks() -> Result<Vec<Vec<String>>> {
    let (_, rest) = README.split_once(HEADING).with_context(|| format!("no section `{}`", HEADING.trim()))?;
    let section = rest.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("\n```sh\n").skip(1);
    Ok(blocks.map(|rest| split_commands(rest.split("\n```").next().unwrap_or_default())).collect())
}

/// One a line, and more lines as long as a quote is open. So there is no apostrophe in a comment.
fn split_commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in block.lines() {
        match commands.last_mut().filter(|_| is_open) {
            Some(command) => {
                command.push('\n');
                command.push_str(line);
            }
            None => commands.push(line.to_owned()),
        }
        is_open ^= line.matches('\'').count() % 2 == 1;
    }
    commands
}

#[test]
fn it_has_as_many_commands_as_it_says() -> Result<()> {
    let counts: Vec<_> = read_blocks()?.iter().map(Vec::len).collect();
    ensure!(counts == COMMANDS, "{counts:?}");
    Ok(())
}

#[test]
fn a_command_goes_on_while_a_quote_is_open() {
    assert_eq!(split_commands("one # a\ntwo '\n  a: b'\nthree"), ["one # a", "two '\n  a: b'", "three"]);
}
