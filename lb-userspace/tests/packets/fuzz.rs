//! Any bytes at all: the programs never abort, count every packet once, and
//! leave alone what is not theirs.

use lb_common::{Verdict, roles};

use crate::{
    bystanders,
    case::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    expect::{from_director, reply, tunnel},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Hook, Machine, Ran, Setup, WITH_FLOWS},
    packet::{ETH_LEN, frame},
    random::Random,
    services::{BARE, IPIP4, IPIP6, L2, LOCAL, LOCAL_THREE},
    world::{ARRIVING, FAMILIES, Family, KINDS, LEAVING, NODE, STRANGER, VIP, pod},
};

/// On each machine.
const PACKETS: u64 = 100_000;
const XDP_ABORTED: u32 = 0;
const XDP_PASS: u32 = 2;

/// Good frames, from which the bad ones are made.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in KINDS {
        let requests = [L2, IPIP4, IPIP6, BARE, LOCAL, LOCAL_THREE].map(|port| kind.request(port));
        seeds.extend(requests.iter().map(|request| request.frame()));
        let inner = &kind.request(LOCAL).ip;
        for outer in FAMILIES {
            let foreign = tunnel(inner, STRANGER.ip(outer), NODE.ip(outer));
            seeds.extend([from_director(outer, inner), frame(ARRIVING, &foreign)]);
        }
        seeds.push(frame(LEAVING, &reply(&kind.request(LOCAL), pod(1)).ip));
    }
    seeds.extend([VIP, STRANGER].into_iter().flat_map(bystanders::table).map(|row| row.frame));
    seeds
}

/// A few bytes changed, most of them in headers; sometimes cut, sometimes longer.
fn spoil(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut frame = seed.to_vec();
    for _ in 0..random.below(6) {
        let headers = frame.len().min(100);
        let at = random.below(headers - 12) + 12;
        frame[at] = match random.below(3) {
            0 => random.byte(),
            1 => frame[at] ^ 1 << random.below(8),
            _ => *random.choose(&[0, 1, 4, 6, 17, 41, 44, 58, 0x45, 0x46, 0x60, 0x7f, 0xff]),
        };
    }
    match random.below(8) {
        0 => frame.truncate(ETH_LEN + random.below(frame.len() - ETH_LEN)),
        1 => frame.resize(frame.len() + random.below(200), random.byte()),
        _ => {}
    }
    frame
}

/// Has the frame a whole IP header, and what does it say?
fn destination(frame: &[u8]) -> Option<(&[u8], Family, u8)> {
    let ip = frame.get(ETH_LEN..)?;
    match (&frame[12..14], ip.first()? >> 4) {
        ([0x08, 0x00], 4) => Some((ip.get(16..20)?, Family::V4, ip[9])),
        ([0x86, 0xdd], 6) => Some((ip.get(24..40)?, Family::V6, ip[6])),
        _ => None,
    }
}

/// Is it for a VIP, or may it be a tunnel that ends here?
fn is_ours(frame: &[u8], roles: u32) -> bool {
    destination(frame).is_some_and(|(to, family, protocol)| {
        let is = |ip: std::net::IpAddr| match ip {
            std::net::IpAddr::V4(ip) => to == ip.octets(),
            std::net::IpAddr::V6(ip) => to == ip.octets(),
        };
        let ends_here = roles & roles::NODE != 0 && matches!(protocol, 4 | 41) && is(NODE.ip(family));
        is(VIP.ip(family)) || ends_here
    })
}

/// A machine, and how often it delivered so far.
struct Run {
    machine: Machine,
    setup: Setup,
    delivered: u64,
}

impl Run {
    fn check_xdp(&mut self, frame: &[u8]) {
        let Ran { action, output } = self.machine.xdp(frame);
        assert_ne!(action, XDP_ABORTED, "{frame:02x?}");
        let is_ours = is_ours(frame, self.setup.roles);
        assert!(is_ours || action == XDP_PASS, "action {action} for {frame:02x?}");
        if action != XDP_PASS {
            return;
        }
        let delivered = self.machine.counted(Verdict::Deliver);
        let is_delivered = delivered > self.delivered;
        self.delivered = delivered;
        assert!(is_ours || !is_delivered, "delivered {frame:02x?}");
        assert!(is_delivered || output == frame, "passed, but changed: {frame:02x?}\nto {output:02x?}");
    }

    fn check_egress(&self, frame: &[u8]) {
        let before = self.machine.counted(Verdict::EgressPass);
        let Ran { action, output } = self.machine.egress(frame);
        assert!([TC_ACT_UNSPEC, TC_ACT_SHOT].contains(&action), "action {action} for {frame:02x?}");
        let passed = self.machine.counted(Verdict::EgressPass) > before;
        assert!(!passed || output == frame, "passed, but changed: {frame:02x?}\nto {output:02x?}");
    }
}

/// What the packets become has to be of some variety.
fn fuzz(setup: Setup, hook: Hook, seed: u64, ways: usize) {
    let seeds = seeds();
    let mut random = Random::new(seed);
    let mut run = Run { machine: Machine::new(setup), setup, delivered: 0 };
    let before = run.machine.counts();
    let mut sent = 0;
    while sent < PACKETS {
        let seed = &seeds[random.below(seeds.len())];
        let frame = spoil(seed, &mut random);
        match hook {
            Hook::Xdp => run.check_xdp(&frame),
            Hook::Egress if !Machine::takes_for_egress(&frame) => continue,
            Hook::Egress => run.check_egress(&frame),
        }
        sent += 1;
    }
    let verdicts = run.machine.counts().since(&before).verdicts;
    let counted: u64 = verdicts.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, PACKETS, "{verdicts:?}");
    assert!(verdicts.len() >= ways, "hardly a fuzz: {verdicts:?}");
}

#[test]
fn no_bytes_upset_a_director() {
    fuzz(AS_DIRECTOR, Hook::Xdp, 1, 9);
}

#[test]
fn no_bytes_upset_a_node() {
    fuzz(AS_NODE, Hook::Xdp, 2, 9);
}

#[test]
fn no_bytes_upset_a_machine_of_both_roles() {
    fuzz(AS_BOTH, Hook::Xdp, 3, 12);
}

#[test]
fn no_bytes_upset_the_way_out() {
    fuzz(WITH_FLOWS, Hook::Egress, 4, 3);
}
