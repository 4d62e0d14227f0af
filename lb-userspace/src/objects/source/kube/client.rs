//! A client of the API server.

use std::{
    fmt,
    future::Future,
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hyper::{Request, Response, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{sync::Mutex, time::timeout};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use super::answer::{Answer, first_cause};
use crate::os::moment::wait_until;

/// For how long to wait for a connection, with TLS.
const CONNECT: Duration = Duration::from_secs(3);
/// For how long a server may say nothing at all: it is asked for a sign of life after this time, and
/// has as long again. One that loses its power closes no connection.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two watches of a kind: a proxy may end each at once, in good order.
const PAUSE: Duration = Duration::from_millis(200);
/// For how long to wait for the head of a response: as long as a server gives to a list.
const RESPONSE: Duration = Duration::from_secs(60);

/// Where the API server is, and who we are to it. Cheap to clone.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    address: String,
    door: Arc<Door>,
}

impl ApiServer {
    /// As a kubeconfig file has it; without one, as `kubectl` would find it, or as a Pod is told. Asks
    /// nobody yet. To be called within a tokio runtime.
    pub async fn find(kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let config = match kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path);
                let read =
                    read.with_context(|| format!("--kubeconfig {}: cannot be used", path.display()))?;
                let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
                config.with_context(|| format!("--kubeconfig {}: cannot be used", path.display()))?
            }
            None => Config::infer().await.context(
                "there is neither a kubeconfig file ($KUBECONFIG, ~/.kube/config) nor a Pod's \
                 service account; name a file with --kubeconfig",
            )?,
        };
        Self::from_config(config)
    }

    pub(super) fn from_config(config: Config) -> anyhow::Result<Self> {
        let address = config.cluster_url.to_string();
        let client = connect(config).with_context(|| format!("API server {address}"))?;
        Ok(Self { client, address, door: Arc::default() })
    }

    /// The namespace that this Pod is in, or that the kubeconfig names.
    pub fn namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// A client that shares the connection.
    pub fn client(&self) -> Client {
        self.observed_client(|_| {})
    }

    /// A client that tells `noted` how each of its requests was answered.
    pub fn observed_client(&self, noted: impl Fn(Answer) + Clone + Send + Sync + 'static) -> Client {
        let (server, next_watch) = (self.clone(), Arc::new(Mutex::new(Instant::now())));
        let service = service_fn(move |request: Request<Body>| {
            let (server, noted, next_watch) = (server.clone(), noted.clone(), Arc::clone(&next_watch));
            async move {
                if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
                    let mut next = next_watch.lock().await;
                    wait_until(Some(*next)).await;
                    *next = Instant::now() + PAUSE;
                }
                let result = within(RESPONSE, server.ask(request)).await;
                noted(answer_of(&result));
                result
            }
        });
        Client::new(service, self.namespace())
    }

    /// While there is no connection, one request tries to get one, and those that come meanwhile share it, or
    /// share the failure.
    async fn ask(&self, request: Request<Body>) -> kube::Result<Response<Body>> {
        let last_failure = self.door.failures();
        if !self.door.is_open() {
            let turn = self.door.turn.lock().await;
            if !self.door.is_open() {
                self.door.check_no_other_than(last_failure)?;
                let result = self.client.send(request).await;
                self.door.note(&result);
                drop(turn);
                return result;
            }
        }
        let result = self.client.send(request).await;
        self.door.note(&result);
        result
    }
}

/// Is there a connection, as far as the last answer tells?
#[derive(Default)]
struct Door {
    is_open: AtomicBool,
    /// Of those who ask while there is none.
    turn: Mutex<()>,
    /// How many there were, and why the last one was.
    failures: std::sync::Mutex<(u64, String)>,
}

impl Door {
    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    fn failures(&self) -> u64 {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The last failure, if there was one since `known`.
    fn check_no_other_than(&self, known: u64) -> kube::Result<()> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.0 == known { Ok(()) } else { Err(kube::Error::Service(failures.1.clone().into())) }
    }

    fn note<T>(&self, result: &kube::Result<T>) {
        self.is_open.store(result.is_ok(), Ordering::Release);
        if let Err(error) = result {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures = (failures.0 + 1, first_cause(error));
        }
    }
}

impl fmt::Display for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.address.trim_end_matches('/'))
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiServer({self})")
    }
}

/// All requests of an agent share one connection by HTTP/2, as far as the server allows: a thousand
/// agents are a thousand connections, not ten thousand.
fn connect(config: Config) -> anyhow::Result<Client> {
    ensure!(config.proxy_url.is_none(), "a proxy cannot be used: take proxy-url out of the kubeconfig");
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(SILENCE));
    tcp.set_keepalive_interval(Some(SILENCE));
    tcp.set_tcp_user_timeout(Some(2 * SILENCE));
    let mut tls =
        HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name.clone().try_into().context("tls-server-name of the kubeconfig")?;
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let tls = tls.enable_all_versions().wrap_connector(tcp);
    let connector = service_fn(move |address: Uri| {
        let connected = tls.clone().oneshot(address);
        Box::pin(async { timeout(CONNECT, connected).await? })
    });
    let mut http = legacy::Client::builder(TokioExecutor::new());
    http.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
    http.http2_keep_alive_interval(SILENCE)
        .http2_keep_alive_timeout(SILENCE)
        .http2_keep_alive_while_idle(true);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http.build(connector));
    Ok(Client::new(service, config.default_namespace))
}

async fn within<T>(patience: Duration, response: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| Err(kube::Error::Service(format!("no response within {} s", patience.as_secs()).into()));
    timeout(patience, response).await.unwrap_or_else(late)
}

fn answer_of(result: &kube::Result<Response<Body>>) -> Answer {
    match result {
        Ok(response) if response.status().is_success() => Answer::Good,
        Ok(response) => Answer::Status(response.status()),
        Err(error) => Answer::Missing(first_cause(error)),
    }
}
