//! The objects of a cluster, written to an API server.

use std::{
    iter,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Instant,
};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use lb_testbed::{Machine, Namespace};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::layout::{endpoint_address, node_address, node_of, vip};

/// Of each Service.
pub const ENDPOINTS: usize = 10;
pub const PORT: u16 = 80;
/// Requests at a time.
const AT_ONCE: usize = 32;

#[derive(Clone)]
pub struct Cluster {
    /// Where the API server is reached from.
    namespace: Namespace,
    kubeconfig: PathBuf,
    services: usize,
    nodes: usize,
}

impl Cluster {
    pub fn new(namespace: Namespace, kubeconfig: PathBuf, services: usize, nodes: usize) -> Self {
        Self { namespace, kubeconfig, services, nodes }
    }

    pub fn services(&self) -> usize {
        self.services
    }

    /// Nodes and Services.
    pub fn create(&self) -> Result<()> {
        self.ask(async |client| {
            let nodes = (0..self.nodes).map(|n| node(&node_name(n), &node_address(n).to_string(), false));
            create_all(&Api::<Node>::all(client.clone()), nodes).await?;
            let services = (0..self.services).map(service);
            create_all(&Api::<Service>::default_namespaced(client), services).await
        })
    }

    /// The Node of a machine that an agent runs on, and the endpoints of all Services.
    pub fn create_endpoints(&self, director: &Machine) -> Result<()> {
        let director = node(&director.name, &director.address.v4.to_string(), true);
        self.ask(async |client| {
            create_all(&Api::<Node>::all(client.clone()), iter::once(director)).await?;
            let slices = (0..self.services).map(|n| self.slice(n, 0));
            create_all(&Api::<EndpointSlice>::default_namespaced(client), slices).await
        })
    }

    /// Has a Service ask for something else than with any other `number`. Returns when that was sent.
    pub fn change_service(&self, service: usize, number: usize) -> Result<Instant> {
        self.ask(async |client| {
            let limit = (100_000 + number).to_string();
            let patch = json!({"metadata": {"annotations": {"trigon.dev/new-flows-per-second": limit}}});
            let (services, sent) = (Api::<Service>::default_namespaced(client), Instant::now());
            services.patch(&service_name(service), &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok(sent)
        })
    }

    /// Has a Node say, as the node lifecycle controller does, that nobody hears of it any more. Returns when that was sent.
    pub fn give_up_node(&self, number: usize) -> Result<Instant> {
        self.ask(async |client| {
            let ready = json!({
                "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
            });
            let patch = Patch::Merge(json!({"status": {"conditions": [ready]}}));
            let (nodes, sent) = (Api::<Node>::all(client), Instant::now());
            nodes.patch_status(&node_name(number), &PatchParams::default(), &patch).await?;
            Ok(sent)
        })
    }

    /// On a thread that is in the API server's namespace.
    fn ask<T: Send>(&self, what: impl AsyncFnOnce(Client) -> Result<T> + Send) -> Result<T> {
        self.namespace.within(|| runtime()?.block_on(async { what(connect(&self.kubeconfig).await?).await }))
    }

    /// Has one endpoint of each Service that it is told moved to another node.
    pub fn start_mover(&self) -> Result<Mover> {
        let (services_to, services) = mpsc::channel::<usize>();
        let (moved_to, moved) = mpsc::channel();
        let cluster = self.clone();
        self.namespace.spawn_thread(move || {
            let runtime = runtime()?;
            let client = runtime.block_on(connect(&cluster.kubeconfig))?;
            let slices = Api::<EndpointSlice>::default_namespaced(client);
            for (moves, service) in services.into_iter().enumerate() {
                let patch =
                    Patch::Merge(json!({"endpoints": cluster.slice(service, 1 + moves % (cluster.nodes - 1))["endpoints"]}));
                let patched =
                    runtime.block_on(slices.patch(&slice_name(service), &PatchParams::default(), &patch));
                moved_to.send(patched.map(drop)).context("nobody waits")?;
            }
            Ok(())
        })?;
        Ok(Mover { services: services_to, moved })
    }

    fn slice(&self, service: usize, moves: usize) -> Value {
        let endpoint = |n: usize| {
            let moves = if n == 0 { moves } else { 0 };
            let node = (node_of(service, n, self.nodes) + moves) % self.nodes;
            json!({
                "addresses": [endpoint_address(service * ENDPOINTS + n)],
                "nodeName": node_name(node),
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": format!("s{service}-{n}"), "namespace": "default"},
            })
        };
        json!({
            "metadata": {
                "name": slice_name(service), "labels": {"kubernetes.io/service-name": service_name(service)},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
        })
    }
}

/// See [`Cluster::start_mover`].
pub struct Mover {
    services: mpsc::Sender<usize>,
    moved: mpsc::Receiver<kube::Result<()>>,
}

impl Mover {
    /// Returns at once.
    pub fn begin(&self, service: usize) -> Result<()> {
        self.services.send(service).context("the mover has ended")
    }

    /// Waits for the answer of the API server.
    pub fn wait(&self) -> Result<()> {
        self.moved.recv().context("the mover has ended")?.context("moving an endpoint")
    }
}

pub fn node_name(number: usize) -> String {
    format!("n{number}")
}

pub fn service_name(number: usize) -> String {
    format!("s{number}")
}

fn slice_name(service: usize) -> String {
    format!("s{service}-1")
}

fn node(name: &str, address: &str, director: bool) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"trigon.dev/director": director.to_string()}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

fn service(number: usize) -> Value {
    json!({
        "metadata": {"name": service_name(number), "annotations": {"trigon.dev/dsr": "true"}},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb", "allocateLoadBalancerNodePorts": false,
            "ports": [{"name": "http", "port": PORT, "targetPort": 8080}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": vip(number)}]}},
    })
}

/// With their status, if they have one.
async fn create_all<K>(api: &Api<K>, objects: impl Iterator<Item = Value>) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let create = async |object: Value| {
        let typed = serde_json::from_value(object.clone())?;
        api.create(&PostParams::default(), &typed).await?;
        if object["status"].is_object() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let patch = Patch::Merge(json!({"status": object["status"]}));
            api.patch_status(name, &PatchParams::default(), &patch).await?;
        }
        anyhow::Ok(())
    };
    stream::iter(objects).map(create).buffer_unordered(AT_ONCE).try_collect::<()>().await
}

pub async fn connect(kubeconfig: &Path) -> Result<Client> {
    let read =
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.default_namespace = "default".to_owned();
    Ok(Client::try_from(config)?)
}

/// On its thread, which is in the API server's namespace.
pub fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
