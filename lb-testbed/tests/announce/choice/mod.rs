//! What a `BgpAdvertisement` is about, on which nodes, and to whom.

use std::{collections::BTreeSet, net::Ipv6Addr};

use anyhow::Result;
use lb_testbed::{PortSpec, Protocol, ServiceSpec, UDP_ECHO_PORT, VIP};

use super::lab::{Lab, small};

const BIRD: &str = include_str!("../live/bird.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// In the pool `back`.
const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x41);
const BOTH: &[&str] = &["v4", "v6"];

/// What an advertisement says, and by which sessions the VIPs of `web` and `other` come.
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

fn objects(choice: &str) -> String {
    OBJECTS.replace("CHOICE", choice)
}

#[test]
fn advertisements_choose_pools_services_nodes_and_peers() -> Result<()> {
    Lab::bird(small(), BIRD, &objects(""))?.told(|lab| {
        let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
        let other = ServiceSpec::new("other", vec![port]).vips([OTHER.into()]);
        lab.triangle.write(&[ServiceSpec::everything("web"), other])?;
        for (choice, expected) in CHOICES {
            println!("{choice}");
            lab.write(&objects(choice))?;
            for (vip, sessions) in [VIP.v6, OTHER].iter().zip(expected) {
                lab.wait_routes(&format!("{vip}/128"), |routes| {
                    let from: BTreeSet<&str> = routes.iter().map(|route| &*route.from).collect();
                    from.iter().eq(sessions) && routes.len() == sessions.len()
                })?;
            }
        }
        Ok(())
    })
}
