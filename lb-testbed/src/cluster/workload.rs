//! What a cluster serves: Pods with all servers of a testbed, and a Service on [`VIP`](crate::VIP).

use std::time::Duration;

use serde_json::{Value, json};

use super::images::SERVER;
use crate::{
    address::{Dual, VIP},
    manifest::{PortSpec, Protocol, ServiceSpec, service_object},
    servers::HTTP_PORT,
};

/// Deployment and Service, and the label `app` of Pods.
pub const NAME: &str = "web";
/// How long a Pod that ends goes on: longer than it takes until everybody knows.
pub const LINGER: Duration = Duration::from_secs(10);

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
                    "terminationGracePeriodSeconds": 3 * LINGER.as_secs(),
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
        "args": ["serve", "--name=$(POD_NAME)", format!("--linger={}", LINGER.as_secs())],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        // A large receive buffer, so that no datagram is lost in the server.
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": HTTP_PORT}, "periodSeconds": 1},
    })
}

/// At the VIP that it asks the controller for, which others may share.
pub fn service() -> Value {
    service_object(&at(VIP, ServiceSpec::with_all_ports(NAME)))
}

/// One that kube-proxy carries, for HTTP of the same Pods.
pub fn plain_service(name: &str, vip: Dual, port: u16) -> Value {
    let ports = vec![PortSpec::new("http", Protocol::Tcp, port, HTTP_PORT)];
    let spec = at(vip, ServiceSpec::new(name, ports));
    service_object(&spec.annotation("trigon.dev/dsr", "false").field("selector", json!({"app": NAME})))
}

/// Asks for these addresses.
fn at(vip: Dual, spec: ServiceSpec) -> ServiceSpec {
    let vips = vip.both().map(|vip| vip.to_string()).join(",");
    spec.annotation("trigon.dev/load-balancer-ips", &vips)
        .annotation("trigon.dev/allow-shared-ip", NAME)
        .field("allocateLoadBalancerNodePorts", false.into())
}
