//! Which backends look dead by probes and checks, and which of them the plan avoids.

use std::sync::Arc;

use lb_common::maps::ServiceKey;

use super::{aggregate::Fault, report::HealthReport};
use crate::{
    changes::changed_keys,
    health::{Health, Healths},
    plan::{BackendKey, Dead, Plan, PlannedService, Subject, names},
};

/// What probes and checks say. Cheap to copy.
#[derive(Clone, Default)]
pub struct Liveness {
    healths: Arc<Healths>,
    dead: Arc<Dead>,
    /// Those of the dead that the plan leaves out.
    avoided: Arc<Dead>,
}

impl Liveness {
    /// True if the dead, or those to avoid, have changed.
    pub fn set_healths(&mut self, healths: Healths) -> bool {
        let dead: Dead =
            healths.iter().filter(|(_, health)| !health.alive).map(|(subject, _)| *subject).collect();
        // If no node has ever answered, it is more likely that the probes fail than that all are dead.
        let no_node_answered =
            !healths.iter().any(|(s, h)| matches!(s, Subject::Node(_)) && h.round_trip.is_some());
        let is_to_avoid = |subject: &&Subject| !no_node_answered || matches!(subject, Subject::Server(..));
        let avoided: Dead = dead.iter().filter(is_to_avoid).copied().collect();
        let changed = (&*self.dead, &*self.avoided) != (&dead, &avoided);
        (self.healths, self.dead, self.avoided) = (Arc::new(healths), Arc::new(dead), Arc::new(avoided));
        changed
    }

    /// The backends that the plan is to leave out.
    pub fn avoided(&self) -> &Dead {
        &self.avoided
    }

    /// What the probes of a backend say, in every service that it is behind.
    pub fn health_reports(&self, backend: &BackendKey, plan: &Plan) -> Vec<HealthReport> {
        let report_of = |subject: Subject| Some(health_report(&subject, self.healths.get(&subject)?));
        if !backend.bare {
            return report_of(Subject::of_node(backend)).into_iter().collect();
        }
        plan.services.keys().filter_map(|service| report_of(Subject::Server(*service, *backend))).collect()
    }

    /// True unless a probe or a check says that it is dead.
    pub fn is_alive(&self, backend: &BackendKey, plan: &Plan) -> bool {
        self.dead.is_empty() || self.health_reports(backend, plan).iter().all(|health| health.alive)
    }

    pub fn faults(&self, plan: &Plan) -> Vec<Fault> {
        if self.dead.is_empty() {
            return Vec::new();
        }
        let dead = self.dead.iter().filter(|subject| self.healths.contains_key(subject));
        let dead = dead.map(|subject| Fault::new(death_sentence(subject), subject));
        let ignored = self.unanswered(plan).map(|(key, planned)| {
            Fault::new(IGNORED, format!("Service {}, {}", planned.name, names::frontend(key)))
        });
        dead.chain(ignored).collect()
    }

    /// The services of which all backends look dead.
    pub fn unanswered<'a>(
        &'a self,
        plan: &'a Plan,
    ) -> impl Iterator<Item = (&'a ServiceKey, &'a Arc<PlannedService>)> {
        // So that not each service's members are asked about when none, or all nodes, look dead.
        let is_dead = |key: &BackendKey| !key.bare && self.dead.contains(&Subject::of_node(key));
        let all_dead = !self.dead.is_empty() && plan.members.keys().all(is_dead);
        plan.services.iter().filter(move |(key, planned)| match (self.dead.is_empty(), all_dead) {
            (true, _) => false,
            (false, true) => !planned.members.is_empty(),
            (false, false) => self.is_unanswered(key, planned),
        })
    }

    /// May there be other faults than before? Looks only at what has changed.
    pub fn may_differ(&self, before: &Self, [was, is]: [&Plan; 2]) -> bool {
        if self.dead.is_empty() || self.dead != before.dead {
            return self.dead != before.dead;
        }
        let unanswered = |plan: &Plan, key: &ServiceKey| {
            let planned = plan.services.get(key).filter(|planned| self.is_unanswered(key, planned))?;
            Some(Arc::clone(&planned.name))
        };
        let mut services = changed_keys(&was.services, &is.services).into_iter();
        services.any(|key| unanswered(was, &key) != unanswered(is, &key))
    }

    /// Has the service backends, and do all of them look dead? The plan then keeps all of them.
    fn is_unanswered(&self, key: &ServiceKey, planned: &PlannedService) -> bool {
        let mut members = planned.members.iter().map(|(backend, _)| Subject::of_backend(key, backend));
        !planned.members.is_empty() && members.all(|subject| self.dead.contains(&subject))
    }
}

const IGNORED: &str = "none of its backends answers; they all stay in the ring, since it is more likely the asking \
                       that fails";

fn death_sentence(subject: &Subject) -> String {
    let cause = match subject {
        Subject::Node(_) => "the agent's program attached (`trigon status` there)",
        Subject::Server(..) => "the server running, and the VIP on its loopback interface",
    };
    format!("does not answer, and gets nothing while others do; is the machine up, and on it {cause}?")
}

fn health_report(subject: &Subject, health: &Health) -> HealthReport {
    HealthReport {
        service: match subject {
            Subject::Node(_) => None,
            Subject::Server(service, _) => Some(names::frontend(service)),
        },
        alive: health.alive,
        seconds: health.since.elapsed().as_secs(),
        asked: health.asked,
        lost: health.lost,
        round_trip_microseconds: health.round_trip.map(|time| time.as_micros() as u64),
    }
}
