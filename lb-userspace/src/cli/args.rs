//! The command line.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::{
    datapath::kernel::XdpMode,
    objects::{crds, translate::TranslateConfig},
    protocols::{bgp, l2},
};

/// Trigon: a layer-4 load balancer for Kubernetes on bare metal, with Direct
/// Server Return.
///
/// Directors take requests in by XDP, choose a node and pass them on; the
/// reply goes from the node straight to the client.
#[derive(Parser, Debug)]
#[command(name = "trigon", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// The agent's Unix socket: where it listens, and where the other commands ask.
    #[arg(long, global = true, value_name = "PATH", default_value = "/run/trigon/agent.sock")]
    pub socket: PathBuf,

    /// How to print results.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text)]
    pub output: OutputFormat,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OutputFormat {
    /// A table for people.
    Text,
    /// One JSON document.
    Json,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the agent: load the programs, and keep them in step with the objects.
    ///
    /// Everything is pinned: if the agent is killed, traffic goes on, and the
    /// next start takes over without a gap. `trigon unload` removes it all.
    ///
    /// Exit codes: 1 if it failed or is not permitted, 2 if its arguments cannot work here.
    Agent(Box<AgentArgs>),
    /// Run the controller: give Services the addresses that they ask for, and tell in their status what has
    /// become of it, and which machines have programmed them.
    ///
    /// A Service asks by the annotation `trigon.dev/load-balancer-ips` (at most one address of each family,
    /// comma-separated) or by `spec.loadBalancerIP`. Run two: one leads, by the Lease `trigon-controller`, and the
    /// other takes over when it ends (within 2.5 s) or dies (within 17.5 s). It needs no privilege, and nothing of
    /// the machine. What agents have programmed is told by their AgentReports, in the namespace of its context.
    ///
    /// Exit codes: 0 told to stop (SIGTERM, SIGINT), and the Lease given back; 1 if it failed, 2 if its arguments
    /// cannot work here.
    Controller(ControllerArgs),
    /// Validate a directory of objects, without touching the kernel.
    ///
    /// Prints every problem with file, line, object, field and remedy.
    /// Exit codes: 0 all good, 2 there are problems.
    Check {
        /// Directory with Services, EndpointSlices, Nodes and what they are announced by (AddressPool,
        /// BgpPeer, BgpAdvertisement, L2Advertisement, BfdProfile, Community, Secret) in YAML or JSON files.
        dir: PathBuf,
        #[command(flatten)]
        meaning: MeaningArgs,
        /// MTU of the network between directors and backends: warn where packets
        /// of 1500 bytes do not fit it, once encapsulated. Given without problems only.
        #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..))]
        mtu: Option<u16>,
    },
    /// The agent's state, and its problems and warnings.
    ///
    /// Exit codes: 0 ready or degraded, 1 not ready, or no agent answers. Not ready: something is
    /// not programmed, an uplink is down, or a director reaches no backend. Degraded: all that was
    /// good last is served, and there is a problem, as a file that cannot be read.
    Status {
        /// Exit code 0 if an agent answers, ready or not: for what would restart one that does not.
        #[arg(long)]
        live: bool,
    },
    /// Services in the data path, with their rings, endpoints and traffic.
    ///
    /// Exit codes: 0 answered, 1 no agent answers.
    Services,
    /// Backends: how each is reached, and what was sent to it.
    ///
    /// Exit codes: 0 answered, 1 no agent answers.
    Backends,
    /// Packets dropped, by reason; what each reason means.
    ///
    /// Exit codes: 0 answered, 1 no agent answers.
    Drops {
        /// Also the packets that were not dropped, and reasons that never occurred.
        #[arg(long)]
        all: bool,
    },
    /// BGP peers: state, routes sent, and the last error with its age and remedy.
    ///
    /// Exit codes: 0 all sessions are established, 1 some are not, or no agent answers.
    Bgp,
    /// VIPs announced by ARP and NDP: which node answers for each, and who would follow.
    ///
    /// Exit codes: 0 answered, 1 no agent answers.
    L2,
    /// Take this director out of service without losing a packet: routers are asked to choose
    /// others (GRACEFUL_SHUTDOWN, RFC 8326), then VIPs are withdrawn, then sessions closed.
    ///
    /// Forwarding goes on all the while. It ends with the agent: a restart announces again.
    ///
    /// Waits until sessions are closed: for the agent's --drain-time and --settle-time, 6 s unless
    /// told otherwise, and a moment for each peer to hear of it.
    ///
    /// Exit codes: 0 drained, announcing again, or begun, 1 somebody has undone it, or no agent answers.
    Drain {
        /// Announce again.
        #[arg(long)]
        undo: bool,
        /// Return at once, and do not wait until it is done.
        #[arg(long, conflicts_with = "undo")]
        no_wait: bool,
    },
    /// What would become of a packet, and why: service, slot, owner, delivery,
    /// endpoint, or the reason to drop it and what helps.
    ///
    /// Runs the loaded program's own code on such a packet, without
    /// consequences: nothing is sent, remembered or counted.
    ///
    /// Exit codes: 0 answered, 1 no agent answers, 2 the question is unusable.
    Explain(ExplainArgs),
    /// Print the CustomResourceDefinitions of this release, for `kubectl apply --server-side -f -`.
    ///
    /// Exit codes: 0 printed.
    Crds,
    /// Detach all programs and remove all maps, after the agent was stopped.
    /// Connections through this machine end.
    Unload {
        #[command(flatten)]
        pin: PinArgs,
    },
}

