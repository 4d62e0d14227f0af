//! Which VIPs a `BgpAdvertisement` selects, on which nodes, and for which peers.

use std::{collections::BTreeSet, net::Ipv6Addr};

use anyhow::Result;
use lb_testbed::{PortSpec, Protocol, ServiceSpec, UDP_ECHO_PORT, VIP};

use super::lab::{Lab, small_config};

const BIRD: &str = include_str!("../live/bird.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// A VIP in the pool `back`.
const OTHER_VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x41);
const BOTH: &[&str] = &["v4", "v6"];

/// An advertisement's spec, and by which sessions the router gets the VIPs of `web` and `other`.
const CHOICES: [(&str, [&[&str]; 2]); 8] = [
    ("", [BOTH, BOTH]),
    ("ipAddressPools: [back]", [&[], BOTH]),
    ("ipAddressPoolSelectors: [{matchLabels: {tier: front}}]", [BOTH, &[]]),
    ("serviceSelectors: [{matchLabels: {app: other}}]", [&[], BOTH]),
    ("nodeSelectors: [{matchLabels: {kubernetes.io/hostname: director2}}]", [&[], &[]]),
    ("nodeSelectors: [{matchLabels: {kubernetes.io/hostname: director1}}]", [BOTH, BOTH]),
    ("peers: [v6]", [&["v6"], &["v6"]]),
    ("peers: [v4], ipAddressPools: [front]", [&["v4"], &[]]),
];

fn objects_with_choice(choice: &str) -> String {
    OBJECTS.replace("CHOICE", choice)
}

#[test]
fn advertisements_choose_pools_services_nodes_and_peers() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, &objects_with_choice(""))?.run_with_diagnostics(|lab| {
        let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
        let other = ServiceSpec::new("other", vec![port]).vips([OTHER_VIP.into()]);
        lab.triangle.write_objects(&[ServiceSpec::with_all_ports("web"), other])?;
        for (choice, expected) in CHOICES {
            println!("{choice}");
            lab.write_objects(&objects_with_choice(choice))?;
            for (vip, sessions) in [VIP.v6, OTHER_VIP].iter().zip(expected) {
                lab.wait_routes(&format!("{vip}/128"), |routes| {
                    let from: BTreeSet<&str> = routes.iter().map(|route| &*route.from).collect();
                    from.iter().eq(sessions) && routes.len() == sessions.len()
                })?;
            }
        }
        Ok(())
    })
}
