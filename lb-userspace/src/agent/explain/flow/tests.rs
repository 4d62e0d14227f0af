use proptest::prelude::*;

use super::*;

fn parse_and_print(text: &str) -> Result<String, FlowError> {
    text.parse().map(|flow: Flow| flow.to_string())
}

#[test]
fn spellings_of_one_flow_are_parsed_alike() {
    let v4 = "tcp 198.51.100.7:4242 -> 192.0.2.10:80";
    let spellings = [
        v4,
        "  TCP 198.51.100.7:4242->192.0.2.10:80 ",
        "tcp 198.51.100.7:4242 192.0.2.10:80",
        "tcp [::ffff:198.51.100.7]:4242 -> 192.0.2.10:80",
    ];
    for spelling in spellings {
        assert_eq!(parse_and_print(spelling).as_deref(), Ok(v4), "{spelling}");
    }
    let v6 = "udp [2001:db8::7]:4242 -> [2001:db8::10]:53";
    assert_eq!(parse_and_print(v6).as_deref(), Ok(v6));
    assert_eq!(
        parse_and_print("icmpv6 2001:db8::7 -> 2001:db8::10").unwrap(),
        "icmp 2001:db8::7 -> 2001:db8::10"
    );
    assert_eq!(parse_and_print("icmp 10.0.0.1 -> 192.0.2.10").unwrap(), "icmp 10.0.0.1 -> 192.0.2.10");
}

#[test]
fn an_error_names_the_wrong_part_and_gives_an_example() {
    let table = [
        ("", "protocol, a client and a destination"),
        ("tcp 198.51.100.7:4242", "protocol, a client and a destination"),
        ("tcp 198.51.100.7:4242 -", "put quotes around"),
        ("sctp 198.51.100.7:4242 -> 192.0.2.10:80", "\"sctp\" is no protocol"),
        ("tcp 198.51.100.7 -> 192.0.2.10:80", "\"198.51.100.7\" is not an address with a port"),
        ("tcp 198.51.100.7:4242 -> 192.0.2.10:80000", "\"192.0.2.10:80000\" is not"),
        ("tcp www:1 -> 192.0.2.10:80", "\"www:1\" is not"),
        ("icmp 198.51.100.7:1 -> 192.0.2.10", "without a port"),
        ("tcp 198.51.100.7:4242 -> 192.0.2.10:80 80", "protocol, a client and a destination"),
    ];
    for (text, expected) in table {
        let error = parse_and_print(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains("'tcp 198.51.100.7:4242 -> 192.0.2.10:80'"), "{text}: {error}");
    }
    let error = parse_and_print("tcp 198.51.100.7:4242 -> [2001:db8::10]:80").unwrap_err().to_string();
    assert!(error.contains("different families"), "{error}");
}

fn flows() -> impl Strategy<Value = Flow> {
    let protocols = prop_oneof![Just(FlowProtocol::Tcp), Just(FlowProtocol::Udp), Just(FlowProtocol::Icmp)];
    (protocols, any::<(IpAddr, IpAddr)>(), any::<(u16, u16)>()).prop_filter_map(
        "of one family",
        |(protocol, (client, to), (from_port, to_port))| {
            let (client, to) = (client.to_canonical(), to.to_canonical());
            let has_ports = protocol != FlowProtocol::Icmp;
            let at = |addr, port| SocketAddr::new(addr, if has_ports { port } else { 0 });
            let flow = Flow { protocol, client: at(client, from_port), to: at(to, to_port) };
            (client.is_ipv4() == to.is_ipv4()).then_some(flow)
        },
    )
}

proptest! {
    #[test]
    fn a_printed_flow_is_parsed_to_itself(flow in flows()) {
        prop_assert_eq!(flow.to_string().parse(), Ok(flow));
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(text in any::<String>()) {
        let _ = parse_and_print(&text);
    }

    #[test]
    fn text_like_a_flow_is_refused_or_parsed_to_what_it_prints(text in "(tcp|udp|icmp|x)? ?[\\[\\]0-9a-f.:%]{0,20} ?(-|>|->)? ?[\\[\\]0-9a-f.:%]{0,20}") {
        if let Ok(flow) = text.parse::<Flow>() {
            prop_assert_eq!(flow.to_string().parse(), Ok(flow));
        }
    }
}
