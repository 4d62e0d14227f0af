//! What the programs of a node are configured with.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::SOCKET;
use crate::{
    cluster::{
        images,
        network::{POD_NETWORKS, pod_networks},
        parts::CNI_PLUGINS,
    },
    kubernetes::AUTHORITY,
    plan::Machine,
    testbed::Testbed,
};

pub struct Config<'a> {
    pub machine: &'a Machine,
    testbed: &'a Testbed,
    dir: &'a Path,
}

impl<'a> Config<'a> {
    /// `dir` is the node's own.
    pub const fn new(testbed: &'a Testbed, machine: &'a Machine, dir: &'a Path) -> Self {
        Self { machine, testbed, dir }
    }

    /// Where containerd looks for the network of Pods.
    pub fn cni_dir(&self) -> PathBuf {
        self.dir.join("net.d")
    }

    /// Version 2 of its configuration, which releases 1 and 2 of containerd read.
    pub fn containerd(&self) -> String {
        let (pause, networks) = (images::PAUSE.reference(), self.cni_dir());
        let networks = networks.display();
        format!(
            r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#
        )
    }

    pub fn kubelet(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.testbed.dir().join(AUTHORITY)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.machine.namespace.name),
            "failCgroupV1": false,
            "failSwapOn": false,
            "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
            "resolvConf": "",
            // Else it would make a directory below /usr.
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "evictionHard": {
                "memory.available": "50Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            // Images come from nowhere a second time.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "makeIPTablesUtilChains": false,
            "nodeStatusUpdateFrequency": "4s",
            "serializeImagePulls": false,
        })
    }

    pub fn kube_proxy(&self, kubeconfig: &Path) -> Value {
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": POD_NETWORKS,
            "hostnameOverride": self.machine.name,
            "clientConnection": {"kubeconfig": kubeconfig},
            // All of these are the machine's, and stay as they are.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        })
    }

    /// Point-to-point links to Pods, without masquerade.
    pub fn pod_network(&self) -> Value {
        let ranges = pod_networks(self.machine).map(|network| json!([{"subnet": network.to_string()}]));
        json!({
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{
                "type": "ptp",
                "ipMasq": false,
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "ranges": ranges,
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            }],
        })
    }
}
