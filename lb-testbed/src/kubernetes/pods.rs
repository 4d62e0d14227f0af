//! Pods of Kubernetes that stand for those of a testbed.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{manifest::Protocol, testbed::Testbed};

/// A Pod at the node and the addresses of one of the testbed's, or in the network of a node, for `fakelet` to run.
#[derive(Clone, Debug)]
pub struct PodSpec {
    pub name: String,
    /// The testbed's: `pod1_1`; or `node1`, for one with `hostNetwork`.
    pub place: String,
    /// Its label `app`: it is behind the Service of this name.
    pub app: String,
    /// Its readiness probe passes.
    pub ready: bool,
    /// How long it goes on after it was deleted.
    pub linger_seconds: u32,
    /// Ports that Services may name.
    pub ports: Vec<(&'static str, Protocol, u16)>,
}

impl PodSpec {
    /// A ready one of the Service `app`, named like its place.
    pub fn new(app: &str, place: &str) -> Self {
        Self {
            // Underscores are not for names of objects.
            name: place.replace('_', "-"),
            place: place.to_owned(),
            app: app.to_owned(),
            ready: true,
            linger_seconds: 0,
            ports: Vec::new(),
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub const fn ready(mut self, ready: bool) -> Self {
        self.ready = ready;
        self
    }

    pub const fn linger(mut self, seconds: u32) -> Self {
        self.linger_seconds = seconds;
        self
    }

    pub fn port(mut self, name: &'static str, protocol: Protocol, number: u16) -> Self {
        self.ports.push((name, protocol, number));
        self
    }
}

pub fn pod_object(testbed: &Testbed, spec: &PodSpec) -> Result<Value> {
    let host = testbed.machine(&spec.place).ok();
    let mut annotations = BTreeMap::from([
        ("fake/ready", spec.ready.to_string()),
        ("fake/linger", spec.linger_seconds.to_string()),
    ]);
    let node = match host {
        // Its addresses are those of its Node.
        Some(machine) => &machine.name,
        None => {
            let place = testbed.pod(&spec.place)?;
            let [v4, v6] = place.addresses();
            annotations.insert("fake/ip", format!("{v4},{v6}"));
            &place.node
        }
    };
    let port = |(name, protocol, number): &(&str, Protocol, u16)| json!({"name": name, "protocol": protocol.name(), "containerPort": number});
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": spec.name,
            "namespace": "default",
            "labels": {"app": spec.app},
            "annotations": annotations,
        },
        "spec": {
            "nodeName": node,
            "hostNetwork": host.is_some(),
            "containers": [{
                "name": "server",
                "image": "server",
                "ports": spec.ports.iter().map(port).collect::<Vec<_>>(),
            }],
        },
    }))
}
