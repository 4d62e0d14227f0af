//! What becomes of a packet, and why: `trigon explain`.
//!
//! ```text
//! FLOW ──flow──> Flow ──frame──> bytes ──datapath::kernel::dry_run──> DryRunResult ──story──> report
//! ```
//! `flow`, `frame` and `story` are pure. What becomes of the packet is decided by the eBPF
//! program itself, not by a model of it.

pub mod flow;
pub mod frame;
pub mod story;

use std::net::IpAddr;

use lb_common::roles;
use thiserror::Error;

use self::{
    flow::{Flow, FlowError},
    frame::{LONGEST, Packet, Tunnel},
};
use super::snapshot::{Reader, Snapshot};
use crate::{
    agent::report::explain::{Explanation, Question},
    datapath::kernel::{DatapathConfig, DryRun, LoadError, Told},
    objects::model::{Cluster, Node},
    os::sockopt,
    plan::Identity,
};

#[derive(Debug, Error)]
pub enum ExplainError {
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("--len {0}: a dry run takes no more than {LONGEST} bytes of IP packet")]
    TooLong(u16),
    #[error("--interface {0}: the agent is not on it; it is on {1}")]
    Interface(String, String),
    #[error("--at-node {0}: this agent is on {1}; run the same command on {0}")]
    OtherNode(String, String),
    #[error("--at-node {0}: this agent has no role `node`, so no tunnel ends here; leave the option out")]
    NoNode(String),
    #[error("--at-node {0}: no Node object describes this machine; add it to the source")]
    NoObject(String),
    #[error(
        "--at-node {0}: no director has an address of the same family as this node; \
         label its Node with trigon.dev/director"
    )]
    NoDirector(String),
    /// Failures that no change of the question would avoid.
    #[error("the dry run failed: {0}")]
    Failed(String),
}

impl ExplainError {
    pub fn is_in_question(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// A question that has been checked, with the frames to run.
struct Asked {
    flow: Flow,
    arrival: String,
    interface: String,
    frames: Vec<(Packet, Vec<u8>)>,
    config: DatapathConfig,
}

/// Blocks for as long as it takes to load a program, some 100 ms.
pub fn explain(reader: &Reader, question: &Question) -> Result<Explanation, ExplainError> {
    let snapshot = reader.snapshot();
    let asked = understand(&snapshot, &reader.facts.datapath, question)?;
    let told = asked.run()?;
    Ok(explanation(&snapshot, &asked, &told))
}

impl Asked {
    fn run(&self) -> Result<Vec<Told>, ExplainError> {
        let mut copy = DryRun::load(&self.config).map_err(failed)?;
        let ingress = sockopt::index_of(&self.interface).map_err(failed)?;
        let told = self.frames.iter().map(|(_, frame)| copy.run(ingress, frame));
        told.collect::<Result<_, LoadError>>().map_err(failed)
    }
}

fn understand(
    snapshot: &Snapshot,
    config: &DatapathConfig,
    question: &Question,
) -> Result<Asked, ExplainError> {
    let flow: Flow = question.flow.parse()?;
    if question.len > LONGEST {
        return Err(ExplainError::TooLong(question.len));
    }
    let interface = interface(config, question.interface.as_deref())?;
    let (me, cluster) = (&snapshot.me, &snapshot.wanted.cluster);
    let tunnel = question.at_node.as_deref().map(|name| tunnel(name, me, cluster, &flow)).transpose()?;
    let arrival = match tunnel {
        None => format!("as it comes in by {interface}"),
        Some(Tunnel { from, to }) => {
            format!("as it comes in by {interface}, in a tunnel from the director {from} to {to}")
        }
    };
    let frame = |packet| Ok((packet, frame::frame(&flow, packet, question.len, tunnel).map_err(failed)?));
    let frames = Packet::of(flow.protocol).iter().map(|packet| frame(*packet));
    let frames = frames.collect::<Result<_, ExplainError>>()?;
    Ok(Asked { flow, arrival, interface, frames, config: config.clone() })
}

fn interface(config: &DatapathConfig, wanted: Option<&str>) -> Result<String, ExplainError> {
    let names = &config.interfaces;
    let chosen = names.iter().find(|name| wanted.is_none_or(|wanted| **name == wanted));
    chosen
        .cloned()
        .ok_or_else(|| ExplainError::Interface(wanted.unwrap_or_default().into(), names.join(", ")))
}

fn explanation(snapshot: &Snapshot, asked: &Asked, told: &[Told]) -> Explanation {
    let packets = asked.frames.iter().zip(told);
    let story = |((packet, _), told): (&(Packet, _), &Told)| {
        story::tell(snapshot.known(), &asked.flow, *packet, &told.story, &told.frame)
    };
    Explanation {
        flow: asked.flow.to_string(),
        node: snapshot.me.node.to_string(),
        arrival: asked.arrival.clone(),
        packets: packets.map(story).collect(),
    }
}

/// A tunnel from some director to this machine. Fails unless this machine is the node `name`.
fn tunnel(name: &str, me: &Identity, cluster: &Cluster, flow: &Flow) -> Result<Tunnel, ExplainError> {
    if *name != *me.node {
        return Err(ExplainError::OtherNode(name.into(), me.node.to_string()));
    }
    if me.roles & roles::NODE == 0 {
        return Err(ExplainError::NoNode(name.into()));
    }
    let own = cluster.nodes.get(&me.node).and_then(|node| node.address_like(flow.to.ip()));
    let to = own.ok_or_else(|| ExplainError::NoObject(name.into()))?;
    let from = director(cluster, me, to).ok_or_else(|| ExplainError::NoDirector(name.into()))?;
    Ok(Tunnel { from, to })
}

/// The address of a director, of the family of `like`; another machine is preferred to this one.
fn director(cluster: &Cluster, me: &Identity, like: IpAddr) -> Option<IpAddr> {
    let address = |node: &Node| node.addresses.iter().copied().find(|addr| addr.is_ipv4() == like.is_ipv4());
    let directors = || cluster.nodes.values().filter(|node| node.director);
    let other = directors().filter(|node| node.name != me.node).find_map(|node| address(node));
    other.or_else(|| directors().find_map(|node| address(node)))
}

fn failed(error: impl std::error::Error) -> ExplainError {
    ExplainError::Failed(error.to_string())
}
