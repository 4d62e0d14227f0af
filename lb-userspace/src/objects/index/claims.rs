//! Which Service gets an address and port that several ask for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::objects::{
    model::{Frontend, Problem, Service},
    source::{ObjectRef, Rank},
    translate::Claim,
};

#[derive(Default)]
pub struct Claims {
    of_service: HashMap<ObjectRef, Vec<Frontend>>,
    of_frontend: BTreeMap<Frontend, Vec<(Rank, Claim)>>,
    /// Who got it when the claims were last settled.
    holders: BTreeMap<Frontend, ObjectRef>,
    /// Frontends whose claims have changed since then.
    changed: BTreeSet<Frontend>,
    /// Frontends with several claims.
    disputed: BTreeSet<Frontend>,
}

impl Claims {
    /// Replaces all claims of a Service.
    pub fn replace_claims(&mut self, rank: &Rank, claims: Vec<Claim>) {
        self.remove_claims(&rank.object);
        if claims.is_empty() {
            return;
        }
        let frontends: Vec<_> = claims.iter().map(|claim| claim.frontend).collect();
        for claim in claims {
            self.changed.insert(claim.frontend);
            let all = self.of_frontend.entry(claim.frontend).or_insert_with(|| Vec::with_capacity(1));
            all.push((rank.clone(), claim));
        }
        frontends.iter().for_each(|frontend| self.note_number(*frontend));
        self.of_service.insert(rank.object.clone(), frontends);
    }

    /// Removes all claims of a Service.
    pub fn remove_claims(&mut self, service: &ObjectRef) {
        for frontend in self.of_service.remove(service).unwrap_or_default() {
            self.changed.insert(frontend);
            if let Some(all) = self.of_frontend.get_mut(&frontend) {
                all.retain(|(rank, _)| rank.object != *service);
            }
            self.note_number(frontend);
        }
    }

    fn note_number(&mut self, frontend: Frontend) {
        let number = self.of_frontend.get(&frontend).map_or(0, Vec::len);
        if number == 0 {
            self.of_frontend.remove(&frontend);
        }
        if number > 1 {
            self.disputed.insert(frontend);
        } else {
            self.disputed.remove(&frontend);
        }
    }

    fn winner(&self, frontend: &Frontend) -> Option<&(Rank, Claim)> {
        let holder = self.holders.get(frontend);
        let all = self.of_frontend.get(frontend)?;
        all.iter().min_by_key(|(rank, _)| rank.precedence(holder == Some(&rank.object)))
    }

    /// Services that don't get something they ask for, where claims have changed. Those that lose
    /// only to another of them may get it yet: they are left out, unless all do.
    pub fn new_losers(&self) -> BTreeSet<ObjectRef> {
        let disputes: Vec<&Frontend> = self.changed.intersection(&self.disputed).collect();
        let losers = |disputes: &[&Frontend]| -> BTreeSet<ObjectRef> {
            let losers = disputes.iter().flat_map(|frontend| self.losers_of(frontend));
            losers.map(|(rank, _)| rank.object.clone()).collect()
        };
        let all = losers(&disputes);
        let is_final =
            |frontend: &&Frontend| self.winner(frontend).is_some_and(|(rank, _)| !all.contains(&rank.object));
        let decided: Vec<_> = disputes.into_iter().filter(is_final).collect();
        if decided.is_empty() { all } else { losers(&decided) }
    }

    fn losers_of(&self, frontend: &Frontend) -> impl Iterator<Item = &(Rank, Claim)> {
        let winner = self.winner(frontend).map(|(rank, _)| rank);
        let all = self.of_frontend.get(frontend).into_iter().flatten();
        all.filter(move |(rank, _)| Some(rank) != winner)
    }

    /// Whoever wins now holds what it gets. Returns the frontends whose claims have changed.
    pub fn settle(&mut self) -> BTreeSet<Frontend> {
        for frontend in &self.changed {
            match self.winner(frontend).map(|(rank, _)| rank.object.clone()) {
                Some(winner) => drop(self.holders.insert(*frontend, winner)),
                None => drop(self.holders.remove(frontend)),
            }
        }
        std::mem::take(&mut self.changed)
    }

    /// The Service that gets it.
    pub fn winner_of(&self, frontend: &Frontend) -> Option<&ObjectRef> {
        self.winner(frontend).map(|(rank, _)| &rank.object)
    }

    /// The service that gets it. None: nobody claims it, or kube-proxy carries it.
    pub fn winning_service(&self, frontend: &Frontend) -> Option<&Arc<Service>> {
        self.winner(frontend)?.1.service.as_ref()
    }

    /// The Service that gets it, if kube-proxy carries that.
    pub fn passed_to(&self, frontend: &Frontend) -> Option<&ObjectRef> {
        let (rank, claim) = self.winner(frontend)?;
        claim.service.is_none().then_some(&rank.object)
    }

    pub fn frontends_of(&self, service: &ObjectRef) -> impl Iterator<Item = &Frontend> {
        self.of_service.get(service).into_iter().flatten()
    }

    /// One for each claim to a frontend that another Service gets.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.disputed.iter().flat_map(|frontend| {
            self.losers_of(frontend).map(|(rank, claim)| self.problem(*frontend, rank, claim))
        })
    }

    /// Those of one Service.
    pub fn problems_of(&self, service: &ObjectRef) -> Vec<(Frontend, Problem)> {
        let disputed = self.frontends_of(service).filter(|frontend| self.disputed.contains(frontend));
        let lost =
            disputed.flat_map(|frontend| self.losers_of(frontend).map(move |loser| (*frontend, loser)));
        let own = lost.filter(|(_, (rank, _))| rank.object == *service);
        own.map(|(frontend, (rank, claim))| (frontend, self.problem(frontend, rank, claim))).collect()
    }

    fn problem(&self, frontend: Frontend, loser: &Rank, claim: &Claim) -> Problem {
        let winner = self.winner(&frontend).map(|(rank, _)| rank.object.to_string()).unwrap_or_default();
        let message = format!("{frontend} belongs to {winner} already");
        loser.object.problem(&claim.field, message, "give one of the two another address or port")
    }

    /// The frontends whose claims have changed since they were settled.
    pub fn changed(&self) -> &BTreeSet<Frontend> {
        &self.changed
    }
}
