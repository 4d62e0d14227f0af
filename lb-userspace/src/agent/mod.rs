//! The agent: what the source says goes to the kernel, and everything that
//! happens on the way is there to be asked.

pub mod announcer;
mod announcing;
mod api;
mod explain;
mod leave;
mod liveness;
mod reach;
mod reconcile;
mod view;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::{
    announce::departure::Pace,
    datapath::kernel::{self, LoadError},
    health::{self, Healths, Probing, Targets},
    model::{Cluster, Problem},
    moment::at,
    neigh::{self, NextHops},
    plan::Identity,
    pmtu,
    source::file::{self, Load},
    translate,
};
use announcer::Announcer;
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
    /// How to tell who is alive; without, everybody is.
    pub health: Option<Asking>,
    pub announcing: Announcing,
}

/// How to tell others of VIPs: directors do of those in the data path, any node of kube-proxy's.
#[derive(Clone)]
pub struct Announcing {
    pub options: announcer::Options,
    pub pace: Pace,
}

/// How to tell who is alive.
#[derive(Clone, Copy)]
pub struct Asking {
    pub nodes: Probing,
    pub servers: Probing,
}

/// Reports of path MTUs that wait to be looked at.
const REPORTS: usize = 64;

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
    let announcer = start_announcer(&config, is_restarted(&loaded.attachments, &reconciler))?;
    let view = View::new(&config, loaded.attachments, loaded.stats, reconciler, announcer.heard());
    let view = Arc::new(Mutex::new(view));
    tokio::select! {
        result = follow(&config, first, view.clone(), &announcer) => result,
        result = listener.serve(view.clone()) => result,
        result = log_drops(&config.datapath) => result,
        result = leave::on_signal(&view, &announcer) => result,
    }
}

/// Was there an agent before us, since whose end nothing was unloaded? Its
/// Services need not be in the data path: kube-proxy may carry them all.
fn is_restarted<T>(attachments: &[kernel::Attachment], reconciler: &Reconciler<T>) -> bool {
    attachments.iter().any(|attachment| attachment.adopted) || !reconciler.state.services.is_empty()
}

/// `restarted`: something is forwarded already.
fn start_announcer(config: &Config, restarted: bool) -> anyhow::Result<Announcer> {
    let mut options = config.announcing.options.clone();
    options.bgp.restarted = restarted;
    Announcer::start(options)
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

/// Bring source and next hops to the reconciler whenever they change.
async fn follow(
    config: &Config,
    first: Load,
    view: Arc<Mutex<View>>,
    announcer: &Announcer,
) -> anyhow::Result<()> {
    let (load_to, mut loads) = watch::channel(first);
    let (targets_to, targets) = watch::channel(BTreeSet::new());
    let (hops_to, mut hops) = watch::channel(Arc::new(NextHops::new()));
    let (probe_to, probed) = watch::channel(Targets::default());
    let (healths_to, mut healths) = watch::channel(Healths::new());
    tokio::spawn(file::follow(config.source.clone(), load_to));
    let neighbours = tokio::spawn(neigh::follow(targets, hops_to));
    let probes = tokio::spawn(ask(config.health, probed, healths_to));
    let (reports_to, mut reports) = mpsc::channel(REPORTS);
    tokio::spawn(hear_of_path_mtus(reports_to));
    loads.mark_changed();
    let mut rest = tokio::time::interval(REST);
    tokio::pin!(neighbours, probes);
    let woken = with(&view, |view| view.woken());
    loop {
        let due = with(&view, |view| view.due());
        tokio::select! {
            changed = loads.changed() => {
                changed.context("the source ended")?;
                let load = loads.borrow_and_update().clone();
                let wanted = with(&view, |view| view.load(config.translate, load));
                set_if_new(&targets_to, &wanted);
            }
            changed = hops.changed() => {
                changed.context("netlink ended")?;
                let hops = hops.borrow_and_update().clone();
                with(&view, |view| view.set_hops(hops));
            }
            changed = healths.changed() => {
                changed.context("the prober ended")?;
                let healths = healths.borrow_and_update().clone();
                with(&view, |view| view.set_healths(healths));
            }
            Some(report) = reports.recv() => with(&view, |view| view.learn(&report)),
            () = at(due) => with(&view, View::proceed),
            _ = rest.tick() => with(&view, View::rest),
            () = woken.notified() => {}
            ended = &mut neighbours => {
                ended.context("the task that follows netlink ended")??;
            }
            ended = &mut probes => {
                ended.context("the task that asks who is alive ended")??;
            }
        }
        with(&view, |view| set_if_new(&probe_to, view.probed()));
        if let Some(orders) = with(&view, View::orders) {
            announcer.order(orders);
        }
    }
}

async fn ask(
    asking: Option<Asking>,
    targets: watch::Receiver<Targets>,
    healths: watch::Sender<Healths>,
) -> anyhow::Result<()> {
    let Some(asking) = asking else {
        healths.closed().await;
        return Ok(());
    };
    // Apart from each other: many checks must not delay the probes of nodes.
    let probes = tokio::spawn(health::follow_probes(asking.nodes, targets.clone(), healths.clone()));
    let checks = tokio::spawn(health::follow_checks(asking.servers, targets, healths));
    tokio::select! {
        ended = probes => ended.context("the task that probes nodes ended")?,
        ended = checks => ended.context("the task that checks bare servers ended")?,
    }
}

/// Without it, what is too big for a path vanishes on it.
async fn hear_of_path_mtus(reports: mpsc::Sender<pmtu::Report>) {
    if let Err(error) = pmtu::listen(reports).await {
        warn!("cannot hear of path MTUs (ICMP): {error}; the agent needs CAP_NET_RAW");
    }
}

fn set_if_new<T: Clone + PartialEq>(cell: &watch::Sender<T>, wanted: &T) {
    cell.send_if_modified(|now| {
        let differs = now != wanted;
        if differs {
            now.clone_from(wanted);
        }
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
    /// What is wrong with objects that announcements are about: they are left out,
    /// or as they last were good, and all else goes on.
    refused: Vec<Problem>,
    /// Was there ever a good one?
    known: bool,
}
