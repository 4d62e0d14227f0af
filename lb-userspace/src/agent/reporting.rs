//! Tells the API server what this machine has programmed, by an AgentReport: the controller makes conditions of those
//! of all machines. Nothing waits for it, and where it fails, nothing else does.
//!
//! ```text
//! Snapshot ──content──> Report ──pace: when?──> API server
//! ```

mod content;
pub mod crowd;
mod pace;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use tokio::{sync::watch, time::timeout};
use tracing::{debug, info, warn};

use self::{
    content::{Report, may_differ},
    pace::{Pace, Urgency},
};
use super::snapshot::{Facts, Snapshot};
use crate::{
    hash::fnv1a,
    objects::{crds::AgentReport, source::ApiServer},
    os::moment::wait_until,
};

/// The manager of the fields of reports.
const MANAGER: &str = "trigon-agent";
/// For how long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reports for as long as there are snapshots. `fault`: why the last report could not be written.
pub async fn report(
    server: ApiServer,
    facts: Arc<Facts>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    fault: watch::Sender<Option<String>>,
) {
    let mut looked_at = Arc::clone(&snapshots.borrow_and_update());
    let mut reporter = Reporter::new(&server, &looked_at.me.node, fault);
    loop {
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                if may_differ(&looked_at, &snapshots.borrow_and_update()) {
                    reporter.note_news();
                }
            }
            () = wait_until(reporter.due()) => {
                looked_at = Arc::clone(&snapshots.borrow_and_update());
                let report = looked_at.report(&facts, reporter.told.as_ref());
                reporter.tell(report).await;
            }
        }
    }
}

/// What was told, and when to look whether there is more to tell.
struct Reporter {
    writer: Writer,
    pace: Pace,
    /// The last report that was written.
    told: Option<Report>,
}

impl Reporter {
    fn new(server: &ApiServer, node: &str, fault: watch::Sender<Option<String>>) -> Self {
        let seed = fnv1a(node) ^ u64::from(std::process::id());
        Self { writer: Writer::new(server, node, fault), pace: Pace::new(seed), told: None }
    }

    /// Something has happened that may have to be told.
    fn note_news(&mut self) {
        self.pace.note_news(Instant::now());
    }

    /// When to look.
    fn due(&self) -> Option<Instant> {
        self.pace.due()
    }

    /// After a look: writes what it has found, if it is time to. None: there is nothing.
    async fn tell(&mut self, report: Option<Report>) {
        let urgency = report.as_ref().map_or(Urgency::None, |report| report.urgency(self.told.as_ref()));
        if let (true, Some(report)) = (self.pace.is_time(urgency, Instant::now()), report) {
            let is_written = self.writer.write(&report).await;
            self.pace.note_attempt(is_written, Instant::now());
            if is_written {
                self.told = Some(report);
            }
        }
    }
}

/// Writes reports, and tells once when that begins to fail and once when it succeeds again.
struct Writer {
    api: Api<AgentReport>,
    namespace: String,
    name: String,
    fault: watch::Sender<Option<String>>,
}

impl Writer {
    fn new(server: &ApiServer, node: &str, fault: watch::Sender<Option<String>>) -> Self {
        let namespace = server.namespace().to_owned();
        let api = Api::namespaced(server.client(), &namespace);
        Self { api, namespace, name: node.to_owned(), fault }
    }

    async fn write(&self, report: &Report) -> bool {
        let object = AgentReport { metadata: self.metadata(report), spec: report.spec.clone() };
        let (how, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&object));
        let written = timeout(PATIENCE, self.api.patch(&self.name, &how, &patch)).await;
        let fault = match written {
            Ok(Ok(_)) => {
                debug!(seen = report.spec.services.seen, "reported");
                None
            }
            Ok(Err(error)) => Some(self.describe(&error)),
            Err(_) => Some(self.fault_text("there is no answer; it is tried again")),
        };
        self.set_fault(fault)
    }

    /// The report goes when its Node goes.
    fn metadata(&self, report: &Report) -> ObjectMeta {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: self.name.clone(),
            uid: report.node_uid.to_string(),
            ..OwnerReference::default()
        };
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// True if there is none.
    fn set_fault(&self, fault: Option<String>) -> bool {
        let is_well = fault.is_none();
        let was_well = self.fault.borrow().is_none();
        match &fault {
            Some(fault) if was_well => warn!("{fault}"),
            None if !was_well => info!("AgentReport {}/{} is written again", self.namespace, self.name),
            _ => {}
        }
        self.fault.send_if_modified(|told| {
            let is_other = *told != fault;
            *told = fault;
            is_other
        });
        is_well
    }

    fn describe(&self, error: &kube::Error) -> String {
        let is = |code: StatusCode| matches!(error, kube::Error::Api(status) if status.code == code);
        if is(StatusCode::FORBIDDEN) {
            self.fault_text(
                "the API server does not let us; apply the Role of manifests/base in that namespace",
            )
        } else if is(StatusCode::NOT_FOUND) {
            self.fault_text("there is no such kind or namespace; apply manifests/base")
        } else {
            self.fault_text(&format!("{error}; it is tried again"))
        }
    }

    fn fault_text(&self, why: &str) -> String {
        format!(
            "AgentReport {}/{} cannot be written, without which no condition tells what is programmed here: {why}",
            self.namespace, self.name
        )
    }
}
