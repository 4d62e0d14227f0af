//! What a cluster serves: Pods with all servers of a testbed, and a Service on [`VIP`](crate::VIP).

use serde_json::{Value, json};

use super::images::SERVER;
use crate::{
    address::VIP,
    manifest::{ServiceSpec, service_object},
    servers::HTTP_PORT,
};

/// Deployment and Service, and the label `app` of Pods.
pub const NAME: &str = "web";
/// How long a Pod that ends goes on, in seconds: longer than it takes until everybody knows.
const LINGER: u32 = 10;

/// A Deployment of so many Pods, spread over the nodes. `revision` is another one for a rolling update.
pub fn deployment(replicas: usize, revision: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": NAME}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": NAME}, "annotations": {"revision": revision.to_string()}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 3 * LINGER,
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"app": NAME}},
                    }],
                    "containers": [container()],
                },
            },
        },
    })
}

fn container() -> Value {
    json!({
        "name": "servers",
        "image": SERVER.reference(),
        "imagePullPolicy": "Never",
        "args": ["serve", "--name=$(POD_NAME)", format!("--linger={LINGER}")],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        // A large receive buffer, so that no datagram is lost in the server.
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": HTTP_PORT}, "periodSeconds": 1},
    })
}

/// At the VIP that it asks the controller for.
pub fn service() -> Value {
    let vips = VIP.both().map(|vip| vip.to_string()).join(",");
    let spec = ServiceSpec::with_all_ports(NAME)
        .annotation("trigon.dev/load-balancer-ips", &vips)
        .field("allocateLoadBalancerNodePorts", false.into());
    service_object(&spec)
}
