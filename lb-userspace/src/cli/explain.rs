//! `trigon explain FLOW`

use std::{fmt::Write, process::ExitCode};

use super::{
    ask,
    outcome::{Failure, Outcome, UNUSABLE, print_result},
    render::count_of,
};
use crate::{
    agent::{
        explain::flow::Flow,
        report::explain::{ExplainQuestion, Explanation, Machine, PacketStory, SlotStory},
    },
    cli::args::{Cli, ExplainArgs},
};

pub fn run(cli: &Cli, args: &ExplainArgs) -> Outcome {
    let unusable = |error: anyhow::Error| Failure { code: UNUSABLE, error };
    let flow: Flow = args.flow.join(" ").parse().map_err(|e| unusable(anyhow::Error::new(e)))?;
    let question = ExplainQuestion {
        flow: flow.to_string(),
        at_node: args.at_node.clone(),
        interface: args.interface.clone(),
        len: args.len,
    };
    let query = serde_urlencoded::to_string(&question).map_err(anyhow::Error::from)?;
    let explanation: Explanation = ask::ask_agent(&cli.socket, &format!("/v1/explain?{query}"))?;
    print_result(cli.output, &explanation, render_explanation)?;
    Ok(ExitCode::SUCCESS)
}

/// A numbered story for each packet; packets with the same story share it.
fn render_explanation(explanation: &Explanation) -> String {
    let Explanation { flow, node, arrival, packets } = explanation;
    let mut text = format!("{flow} on {node}, {arrival}\n");
    let mut stories: Vec<(Vec<&str>, String)> = Vec::new();
    for packet in packets {
        let story = render_story(packet);
        match stories.iter_mut().find(|(_, other)| *other == story) {
            Some((names, _)) => names.push(&packet.packet),
            None => stories.push((vec![&packet.packet], story)),
        }
    }
    for (names, story) in stories {
        let _ = write!(text, "{}:\n{story}", names.join(", or "));
    }
    text
}

fn render_story(packet: &PacketStory) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(story_steps(packet)) {
        let _ = writeln!(text, " {number}. {step}");
    }
    let _ = writeln!(text, " => {}: {}", packet.verdict, packet.meaning);
    if let Some(remedy) = &packet.remedy {
        let _ = writeln!(text, "    what helps: {remedy}");
    }
    for hint in &packet.hints {
        let _ = writeln!(text, "    {hint}");
    }
    text
}

fn story_steps(packet: &PacketStory) -> Vec<String> {
    let service = packet.service.as_ref().map(|service| {
        let name = service.name.as_deref().unwrap_or("that no object describes any more");
        let (protocol, vip, generation) = (&service.protocol, service.vip, service.generation);
        let backends = match service.kube_proxy {
            true => "carried by kube-proxy".into(),
            false => format!("{} in its ring", count_of(service.backends, "backend")),
        };
        format!("service {name} ({protocol} {vip}), generation {generation}, {backends}")
    });
    let choice =
        packet.choice.as_ref().map(|choice| format!("to {}, {}", peer_label(&choice.peer), choice.why));
    let way = packet.way.as_ref().map(|way| {
        let port = way.source_port.map_or(String::new(), |port| format!(", outer source port {port}"));
        format!("by {} {}, MTU {}{port}", way.delivery, way.next_hop, way.mtu)
    });
    let endpoint = packet.endpoint.as_ref().map(|endpoint| {
        let how = if endpoint.known { "which has the flow" } else { "where the flow begins" };
        let vip = packet.service.as_ref().map_or(String::new(), |service| format!(" from {}", service.vip));
        let reply = match endpoint.inside {
            true => "it sees the VIP as the client, which is on this node, and its reply comes back",
            false => "its reply leaves",
        };
        format!("endpoint {} here, {how}; {reply}{vip}", endpoint.endpoint)
    });
    [service, packet.slot.as_ref().map(render_slot), choice, way, endpoint].into_iter().flatten().collect()
}

fn render_slot(slot: &SlotStory) -> String {
    let owner = slot.owner.as_ref().map_or("nobody".into(), peer_label);
    let former = match slot.former.as_deref() {
        None => String::new(),
        Some([]) => "; no former owner".into(),
        Some(peers) => {
            format!("; former owners: {}", peers.iter().map(peer_label).collect::<Vec<_>>().join(", "))
        }
    };
    format!("slot {} of {}, owner {owner}{former}", slot.slot, slot.of)
}

