//! What a report says: pure.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lb_common::roles;

use super::pace::Urgency;
use crate::{
    agent::{
        fit, reach,
        reconcile::Programmed,
        snapshot::{Facts, Snapshot},
    },
    changes::is_same_list,
    objects::{
        crds::{AgentException, AgentReportSpec, AgentRole, ReportedServices, exception_reasons as reasons},
        source::{Kind, ObjectRef},
    },
    plan::{BackendKey, PlannedService},
};

/// A report, and what it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    pub node_uid: Arc<str>,
    pub spec: AgentReportSpec,
    /// [`crate::agent::snapshot::SourceVersion::requests`], as of `seen`.
    pub requests: u64,
}

impl Report {
    /// How soon is it to be told, after one that was told before?
    pub fn urgency(&self, told: Option<&Self>) -> Urgency {
        let Some(told) = told else { return Urgency::Soon };
        let is_asked_else =
            self.spec.services.seen != told.spec.services.seen && self.requests != told.requests;
        if self.node_uid != told.node_uid || is_asked_else || !says_the_same(&self.spec, &told.spec) {
            Urgency::Soon
        } else if self.spec.services == told.spec.services {
            Urgency::None
        } else {
            Urgency::Later
        }
    }
}

/// But for the numbers of Services.
fn says_the_same(one: &AgentReportSpec, other: &AgentReportSpec) -> bool {
    // With all fields, so that no new one is forgotten.
    let AgentReportSpec { roles, version, services: _, exceptions, omitted } = one;
    (roles, version, exceptions, omitted) == (&other.roles, &other.version, &other.exceptions, &other.omitted)
}

/// May the report of one snapshot be another than that of one before it? Looks only at what both do not share.
pub fn may_differ(before: &Snapshot, now: &Snapshot) -> bool {
    let (was, is) = (&before.programmed, &now.programmed);
    !Arc::ptr_eq(&was.plan, &is.plan)
        || !Arc::ptr_eq(&was.mirror, &is.mirror)
        || !Arc::ptr_eq(&before.hops, &now.hops)
        || was.failure != is.failure
        || before.source.version != now.source.version
        || !is_same_list(&before.source.faults, &now.source.faults)
        || now.liveness.may_differ(&before.liveness, [&was.plan, &is.plan])
}

impl Snapshot {
    /// None: nothing is in effect yet, and what an earlier agent has told holds; or there is no Node that the report
    /// could belong to.
    pub fn report(&self, facts: &Facts, told: Option<&Report>) -> Option<Report> {
        self.report_with(self.uplink_mtu(facts), told)
    }

    fn report_with(&self, uplink_mtu: u32, told: Option<&Report>) -> Option<Report> {
        let Programmed { plan, proven, is_planned, .. } = &self.programmed;
        let version = &self.source.version;
        let node_uid = version.node_uid.clone().filter(|_| *is_planned)?;
        // Until the next hops of new backends have been looked up, Services are as they were.
        let is_in_effect = plan.waiting.is_empty() && plan.held == 0;
        let (seen, requests) = if is_in_effect {
            (version.seen, version.requests)
        } else {
            told.map(|told| (told.spec.services.seen, told.requests))?
        };
        let mut spec = AgentReportSpec {
            roles: roles_of(self.me.roles),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            services: ReportedServices {
                seen,
                programmed: count(proven.len()),
                total: count(plan.services.len() + plan.held),
            },
            ..AgentReportSpec::default()
        };
        let failing = self.invalid().into_iter().chain(self.not_programmed());
        spec.set_exceptions(failing.chain(self.without_backend()).chain(self.on_narrow_paths(uplink_mtu)));
        Some(Report { node_uid, spec, requests })
    }

