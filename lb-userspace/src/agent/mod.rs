//! The agent: what the source says goes to the kernel, and everything that
//! happens on the way is there to be asked.

mod api;
mod reconcile;
mod view;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, warn};

use crate::{
    datapath::kernel::{self, LoadError},
    model::{Cluster, Problem},
    neigh::{self, NextHops},
    plan::Identity,
    source::file::{self, Load},
    translate,
};
pub use api::Listener;
use reconcile::Reconciler;
use view::View;

/// What an agent is told on its command line.
pub struct Config {
    pub me: Identity,
    pub source: PathBuf,
    pub socket: PathBuf,
    pub datapath: kernel::Options,
    /// How Services are to be understood.
    pub translate: translate::Options,
}

/// How long ids and ranges rest before they are used again.
const REST: Duration = Duration::from_secs(1);

/// Run until told to stop. What was programmed stays.
pub async fn run(config: Config) -> anyhow::Result<()> {
    // In this order: a second agent, or a source that is not there, must be
    // noticed before anything is touched.
    kernel::check().map_err(LoadError::from)?;
    let listener = Listener::bind(&config.socket).await?;
    let first = file::read_dir(&config.source).map(Arc::new);
    let loaded = kernel::load(&config.datapath)?;
    let _lock = loaded.lock;
    for attachment in &loaded.attachments {
        report_attachment(attachment);
    }
    let reconciler = Reconciler::new(config.me.clone(), loaded.tables, loaded.capacity)?;
    let view = View::new(&config, loaded.attachments, loaded.stats, reconciler);
    let view = Arc::new(Mutex::new(view));
    tokio::select! {
        result = follow(&config, first, view.clone()) => result,
        result = listener.serve(view) => result,
        result = log_drops(&config.datapath) => result,
        result = stop() => result,
    }
}

async fn log_drops(options: &kernel::Options) -> anyhow::Result<()> {
    if options.log_drops { kernel::drops::log(&options.pin_dir).await } else { std::future::pending().await }
}

fn report_attachment(attachment: &kernel::Attachment) {
    let interface = &attachment.interface;
    match (attachment.mode, attachment.adopted) {
        (kernel::XdpMode::Generic, _) => {
            warn!(interface, "attached in generic mode: every packet is copied into a socket buffer first");
        }
        (_, true) => info!(interface, "took over the attached link, with this release's program"),
        (_, false) => info!(interface, "attached in native mode"),
    }
}

async fn stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping; the data path goes on as it is (`trigon unload` removes it)");
    Ok(())
}

/// Bring source and next hops to the reconciler whenever they change.
async fn follow(config: &Config, first: Load, view: Arc<Mutex<View>>) -> anyhow::Result<()> {
    let (load_to, mut loads) = watch::channel(first);
    let (targets_to, targets) = watch::channel(BTreeSet::new());
    let (hops_to, mut hops) = watch::channel(Arc::new(NextHops::new()));
    tokio::spawn(file::follow(config.source.clone(), load_to));
    let neighbours = tokio::spawn(neigh::follow(targets, hops_to));
    loads.mark_changed();
    let mut rest = tokio::time::interval(REST);
    tokio::pin!(neighbours);
    loop {
        tokio::select! {
            changed = loads.changed() => {
                changed.context("the source ended")?;
                let load = loads.borrow_and_update().clone();
                let wanted = with(&view, |view| view.load(config.translate, load));
                set_targets(&targets_to, wanted);
            }
            changed = hops.changed() => {
                changed.context("netlink ended")?;
                let hops = hops.borrow_and_update().clone();
                with(&view, |view| view.set_hops(hops));
            }
            _ = rest.tick() => with(&view, View::rest),
            ended = &mut neighbours => {
                ended.context("the task that follows netlink ended")??;
            }
        }
    }
}

fn set_targets(targets: &watch::Sender<BTreeSet<IpAddr>>, wanted: BTreeSet<IpAddr>) {
    targets.send_if_modified(|now| {
        let differs = *now != wanted;
        *now = wanted;
        differs
    });
}

/// A panic while the lock was held is no reason for another one.
fn with<T>(view: &Mutex<View>, act: impl FnOnce(&mut View) -> T) -> T {
    act(&mut view.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Log each problem that was not there before.
fn log_news(before: &[Problem], now: &[Problem]) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        error!("{problem}");
    }
}

/// The last good state of the source.
#[derive(Default)]
struct Wanted {
    cluster: Arc<Cluster>,
    /// Why what the source says now is not it; empty if it is.
    problems: Vec<Problem>,
    /// Was there ever a good one?
    known: bool,
}
