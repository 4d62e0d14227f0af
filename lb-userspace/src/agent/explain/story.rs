//! From the result of a dry run to a report for people.

use std::net::{IpAddr, SocketAddr};

use etherparse::{SlicedPacket, TransportSlice};
use lb_common::{
    Addr, Verdict, gue,
    maps::{Backend, NOT_TOLD, Service, ServiceKey, Story, backend_flags, memory},
    ring::{NO_BACKEND, Owners},
};

use super::{flow::Flow, frame::Packet};
use crate::{
    agent::report::explain::{Choice, EndpointStory, PacketStory, Peer, ServiceStory, SlotStory, Way},
    neigh::NextHops,
    objects::model::Cluster,
    plan::{Plan, mirror::Mirror, names},
};

/// What the agent knows of maps, objects and next hops.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub mirror: &'a Mirror,
    pub plan: &'a Plan,
    pub cluster: &'a Cluster,
    pub hops: &'a NextHops,
}

/// What became of `packet` of `flow`: the `story` and the `frame` that a dry
/// run has left.
pub fn tell(known: Known<'_>, flow: &Flow, packet: Packet, story: &Story, frame: &[u8]) -> PacketStory {
    let teller = Teller { known, story };
    let verdict = Verdict::from_index(story.verdict as usize).unwrap_or(Verdict::Pass);
    let service = teller.service();
    let choice = teller.choice();
    PacketStory {
        packet: packet.name().into(),
        service: service.map(|(key, service)| teller.service_story(key, service)),
        slot: service.and_then(|(_, service)| teller.slot(service)),
        way: choice.and_then(|(_, backend)| teller.way(backend, frame)),
        choice: choice.map(|(why, backend)| Choice { peer: teller.peer(backend), why: why.into() }),
        endpoint: teller.endpoint(),
        verdict: verdict.label().into(),
        fate: names::fate(verdict.fate()).into(),
        meaning: verdict.sentence().into(),
        remedy: verdict.remedy().map(Into::into),
        hints: teller.hints(flow, verdict),
    }
}

struct Teller<'a> {
    known: Known<'a>,
    story: &'a Story,
}

fn told(value: u32) -> Option<u32> {
    (value != NOT_TOLD).then_some(value)
}

impl<'a> Teller<'a> {
    fn service(&self) -> Option<(&'a ServiceKey, &'a Service)> {
        let id = told(self.story.service)?;
        self.known.mirror.services.iter().find(|(_, service)| service.id == id)
    }

    fn backend(&self, id: u32) -> Option<&'a Backend> {
        self.known.mirror.backends.get(&u16::try_from(id).ok()?)
    }

    fn service_story(&self, key: &ServiceKey, service: &Service) -> ServiceStory {
        let planned = self.known.plan.services.get(key);
        ServiceStory {
            name: planned.map(|planned| planned.name.to_string()),
            protocol: names::protocol(key.protocol).into(),
            vip: SocketAddr::new(key.addr.into(), u16::from_be(key.port)),
            generation: service.generation,
            backends: planned.map_or(0, |planned| planned.members.len()),
        }
    }

    fn slot(&self, service: &Service) -> Option<SlotStory> {
        let slot = told(self.story.slot)?;
        let peer = |id: u16| self.backend(id.into()).map(|backend| self.peer(backend));
        let mirror = self.known.mirror;
        let ring = mirror.rings.get(&service.ring_offset);
        let owners = mirror.histories.get(&service.history_offset).and_then(|all| all.get(slot as usize));
        let owner = ring.and_then(|ring| ring.get(slot as usize).copied());
        let former = |owners: &Owners| {
            owners.ids[1..].iter().take_while(|id| **id != NO_BACKEND).filter_map(|id| peer(*id)).collect()
        };
        Some(SlotStory {
            slot,
            of: service.ring_len,
            owner: owner.or(owners.map(|owners| owners.ids[0])).and_then(peer),
            former: owners.map(former),
        })
    }

    /// The backend that the packet is sent to, and why; none if it stays on this machine.
    fn choice(&self) -> Option<(&'static str, &'a Backend)> {
        let asked = told(self.story.next).and_then(|id| self.backend(id)).map(|next| (self.why_next(), next));
        let chosen = || {
            let remembered = self.story.memory == memory::ELSEWHERE;
            let why = if remembered { "which the flow began with" } else { "the owner of the slot" };
            Some((why, self.backend(told(self.story.backend)?)?))
        };
        asked.or_else(chosen).filter(|(_, backend)| backend.flags & backend_flags::LOCAL == 0)
    }

    fn why_next(&self) -> &'static str {
        match self.story.hops {
            gue::OVER => "the owner of the slot: nothing of this flow is known here",
            gue::DIRECT => "where the flow was found before",
            gue::FOUND => "where the search for this flow began",
            _ => "a former owner of the slot, which may know the flow: this node does not",
        }
    }

    fn way(&self, backend: &Backend, frame: &[u8]) -> Option<Way> {
        Some(Way {
            delivery: if told(self.story.next).is_some() { "gue" } else { names::delivery(backend) }.into(),
            next_hop: names::next_hop(self.known.hops.get(&backend.outer_dst.into())),
            mtu: backend.mtu,
            source_port: outer_source_port(frame),
        })
    }

    fn endpoint(&self) -> Option<EndpointStory> {
        let endpoint = self.story.endpoint;
        let is_told = endpoint.addr != Addr::from_words([0; 4]);
        is_told.then(|| EndpointStory {
            endpoint: SocketAddr::new(endpoint.addr.into(), u16::from_be(endpoint.port)),
            known: self.story.memory == memory::HERE,
        })
    }

    fn peer(&self, backend: &Backend) -> Peer {
        let address = IpAddr::from(backend.outer_dst);
        let is_bare = backend.flags & backend_flags::BARE != 0;
        let node = self.known.cluster.nodes.values().find(|node| node.addresses.contains(&address));
        Peer { node: node.filter(|_| !is_bare).map(|node| node.name.to_string()), address }
    }

    fn hints(&self, flow: &Flow, verdict: Verdict) -> Vec<String> {
        match verdict {
            Verdict::Pass => vec![self.owned_vips(flow)],
            Verdict::DropNoSuchPort | Verdict::DropTunnelPort => vec![self.ports(flow)],
            _ => self.rest_elsewhere(flow).into_iter().collect(),
        }
    }

    fn owned_vips(&self, flow: &Flow) -> String {
        let vips = self.known.mirror.vips.keys().map(|vip| IpAddr::from(*vip));
        let vips: Vec<_> = vips.filter(|vip| vip.is_ipv4() == flow.to.is_ipv4()).collect();
        format!("{} is not an owned VIP; those of its family are {}", flow.to.ip(), list(&vips))
    }

    fn ports(&self, flow: &Flow) -> String {
        let vip = Addr::from(flow.to.ip());
        let keys = self.known.mirror.services.keys().filter(|key| key.addr == vip);
        let ports: Vec<_> =
            keys.map(|key| format!("{} {}", names::protocol(key.protocol), u16::from_be(key.port))).collect();
        format!("{} has {}", flow.to.ip(), list(&ports))
    }

    /// For a packet that goes to another node: the command that explains what happens there.
    fn rest_elsewhere(&self, flow: &Flow) -> Option<String> {
        let (_, backend) = self.choice()?;
        let node = self.peer(backend).node?;
        Some(format!("`trigon explain --at-node {node} '{flow}'`, on {node}, tells the rest"))
    }
}

/// The first few, separated by commas, and the number of the others.
fn list<T: ToString>(items: &[T]) -> String {
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
