//! Which Service gets an address and port that several ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::objects::{
    model::{Frontend, Problem, Service},
    source::{ObjectRef, Rank},
    translate::Claim,
};

#[derive(Default)]
pub struct Claims {
    of_service: BTreeMap<ObjectRef, (Rank, Vec<Frontend>)>,
    of_frontend: BTreeMap<Frontend, BTreeMap<Rank, Claim>>,
    disputed: BTreeSet<Frontend>,
}

impl Claims {
    /// Replaces all claims of a Service and returns the frontends whose winner may have changed.
    pub fn replace_claims(
        &mut self,
        service: &ObjectRef,
        claims: Option<(Rank, Vec<Claim>)>,
    ) -> BTreeSet<Frontend> {
        let mut changed = BTreeSet::new();
        if let Some((rank, frontends)) = self.of_service.remove(service) {
            for frontend in frontends {
                self.of_frontend.entry(frontend).or_default().remove(&rank);
                changed.insert(frontend);
            }
        }
        if let Some((rank, claims)) = claims.filter(|(_, claims)| !claims.is_empty()) {
            let mut frontends = Vec::with_capacity(claims.len());
            for claim in claims {
                let frontend = claim.frontend;
                self.of_frontend.entry(frontend).or_default().insert(rank.clone(), claim);
                changed.insert(frontend);
                frontends.push(frontend);
            }
            self.of_service.insert(service.clone(), (rank, frontends));
        }
        for frontend in &changed {
            match self.of_frontend.get(frontend).map_or(0, BTreeMap::len) {
                0 => drop(self.of_frontend.remove(frontend)),
                1 => drop(self.disputed.remove(frontend)),
                _ => drop(self.disputed.insert(*frontend)),
            }
        }
        changed
    }

    /// The service that gets it. None: nobody claims it, or kube-proxy carries it.
    pub fn winning_service(&self, frontend: &Frontend) -> Option<&Arc<Service>> {
        self.of_frontend.get(frontend)?.values().next()?.service.as_ref()
    }

    /// One for each claim to a frontend that another Service gets.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        let disputes = self.disputed.iter().filter_map(|f| Some((f, self.of_frontend.get(f)?)));
        disputes.flat_map(|(frontend, claims)| {
            let winner = claims.keys().next().map(|rank| rank.object.to_string()).unwrap_or_default();
            claims.iter().skip(1).map(move |(rank, claim)| {
                let message = format!("{frontend} belongs to {winner} already");
                rank.object.problem(&claim.field, message, "give one of the two another address or port")
            })
        })
    }
}
