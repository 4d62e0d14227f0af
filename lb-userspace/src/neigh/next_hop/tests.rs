use serde_json::json;

use super::*;

#[test]
fn next_hops_are_readable_as_json() {
    let next = NextHop {
        ifindex: 7,
        interface: "eth0".into(),
        device: 7,
        tags: Vec::new(),
        source: [192, 0, 2, 1].into(),
        on_link: true,
        gateway: None,
        mtu: 1500,
        src_mac: [2, 0, 0, 0, 0, 0xab],
        dst_mac: None,
        is_silent: false,
    };
    let resolved = NextHop { dst_mac: Some([2, 0, 0, 0, 0, 0xcd]), ..next.clone() };
    let json = |reach| serde_json::to_value(reach).unwrap();
    assert_eq!(json(Reach::Local), json!("local"));
    assert_eq!(json(Reach::Unreachable("no route".into())), json!({"unreachable": "no route"}));
    assert_eq!(
        json(Reach::Via(next)),
        json!({"via": {
            "ifindex": 7, "interface": "eth0", "device": 7, "tags": [], "source": "192.0.2.1", "on_link": true, "gateway": null,
            "mtu": 1500, "src_mac": "02:00:00:00:00:ab", "dst_mac": null, "is_silent": false,
        }})
    );
    assert_eq!(json(Reach::Via(resolved))["via"]["dst_mac"], "02:00:00:00:00:cd");
}

#[test]
fn the_futures_can_be_spawned() {
    fn assert_send<T: Send + 'static>(_: T) {}
    let (_, targets) = tokio::sync::watch::channel(Default::default());
    let (hops, _) = tokio::sync::watch::channel(Default::default());
    let (uplinks, _) = tokio::sync::watch::channel(Default::default());
    let (faults, _) = tokio::sync::watch::channel(Default::default());
    assert_send(crate::neigh::follow(
        std::collections::BTreeMap::new(),
        targets,
        crate::neigh::Findings { hops, uplinks, faults },
    ));
}
