//! A Service that is not good when an agent starts is served as the maps have it.

use lb_common::maps::{Service, ServiceKey};

use super::*;

/// Each a change of the Service that takes effect in the maps.
const SETTINGS: [(&str, &str); 7] = [
    ("dsr: \"true\"", "dsr: \"true\""),
    ("dsr: \"true\"", "dsr: \"true\", trigon.dev/delivery: gue"),
    ("dsr: \"true\"", "dsr: \"true\", trigon.dev/backends: bare, trigon.dev/delivery: ipip"),
    ("dsr: \"true\"", "dsr: \"true\", trigon.dev/new-flows-per-second: \"90\""),
    ("loadBalancerClass", "sessionAffinity: ClientIP, loadBalancerClass"),
    ("loadBalancerClass", "loadBalancerSourceRanges: [198.51.100.0/24, 2001:db8:1::/48], loadBalancerClass"),
    ("{ip: 192.0.2.80}", "{ip: 192.0.2.80}, {ip: \"2001:db8::80\"}"),
];

/// What of the objects makes the Service one that is not good.
const WRONG: [(&str, &str); 2] = [
    ("trigon.dev/dsr: \"true\"", "trigon.dev/dsr: \"yes\""),
    ("trigon.dev/dsr: \"true\"", "trigon.dev/dsr: \"true\", trigon.dev/health-check: gopher"),
];

/// Also of the endpoint, which may be a bare server.
fn all_hops() -> Input {
    let mut hops = hops(true);
    hops.insert(IpAddr::from([10, 1, 0, 1]), Reach::Via(way_to_node1()));
    Input::NextHops(Arc::new(hops))
}

/// What was there, adopted by an agent that reads these objects.
fn restart(engine: Engine<MemoryTables>, text: &str) -> Engine<MemoryTables> {
    FILES.take();
    let reconciler = reconciler(engine.reconciler.into_tables(), ROOM);
    let engine = Engine::new(reconciler, dispatcher().0, Index::default(), BTreeSet::from([2]));
    let mut engine = engine.start_with_faults();
    engine.handle(load(text), Now::read());
    engine.handle(all_hops(), Now::read());
    engine
}

/// The entries of the services, but for when they were written.
fn entries(engine: &Engine<MemoryTables>) -> Vec<(ServiceKey, Service)> {
    let services = &engine.reconciler.programmed().mirror.services;
    services.iter().map(|(key, service)| (*key, Service { generation: 0, ..*service })).collect()
}

/// Of each service, in seconds.
fn affinities(engine: &Engine<MemoryTables>) -> Vec<u32> {
    entries(engine).iter().map(|(_, service)| service.affinity).collect()
}

fn loaded(text: &str) -> Engine<MemoryTables> {
    let mut engine = engine();
    engine.handle(load(text), Now::read());
    engine.handle(all_hops(), Now::read());
    engine
}

#[test]
fn a_service_that_is_not_good_is_served_as_it_was() {
    let objects = format!("{NODES}{ENDPOINT}");
    for (from, to) in SETTINGS {
        let good = objects.replace(from, to);
        for (right, wrong) in WRONG {
            let engine = loaded(&good);
            let programmed = engine.reconciler.programmed();
            let (before, members) = (entries(&engine), ring_members(&engine));
            let ranges = programmed.mirror.ranges.clone();
            assert!(!before.is_empty() && members == 1, "{to}");
            let bad = good.replace(right, wrong);
            let mut engine = restart(engine, &bad);
            let programmed = engine.reconciler.programmed();
            assert!(!engine.source.is_good(), "{wrong}");
            assert_eq!((entries(&engine), ring_members(&engine)), (before.clone(), members), "{to}: {wrong}");
            assert_eq!(programmed.mirror.ranges, ranges, "{to}: {wrong}");
            assert!(programmed.is_settled(), "{to}: {wrong}");
            // Its endpoints are followed.
            engine.handle(load(&bad.replace(ENDPOINT, "")), Now::read());
            assert_eq!((entries(&engine).len(), ring_members(&engine)), (before.len(), 0), "{to}: {wrong}");
        }
    }
}

