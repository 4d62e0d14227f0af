//! From one to the next that was not asked yet, and at last to the owner.

use lb_common::Verdict::{
    DropDeadOwner, DropNoRoom, DropStray, DropUnresolved, HandOn, HandOnRedirect, TellTooBig,
    TellTooBigRouted,
};

use super::{OVER, Trail, frame_from_fellow, frame_to_fellow, kinds_between_nodes, strangers, trail_of};
use crate::{
    case::{Case, arrives, check_all},
    expect::{from_director, gue_packet, source_port, too_big_message},
    machine::{AS_BOTH, AS_NODE, NODE_WITHOUT_HEADROOM, WITHOUT_STRAYS},
    packet::{ACK, FIN, Gue, RST, SYN, frame},
    services::{DISTANT, FORMERLY, FROM_AFAR, FROM_DEAD, FROM_SILENCE, LEFT, MTU, OWNED, port_over},
    world::{ARRIVING, DIRECTOR, Family, Kind, LEAVING, NODE, Request, fellow},
};

/// From where and with what trail; to whom, and with what trail.
type SearchRow = (&'static str, u16, Option<(u8, Trail)>, (u8, Trail));

/// Packets that are no beginning of a connection. Without a fellow to come
/// from, they are from the director.
fn table() -> Vec<SearchRow> {
    let [f1, f2, f3, f4] = [1, 2, 3, 4].map(fellow);
    let mut rows = vec![
        ("the newest former owner is first", OWNED, None, (1, trail_of(&[NODE]))),
        ("not back to who asked", OWNED, Some((1, trail_of(&[f1]))), (2, trail_of(&[f1, NODE]))),
        ("not to who was asked", OWNED, Some((2, trail_of(&[f1, f2]))), (3, trail_of(&[f1, f2, NODE]))),
        (
            "the list is one of names, not of places",
            OWNED,
            Some((2, trail_of(&[f2]))),
            (1, trail_of(&[f2, NODE])),
        ),
        ("to the owner too", FORMERLY, None, (1, trail_of(&[NODE]))),
        (
            "to the owner too, if he did not ask",
            FORMERLY,
            Some((4, trail_of(&[f4]))),
            (1, trail_of(&[f4, NODE])),
        ),
        (
            "a former owner asks the one before",
            FORMERLY,
            Some((1, trail_of(&[f1]))),
            (2, trail_of(&[f1, NODE])),
        ),
        ("himself left out", FORMERLY, Some((2, trail_of(&[f1, f2]))), (3, trail_of(&[f1, f2, NODE]))),
        (
            "the last one asks the owner again",
            FORMERLY,
            Some((3, trail_of(&[f1, f2, f3]))),
            (1, trail_of(&[f1, f2, f3, NODE])),
        ),
        ("one of two asks him again", LEFT, Some((1, trail_of(&[f1]))), (1, trail_of(&[f1, NODE]))),
        ("without endpoints, to the owner", LEFT, None, (1, trail_of(&[NODE]))),
        (
            "six were asked",
            FORMERLY,
            Some((7, trail_of(&strangers(6)))),
            (1, trail_of(&[strangers(6), vec![NODE]].concat())),
        ),
        (
            "seven were asked",
            FORMERLY,
            Some((7, trail_of(&strangers(7)))),
            (1, trail_of(&strangers(7)).with_word(OVER)),
        ),
    ];
    rows.extend([8, 0x80, 0xfc].map(|hops| {
        let trail = trail_of(&strangers(7)).with_word(hops);
        ("more hops than there can be", FORMERLY, Some((7, trail.clone())), (1, trail.with_word(OVER)))
    }));
    rows
}

pub fn cases() -> Vec<Case> {
    kinds_between_nodes().flat_map(|(kind, outer)| cases_of_kind(kind, outer)).collect()
}

fn cases_of_kind(kind: Kind, outer: Family) -> Vec<Case> {
    let name = |what: &str| format!("{kind} between nodes over {outer:?}: {what}");
    let mut cases = Vec::new();
    for (number, (what, port, came, (next, trail))) in table().into_iter().enumerate() {
        let request = kind.request(port_over(outer, port)).into_later_packet();
        let input = match came {
            Some((fellow, trail)) => frame_from_fellow(outer, fellow, &trail, &request),
            None => request.frame(),
        };
        let given = arrives(name(&format!("{number}, {what}")), AS_NODE, input);
        cases.push(
            given.becomes(HandOn, frame_to_fellow(outer, next, &trail, &request)).for_service(&request),
        );
    }
    cases.extend(from_directors(kind, outer));
    cases.extend(other_outcomes(kind, outer));
    if kind.is_tcp {
        cases.extend([ACK | SYN, ACK | FIN, RST, RST | ACK, 0].map(|flags| {
            let request = kind.request(port_over(outer, OWNED)).with_tcp_flags(flags);
            let given = arrives(name(&format!("flags {flags:#04x} begin nothing")), AS_NODE, request.frame());
            given
                .becomes(HandOn, frame_to_fellow(outer, 1, &trail_of(&[NODE]), &request))
                .for_service(&request)
        }));
    }
    cases
}

/// Whatever the way from the director, the way on is the same.
fn from_directors(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(port_over(outer, OWNED)).into_later_packet();
    let gue = Gue::new(source_port(&request), &[], &request.ip);
    let padded = [request.frame(), vec![0xee; 18]].concat();
    let inputs = [
        ("by its MAC address", request.frame()),
        ("in an outer header", from_director(outer, &request.ip)),
        ("in UDP", frame(ARRIVING, &gue_packet(&gue, outer, DIRECTOR, NODE, request.hash()))),
    ];
    let output = frame_to_fellow(outer, 1, &trail_of(&[NODE]), &request);
    let mut cases = Vec::new();
    for setup in [AS_NODE, AS_BOTH] {
        for (way, input) in &inputs {
            let name = format!("{kind} from the director {way}, between nodes over {outer:?}, on {setup}");
            let given = arrives(name, setup, input.clone());
            cases.push(given.becomes(HandOn, output.clone()).for_service(&request));
        }
    }
    let name = format!("{kind} with padding, between nodes over {outer:?}");
    let output = [output, vec![0xee; 18]].concat();
    cases.push(arrives(name, AS_NODE, padded).becomes(HandOn, output).for_service(&request));
    cases
}

fn other_outcomes(kind: Kind, outer: Family) -> Vec<Case> {
    let name = |what: &str| format!("{kind} between nodes over {outer:?}: {what}");
    let request = |port| kind.request(port_over(outer, port)).into_later_packet();
    let [afar, silent, dead, owned] = [FROM_AFAR, FROM_SILENCE, FROM_DEAD, OWNED].map(request);
    let room = MTU - (Kind { family: outer, ..kind }.header_len() + 8 + 4 + 16);
    let [fits, too_long] = [room, room + 1].map(|len| request(OWNED).with_len(len));
    let handed = |request: &Request, number| frame_to_fellow(outer, number, &trail_of(&[NODE]), request);
    // What may begin with any datagram begins here: see `dead`.
    let unanswered = kind.is_tcp.then(|| {
        let case = arrives(name("only the dead may know it"), AS_NODE, dead.frame());
        case.dropped(DropDeadOwner).for_service(&dead)
    });
    let others = vec![
        arrives(name("by another interface"), AS_NODE, afar.frame())
            .becomes(HandOnRedirect, handed(&afar, DISTANT))
            .for_service(&afar),
        arrives(name("next hop unknown"), AS_NODE, silent.frame())
            .dropped(DropUnresolved)
            .for_service(&silent),
        arrives(name("just the MTU"), AS_NODE, fits.frame())
            .becomes(HandOn, handed(&fits, 1))
            .for_service(&fits),
        arrives(name("one byte too long"), AS_NODE, too_long.frame())
            .becomes(TellTooBigRouted, frame(ARRIVING, &too_big_message(&too_long, room)))
            .for_service(&too_long),
        arrives(name("one byte too long, in an outer header"), AS_NODE, from_director(outer, &too_long.ip))
            .becomes(TellTooBigRouted, frame(ARRIVING, &too_big_message(&too_long, room)))
            .for_service(&too_long),
        arrives(name("one byte too long, on a director and node"), AS_BOTH, too_long.frame())
            .becomes(TellTooBig, frame(LEAVING, &too_big_message(&too_long, room)))
            .for_service(&too_long),
        arrives(name("no headroom"), NODE_WITHOUT_HEADROOM, owned.frame())
            .dropped(DropNoRoom)
            .for_service(&owned),
        arrives(name("too many in a second"), WITHOUT_STRAYS, owned.frame())
            .dropped(DropStray)
            .for_service(&owned),
    ];
    others.into_iter().chain(unanswered).collect()
}

#[test]
fn packets_of_unknown_flows_go_from_owner_to_owner() {
    check_all(&cases());
}
