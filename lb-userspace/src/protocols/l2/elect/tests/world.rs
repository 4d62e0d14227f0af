//! A cluster of agents, and a network that is slow, but keeps the order.

use std::time::Duration;

use super::*;
use crate::{
    hash::Random,
    protocols::l2::{hello::Hello, hello_nodes::HelloNodes, interfaces::tests::interfaces},
};

pub struct World {
    pub now: Instant,
    pub agents: Vec<Option<Agent>>,
    flying: Vec<(Instant, usize, usize, Hello)>,
    /// Who may announce each VIP, as of the last change, which agents learn of in
    /// their own time.
    candidates: Vec<BTreeSet<usize>>,
    learning: Vec<(Instant, usize, usize, BTreeSet<usize>)>,
    /// Does an agent see only the last of changes that it learns at once? The driver may.
    pub merges: bool,
    random: Random,
    /// Of 100 hellos, but never so many in a row that somebody is held for lost.
    pub lost: u64,
    in_a_row: BTreeMap<(usize, usize), u32>,
    /// From whom to whom nothing comes.
    pub cut: BTreeSet<(usize, usize)>,
    incarnations: u64,
    pub moves: BTreeMap<IpAddr, Vec<usize>>,
    /// How often anybody had two announcers at the same time.
    pub conflicts: Vec<String>,
}

pub struct Agent {
    pub peers: OtherAgents,
    pub election: Election,
    hello_nodes: HelloNodes,
    wanted: L2Orders,
}

pub fn vip(number: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, number as u8])
}

fn name(number: usize) -> Arc<str> {
    format!("node-{number}").into()
}

fn ballot(candidates: &BTreeSet<usize>) -> Arc<Ballot> {
    Arc::new(candidates.iter().map(|number| name(*number)).collect::<BTreeSet<_>>().into())
}

impl World {
    /// All agents are candidates for all VIPs.
    pub fn new(agents: usize, vips: usize, seed: u64) -> Self {
        Self {
            now: Instant::now(),
            agents: (0..agents).map(|_| None).collect(),
            flying: Vec::new(),
            candidates: vec![(0..agents).collect(); vips],
            learning: Vec::new(),
            merges: false,
            random: Random::new(seed),
            lost: 0,
            in_a_row: BTreeMap::new(),
            cut: BTreeSet::new(),
            incarnations: 0,
            moves: BTreeMap::new(),
            conflicts: Vec::new(),
        }
    }

    fn vips(&self) -> usize {
        self.candidates.len()
    }

    pub fn orders_of(&self, number: usize) -> L2Orders {
        let one = |candidates: &BTreeSet<usize>| Candidates {
            ballot: ballot(candidates),
            ready: true,
            ..Candidates::default()
        };
        let vips = self.candidates.iter().enumerate().map(|(number, nodes)| (vip(number), one(nodes)));
        L2Orders { me: name(number), nodes: BTreeMap::new(), vips: vips.collect(), leaving: false }
    }

    pub fn start_agent(&mut self, number: usize) {
        // A new agent starts with the latest candidates, so the others must have learnt them too.
        self.learn_changes_by(None);
        self.incarnations += 1;
        let wanted = self.orders_of(number);
        let peers = OtherAgents::new(wanted.me.clone(), self.incarnations);
        let mut agent =
            Agent { peers, election: Election::default(), hello_nodes: HelloNodes::default(), wanted };
        agent.apply_orders(self.now);
        self.agents[number] = Some(agent);
        self.run_turn(number);
    }

    pub fn start_all(&mut self) {
        (0..self.agents.len()).for_each(|number| self.start_agent(number));
    }

    pub fn kill_agent(&mut self, number: usize) {
        self.agents[number] = None;
        self.flying.retain(|(_, to, ..)| *to != number);
    }

    pub fn change_orders(&mut self, number: usize, change: impl FnOnce(&mut L2Orders)) {
        let now = self.now;
        if let Some(agent) = &mut self.agents[number] {
            change(&mut agent.wanted);
            agent.apply_orders(now);
            self.run_turn(number);
        }
    }

    pub fn set_ready(&mut self, number: usize, vips: impl IntoIterator<Item = usize>, ready: bool) {
        self.change_orders(number, |wanted| {
            vips.into_iter().for_each(|one| wanted.vips.get_mut(&vip(one)).unwrap().ready = ready);
        });
    }

    /// Agents learn of it after so many milliseconds, each in its turn.
    pub fn set_candidates(&mut self, vip: usize, candidates: &[usize], lags: &[u64]) {
        let candidates: BTreeSet<_> = candidates.iter().copied().collect();
        for (number, lag) in lags.iter().enumerate() {
            let at = self.now + Duration::from_millis(*lag);
            let before = self.learning.iter().filter(|(_, agent, ..)| *agent == number).map(|one| one.0);
            let at = before.fold(at, Instant::max);
            self.learning.push((at, number, vip, candidates.clone()));
        }
        self.candidates[vip] = candidates;
        self.learn_changes_by(Some(self.now));
    }

    fn learn_changes_by(&mut self, now: Option<Instant>) {
        let is_due = |(at, ..): &(Instant, _, _, _)| now.is_none_or(|now| *at <= now);
        while let Some(first) = self.learning.iter().position(is_due) {
            let agent = self.learning[first].1;
            let most = if self.merges { usize::MAX } else { 1 };
            let learnt = self.learning.extract_if(.., |one| one.1 == agent && is_due(one)).take(most);
            let learnt: Vec<_> = learnt.collect();
            self.change_orders(agent, |wanted| {
                for (_, _, number, candidates) in learnt {
                    wanted.vips.get_mut(&vip(number)).unwrap().ballot = ballot(&candidates);
                }
            });
        }
    }