fn peer_label(peer: &Machine) -> String {
    match &peer.node {
        Some(node) => format!("{node} ({})", peer.address),
        None => peer.address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        agent::report::explain::{Choice, EndpointStory, PathStory, ServiceStory},
        cli::args::Command,
    };

    fn peer(node: Option<&str>, last: u8) -> Machine {
        Machine { node: node.map(Into::into), address: [10, 0, 0, last].into() }
    }

    fn story_of(packet: &str) -> PacketStory {
        PacketStory {
            packet: packet.into(),
            service: Some(ServiceStory {
                name: Some("default/web".into()),
                protocol: "tcp".into(),
                vip: "192.0.2.10:80".parse().unwrap(),
                generation: 7,
                kube_proxy: false,
                backends: 1,
            }),
            slot: Some(SlotStory {
                slot: 1234,
                of: 2039,
                owner: Some(peer(Some("node2"), 12)),
                former: Some(vec![peer(Some("node1"), 11), peer(None, 13)]),
            }),
            choice: Some(Choice { peer: peer(Some("node2"), 12), why: "the owner of the slot".into() }),
            way: Some(PathStory {
                delivery: "gue".into(),
                next_hop: "on link dev eth0 02:00:00:00:00:01".into(),
                mtu: 1500,
                source_port: Some(51_234),
            }),
            endpoint: None,
            verdict: "forward_gue".into(),
            fate: "transmit".into(),
            meaning: "sent to a backend within UDP".into(),
            remedy: None,
            hints: vec!["Ask node2.".into()],
        }
    }

    fn explanation(packets: Vec<PacketStory>) -> Explanation {
        let flow = "tcp 198.51.100.7:4242 -> 192.0.2.10:80".into();
        Explanation { flow, node: "director1".into(), arrival: "as it comes in by eth0".into(), packets }
    }

    #[test]
    fn stories_that_are_alike_are_told_once() {
        let text = render_explanation(&explanation(vec![story_of("a SYN"), story_of("a later packet")]));
        let expected = "\
tcp 198.51.100.7:4242 -> 192.0.2.10:80 on director1, as it comes in by eth0
a SYN, or a later packet:
 1. service default/web (tcp 192.0.2.10:80), generation 7, 1 backend in its ring
 2. slot 1234 of 2039, owner node2 (10.0.0.12); former owners: node1 (10.0.0.11), 10.0.0.13
 3. to node2 (10.0.0.12), the owner of the slot
 4. by gue on link dev eth0 02:00:00:00:00:01, MTU 1500, outer source port 51234
 => forward_gue: sent to a backend within UDP
    Ask node2.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn stories_that_differ_are_told_one_by_one() {
        let endpoint =
            EndpointStory { endpoint: "10.1.0.5:8080".parse().unwrap(), known: false, inside: false };
        let inside = EndpointStory { inside: true, ..endpoint.clone() };
        let stays = PacketStory {
            slot: None,
            choice: None,
            way: None,
            endpoint: Some(endpoint),
            hints: Vec::new(),
            verdict: "deliver".into(),
            ..story_of("a later packet")
        };
        let dropped = PacketStory {
            service: None,
            endpoint: None,
            verdict: "no_such_port".into(),
            remedy: Some("add the port".into()),
            packet: "a SYN".into(),
            ..stays.clone()
        };
        let inside = PacketStory { endpoint: Some(inside), ..stays.clone() };
        let text = render_explanation(&explanation(vec![dropped, stays, inside]));
        for expected in [
            "\na SYN:\n => no_such_port: sent to a backend within UDP\n    what helps: add the port\na later packet:\n 1. service",
            "\n 2. endpoint 10.1.0.5:8080 here, where the flow begins; its reply leaves from 192.0.2.10:80\n",
            "begins; it sees the VIP as the client, which is on this node, and its reply comes back from 192.0.2.10:80\n",
        ] {
            assert!(text.contains(expected), "no `{expected}` in:\n{text}");
        }
    }

    #[test]
    fn a_flow_is_taken_in_one_word_or_in_several() {
        let flow = "tcp 198.51.100.7:4242 -> 192.0.2.10:80";
        let ways =
            [vec![flow, "--len", "100"], vec!["--len", "100", "tcp", "198.51.100.7:4242", "192.0.2.10:80"]];
        for way in ways {
            let words = [&["trigon", "explain"], &way[..]].concat();
            let cli = Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{way:?}: {e}"));
            let Command::Explain(args) = cli.command else { panic!("{way:?}") };
            assert_eq!(args.flow.join(" ").parse::<Flow>().unwrap().to_string(), flow);
            assert_eq!(args.len, 100);
        }
    }
}
