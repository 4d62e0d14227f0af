//! The wire format in plain hex: eight packets as they come in and as they go
//! out, written down and not computed by the builders of the other tables.

use lb_common::Verdict::{self, Deliver, EgressReply, ForwardGue, ForwardIpip, ForwardL2, TellTooBig};

use crate::machine::{AS_DIRECTOR, AS_NODE, Hook, Machine, Setup, WITH_FLOWS};

type GoldenRow = (&'static str, Setup, Hook, Verdict);

#[rustfmt::skip]
const TABLE: [GoldenRow; 8] = [
    (include_str!("golden/tcp4_by_mac.hex"), AS_DIRECTOR, Hook::Xdp, ForwardL2),
    (include_str!("golden/tcp4_in_ipip.hex"), AS_DIRECTOR, Hook::Xdp, ForwardIpip),
    (include_str!("golden/tcp6_in_ipv6.hex"), AS_DIRECTOR, Hook::Xdp, ForwardIpip),
    (include_str!("golden/tcp4_in_gue.hex"), AS_DIRECTOR, Hook::Xdp, ForwardGue),
    (include_str!("golden/tcp4_to_pod.hex"), AS_NODE, Hook::Xdp, Deliver),
    (include_str!("golden/tcp6_to_pod.hex"), AS_NODE, Hook::Xdp, Deliver),
    (include_str!("golden/tcp4_reply.hex"), WITH_FLOWS, Hook::Egress, EgressReply),
    (include_str!("golden/tcp4_too_big.hex"), AS_DIRECTOR, Hook::Xdp, TellTooBig),
];

/// Hex, with comments behind `#`; `00*472` is that byte so many times.
fn parse_hex(text: &str) -> Vec<u8> {
    let words = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    let run = |word: &str| {
        let (byte, count) = word.split_once('*').unwrap_or((word, "1"));
        vec![u8::from_str_radix(byte, 16).unwrap(); count.parse().unwrap()]
    };
    words.flat_map(run).collect()
}

#[test]
fn packets_match_their_hex_files() {
    for (text, setup, hook, verdict) in TABLE {
        let (title, packets) = text.split_once("[in]").unwrap();
        let (input, output) = packets.split_once("[out]").unwrap();
        let machine = Machine::new(setup);
        let before = machine.counts();
        let ran = machine.run(hook, &parse_hex(input));
        assert_eq!(machine.counts().since(&before).verdicts, [(verdict, 1)], "{title}");
        assert_eq!(ran.output, parse_hex(output), "{title}");
    }
}
