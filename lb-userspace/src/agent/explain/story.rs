//! From the result of a dry run to a report for people.

use std::net::{IpAddr, SocketAddr};

use etherparse::{SlicedPacket, TransportSlice};
use lb_common::{
    Addr, Verdict, gue,
    maps::{Backend, NOT_TOLD, Service, ServiceKey, Story, backend_flags, memory},
    ring::{NO_BACKEND, Owners},
};

use super::{flow::Flow, frame::PacketKind};
use crate::{
    agent::report::explain::{
        Choice, EndpointStory, Machine, PacketStory, PathStory, ServiceStory, SlotStory,
    },
    neigh::NextHops,
    objects::model::Cluster,
    plan::{Plan, mirror::Mirror, names},
};

/// What the agent knows of maps, objects and next hops.
#[derive(Clone, Copy)]
pub struct StoryContext<'a> {
    pub mirror: &'a Mirror,
    pub plan: &'a Plan,
    pub cluster: &'a Cluster,
    pub hops: &'a NextHops,
}

/// What became of `packet` of `flow`: the `story` and the `frame` that a dry
/// run has left.
pub fn build_packet_story(
    context: StoryContext<'_>,
    flow: &Flow,
    packet: PacketKind,
    story: &Story,
    frame: &[u8],
) -> PacketStory {
    let builder = StoryBuilder { context, story };
    let verdict = Verdict::from_number(story.verdict).unwrap_or(Verdict::Pass);
    let service = builder.find_service();
    let choice = builder.chosen_backend();
    PacketStory {
        packet: packet.name().into(),
        service: service.map(|(key, service)| builder.service_story(key, service)),
        slot: service.and_then(|(_, service)| builder.slot_story(service)),
        way: choice.and_then(|(_, backend)| builder.path_story(backend, frame)),
        choice: choice.map(|(why, backend)| Choice { peer: builder.machine_of(backend), why: why.into() }),
        endpoint: builder.endpoint_story(),
        verdict: verdict.label().into(),
        fate: names::fate(verdict.fate()).into(),
        meaning: verdict.sentence().into(),
        remedy: verdict.remedy().map(Into::into),
        hints: builder.build_hints(flow, verdict),
    }
}

struct StoryBuilder<'a> {
    context: StoryContext<'a>,
    story: &'a Story,
}

fn told_value(value: u32) -> Option<u32> {
    (value != NOT_TOLD).then_some(value)
}

impl<'a> StoryBuilder<'a> {
    fn find_service(&self) -> Option<(&'a ServiceKey, &'a Service)> {
        let id = told_value(self.story.service)?;
        self.context.mirror.services.iter().find(|(_, service)| service.id == id)
    }

