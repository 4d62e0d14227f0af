//! What the controller's conditions of Services come to say, as somebody sees it who watches.

use std::{
    path::PathBuf,
    pin::pin,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use lb_testbed::Namespace;

use crate::cluster::{connect, runtime};

const PROGRAMMED: &str = "trigon.dev/Programmed";

/// The condition of a Service in one of its versions.
pub struct Told {
    pub service: String,
    pub status: String,
    pub at: Instant,
}

impl Told {
    /// None: it has none.
    fn of(service: Service) -> Option<Self> {
        let conditions = service.status?.conditions?;
        let condition = conditions.into_iter().find(|condition| condition.type_ == PROGRAMMED)?;
        Some(Self { service: service.metadata.name?, status: condition.status, at: Instant::now() })
    }
}

/// All that are told from now on.
pub struct Conditions(mpsc::Receiver<Told>);

impl Conditions {
    pub fn watch(namespace: &Namespace, kubeconfig: PathBuf) -> Result<Self> {
        let (told_to, told) = mpsc::channel();
        namespace.spawn_thread(move || {
            runtime()?.block_on(async {
                let services = Api::<Service>::default_namespaced(connect(&kubeconfig).await?);
                let events = watcher(services, watcher::Config::default()).default_backoff();
                let mut services = pin!(events.applied_objects());
                while let Some(service) = services.next().await {
                    // A watch that has failed begins again.
                    if let Some(told) = service.ok().and_then(Told::of)
                        && told_to.send(told).is_err()
                    {
                        break;
                    }
                }
                anyhow::Ok(())
            })
        })?;
        Ok(Self(told))
    }

    /// Waits for the next one.
    pub fn next(&self, patience: Duration) -> Result<Told> {
        self.0.recv_timeout(patience).with_context(|| format!("no condition has changed for {patience:?}"))
    }

    /// Waits until this is told of this Service. Returns when.
    pub fn wait(&self, service: &str, status: &str, patience: Duration) -> Result<Instant> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let told = self.next(left).with_context(|| format!("{service} is not told to be {status}"))?;
            if (told.service.as_str(), told.status.as_str()) == (service, status) {
                return Ok(told.at);
            }
        }
    }
}
