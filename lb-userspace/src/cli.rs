//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::datapath::kernel::XdpMode;

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
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Output {
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
    Agent(AgentArgs),
    /// Validate a directory of objects, without touching the kernel.
    ///
    /// Prints every problem with file, line, object, field and remedy.
    /// Exit codes: 0 all good, 2 there are problems.
    Check {
        /// Directory with Services, EndpointSlices and Nodes in YAML or JSON files.
        dir: PathBuf,
        /// Also take Services without a loadBalancerClass.
        #[arg(long)]
        default_class: bool,
    },
    /// Is all well? The agent's state, and whatever is wrong.
    ///
    /// Exit codes: 0 ready, 1 not ready, or no agent answers.
    Status,
    /// Services in the data path, with their rings, endpoints and traffic.
    Services,
    /// Backends: how each is reached, and what was sent to it.
    Backends,
    /// Packets dropped, by reason; what each reason means.
    Drops {
        /// Also the packets that were not dropped, and reasons that never occurred.
        #[arg(long)]
        all: bool,
    },
    /// Detach all programs and remove all maps, after the agent was stopped.
    /// Connections through this machine end.
    Unload {
        #[command(flatten)]
        pin: PinArgs,
    },
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

    /// The uplink: where requests come in and replies leave. May be repeated.
    #[arg(long, required = true, value_name = "IF")]
    pub interface: Vec<String>,

    /// Directory with Services, EndpointSlices and Nodes in YAML or JSON files; changes are followed.
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,

    /// The name of this machine's Node object.
    #[arg(long, value_name = "NAME")]
    pub node_name: String,

    #[command(flatten)]
    pub pin: PinArgs,

    /// Where in the stack the XDP program runs: `native` (in the driver), or
    /// `generic` (any interface, but slow).
    #[arg(long, value_name = "MODE", default_value_t = XdpMode::Native)]
    pub xdp_mode: XdpMode,

    /// Also take Services without a loadBalancerClass.
    #[arg(long)]
    pub default_class: bool,

    /// Log every dropped packet, one line each. For looking for a fault: under
    /// a flood of them it takes its part of a CPU.
    #[arg(long)]
    pub log_drops: bool,

    #[command(flatten)]
    pub sizes: Sizes,
}

/// Sizes of the maps. They take effect when the maps are made; `trigon unload`
/// and a start make them anew.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sizes of the maps (take effect when they are made, after `trigon unload`)")]
pub struct Sizes {
    /// Services: one for each address, port and protocol.
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub max_services: u32,

    /// Nodes and bare servers, one entry for each kind of delivery.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    pub max_backends: u32,

    /// Endpoints on this node, over all services.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    pub max_endpoints: u32,

    /// Slots for all rings together, 2 bytes each. A service takes 509 with up
    /// to 5 nodes, 2,039 up to 20, 8,191 up to 81, 32,749 up to 327, else 65,537; and twice that
    /// for a moment when it changes.
    #[arg(long, value_name = "N", default_value_t = 4 << 20, value_parser = clap::value_parser!(u32).range(1024..=1 << 30))]
    pub ring_slots: u32,

    /// Connections to Pods on this node that are remembered, some 200 bytes each.
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    pub node_flows: u32,

    /// Connections to bare servers that a director remembers, some 100 bytes each.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    pub bare_flows: u32,
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
