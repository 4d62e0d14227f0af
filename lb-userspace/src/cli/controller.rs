//! `trigon controller`

use std::{env, process::ExitCode};

use anyhow::Context;
use rustix::system::uname;

use super::{
    logging,
    outcome::{Failure, Outcome, UNUSABLE},
};
use crate::{
    cli::args::ControllerArgs,
    controller::{self, ControllerConfig},
    objects::{source::ApiServer, translate::TranslateConfig},
    os::random::random_number,
};

pub fn run(args: &ControllerArgs) -> Outcome {
    logging::start();
    logging::runtime()?.block_on(async {
        let server = ApiServer::find(args.kubeconfig.as_deref()).await;
        let server = server.map_err(|error| Failure { code: UNUSABLE, error })?;
        let namespace = args.lease_namespace.clone().unwrap_or_else(|| server.namespace().to_owned());
        let translate = TranslateConfig { default_class: args.default_class, ..TranslateConfig::default() };
        let identity = args.identity.clone().map_or_else(own_identity, Ok)?;
        controller::run(ControllerConfig { server, translate, identity, namespace }).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The Pod's name is its own. A machine may run several of us: their names get something that is unlike the others'.
fn own_identity() -> anyhow::Result<String> {
    if let Some(pod) = env::var("POD_NAME").ok().filter(|name| !name.is_empty()) {
        return Ok(pod);
    }
    let number = random_number().context("no random number for the name of this replica")?;
    Ok(format!("{}_{number:08x}", uname().nodename().to_string_lossy()))
}
