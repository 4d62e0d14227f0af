//! `trigon agent`

use std::{io::IsTerminal, process::ExitCode};

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use super::{Failure, Outcome, UNUSABLE};
use crate::{
    agent::{self, Config},
    cli::{AgentArgs, Cli},
    datapath::kernel::{LoadError, Options},
    plan::Identity,
    state::Capacity,
    translate,
};

pub fn run(cli: &Cli, args: &AgentArgs) -> Outcome {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if !args.source.is_dir() {
        let error = anyhow!(
            "--source {}: no such directory; make it, and put Services, EndpointSlices and Nodes there",
            args.source.display()
        );
        return Err(Failure { code: UNUSABLE, error });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(anyhow::Error::from)?;
    runtime.block_on(agent::run(config(cli, args))).map_err(failure)?;
    Ok(ExitCode::SUCCESS)
}

fn config(cli: &Cli, args: &AgentArgs) -> Config {
    let roles = args.role.iter().fold(0, |bits, role| bits | role.bit());
    let sizes = &args.sizes;
    Config {
        me: Identity { node: args.node_name.as_str().into(), roles },
        source: args.source.clone(),
        socket: cli.socket.clone(),
        translate: translate::Options { default_class: args.default_class },
        datapath: Options {
            pin_dir: args.pin.pin_dir.clone(),
            interfaces: args.interface.clone(),
            roles,
            mode: args.xdp_mode,
            capacity: Capacity {
                services: sizes.max_services,
                backends: sizes.max_backends,
                endpoints: sizes.max_endpoints,
                ring_slots: sizes.ring_slots,
            },
            node_flows: sizes.node_flows,
            bare_flows: sizes.bare_flows,
            log_drops: args.log_drops,
        },
    }
}

/// With the exit code that it deserves.
pub fn failure(error: anyhow::Error) -> Failure {
    let unusable = error.downcast_ref::<LoadError>().is_some_and(LoadError::is_unusable);
    Failure { code: if unusable { UNUSABLE } else { super::FAILED }, error }
}