#[derive(Args, Debug)]
pub struct ControllerArgs {
    /// The file that tells where the API server is. Without it: $KUBECONFIG, then ~/.kube/config, then, in a Pod,
    /// its service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Also take Services without a loadBalancerClass. Not where another load balancer takes them.
    #[arg(long)]
    pub default_class: bool,

    /// Where the Lease is. Without it: the namespace of the Pod, or of the kubeconfig's context.
    #[arg(long, value_name = "NS")]
    pub lease_namespace: Option<String>,

    /// The name of this replica in the Lease, unlike that of any other. Without it: $POD_NAME, else the machine's
    /// name with a random number.
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
}

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// 'PROTOCOL CLIENT -> VIP', with ports for tcp and udp, without for icmp:
    /// 'tcp 198.51.100.7:4242 -> 192.0.2.10:80'. The arrow may be left out.
    #[arg(required = true, value_name = "FLOW")]
    pub flow: Vec<String>,

    /// As the packet arrives at this node in a director's tunnel. Only on the node itself.
    #[arg(long, value_name = "NODE")]
    pub at_node: Option<String>,

    /// The interface that it comes in by; the agent's first if not given.
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,

    /// Bytes of IP packet; not less than its headers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub len: u16,
}

#[derive(Args, Debug)]
pub struct PinArgs {
    /// Where programs and maps are pinned: a directory of its own on a BPF file system.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/trigon")]
    pub pin_dir: PathBuf,
}

#[derive(Args, Debug)]
pub struct AgentArgs {
    /// What this machine does.
    #[arg(long, value_enum, value_delimiter = ',', required = true, value_name = "ROLE,..")]
    pub role: Vec<Role>,

    /// The uplink: where requests come in and replies leave, and where VIPs of L2Advertisements are
    /// answered for, unless those name some of them. May be repeated. Without it: the devices by which the
    /// default routes leave when the agent starts, and those that a former start has attached to, unless they
    /// have become ports of a bond or a bridge; below VLANs, their Ethernet device (L2Advertisements for a VLAN have to
    /// name it).
    #[arg(long, value_name = "IF")]
    pub interface: Vec<String>,

    /// Where Services, EndpointSlices, Nodes and what they are announced by (AddressPool, BgpPeer,
    /// BgpAdvertisement, L2Advertisement, BfdProfile, Community, Secret) come from: `kube`, the API server of a
    /// Kubernetes cluster; or a directory of YAML or JSON files. Changes are followed. (A directory of that
    /// name is `./kube`.)
    #[arg(long, value_name = "kube|DIR")]
    pub source: SourceArg,

