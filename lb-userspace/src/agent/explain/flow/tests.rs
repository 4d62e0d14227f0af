use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<String, FlowError> {
    text.parse().map(|flow: Flow| flow.to_string())
}

#[test]
fn what_people_write_is_understood() {
    let v4 = "tcp 198.51.100.7:4242 -> 192.0.2.10:80";
    let ways = [
        v4,
        "  TCP 198.51.100.7:4242->192.0.2.10:80 ",
        "tcp 198.51.100.7:4242 192.0.2.10:80",
        "tcp [::ffff:198.51.100.7]:4242 -> 192.0.2.10:80",
    ];
    for way in ways {
        assert_eq!(parsed(way).as_deref(), Ok(v4), "{way}");
    }
    let v6 = "udp [2001:db8::7]:4242 -> [2001:db8::10]:53";
    assert_eq!(parsed(v6).as_deref(), Ok(v6));
    assert_eq!(parsed("icmpv6 2001:db8::7 -> 2001:db8::10").unwrap(), "icmp 2001:db8::7 -> 2001:db8::10");
    assert_eq!(parsed("icmp 10.0.0.1 -> 192.0.2.10").unwrap(), "icmp 10.0.0.1 -> 192.0.2.10");
}

#[test]
fn what_is_wrong_is_named_with_an_example() {
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
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains("'tcp 198.51.100.7:4242 -> 192.0.2.10:80'"), "{text}: {error}");
    }
    let error = parsed("tcp 198.51.100.7:4242 -> [2001:db8::10]:80").unwrap_err().to_string();
    assert!(error.contains("different families"), "{error}");
}

fn flows() -> impl Strategy<Value = Flow> {
    let protocols = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Icmp)];
    (protocols, any::<(IpAddr, IpAddr)>(), any::<(u16, u16)>()).prop_filter_map(
        "of one family",
        |(protocol, (client, to), (from_port, to_port))| {
            let (client, to) = (client.to_canonical(), to.to_canonical());
            let has_ports = protocol != Protocol::Icmp;
            let at = |addr, port| SocketAddr::new(addr, if has_ports { port } else { 0 });
            let flow = Flow { protocol, client: at(client, from_port), to: at(to, to_port) };
            (client.is_ipv4() == to.is_ipv4()).then_some(flow)
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_is_what_was_meant(flow in flows()) {
        prop_assert_eq!(flow.to_string().parse(), Ok(flow));
    }

    #[test]
    fn no_text_upsets_it(text in any::<String>()) {
        let _ = parsed(&text);
    }

    #[test]
    fn nothing_like_a_flow_upsets_it(text in "(tcp|udp|icmp|x)? ?[\\[\\]0-9a-f.:%]{0,20} ?(-|>|->)? ?[\\[\\]0-9a-f.:%]{0,20}") {
        if let Ok(flow) = text.parse::<Flow>() {
            prop_assert_eq!(flow.to_string().parse(), Ok(flow));
        }
    }
}