#[test]
fn what_the_maps_tell_holds_until_a_service_is_good_once() {
    let objects = format!("{NODES}{ENDPOINT}");
    let (right, wrong) = WRONG[0];
    let bad = objects.replace(right, wrong);
    let more = bad.replace("port: 80}]}", "port: 80}, {name: q, port: 81}]}");
    let limited = objects.replace("loadBalancerClass", "sessionAffinity: ClientIP, loadBalancerClass");

    // Whom it would admit at what was not there before, nobody knows.
    let mut engine = restart(loaded(&objects), &more);
    assert_eq!(affinities(&engine), [0]);
    engine.handle(load(&limited), Now::read());
    assert_eq!(affinities(&engine), [10_800]);
    engine.handle(load(&bad), Now::read());
    assert_eq!(affinities(&engine), [10_800], "its last good version");
    engine.handle(load(NODES.split("---").next().unwrap_or_default()), Now::read());
    assert_eq!(affinities(&engine), [0; 0]);
    engine.handle(load(&bad), Now::read());
    assert_eq!(affinities(&engine), [0; 0], "it is another one");

    // Nor is anything left for later where the Service is gone at the start.
    let mut engine = restart(loaded(&objects), NODES.split("---").next().unwrap_or_default());
    engine.handle(load(&bad), Now::read());
    assert_eq!(affinities(&engine), [0; 0]);
}

/// Nobody knows any more what a Service was that is wrong, and has nothing in the data path.
#[test]
fn what_kube_proxy_carries_does_not_come_into_the_data_path() {
    let other = r#"
{apiVersion: v1, kind: Service, metadata: {name: other},
 spec: {type: LoadBalancer, loadBalancerClass: trigon.dev/lb, ports: [{name: q, port: 81}]},
 status: {loadBalancer: {ingress: [{ip: 192.0.2.80}]}}}
---
"#;
    let good = format!("{NODES}{other}{ENDPOINT}");
    let engine = loaded(&good);
    let is_passed = |engine: &Engine<MemoryTables>| {
        let passed = entries(engine).into_iter().map(|(_, service)| service.is_passed());
        passed.collect::<Vec<_>>()
    };
    assert_eq!(is_passed(&engine), [false, true]);
    let bad = good.replace("{name: other}", "{name: other, annotations: {trigon.dev/dsr: \"yes\"}}");
    let engine = restart(engine, &bad);
    assert_eq!(is_passed(&engine), [false]);
}

/// Its settings were seen, though it was never good: one of its addresses is a Node's.
#[test]
fn settings_that_were_in_effect_are_not_those_of_the_maps_any_more() {
    let with = |ranges: &str| {
        let both = "{ip: 192.0.2.80}, {ip: 10.0.0.1}";
        let text = format!("{NODES}{ENDPOINT}").replace("{ip: 192.0.2.80}", both);
        text.replace("loadBalancerClass", &format!("loadBalancerSourceRanges: [{ranges}], loadBalancerClass"))
    };
    let ranges = |engine: &Engine<MemoryTables>| {
        let ranges = engine.reconciler.programmed().mirror.ranges.values();
        ranges.flatten().map(ToString::to_string).collect::<Vec<_>>()
    };
    let wide = format!("{NODES}{ENDPOINT}")
        .replace("loadBalancerClass", "loadBalancerSourceRanges: [198.51.0.0/16], loadBalancerClass");
    let mut engine = restart(loaded(&wide), &with("198.51.0.0/16"));
    assert_eq!(ranges(&engine), ["198.51.0.0/16"]);
    engine.handle(load(&with("198.51.100.0/24")), Now::read());
    assert_eq!(ranges(&engine), ["198.51.100.0/24"]);
    engine.handle(load(&with("198.51.100.0/24, everywhere")), Now::read());
    assert_eq!(ranges(&engine), [""; 0], "nobody knows whom it would admit: it is not served");
    assert_eq!(entries(&engine), []);
}

/// A Node may list a VIP that it has on an interface.
#[test]
fn a_vip_that_a_node_lists_is_one_after_a_restart() {
    let objects = format!("{NODES}{ENDPOINT}");
    let listed = objects.replace(
        "{type: InternalIP, address: 10.0.0.1}",
        "{type: InternalIP, address: 10.0.0.1}, {type: ExternalIP, address: 192.0.2.80}",
    );
    let mut engine = restart(loaded(&objects), &listed);
    assert_eq!((proven_vips(&engine), engine.source.is_good()), (vec!["192.0.2.80".to_owned()], true));
    engine.handle(load(&listed.replace("port: 80}]}", "port: 81}]}")), Now::read());
    assert_eq!((proven_vips(&engine), engine.source.is_good()), (vec!["192.0.2.80".to_owned()], true));
}