    /// With `--source kube`, the file that tells where the API server is. Without it: $KUBECONFIG, then
    /// ~/.kube/config, then, in a Pod, its service account. Secrets are read in the namespace of its context,
    /// or of the Pod.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The name of this machine's Node object.
    #[arg(long, value_name = "NAME")]
    pub node_name: String,

    #[command(flatten)]
    pub pin: PinArgs,

    /// Where in the stack the XDP program runs: `native` (in the driver), or
    /// `generic` (any interface, but slow).
    #[arg(long, value_name = "MODE", default_value_t = XdpMode::Native)]
    pub xdp_mode: XdpMode,

    #[command(flatten)]
    pub meaning: MeaningArgs,

    /// Answer echo requests (ping) to VIPs, as a director.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub answer_echo: bool,

    /// Log every dropped packet, one line each. For looking for a fault: under
    /// a flood of them it takes its part of a CPU.
    #[arg(long)]
    pub log_drops: bool,

    /// Towards bare servers, take the source address of the outer header from this prefix by
    /// the flow's hash, so that routers and network cards spread a director's packets. One of each
    /// family at most; IPv6 at least /96. The addresses must be nobody else's; errors that routers
    /// send to them are lost.
    #[arg(long, value_name = "CIDR", value_parser = source_prefix)]
    pub bare_source_prefix: Vec<IpNet>,

    /// As a node, forget who owned a slot before, and hand no packet on. For seeing what that is
    /// good for: connections break whenever the nodes of a Service change.
    #[arg(long)]
    pub no_former_owners: bool,

    #[command(flatten)]
    pub health: HealthArgs,

    #[command(flatten)]
    pub announcing: AnnounceArgs,

    #[command(flatten)]
    pub sizes: SizeArgs,
}

/// How objects are to be understood. The same on all machines.
#[derive(Args, Clone, Copy, Debug)]
pub struct MeaningArgs {
    /// Also take Services without a loadBalancerClass.
    #[arg(long)]
    pub default_class: bool,

    /// Take all Nodes for directors, with and without the label `trigon.dev/director`.
    #[arg(long)]
    pub all_directors: bool,
}

impl From<MeaningArgs> for TranslateConfig {
    fn from(MeaningArgs { default_class, all_directors }: MeaningArgs) -> Self {
        Self { default_class, all_directors }
    }
}

/// How nodes are probed and bare servers are checked.
#[derive(Args, Debug)]
#[command(next_help_heading = "Health")]
pub struct HealthArgs {
    /// From one probe of a node to the next: `100ms`. A node has half of it to answer.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = probe_interval)]
    pub probe_interval: Duration,

    /// Probes lost in a row until a node leaves the rings.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub probe_fall: u32,

    /// Probes answered in a row until it is back in them.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub probe_rise: u32,

    /// From one check of a bare server to the next: `1s`. A server has all of it to answer.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = probe_interval)]
    pub check_interval: Duration,

    /// Checks failed in a row until a bare server leaves the rings.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub check_fall: u32,

    /// Checks passed in a row until it is back in them.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub check_rise: u32,

    /// Take all nodes and bare servers for alive.
    #[arg(long)]
    pub no_probing: bool,
}

/// How VIPs are announced. What it announces, and to whom, is in objects: BgpPeer,
/// BgpAdvertisement, L2Advertisement.
#[derive(Args, Debug)]
#[command(next_help_heading = "Announcements")]
pub struct AnnounceArgs {
    /// TCP port to be called on by BGP peers; 0: only call.
    #[arg(long, value_name = "PORT", default_value_t = bgp::config::PORT)]
    pub bgp_port: u16,

    /// UDP port by which agents tell each other that they live, to elect who announces on a
    /// link. The same on all of them.
    #[arg(long, value_name = "PORT", default_value_t = l2::PORT)]
    pub l2_port: u16,

    /// When draining: how long routers have to choose others, before VIPs are withdrawn.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = drain_time)]
    pub drain_time: Duration,

    /// When draining: how long packets may still come after that, before sessions are closed.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = drain_time)]
    pub settle_time: Duration,
}