    /// As the driver does it: decide first, speak then.
    pub fn run_turn(&mut self, number: usize) {
        let Some(agent) = &mut self.agents[number] else { return };
        let hellos = agent.peers.poll(self.now);
        let changes = agent.election.decide_owners(&agent.peers, self.now);
        agent.peers.set_announced(agent.election.announced(), self.now);
        for (to, hello) in hellos {
            let to: usize = to.trim_start_matches("node-").parse().unwrap();
            let row = self.in_a_row.entry((number, to)).or_insert(0);
            *row = if self.random.below(100) < self.lost && *row < 2 { *row + 1 } else { 0 };
            if *row == 0 && !self.cut.contains(&(number, to)) {
                let hello = Hello::decode(&hello.encode()).unwrap();
                let before = self
                    .flying
                    .iter()
                    .filter(|(_, other, from, _)| (*other, *from) == (to, number))
                    .map(|f| f.0);
                let delay = Duration::from_micros(50 + self.random.below(3000));
                let at = before.fold(self.now + delay, Instant::max);
                self.flying.push((at, to, number, hello));
            }
        }
        for vip in changes.started {
            self.moves.entry(vip).or_default().push(number);
            let owners = self.owners(&vip);
            if owners.len() > 1 {
                self.conflicts.push(format!("{vip} at {owners:?}"));
            }
        }
    }

    pub fn owners(&self, vip: &IpAddr) -> Vec<usize> {
        let announces = |agent: &Option<Agent>| {
            agent.as_ref().is_some_and(|agent| agent.election.announced_candidates(vip).is_some())
        };
        (0..self.agents.len()).filter(|number| announces(&self.agents[*number])).collect()
    }

    pub fn all_owners(&self) -> Vec<Vec<usize>> {
        (0..self.vips()).map(|number| self.owners(&vip(number))).collect()
    }

    pub fn run_for(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let agents = self.agents.iter().flatten();
            let timers = agents.flat_map(|agent| {
                [
                    agent.peers.next_deadline(),
                    agent.election.next_deadline(),
                    agent.hello_nodes.next_deadline(),
                ]
            });
            let learning = self.learning.iter().map(|(at, ..)| *at);
            let next = self.flying.iter().map(|(at, ..)| *at).chain(learning).chain(timers.flatten()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.learn_changes_by(Some(self.now));
            while let Some(at) = self.flying.iter().position(|(at, ..)| *at <= self.now) {
                let (_, to, from, hello) = self.flying.remove(at);
                if let Some(agent) = self.agents[to].as_mut().filter(|agent| agent.knows_node(from)) {
                    agent.peers.process_hello(&hello, self.now);
                }
                self.run_turn(to);
            }
            let now = self.now;
            self.agents.iter_mut().flatten().for_each(|agent| agent.forget_expired(now));
            (0..self.agents.len()).for_each(|number| self.run_turn(number));
        }
        self.now = end;
    }

    /// Asserts that each VIP is owned by its best able candidate, and that all agents report so.
    pub fn assert_best_owners(&self) {
        assert_eq!(self.conflicts, [""; 0]);
        for (number, candidates) in self.candidates.iter().enumerate() {
            let vip = vip(number);
            let is_able = |number: &&usize| {
                let agent = self.agents[**number].as_ref();
                agent.is_some_and(|agent| !agent.wanted.leaving && agent.wanted.vips[&vip].ready)
            };
            let able: BTreeSet<_> = candidates.iter().filter(is_able).map(|number| name(*number)).collect();
            let best = rank_nodes(&vip, &able).first().map(|name| name.to_string());
            let owners: Vec<_> = self.owners(&vip).iter().map(|number| name(*number).to_string()).collect();
            assert_eq!(owners, best.iter().cloned().collect::<Vec<_>>(), "{vip}");
            for agent in self.agents.iter().flatten() {
                let statuses = agent.election.statuses(&agent.peers, &interfaces(&[], &[]));
                let status = statuses.iter().find(|status| status.vip == vip);
                assert!(status.is_none_or(|status| status.owner == best), "{vip}: {status:?}");
            }
        }
    }
}

impl Agent {
    pub fn apply_orders(&mut self, now: Instant) {
        let vips = self.wanted.vips.values();
        let nodes: BTreeSet<_> = vips.flat_map(|one| one.ballot.nodes()).cloned().collect();
        let is_one = nodes.contains(&self.wanted.me);
        let nodes = nodes.into_iter().filter(|_| is_one).map(|node| (node, Vec::new()));
        self.wanted.nodes = nodes.collect();
        self.hello_nodes.set_nodes(&self.wanted.nodes, now);
        self.peers.set_nodes(self.hello_nodes.nodes(), now);
        self.election.set_orders(&self.wanted, now);
        let eth0 = interfaces(&["eth0"], &["eth0"]);
        self.peers.set_ready(self.election.announceable(&eth0), self.wanted.leaving, now);
    }

    fn knows_node(&self, number: usize) -> bool {
        self.hello_nodes.nodes().any(|node| *node == name(number))
    }

    fn forget_expired(&mut self, now: Instant) {
        if self.hello_nodes.forget_expired(now) {
            self.peers.set_nodes(self.hello_nodes.nodes(), now);
        }
    }
}
