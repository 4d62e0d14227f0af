//! From the start of an agent to its end.

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::{
    api::Listener,
    config::AgentConfig,
    dispatcher::Dispatcher,
    engine::{Engine, Input},
    inputs::Inputs,
    leave,
    problem_log::ProblemLog,
    reconcile::Reconciler,
    reporting,
    snapshot::{Facts, Reader, Snapshot},
    speakers::Speakers,
};
use crate::{
    datapath::{
        Tables,
        kernel::{self, Attachment, DatapathConfig, LoadError},
    },
    objects::{index::Index, source::ApiServer},
    os::{moment::Now, signals::StopSignals},
};

/// Run until told to stop. What was programmed stays.
pub async fn run(config: AgentConfig) -> anyhow::Result<()> {
    // In this order: a second agent must be noticed before anything is touched.
    kernel::check_environment().map_err(LoadError::from)?;
    let mut signals = StopSignals::new()?;
    let listener = tokio::select! {
        listener = Listener::bind(&config.socket) => listener?,
        () = signals.next() => return Ok(()),
    };
    let datapath = kernel::load(&config.datapath)?;
    let _lock = datapath.lock;
    datapath.attachments.iter().for_each(log_attachment);
    let reconciler = Reconciler::new(config.me, datapath.tables, datapath.capacity)?;
    let mut speakers = config.announce.speakers;
    speakers.bgp.restarted = is_restarted(&datapath.attachments, &reconciler);
    let speakers = Speakers::start(speakers)?;
    let expects_objects = !reconciler.programmed().mirror.services.is_empty();
    let dispatcher = Dispatcher::new(config.announce.drain_times, speakers.status());
    let uplinks = kernel::interfaces_by_index(&config.datapath.interfaces);
    let devices = uplinks.keys().copied().collect();
    let mut engine = Engine::new(reconciler, dispatcher, Index::new(config.translate), devices);
    if config.source.has_many_writers() {
        engine = engine.start_with_faults();
    }
    let (snapshots_to, snapshots) = watch::channel(Arc::new(engine.snapshot()));
    let (drain_requests_to, drain_requests) = mpsc::channel(1);
    let facts = Facts {
        started: Instant::now(),
        source: config.source.to_string(),
        datapath: config.datapath.clone(),
        attachments: datapath.attachments,
    };
    let facts = Arc::new(facts);
    let (fault_to, report_fault) = watch::channel(None);
    let server = config.source.api_server().cloned();
    let reporting = report(server, Arc::clone(&facts), snapshots.clone(), fault_to);
    let reader = Reader {
        facts,
        stats: Arc::new(datapath.stats),
        snapshots,
        drain_requests: drain_requests_to,
        report_fault,
    };
    let inputs = Inputs::start(
        config.source,
        expects_objects,
        uplinks,
        datapath.uplinks,
        config.health,
        drain_requests,
    );
    tokio::select! {
        result = run_engine(engine, inputs, &snapshots_to, &speakers) => result,
        result = listener.serve(reader.clone()) => result,
        result = log_drops(&config.datapath) => result,
        result = leave::drain_on_signal(&reader, &speakers, &mut signals) => result,
        result = reporting => result,
    }
}

/// Feeds the engine, carries out what it decides, and shows its state after each step.
async fn run_engine<T: Tables>(
    mut engine: Engine<T>,
    mut inputs: Inputs,
    snapshots: &watch::Sender<Arc<Snapshot>>,
    speakers: &Speakers,
) -> anyhow::Result<()> {
    let mut problem_log = ProblemLog::default();
    let mut first = Some((inputs.first_update().await?, None));
    loop {
        let (input, noted) = match first.take() {
            Some(first) => first,
            None => inputs.next_input(engine.due(Instant::now())).await?,
        };
        let is_tick = matches!(input, Input::Tick);
        let mut effects = engine.handle(input, Now::read());
        inputs.carry_out(&mut effects);
        if let Some(orders) = effects.orders {
            speakers.send_orders(orders);
        }
        let snapshot = Arc::new(engine.snapshot());
        let before = Arc::clone(&snapshots.borrow());
        problem_log.follow(&before, &snapshot, is_tick);
        snapshots.send_replace(snapshot);
        if let Some(noted) = noted {
            // An error means that the requester does not wait any more.
            let _ = noted.send(());
        }
    }
}

/// Was there an agent before, and nothing unloaded since? Links are evidence of it too: with
/// kube-proxy carrying all Services, there are none in the maps.
fn is_restarted<T: Tables>(attachments: &[Attachment], reconciler: &Reconciler<T>) -> bool {
    let is_adopted = attachments.iter().any(|attachment| attachment.adopted);
    is_adopted || !reconciler.programmed().mirror.services.is_empty()
}

/// Only an API server is told what is programmed.
async fn report(
    server: Option<ApiServer>,
    facts: Arc<Facts>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    fault: watch::Sender<Option<String>>,
) -> anyhow::Result<()> {
    if let Some(server) = server {
        reporting::report(server, facts, snapshots, fault).await;
    }
    std::future::pending().await
}

async fn log_drops(config: &DatapathConfig) -> anyhow::Result<()> {
    if config.log_drops { kernel::drops::log(&config.pin_dir).await } else { std::future::pending().await }
}

fn log_attachment(attachment: &Attachment) {
    let interface = &attachment.interface;
    match (attachment.mode, attachment.adopted) {
        (kernel::XdpMode::Generic, _) => {
            warn!(interface, "attached in generic mode: every packet is copied into a socket buffer first");
        }
        (_, true) => info!(interface, "took over the attached link, with this release's program"),
        (_, false) => info!(interface, "attached in native mode"),
    }
}
