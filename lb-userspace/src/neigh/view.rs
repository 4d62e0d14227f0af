//! What was read from the kernel, kept up to date by what it announces of neighbours. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    assemble::{Routing, assemble_next_hop},
    changes::NeighbourChange,
    next_hop::{NextHops, Reach},
    routing::{Links, NeighbourKey, Neighbours},
};

#[derive(Default, Debug)]
pub struct View {
    routing: Routing,
    hops: NextHops,
    /// The targets whose packets go to a neighbour first.
    behind: BTreeMap<NeighbourKey, Vec<IpAddr>>,
}

/// What a change of a neighbour asks for.
#[derive(PartialEq, Eq, Debug)]
pub struct Consequence {
    pub nudged: Nudged,
    /// A gateway has begun or ceased to answer. Of several routes the kernel may prefer one
    /// whose gateway answers (multipath, default routes), and announces no route then.
    pub may_reroute: bool,
}

/// Is the kernel to be told that a neighbour is in use?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nudged {
    /// No: somebody else keeps its entry fresh.
    Tended,
    Resolved,
    Unresolved,
}

impl View {
    pub fn next_hops(&self) -> &NextHops {
        &self.hops
    }

    pub fn links(&self) -> &Links {
        &self.routing.links
    }

    /// The neighbours that targets are reached by.
    pub fn neighbours(&self) -> impl Iterator<Item = (NeighbourKey, Nudged)> {
        self.behind.keys().map(|key| (*key, self.nudged(key)))
    }

    /// Everything was read. What is as it was is shared with the next hops from before.
    pub fn replace(&mut self, routing: Routing) {
        self.routing = routing;
        self.behind.clear();
        let routes = &self.routing.routes;
        let gone: Vec<_> = self.hops.keys().filter(|target| !routes.contains_key(target)).copied().collect();
        for target in gone {
            self.hops.remove(&target);
        }
        for (target, route) in routes {
            let reach = assemble_next_hop(*target, route, &self.routing.links, &self.routing.neighbours);
            if let Reach::Via(hop) = &reach {
                self.behind.entry(hop.neighbour(*target)).or_default().push(*target);
            }
            set_reach(&mut self.hops, *target, reach);
        }
    }

    /// The kernel announced a change of a neighbour. None: no target is reached by it, or it is
    /// as it was.
    pub fn apply(&mut self, NeighbourChange { key, neighbour }: NeighbourChange) -> Option<Consequence> {
        let targets = self.behind.get(&key)?;
        let Routing { routes, links, neighbours } = &mut self.routing;
        let mac_of = |neighbours: &Neighbours| neighbours.get(&key).and_then(|neighbour| neighbour.mac);
        if neighbours.get(&key) == neighbour.as_ref() {
            return None;
        }
        let did_answer = mac_of(neighbours).is_some();
        match neighbour {
            Some(neighbour) => neighbours.insert(key, neighbour),
            None => neighbours.remove(&key),
        };
        for target in targets {
            let Some(route) = routes.get(target) else { continue };
            set_reach(&mut self.hops, *target, assemble_next_hop(*target, route, links, neighbours));
        }
        let is_gateway = targets.iter().any(|target| *target != key.address);
        let may_reroute = is_gateway && mac_of(neighbours).is_some() != did_answer;
        Some(Consequence { nudged: self.nudged(&key), may_reroute })
    }

    fn nudged(&self, key: &NeighbourKey) -> Nudged {
        match self.routing.neighbours.get(key) {
            Some(neighbour) if neighbour.tended => Nudged::Tended,
            Some(neighbour) if neighbour.mac.is_some() => Nudged::Resolved,
            _ => Nudged::Unresolved,
        }
    }
}

/// An entry that stays is not touched: so maps of different times share it.
fn set_reach(hops: &mut NextHops, target: IpAddr, reach: Reach) {
    if hops.get(&target) != Some(&reach) {
        hops.insert(target, reach);
    }
}

#[cfg(test)]
mod tests;