    fn find_backend(&self, id: u32) -> Option<&'a Backend> {
        self.context.mirror.backends.get(&u16::try_from(id).ok()?)
    }

    fn service_story(&self, key: &ServiceKey, service: &Service) -> ServiceStory {
        let planned = self.context.plan.services.get(key);
        ServiceStory {
            name: planned.map(|planned| planned.name.to_string()),
            protocol: names::protocol(key.protocol).into(),
            vip: SocketAddr::new(key.addr.into(), u16::from_be(key.port)),
            generation: service.generation,
            kube_proxy: service.is_passed(),
            backends: planned.map_or(0, |planned| planned.members.len()),
        }
    }

    fn slot_story(&self, service: &Service) -> Option<SlotStory> {
        let slot = told_value(self.story.slot)?;
        let machine = |id: u16| self.find_backend(id.into()).map(|backend| self.machine_of(backend));
        let mirror = self.context.mirror;
        let ring = mirror.ring_of(service);
        let owners = mirror.history_of(service).and_then(|all| all.get(slot as usize));
        let owner = ring.and_then(|ring| ring.get(slot as usize).copied());
        let former = |owners: &Owners| {
            owners.ids[1..].iter().take_while(|id| **id != NO_BACKEND).filter_map(|id| machine(*id)).collect()
        };
        Some(SlotStory {
            slot,
            of: service.ring_len,
            owner: owner.or(owners.map(|owners| owners.ids[0])).and_then(machine),
            former: owners.map(former),
        })
    }

    /// The backend that the packet is sent to, and why; none if it stays on this machine.
    fn chosen_backend(&self) -> Option<(&'static str, &'a Backend)> {
        let next = told_value(self.story.next)
            .and_then(|id| self.find_backend(id))
            .map(|next| (self.reason_for_next(), next));
        let chosen = || {
            let remembered = self.story.memory == memory::ELSEWHERE;
            let why = if remembered { "which the flow began with" } else { "the owner of the slot" };
            Some((why, self.find_backend(told_value(self.story.backend)?)?))
        };
        next.or_else(chosen).filter(|(_, backend)| backend.flags & backend_flags::LOCAL == 0)
    }

    fn reason_for_next(&self) -> &'static str {
        match self.story.hops {
            gue::OVER => "the owner of the slot: nothing of this flow is known here",
            gue::DIRECT => "where the flow was found before",
            gue::FOUND => "where the search for this flow began",
            _ => "a node of the slot's list, which may know the flow, or take it: this node does not",
        }
    }

    fn path_story(&self, backend: &Backend, frame: &[u8]) -> Option<PathStory> {
        Some(PathStory {
            delivery: if told_value(self.story.next).is_some() { "gue" } else { names::delivery(backend) }
                .into(),
            next_hop: names::next_hop(self.context.hops.get(&IpAddr::from(backend.outer_dst))),
            mtu: backend.mtu,
            source_port: outer_source_port(frame),
        })
    }

    fn endpoint_story(&self) -> Option<EndpointStory> {
        let endpoint = self.story.endpoint;
        let is_told = endpoint.addr != Addr::from_words([0; 4]);
        is_told.then(|| EndpointStory {
            endpoint: SocketAddr::new(endpoint.addr.into(), u16::from_be(endpoint.port)),
            known: self.story.memory == memory::HERE,
            inside: self.story.inside == 1,
        })
    }

    fn machine_of(&self, backend: &Backend) -> Machine {
        let address = IpAddr::from(backend.outer_dst);
        let is_bare = backend.flags & backend_flags::BARE != 0;
        let node = self.context.cluster.nodes.values().find(|node| node.addresses.contains(&address));
        Machine { node: node.filter(|_| !is_bare).map(|node| node.name.to_string()), address }
    }

    fn build_hints(&self, flow: &Flow, verdict: Verdict) -> Vec<String> {
        match verdict {
            Verdict::Pass => vec![self.owned_vips_hint(flow)],
            Verdict::DropNoSuchPort | Verdict::DropTunnelPort => vec![self.ports_hint(flow)],
            _ => self.next_node_hint(flow).into_iter().collect(),
        }
    }

    fn owned_vips_hint(&self, flow: &Flow) -> String {
        let vips = self.context.mirror.vips.keys().map(|vip| IpAddr::from(*vip));
        let vips: Vec<_> = vips.filter(|vip| vip.is_ipv4() == flow.to.is_ipv4()).collect();
        format!("{} is not an owned VIP; those of its family are {}", flow.to.ip(), join_few(&vips))
    }

    fn ports_hint(&self, flow: &Flow) -> String {
        let vip = Addr::from(flow.to.ip());
        let keys = self.context.mirror.services.keys().filter(|key| key.addr == vip);
        let ports: Vec<_> =
            keys.map(|key| format!("{} {}", names::protocol(key.protocol), u16::from_be(key.port))).collect();
        format!("{} has {}", flow.to.ip(), join_few(&ports))
    }

    /// For a packet that goes to another node: the command that explains what happens there.
    fn next_node_hint(&self, flow: &Flow) -> Option<String> {
        let (_, backend) = self.chosen_backend()?;
        let node = self.machine_of(backend).node?;
        Some(format!("`trigon explain --at-node {node} '{flow}'`, on {node}, tells the rest"))
    }
}

/// The first few, separated by commas, and the number of the others.
fn join_few<T: ToString>(items: &[T]) -> String {
    const FEW: usize = 8;
    let few: Vec<_> = items.iter().take(FEW).map(T::to_string).collect();
    match items.len() {
        0 => "none".into(),
        count if count > FEW => format!("{} and {} more", few.join(", "), count - FEW),
        _ => few.join(", "),
    }
}

/// Source port of the outer UDP header; none if the frame is not GUE.
fn outer_source_port(frame: &[u8]) -> Option<u16> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Udp(udp) if udp.destination_port() == gue::PORT => Some(udp.source_port()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
