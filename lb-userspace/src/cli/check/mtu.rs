//! Does what clients send fit the network between directors and backends?

use std::collections::BTreeMap;

use lb_common::mtu::{ORDINARY, least};

use crate::{
    objects::model::{Cluster, Problem},
    plan,
};

/// Services whose packets are longer than `mtu` bytes once encapsulated: a
/// warning for each of them and family.
pub fn warnings(cluster: &Cluster, mtu: u16) -> Vec<Problem> {
    let mut narrow = BTreeMap::new();
    for service in cluster.services.values() {
        let is_v4 = service.frontend.vip.is_ipv4();
        let overhead = plan::max_overhead(cluster, service);
        if overhead > 0 && ORDINARY + overhead > mtu {
            narrow.entry((&service.name, is_v4)).or_insert(overhead);
        }
    }
    narrow
        .into_iter()
        .map(|((name, is_v4), overhead)| narrow_network_warning(name, is_v4, mtu, overhead))
        .collect()
}

fn narrow_network_warning(name: &str, is_v4: bool, mtu: u16, overhead: u16) -> Problem {
    let fits = mtu.saturating_sub(overhead);
    let (family, v6) = match is_v4 {
        true => ("IPv4", ""),
        false if fits < least(false) => {
            ("IPv6", ", and packets of 1280 bytes, which clients may always send, are lost")
        }
        false => ("IPv6", ""),
    };
    Problem {
        object: format!("Service {name}"),
        field: "--mtu".to_owned(),
        message: format!(
            "encapsulation takes up to {overhead} of {mtu} bytes: {family} clients are told to send at most {fits}{v6}"
        ),
        remedy: format!("raise the MTU between directors and backends to {}", ORDINARY + overhead),
        ..Problem::default()
    }
}