fn drain_time(text: &str) -> Result<Duration, String> {
    parse_within(text, Duration::ZERO..=Duration::from_secs(600), "0s to 10m")
}

fn probe_interval(text: &str) -> Result<Duration, String> {
    parse_within(text, Duration::from_millis(10)..=Duration::from_secs(60), "10ms to 1m")
}

fn parse_within(text: &str, limits: RangeInclusive<Duration>, shown: &str) -> Result<Duration, String> {
    let crds::Duration(time) = text.to_owned().try_into()?;
    if limits.contains(&time) { Ok(time) } else { Err(format!("use a time from {shown}")) }
}

/// Sizes of the maps. Those that are smaller grow at the start, with all that is in them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sizes of the maps (a restart lets them grow, but not shrink)")]
pub struct SizeArgs {
    /// Services: one for each address, port and protocol.
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub max_services: u32,

    /// Nodes and bare servers, one entry for each kind of delivery.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    pub max_backends: u32,

    /// Endpoints on this node that take new connections, over all services; as many more may drain.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    pub max_endpoints: u32,

    /// Source ranges, over all services: each address and port of a Service has its own.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    pub max_ranges: u32,

    /// Slots for all rings together, 2 bytes each. A ring takes 509 with up to 5 nodes, 2,039 up to 20,
    /// 8,191 up to 81, 32,749 up to 327, else 65,537. Services on the same nodes, with as many endpoints on
    /// each, share one. When a ring changes, the old one stays for a moment.
    #[arg(long, value_name = "N", default_value_t = 4 << 20, value_parser = clap::value_parser!(u32).range(1024..=1 << 30))]
    pub ring_slots: u32,

    /// Slots for the former owners of all rings together, 16 bytes each, on nodes.
    #[arg(long, value_name = "N", default_value_t = 9 << 18, value_parser = clap::value_parser!(u32).range(1024..=1 << 30))]
    pub history_slots: u32,

    /// Connections to Pods on this node that are remembered, some 200 bytes each.
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    pub node_flows: u32,

    /// Clients of Services with `sessionAffinity: ClientIP` that a node remembers, some 100 bytes each.
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    pub affinities: u32,

    /// Connections to bare servers that a director remembers, and connections that a node found
    /// on another one; some 100 bytes each.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    pub bare_flows: u32,

    /// Packets that come in fragments, of which the ports are remembered for 30 s; some 120 bytes each.
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub fragments: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Role {
    /// Takes requests in and passes them on to nodes.
    Director,
    /// Gives requests to the Pods on it.
    Node,
}

impl Role {
    /// The bit of [`lb_common::roles`].
    pub fn bit(self) -> u32 {
        match self {
            Self::Director => lb_common::roles::DIRECTOR,
            Self::Node => lb_common::roles::NODE,
        }
    }
}

/// Of `--source`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceArg {
    Kubernetes,
    Directory(PathBuf),
}

impl From<String> for SourceArg {
    fn from(text: String) -> Self {
        if text == "kube" { Self::Kubernetes } else { Self::Directory(text.into()) }
    }
}

fn source_prefix(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.parse().map_err(|_| "not an address, a slash and a length".to_owned())?;
    if net.max_prefix_len() - net.prefix_len() > 32 {
        return Err(
            "more than 32 bits would be left for the flow; give an IPv6 prefix of /96 or longer".into()
        );
    }
    Ok(net.trunc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_within_limits() {
        assert_eq!(drain_time("0s"), Ok(Duration::ZERO));
        assert_eq!(drain_time("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(drain_time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(drain_time("601s"), Err("use a time from 0s to 10m".to_owned()));
        assert_eq!(probe_interval("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(probe_interval("9ms"), Err("use a time from 10ms to 1m".to_owned()));
        for text in ["1s-5s", "-1s", "1e30h", "99999999999999999999h", "5", ""] {
            let told = drain_time(text).unwrap_err();
            assert!(told.contains("is not a duration"), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_time_panic(text in "[0-9.smhe+-]{0,20}|(?s).{0,10}") {
            let _ = (drain_time(&text), probe_interval(&text));
        }
    }
}
