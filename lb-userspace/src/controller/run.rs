//! From the start of a controller to its end.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, Service},
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    runtime::events::{Recorder, Reporter},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tracing::{error, info};

use super::{
    NAME,
    elect::elect,
    engine::Engine,
    lease::{Elector, Timing},
    object::{self, Object},
    programmed::Notice,
    write::{Failure, Write, tell},
};
use crate::{
    hash::fnv1a,
    objects::{
        model::Problem,
        source::{ApiServer, Kind, ObjectRef, Update, follow_kinds, watch_all, watch_namespace},
        translate::TranslateConfig,
    },
    os::{moment::wait_until, signals::StopSignals},
};

/// For how long to wait, when told to stop, for writes that are under way.
const FAREWELL: Duration = Duration::from_secs(1);

pub struct ControllerConfig {
    pub server: ApiServer,
    pub translate: TranslateConfig,
    /// Unlike that of any other replica.
    pub identity: String,
    /// Of the Lease.
    pub namespace: String,
}

/// None: an Event, of which nothing depends.
type Written = Option<(ObjectRef, Result<Object, Failure>)>;

/// Run until told to stop; then the Lease is given back.
pub async fn run(config: ControllerConfig) -> anyhow::Result<()> {
    let mut signals = StopSignals::new()?;
    let client = config.server.client();
    let seed = fnv1a(&config.identity) ^ u64::from(std::process::id());
    info!("{} at {}, Lease {}/{NAME}", config.identity, config.server, config.namespace);

    let (leads_to, mut leads) = watch::channel(None);
    let (stop, stopped) = watch::channel(false);
    let leases = Api::<Lease>::namespaced(client.clone(), &config.namespace);
    let elector = Elector::new(config.identity.clone(), Timing::USUAL, seed, Instant::now());
    let mut election = tokio::spawn(elect(leases, elector, leads_to, stopped));

    let (updates_to, mut updates) = mpsc::channel(1);
    let mut following = tokio::spawn(follow(config.server, config.translate, updates_to));

    let mut writer = Writer::new(client, config.identity, config.translate);
    let mut engine = Engine::new(seed, Instant::now());
    let mut faults = FaultLog::default();
    loop {
        let now = Instant::now();
        while let Some(write) = engine.next_write(now, Timestamp::now()) {
            writer.begin(write);
        }
        while let Some((service, notice)) = engine.next_notice(now) {
            writer.tell(service, notice);
        }
        tokio::select! {
            Some(Update { changes, faults: found, .. }) = updates.recv() => {
                faults.note(found);
                engine.apply_changes(changes, Instant::now());
            }
            Ok(()) = leads.changed() => engine.set_leadership(*leads.borrow_and_update(), Instant::now()),
            Some(written) = writer.next() => {
                if let Some((this, result)) = written? {
                    engine.note_written(&this, result, Instant::now());
                }
            }
            () = wait_until(engine.due(now)) => {}
            () = signals.next() => break,
            ended = &mut election => bail!("the election ended: {ended:?}"),
            ended = &mut following => bail!("the watches ended: {ended:?}"),
        }
    }
    info!("stopping; another takes over");
    writer.finish().await;
    stop.send_replace(true);
    election.await.context("the election ended")
}

/// Hands over Services, Nodes and AgentReports, and what changes.
async fn follow(server: ApiServer, options: TranslateConfig, updates: mpsc::Sender<Update<Object>>) {
    let watch = |kind, client| match kind {
        Kind::Node => watch_all(kind, client, |node: Node| Object::of_node(&node)),
        Kind::AgentReport => watch_namespace(kind, client, Object::of_report),
        _ => watch_all(kind, client, move |service: Service| Object::of_service(service, options)),
    };
    follow_kinds(server, &[Kind::Service, Kind::Node, Kind::AgentReport], watch, updates).await;
}

/// The writes and Events that are under way, each in a task of its own.
struct Writer {
    client: Client,
    recorder: Recorder,
    options: TranslateConfig,
    tasks: JoinSet<Written>,
}

impl Writer {
    fn new(client: Client, identity: String, options: TranslateConfig) -> Self {
        let reporter = Reporter { controller: NAME.to_owned(), instance: Some(identity) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, options, tasks: JoinSet::new() }
    }

    fn begin(&mut self, write: Write) {
        let (client, recorder, options) = (self.client.clone(), self.recorder.clone(), self.options);
        self.tasks.spawn(async move {
            let this = write.this.clone();
            Some((this, write.carry_out(&client, &recorder, options).await))
        });
    }

    fn tell(&mut self, service: Arc<object::Service>, notice: Notice) {
        let recorder = self.recorder.clone();
        self.tasks.spawn(async move {
            tell(&recorder, &service, &notice).await;
            None
        });
    }

    /// What has become of one. None: there is none.
    async fn next(&mut self) -> Option<Result<Written, JoinError>> {
        self.tasks.join_next().await
    }

    /// Waits until all have ended. Those that take too long are cut off.
    async fn finish(&mut self) {
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, all_ended).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// The log has each fault of the watches once when it begins and once when it ends.
#[derive(Default)]
struct FaultLog(BTreeSet<String>);

impl FaultLog {
    fn note(&mut self, faults: Vec<Problem>) {
        let now: BTreeSet<_> = faults.iter().map(Problem::to_string).collect();
        now.difference(&self.0).for_each(|fault| error!("problem: {fault}"));
        self.0.difference(&now).for_each(|fault| info!("no problem any more: {fault}"));
        self.0 = now;
    }
}