    /// Services of which the latest version is not in effect.
    fn invalid(&self) -> Vec<AgentException> {
        let faults = self.source.faults.iter().filter(|problem| !problem.left_out);
        let of_services = faults.filter_map(|problem| {
            let this = problem.object.parse().ok().filter(|this: &ObjectRef| this.kind == Kind::Service)?;
            let said = format!("{}: {}; {}", problem.field, problem.message, problem.remedy);
            Some(AgentException::new(&this.full_name(), reasons::INVALID, &said))
        });
        of_services.collect()
    }

    /// Services that the maps do not hold as they were planned, or not for certain.
    fn not_programmed(&self) -> Vec<AgentException> {
        let Programmed { plan, mirror, proven, shortages, failure, .. } = &self.programmed;
        if self.programmed.is_settled() {
            return Vec::new();
        }
        let lacks: BTreeMap<_, _> =
            shortages.iter().map(|short| (short.subject(), short.lack(&self.capacity))).collect();
        let any_lack = || lacks.iter().next().map(|(of, lack)| format!("{of}: {lack}"));
        let why = |planned: &PlannedService| {
            let own = lacks.get(&format!("Service {}", planned.name)).cloned();
            own.or_else(|| failure.clone())
                .or_else(any_lack)
                .unwrap_or_else(|| "it was not read back from the kernel yet".to_owned())
        };
        let missing = plan.services.iter().filter(|&(key, planned)| {
            let is_whole = mirror.written.get(key).is_some_and(|written| written.is_as_planned(planned));
            !is_whole || !proven.contains_key(key)
        });
        missing
            .map(|(_, planned)| AgentException::new(&planned.name, reasons::NOT_PROGRAMMED, &why(planned)))
            .collect()
    }

    /// Services of which this director reaches no backend, as far as it knows.
    fn without_backend(&self) -> Vec<AgentException> {
        let Programmed { plan, .. } = &self.programmed;
        if !plan.is_director {
            return Vec::new();
        }
        let exception =
            |planned: &PlannedService, said| AgentException::new(&planned.name, reasons::NO_BACKEND, said);
        let unanswered = self.liveness.unanswered(plan).map(|(_, planned)| exception(planned, UNANSWERED));
        let mut all: Vec<_> = unanswered.collect();
        let has_no_way = |key: &&BackendKey| !reach::has_way(key, plan, &self.hops);
        let cut_off: BTreeSet<_> = plan.members.keys().filter(has_no_way).collect();
        if !cut_off.is_empty() {
            let is_lost = |planned: &&Arc<PlannedService>| {
                !planned.members.is_empty() && planned.members.iter().all(|(key, _)| cut_off.contains(key))
            };
            let lost = plan.services.values().filter(is_lost);
            all.extend(lost.map(|planned| exception(planned, NO_WAY)));
        }
        all
    }

    /// Services that have a backend whose path is too narrow for clients' longest packets.
    fn on_narrow_paths(&self, uplink_mtu: u32) -> Vec<AgentException> {
        let Programmed { plan, .. } = &self.programmed;
        let narrow: BTreeMap<_, _> = fit::narrow_paths(&plan.backends, uplink_mtu).collect();
        if narrow.is_empty() {
            return Vec::new();
        }
        let first_narrow = |planned: &PlannedService| {
            let (key, backend) = planned.members.iter().find_map(|(key, _)| narrow.get_key_value(key))?;
            let addr = IpAddr::from(key.addr);
            let said = format!(
                "the path to {addr} carries {} bytes, {} of them encapsulation: raise its MTU",
                backend.mtu,
                backend.overhead()
            );
            Some(AgentException::new(&planned.name, reasons::MTU, &said))
        };
        plan.services.values().filter_map(|planned| first_narrow(planned)).collect()
    }
}

const NO_WAY: &str = "there is no way to any of its backends: look at links and routes (`trigon backends`)";
const UNANSWERED: &str =
    "none of its backends answers; they are all sent to, since it is more likely the asking that fails";

fn roles_of(bits: u32) -> Vec<AgentRole> {
    let all = [(roles::DIRECTOR, AgentRole::Director), (roles::NODE, AgentRole::Node)];
    all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, role)| role).collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
