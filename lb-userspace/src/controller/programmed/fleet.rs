//! The agents, by what their machines are for and by the version that they are at.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    controller::object::Report,
    objects::crds::{AgentException, AgentReportSpec, AgentRole},
};

/// What is known of an agent.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Agent {
    pub report: Option<Report>,
    /// The uid of its Node, if that is there and nobody says that it is not ready.
    pub ready_node: Option<String>,
}

impl Agent {
    /// Its report, if it counts.
    pub fn counted(&self) -> Option<&AgentReportSpec> {
        let report = self.report.as_ref().filter(|report| self.ready_node.as_ref() == Some(&report.node_uid));
        report.map(|report| &report.spec)
    }

    pub fn counted_exceptions(&self) -> &[AgentException] {
        self.counted().map(|report| report.exceptions.as_slice()).unwrap_or_default()
    }
}

/// Those that count.
#[derive(Debug, Default)]
pub struct Fleet {
    directors: Group,
    nodes: Group,
}

impl Fleet {
    pub fn of_role(&self, role: AgentRole) -> &Group {
        match role {
            AgentRole::Director => &self.directors,
            AgentRole::Node => &self.nodes,
        }
    }

    pub fn replace(&mut self, name: &Arc<str>, before: &Agent, now: &Agent) {
        for role in AgentRole::ALL {
            let group = match role {
                AgentRole::Director => &mut self.directors,
                AgentRole::Node => &mut self.nodes,
            };
            let of_role = |report: &&AgentReportSpec| report.roles.contains(&role);
            if let Some(report) = before.counted().filter(of_role) {
                group.by_version.remove(&(report.services.seen, Arc::clone(name)));
                group.incomplete.remove(name);
            }
            if let Some(report) = now.counted().filter(of_role) {
                group.by_version.insert((report.services.seen, Arc::clone(name)));
                if report.omitted > 0 {
                    group.incomplete.insert(Arc::clone(name));
                }
            }
        }
    }
}

/// The agents of a role.
#[derive(Debug, Default)]
pub struct Group {
    by_version: BTreeSet<(u64, Arc<str>)>,
    /// Those that have more exceptions than they name.
    incomplete: BTreeSet<Arc<str>>,
}

/// What decides about Services that no exception names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupState {
    /// The version that all of them are at. None: there are none.
    pub least: Option<u64>,
    /// They name all of their exceptions.
    pub is_complete: bool,
}

impl Group {
    pub fn state(&self) -> GroupState {
        let least = self.by_version.first().map(|(version, _)| *version);
        GroupState { least, is_complete: self.incomplete.is_empty() }
    }

    pub fn len(&self) -> usize {
        self.by_version.len()
    }

    /// Those that are not at this version yet.
    pub fn behind(&self, version: u64) -> impl Iterator<Item = &Arc<str>> {
        self.by_version.range(..(version, Arc::from(""))).map(|(_, name)| name)
    }

    pub fn incomplete(&self) -> &BTreeSet<Arc<str>> {
        &self.incomplete
    }
}
