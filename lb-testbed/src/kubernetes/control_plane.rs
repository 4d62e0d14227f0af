//! What a cluster with kubelets needs beside its API server: all controllers, and the scheduler.

use anyhow::Result;

use super::{
    api_server::{ApiServer, SERVICE_NETWORKS},
    identity::{AUTHORITY, KEY},
};
use crate::{process::Process, testbed::Testbed};

const MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";

/// Both, beside an API server; killed when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    manager: Process,
    scheduler: Process,
}

impl ControlPlane {
    pub fn start(testbed: &Testbed, api_server: &ApiServer) -> Result<Self> {
        let file = |name: &str| testbed.dir().join(name).display().to_string();
        let kubeconfig = api_server.admin_kubeconfig().display().to_string();
        // As one user who may do all: users of their own take 5 s more.
        let common = ["--kubeconfig", &kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1"];
        let (key, authority, plugins) = (file(KEY), file(AUTHORITY), file("volume-plugins"));
        let of_manager = [
            "--service-account-private-key-file",
            &key,
            "--root-ca-file",
            &authority,
            "--service-cluster-ip-range",
            SERVICE_NETWORKS,
            // Else it would make a directory below /usr.
            "--flex-volume-plugin-dir",
            &plugins,
            // Who gives each node its Pods' addresses is the testbed.
            "--allocate-node-cidrs=false",
            // Of a node that has died.
            "--node-monitor-grace-period=20s",
            "--node-monitor-period=2s",
        ];
        Ok(Self {
            manager: api_server.spawn_beside(MANAGER, &[&common[..], &of_manager].concat())?,
            scheduler: api_server.spawn_beside(SCHEDULER, &common)?,
        })
    }

    /// The one that has ended, if one has.
    pub fn find_ended(&mut self) -> Option<&mut Process> {
        [&mut self.manager, &mut self.scheduler].into_iter().find_map(|process| {
            let has_ended = !process.is_running();
            has_ended.then_some(process)
        })
    }
}
