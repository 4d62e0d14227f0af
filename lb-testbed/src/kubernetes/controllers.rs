//! What makes EndpointSlices of Pods, without containers.

use anyhow::Result;

use super::api_server::ApiServer;
use crate::{process::Process, testbed::Testbed};

const MANAGER: &str = "kube-controller-manager";
/// Stands in for kubelets: a program of ours, see its `--help`.
const FAKELET: &str = "fakelet";
/// EndpointSlices are made by the one, and go with their Service by the other.
const CONTROLLERS: &str = "--controllers=endpointslice-controller,garbage-collector-controller";
const HEALTH: &str = "https://127.0.0.1:10257/healthz";

/// Both, beside an API server; killed when dropped.
#[derive(Debug)]
pub struct Controllers {
    _manager: Process,
    _fakelet: Process,
}

impl Controllers {
    /// Starts them. The Nodes are those of the testbed's nodes.
    pub fn start(testbed: &Testbed, api_server: &ApiServer) -> Result<Self> {
        api_server.programs().ensure_has(&[MANAGER, FAKELET])?;
        let kubeconfig = api_server.admin_kubeconfig().display().to_string();
        let names = testbed.nodes().into_iter().map(|node| node.name.as_str());
        let words: Vec<_> = ["--kubeconfig", &kubeconfig].into_iter().chain(names).collect();
        let fakelet = api_server.spawn_beside(FAKELET, &words)?;
        // As one user who may do all: users of their own, with --use-service-account-credentials, take 5 s more.
        let words =
            ["--kubeconfig", &kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", CONTROLLERS];
        let mut manager = api_server.spawn_beside(MANAGER, &words)?;
        // Its certificate is one that it has just made.
        api_server.wait_beside(&mut manager, &["--insecure", HEALTH])?;
        Ok(Self { _manager: manager, _fakelet: fakelet })
    }
}
