//! What the condition says of a Service.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::fleet::{Agent, Fleet};
use crate::objects::crds::{AgentException, AgentRole, exception_reasons as reasons};

pub const TRUE: &str = "True";
const FALSE: &str = "False";
const UNKNOWN: &str = "Unknown";
/// Reasons, beside those of exceptions.
const PROGRAMMED: &str = "Programmed";
/// All have it, and some machine says what else is wrong.
const WITH_WARNINGS: &str = "ProgrammedWithWarnings";
/// Some machines have not told of this version yet.
const PENDING: &str = "Pending";
/// No director tells anything.
const NO_REPORTS: &str = "NoReports";
/// Some machine has more exceptions than it names.
const INCOMPLETE: &str = "ReportIncomplete";

/// How many machines a message names.
const MAX_NAMED: usize = 3;

/// The condition, without the time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub status: &'static str,
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Verdict {
    /// As somebody has told.
    pub fn of(condition: &Condition) -> Self {
        let known = [TRUE, FALSE].into_iter().find(|known| *known == condition.status);
        new(known.unwrap_or(UNKNOWN), &condition.reason, condition.message.clone())
    }

    /// Have all machines it, and none has anything to say?
    pub fn is_well(&self) -> bool {
        self.reason == PROGRAMMED
    }

    /// Has it only just been asked for, as far as one can tell?
    pub fn is_pending(&self) -> bool {
        self.reason == PENDING
    }
}

/// `version`: since when the Service asks for what it does.
pub fn verdict(
    version: u64,
    exceptions: Option<&BTreeMap<Arc<str>, Vec<AgentException>>>,
    agents: &HashMap<Arc<str>, Agent>,
    fleet: &Fleet,
) -> Verdict {
    if fleet.of_role(AgentRole::Director).len() == 0 {
        return new(UNKNOWN, NO_REPORTS, NO_DIRECTOR.to_owned());
    }
    let of_kind = |is_warning| -> BTreeMap<&Arc<str>, &AgentException> {
        let all = exceptions.into_iter().flatten();
        all.filter_map(|(name, all)| Some((name, all.iter().find(|one| one.is_warning() == is_warning)?)))
            .collect()
    };
    let failing = of_kind(false);
    let counted = |name: &Arc<str>| agents.get(name).and_then(Agent::counted);
    let has_role = |name: &Arc<str>, role| counted(name).is_some_and(|report| report.roles.contains(&role));
    let [directors, nodes] = AgentRole::ALL.map(|role| fleet.of_role(role));
    let mut behind = directors
        .behind(version)
        .chain(nodes.behind(version).filter(|name| !has_role(name, AgentRole::Director)))
        .peekable();
    let incomplete: BTreeSet<_> = directors.incomplete().iter().chain(nodes.incomplete()).collect();
    // Mostly many are behind, or few lack something.
    let is_behind = |name: &Arc<str>| counted(name).is_some_and(|report| report.services.seen < version);
    let lacking: BTreeSet<_> =
        failing.keys().chain(&incomplete).copied().filter(|name| !is_behind(name)).collect();
    let good = AgentRole::ALL.map(|role| {
        let group = fleet.of_role(role);
        let lacking = lacking.iter().filter(|name| has_role(name, role)).count();
        group.len() - group.behind(version).count() - lacking
    });
    let (all_directors, all_nodes) = (directors.len(), nodes.len());
    let so_many = format!("{} of {all_directors} directors, {} of {all_nodes} nodes", good[0], good[1]);
    if let Some(first) = failing.values().next() {
        let is_same = failing.values().all(|exception| exception.reason == first.reason);
        let reason = if is_same { first.reason.as_str() } else { reasons::NOT_PROGRAMMED };
        let said = failing.iter().map(|(name, exception)| format!("{name}: {}", exception.message));
        new(FALSE, reason, format!("{so_many}; {}", some("; ", said)))
    } else if behind.peek().is_some() {
        let names = some(", ", behind);
        new(
            UNKNOWN,
            PENDING,
            format!("{so_many} have told of this version; not yet: {names} ({IF_IT_STAYS})"),
        )
    } else if !incomplete.is_empty() {
        let message = format!(
            "{so_many} for certain; more Services than a report names are not programmed on {}: see `trigon status` there",
            some(", ", incomplete)
        );
        new(UNKNOWN, INCOMPLETE, message)
    } else {
        let warnings = of_kind(true);
        if warnings.is_empty() {
            return new(TRUE, PROGRAMMED, so_many);
        }
        let said = warnings.iter().map(|(name, exception)| format!("{name}: {}", exception.message));
        new(TRUE, WITH_WARNINGS, format!("{so_many}; {}", some("; ", said)))
    }
}

const IF_IT_STAYS: &str = "if it stays so: is an agent running there? Otherwise delete its AgentReport";

const NO_DIRECTOR: &str = "no director reports: is there a Node that is ready, with the label trigon.dev/director (or --all-directors), and does an agent \
                           with this role and `--source kube` run on it?";

fn new(status: &'static str, reason: &str, message: String) -> Verdict {
    Verdict { status, reason: reason.to_owned(), message }
}

/// The first ones, and how many more.
fn some(between: &str, all: impl IntoIterator<Item = impl ToString>) -> String {
    let mut all = all.into_iter();
    let named: Vec<_> = all.by_ref().take(MAX_NAMED).map(|one| one.to_string()).collect();
    let named = named.join(between);
    match all.count() {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
