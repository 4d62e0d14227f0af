//! Which backends look dead by probes and checks, and which of them the plan avoids.

use std::sync::Arc;

use lb_common::maps::ServiceKey;
use tracing::{info, warn};

use crate::{
    agent::report::HealthReport,
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
        for subject in dead.difference(&self.dead) {
            warn!("{} does not answer: it gets nothing while others do", subject);
        }
        for subject in self.dead.difference(&dead) {
            info!("{} answers again", subject);
        }
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

    pub fn problems(&self, plan: &Plan) -> impl Iterator<Item = String> {
        let dead = self.dead.iter().filter_map(|subject| {
            let health = self.healths.get(subject)?;
            Some(format!(
                "{}: has not answered for {} s, and gets nothing while others do; is the machine up, and on it {}?",
                subject,
                health.since.elapsed().as_secs(),
                match subject {
                    Subject::Node(_) => "the agent's program attached (`trigon status` there)",
                    Subject::Server(..) => "the server running, and the VIP on its loopback interface",
                }
            ))
        });
        let unanswered = plan.services.iter().filter(|(key, planned)| self.has_no_live_backend(key, planned));
        let ignored = unanswered.map(|(key, planned)| {
            format!(
                "Service {}, {}: none of its backends answers; they all stay in the ring, since it is \
                 more likely the asking that fails",
                planned.name,
                names::frontend(key)
            )
        });
        dead.chain(ignored).collect::<Vec<_>>().into_iter()
    }

    /// Do all backends of a service look dead? The plan then keeps all of them.
    fn has_no_live_backend(&self, key: &ServiceKey, planned: &PlannedService) -> bool {
        let mut members = planned.members.iter().map(|(backend, _)| Subject::of_backend(key, backend));
        !planned.members.is_empty() && members.all(|subject| self.dead.contains(&subject))
    }
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
