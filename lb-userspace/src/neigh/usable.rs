//! From what the kernel says of next hops to those that packets can be sent by. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::next_hop::{Mac, NextHop, NextHops, Reach};
use crate::changes::changed_keys;

/// The last answers of neighbours. One that is silent for a moment, while its entry is renewed
/// or after a restart, keeps its MAC address; one that is not the same any more does not.
#[derive(Default, Debug)]
pub struct LastAnswers {
    answers: BTreeMap<IpAddr, Answer>,
    /// None: nothing was asked for yet.
    last: Option<Given>,
}

/// What was given the last time, and what came of it.
#[derive(Debug)]
struct Given {
    hops: NextHops,
    devices: BTreeSet<u32>,
    usable: Arc<NextHops>,
}

#[derive(Debug)]
struct Answer {
    device: u32,
    /// As they stand in a frame; 0 where there is none.
    tags: [u32; 2],
    /// The interface and the gateway; None: known from an earlier agent's entry, which does
    /// not tell.
    neighbour: Option<(u32, Option<IpAddr>)>,
    mac: Mac,
}

impl LastAnswers {
    /// What an earlier agent knew: targets, with their device, VLAN tags and MAC address.
    pub fn adopt(entries: impl IntoIterator<Item = (IpAddr, u32, [u32; 2], Mac)>) -> Self {
        let answer = |(target, device, tags, mac)| (target, Answer { device, tags, neighbour: None, mac });
        Self { answers: entries.into_iter().map(answer).collect(), last: None }
    }

    /// The next hops by which packets can be sent. `devices` are those that our programs are
    /// attached to: what leaves by others is not seen again. Looks only at what has changed since
    /// the last time: the rest would come out as it did then.
    pub fn usable_hops(&mut self, hops: &NextHops, devices: &BTreeSet<u32>) -> Arc<NextHops> {
        let last = self.last.take().filter(|last| last.devices == *devices);
        let last = last.unwrap_or_else(|| {
            self.answers.retain(|target, _| hops.contains_key(target));
            Given { hops: NextHops::new(), devices: devices.clone(), usable: Arc::default() }
        });
        let changed = changed_keys(&last.hops, hops);
        let mut usable = last.usable;
        if !changed.is_empty() {
            let usable = Arc::make_mut(&mut usable);
            for target in changed {
                self.renew(target, hops.get(&target), devices, usable);
            }
        }
        self.last = Some(Given { hops: hops.clone(), usable: usable.clone(), ..last });
        usable
    }

    fn renew(
        &mut self,
        target: IpAddr,
        reach: Option<&Reach>,
        devices: &BTreeSet<u32>,
        usable: &mut NextHops,
    ) {
        match reach {
            Some(reach) => {
                usable.insert(target, self.usable_reach(target, reach, devices));
            }
            None => {
                self.answers.remove(&target);
                usable.remove(&target);
            }
        }
    }

    fn usable_reach(&mut self, target: IpAddr, reach: &Reach, devices: &BTreeSet<u32>) -> Reach {
        match reach {
            Reach::Via(hop) if devices.contains(&hop.device) => {
                Reach::Via(self.with_last_answer(target, hop))
            }
            Reach::Via(hop) => {
                self.answers.remove(&target);
                let interface = &hop.interface;
                Reach::Unreachable(format!(
                    "its route leaves by {interface}, where no program is attached; start the agent with --interface {interface} too, or change the route"
                ))
            }
            Reach::Local | Reach::Unreachable(_) => {
                self.answers.remove(&target);
                reach.clone()
            }
        }
    }

    fn with_last_answer(&mut self, target: IpAddr, hop: &NextHop) -> NextHop {
        let neighbour = (hop.ifindex, hop.gateway);
        if let Some(mac) = hop.dst_mac {
            let (device, tags) = (hop.device, hop.wire_tags());
            self.answers.insert(target, Answer { device, tags, neighbour: Some(neighbour), mac });
            return hop.clone();
        }
        let is_same = |answer: &&mut Answer| {
            (answer.device, answer.tags) == (hop.device, hop.wire_tags())
                && answer.neighbour.is_none_or(|before| before == neighbour)
        };
        match self.answers.get_mut(&target).filter(is_same) {
            Some(answer) => {
                answer.neighbour = Some(neighbour);
                NextHop { dst_mac: Some(answer.mac), is_silent: true, ..hop.clone() }
            }
            None => {
                self.answers.remove(&target);
                hop.clone()
            }
        }
    }
}

/// The targets of which only the neighbour's answer has changed, if that is all that has. Looks
/// only at what both maps do not share.
pub fn changed_answers(before: &NextHops, now: &NextHops) -> Option<BTreeSet<IpAddr>> {
    let is_same_way = |target: &IpAddr| match (before.get(target), now.get(target)) {
        (Some(Reach::Via(a)), Some(Reach::Via(b))) => {
            *b == NextHop { dst_mac: b.dst_mac, is_silent: b.is_silent, ..a.clone() }
        }
        _ => false,
    };
    let changed: BTreeSet<_> = changed_keys(before, now).into_iter().collect();
    changed.iter().all(is_same_way).then_some(changed)
}

#[cfg(test)]
mod tests;
