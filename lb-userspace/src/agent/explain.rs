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
    frame::{MAX_PACKET_LEN, PacketKind, Tunnel},
};
use super::snapshot::{Reader, Snapshot};
use crate::{
    agent::report::explain::{ExplainQuestion, Explanation},
    datapath::kernel::{DatapathConfig, DryRun, DryRunResult, LoadError},
    objects::model::{Cluster, Node},
    os::sockopt,
    plan::Identity,
};

#[derive(Debug, Error)]
pub enum ExplainError {
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("--len {0}: a dry run takes no more than {MAX_PACKET_LEN} bytes of IP packet")]
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
         label its Node with trigon.dev/director, or give all agents --all-directors"
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
struct ParsedQuestion {
    flow: Flow,
    arrival: String,
    interface: String,
    frames: Vec<(PacketKind, Vec<u8>)>,
    config: DatapathConfig,
}

/// Blocks for as long as it takes to load a program, some 100 ms.
pub fn explain(reader: &Reader, question: &ExplainQuestion) -> Result<Explanation, ExplainError> {
    let snapshot = reader.snapshot();
    let parsed = parse_question(&snapshot, &reader.facts.datapath, question)?;
    let results = parsed.run()?;
    Ok(build_explanation(&snapshot, &parsed, &results))
}

impl ParsedQuestion {
    fn run(&self) -> Result<Vec<DryRunResult>, ExplainError> {
        let mut dry_run = DryRun::load(&self.config).map_err(failed_dry_run)?;
        let ingress = sockopt::interface_index(&self.interface).map_err(failed_dry_run)?;
        let results = self.frames.iter().map(|(_, frame)| dry_run.run(ingress, frame));
        results.collect::<Result<_, LoadError>>().map_err(failed_dry_run)
    }
}

fn parse_question(
    snapshot: &Snapshot,
    config: &DatapathConfig,
    question: &ExplainQuestion,
) -> Result<ParsedQuestion, ExplainError> {
    let flow: Flow = question.flow.parse()?;
    if question.len > MAX_PACKET_LEN {
        return Err(ExplainError::TooLong(question.len));
    }
    let interface = choose_interface(config, question.interface.as_deref())?;
    let (me, cluster) = (&snapshot.me, &snapshot.source.cluster);
    let tunnel =
        question.at_node.as_deref().map(|name| tunnel_to_this_node(name, me, cluster, &flow)).transpose()?;
    let arrival = match tunnel {
        None => format!("as it comes in by {interface}"),
        Some(Tunnel { from, to }) => {
            format!("as it comes in by {interface}, in a tunnel from the director {from} to {to}")
        }
    };
    let frame = |packet| {
        Ok((packet, frame::build_frame(&flow, packet, question.len, tunnel).map_err(failed_dry_run)?))
    };
    let frames = PacketKind::all_of(flow.protocol).iter().map(|packet| frame(*packet));
    let frames = frames.collect::<Result<_, ExplainError>>()?;
    Ok(ParsedQuestion { flow, arrival, interface, frames, config: config.clone() })
}

fn choose_interface(config: &DatapathConfig, requested: Option<&str>) -> Result<String, ExplainError> {
    let names = &config.interfaces;
    let chosen = names.iter().find(|name| requested.is_none_or(|requested| **name == requested));
    chosen
        .cloned()
        .ok_or_else(|| ExplainError::Interface(requested.unwrap_or_default().into(), names.join(", ")))
}

fn build_explanation(snapshot: &Snapshot, parsed: &ParsedQuestion, results: &[DryRunResult]) -> Explanation {
    let packets = parsed.frames.iter().zip(results);
    let story = |((packet, _), result): (&(PacketKind, _), &DryRunResult)| {
        story::build_packet_story(
            snapshot.story_context(),
            &parsed.flow,
            *packet,
            &result.story,
            &result.frame,
        )
    };
    Explanation {
        flow: parsed.flow.to_string(),
        node: snapshot.me.node.to_string(),
        arrival: parsed.arrival.clone(),
        packets: packets.map(story).collect(),
    }
}

/// A tunnel from some director to this machine. Fails unless this machine is the node `name`.
fn tunnel_to_this_node(
    name: &str,
    me: &Identity,
    cluster: &Cluster,
    flow: &Flow,
) -> Result<Tunnel, ExplainError> {
    if *name != *me.node {
        return Err(ExplainError::OtherNode(name.into(), me.node.to_string()));
    }
    if me.roles & roles::NODE == 0 {
        return Err(ExplainError::NoNode(name.into()));
    }
    let own = cluster.nodes.get(&me.node).and_then(|node| node.address_like(flow.to.ip()));
    let to = own.ok_or_else(|| ExplainError::NoObject(name.into()))?;
    let from = director_address(cluster, me, to).ok_or_else(|| ExplainError::NoDirector(name.into()))?;
    Ok(Tunnel { from, to })
}

/// The address of a director, of the family of `like`; another machine is preferred to this one.
fn director_address(cluster: &Cluster, me: &Identity, like: IpAddr) -> Option<IpAddr> {
    let address = |node: &Node| node.addresses.iter().copied().find(|addr| addr.is_ipv4() == like.is_ipv4());
    let directors = || cluster.nodes.values().filter(|node| node.director);
    let other = directors().filter(|node| node.name != me.node).find_map(|node| address(node));
    other.or_else(|| directors().find_map(|node| address(node)))
}

fn failed_dry_run(error: impl std::error::Error) -> ExplainError {
    ExplainError::Failed(error.to_string())
}
