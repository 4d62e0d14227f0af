//! Shared by tests of several modules.

use std::{net::Ipv4Addr, time::Duration};

use super::config::{Families, PeerConfig, Remote, RemoteAs};

/// eBGP between 65001 (10.0.0.1) and 65002.
pub fn config() -> PeerConfig {
    PeerConfig {
        local_as: 65_001,
        remote_as: RemoteAs::Number(65_002),
        remote: Remote::Address { address: Ipv4Addr::new(192, 0, 2, 2).into(), interface: None },
        port: 179,
        source: None,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        hold_time: Duration::from_secs(90),
        keepalive: None,
        connect_retry: Duration::from_secs(120),
        passive: false,
        multihop: false,
        ttl_security: None,
        password: None,
        graceful_restart: Some(Duration::from_secs(120)),
        families: Families { ipv4: true, ipv6: true },
        next_hop_v4: None,
        next_hop_v6: None,
        bfd: None,
    }
}
