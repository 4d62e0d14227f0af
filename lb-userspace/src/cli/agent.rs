//! `trigon agent`

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::{Context, bail};
use ipnet::IpNet;

use super::{
    logging,
    outcome::{Failure, Outcome, UNUSABLE},
};
use crate::{
    agent::{self, AgentConfig, AnnounceConfig, HealthConfig, speakers::SpeakersConfig},
    announce::departure::DrainTimes,
    cli::args::{AgentArgs, AnnounceArgs, Cli, HealthArgs, SourceArg},
    datapath::kernel::{self, DatapathConfig, LoadError},
    health::{Limits, Probing},
    neigh::{find_ports, find_uplinks},
    objects::source::{ApiServer, Source},
    plan::{Identity, mirror::Capacity},
    protocols::{bgp::speaker::SpeakerConfig, l2::L2Config},
};

pub fn run(cli: &Cli, args: &AgentArgs) -> Outcome {
    logging::start();
    logging::runtime()?.block_on(async {
        let unusable = |error| Failure { code: UNUSABLE, error };
        let source = find_source(args).await.map_err(unusable)?;
        let interfaces = find_interfaces(args).await.map_err(unusable)?;
        agent::run(agent_config(cli, args, source, &interfaces)).await.map_err(failure_from)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn find_source(args: &AgentArgs) -> anyhow::Result<Source> {
    match &args.source {
        SourceArg::Kubernetes => ApiServer::find(args.kubeconfig.as_deref()).await.map(Source::Kubernetes),
        SourceArg::Directory(dir) if !dir.is_dir() => bail!(
            "--source {}: no such directory; make it, and put Services, EndpointSlices and Nodes there",
            dir.display()
        ),
        SourceArg::Directory(_) if args.kubeconfig.is_some() => {
            bail!("--kubeconfig: means nothing for a directory; use it with --source kube")
        }
        SourceArg::Directory(dir) => Ok(Source::Directory(dir.clone())),
    }
}

async fn find_interfaces(args: &AgentArgs) -> anyhow::Result<Vec<String>> {
    if !args.interface.is_empty() {
        return Ok(args.interface.clone());
    }
    let attached = kernel::attached_interfaces(&args.pin.pin_dir);
    let found = match find_uplinks().await {
        Err(error) if !attached.is_empty() => {
            tracing::warn!(
                "no uplink can be found by the default routes ({error:#}), those that are attached stay: look at \
                 `ip route show default`, or name the uplinks with --interface"
            );
            Vec::new()
        }
        found => found.context("--interface: the uplink cannot be found, name it")?,
    };
    let ports = find_ports(&attached).await.unwrap_or_else(|error| {
        tracing::warn!(
            "what is attached stays, though it may be a port of a bond or a bridge by now, which cannot be asked \
             ({error:#}): start the agent again, or name the uplinks with --interface"
        );
        BTreeSet::new()
    });
    let interfaces = join_uplinks(found, attached, &ports);
    tracing::info!(
        interfaces = interfaces.join(","),
        "uplinks, by the default routes and by what is attached"
    );
    Ok(interfaces)
}

/// A default route may be away while the agent starts, and packets for VIPs come in nevertheless. What has become a port of a
/// bond or a bridge is no uplink any more, unless there is no other.
fn join_uplinks(found: Vec<String>, attached: Vec<String>, ports: &BTreeSet<String>) -> Vec<String> {
    let has_ports_only = found.is_empty() && attached.iter().all(|name| ports.contains(name));
    let is_uplink = |name: &String| has_ports_only || !ports.contains(name);
    let others: Vec<_> =
        attached.into_iter().filter(|name| !found.contains(name) && is_uplink(name)).collect();
    found.into_iter().chain(others).collect()
}

fn agent_config(cli: &Cli, args: &AgentArgs, source: Source, interfaces: &[String]) -> AgentConfig {
    let roles = args.role.iter().fold(0, |bits, role| bits | role.bit());
    let sizes = &args.sizes;
    AgentConfig {
        me: Identity {
            node: args.node_name.as_str().into(),
            roles,
            asks_former_owners: !args.no_former_owners,
            bare_sources: args.bare_source_prefix.iter().map(IpNet::addr).collect(),
            answer_echo: args.answer_echo,
            bgp_port: bgp_port(args),
        },
        source,
        socket: cli.socket.clone(),
        translate: args.meaning.into(),
        health: health_config(&args.health),
        announce: announce_config(args, interfaces),
        datapath: DatapathConfig {
            pin_dir: args.pin.pin_dir.clone(),
            interfaces: interfaces.to_vec(),
            roles,
            mode: args.xdp_mode,
            capacity: Capacity {
                services: sizes.max_services,
                backends: sizes.max_backends,
                endpoints: sizes.max_endpoints,
                ring_slots: sizes.ring_slots,
                history_slots: sizes.history_slots,
                ranges: sizes.max_ranges,
                vips: sizes.max_services,
                peers: sizes.max_backends,
            },
            node_flows: sizes.node_flows,
            affinities: sizes.affinities,
            bare_flows: sizes.bare_flows,
            fragments: sizes.fragments,
            log_drops: args.log_drops,
            bare_sources: args.bare_source_prefix.clone(),
        },
    }
}

fn announce_config(args: &AgentArgs, interfaces: &[String]) -> AnnounceConfig {
    let AnnounceArgs { l2_port, drain_time, settle_time, .. } = args.announcing;
    AnnounceConfig {
        speakers: SpeakersConfig {
            bgp: SpeakerConfig { listen: bgp_port(args), restarted: false },
            l2: L2Config { interfaces: interfaces.to_vec(), port: l2_port },
        },
        drain_times: DrainTimes { drain: drain_time, settle: settle_time },
    }
}

/// None: peers cannot call us.
fn bgp_port(args: &AgentArgs) -> Option<u16> {
    Some(args.announcing.bgp_port).filter(|port| *port != 0)
}

fn health_config(args: &HealthArgs) -> Option<HealthConfig> {
    let probing = |interval, fall, rise| Probing { interval, limits: Limits { fall, rise } };
    (!args.no_probing).then(|| HealthConfig {
        nodes: probing(args.probe_interval, args.probe_fall, args.probe_rise),
        servers: probing(args.check_interval, args.check_fall, args.check_rise),
    })
}

/// The error with its exit code: [`UNUSABLE`] if the arguments cannot work here.
pub fn failure_from(error: anyhow::Error) -> Failure {
    let unusable = error.downcast_ref::<LoadError>().is_some_and(LoadError::is_unusable);
    Failure { code: if unusable { UNUSABLE } else { super::outcome::FAILED }, error }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

    use clap::Parser;
    use lb_common::Addr;

    use super::*;
    use crate::{cli::args::Command, datapath::kernel::map_specs, plan::shortage::Shortage};

    #[test]
    fn what_is_attached_stays_an_uplink_unless_a_bond_has_it() {
        let names = |text: &str| -> Vec<_> { text.split_whitespace().map(str::to_owned).collect() };
        let join = |found, attached, ports: &str| {
            join_uplinks(names(found), names(attached), &names(ports).into_iter().collect()).join(" ")
        };
        assert_eq!(join("eth0", "", ""), "eth0");
        assert_eq!(join("eth1", "eth0 eth1", ""), "eth1 eth0");
        assert_eq!(join("bond0", "eth0 eth1 eth2", "eth0 eth1"), "bond0 eth2");
        // While there is no default route.
        assert_eq!(join("", "bond0 eth0", "eth0"), "bond0");
        assert_eq!(join("", "eth0 eth1", "eth0 eth1"), "eth0 eth1");
    }

    fn datapath_with(sizes: &[String]) -> DatapathConfig {
        let always = "trigon agent --role director,node --interface eth0 --source . --node-name node1";
        let args = always.split(' ').map(str::to_owned).chain(sizes.iter().cloned());
        let cli = Cli::try_parse_from(args).unwrap();
        let Command::Agent(args) = &cli.command else { panic!("{cli:?}") };
        agent_config(&cli, args, Source::Directory(".".into()), &args.interface).datapath
    }

    fn map_sizes(datapath: &DatapathConfig) -> BTreeMap<&'static str, u32> {
        map_specs(datapath).iter().map(|spec| (spec.name, spec.entries)).collect()
    }

    #[test]
    fn what_a_shortage_says_makes_its_map_larger() {
        let (name, addr) = (Arc::<str>::from("default/web"), Addr::from(IpAddr::from([192, 0, 2, 1])));
        let services =
            [Shortage::Services, Shortage::Endpoints, Shortage::Rings, Shortage::Histories, Shortage::Ranges];
        let addresses = [Shortage::Backends, Shortage::Vips, Shortage::Peers];
        let services = services.iter().map(|short| short(Arc::clone(&name)));
        let before = datapath_with(&[]);
        for shortage in services.chain(addresses.iter().map(|short| short(addr))) {
            let lack = shortage.lack(&before.capacity);
            let (map, rest) = lack.strip_prefix("no room in ").unwrap().split_once(" (").unwrap();
            let (size, rest) = rest.split_once(')').unwrap();
            let (_, option) = rest.rsplit_once(' ').unwrap();
            let twice = 2 * size.parse::<u32>().unwrap();
            let after = datapath_with(&[format!("{option}={twice}")]);
            assert_eq!(map_sizes(&after)[map], 2 * map_sizes(&before)[map], "{lack}");
        }
    }
}
