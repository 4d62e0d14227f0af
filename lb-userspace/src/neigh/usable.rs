//! From what the kernel says of next hops to those that packets can be sent by. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::next_hop::{Mac, NextHop, NextHops, Reach};

/// The last answers of neighbours. One that is silent for a moment, while its entry is renewed
/// or after a restart, keeps its MAC address; one that is not the same any more does not.
#[derive(Default, Debug)]
pub struct LastAnswers(BTreeMap<IpAddr, Answer>);

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
        Self(entries.into_iter().map(answer).collect())
    }

    /// The next hops by which packets can be sent. `devices` are those that our programs are
    /// attached to: what leaves by others is not seen again.
    pub fn usable_hops(&mut self, hops: &NextHops, devices: &BTreeSet<u32>) -> Arc<NextHops> {
        self.0.retain(|target, _| hops.contains_key(target));
        let usable =
            |(target, reach): (&IpAddr, &Reach)| (*target, self.usable_reach(*target, reach, devices));
        Arc::new(hops.iter().map(usable).collect())
    }

    fn usable_reach(&mut self, target: IpAddr, reach: &Reach, devices: &BTreeSet<u32>) -> Reach {
        match reach {
            Reach::Via(hop) if devices.contains(&hop.device) => {
                Reach::Via(self.with_last_answer(target, hop))
            }
            Reach::Via(hop) => {
                self.0.remove(&target);
                let interface = &hop.interface;
                Reach::Unreachable(format!(
                    "its route leaves by {interface}, where no program is attached; start the agent with --interface {interface} too, or change the route"
                ))
            }
            Reach::Local | Reach::Unreachable(_) => {
                self.0.remove(&target);
                reach.clone()
            }
        }
    }

    fn with_last_answer(&mut self, target: IpAddr, hop: &NextHop) -> NextHop {
        let neighbour = (hop.ifindex, hop.gateway);
        if let Some(mac) = hop.dst_mac {
            let (device, tags) = (hop.device, hop.wire_tags());
            self.0.insert(target, Answer { device, tags, neighbour: Some(neighbour), mac });
            return hop.clone();
        }
        let is_same = |answer: &&mut Answer| {
            (answer.device, answer.tags) == (hop.device, hop.wire_tags())
                && answer.neighbour.is_none_or(|before| before == neighbour)
        };
        match self.0.get_mut(&target).filter(is_same) {
            Some(answer) => {
                answer.neighbour = Some(neighbour);
                NextHop { dst_mac: Some(answer.mac), is_silent: true, ..hop.clone() }
            }
            None => {
                self.0.remove(&target);
                hop.clone()
            }
        }
    }
}

/// The targets of which only the neighbour's answer has changed, if that is all that has.
pub fn changed_answers(before: &NextHops, now: &NextHops) -> Option<BTreeSet<IpAddr>> {
    let is_same_way = |(a, b): (&Reach, &Reach)| match (a, b) {
        (Reach::Via(a), Reach::Via(b)) => {
            let a = NextHop { dst_mac: b.dst_mac, is_silent: b.is_silent, ..a.clone() };
            a == *b
        }
        (a, b) => a == b,
    };
    if before.len() != now.len() {
        return None;
    }
    let pairs = || before.iter().zip(now);
    let is_same = pairs().all(|((a, x), (b, y))| a == b && (x == y || is_same_way((x, y))));
    is_same.then(|| pairs().filter(|((_, a), (_, b))| a != b).map(|((target, _), _)| *target).collect())
}

#[cfg(test)]
mod tests;
