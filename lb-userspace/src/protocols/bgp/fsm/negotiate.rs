//! Our OPEN, and what is agreed by the peer's (RFC 4271, sections 4.2 and 6.2).

use std::{net::Ipv4Addr, time::Duration};

use crate::protocols::bgp::{
    config::{PeerConfig, RemoteAs},
    wire::{Capability, Family, GracefulRestart, Notification, Open, code},
};

/// The flags of our graceful restart capability (RFC 4724, section 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Restart {
    /// "R": we have just restarted, and have not announced all routes yet.
    pub restarted: bool,
    /// "F": we went on forwarding over the restart.
    pub forwarding: bool,
}

/// What both sides agreed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiated {
    pub peer_as: u32,
    pub peer_id: Ipv4Addr,
    pub is_internal: bool,
    /// None: the session never expires.
    pub hold_time: Option<Duration>,
    pub families: Vec<Family>,
    pub four_octet_as: bool,
    /// RFC 8950
    pub extended_next_hop: bool,
    /// RFC 7313
    pub enhanced_refresh: bool,
    /// The peer waits for End-of-RIB, and keeps our routes when we vanish.
    pub graceful_restart: bool,
    /// The peer keeps our routes over NOTIFICATIONs too, except Hard Reset (RFC 8538).
    pub hard_reset: bool,
    /// Names of the peer's capabilities.
    pub capabilities: Vec<&'static str>,
}

/// The OPEN to send.
pub fn our_open(config: &PeerConfig, restart: Restart) -> Open {
    let families: Vec<Family> =
        Family::ALL.into_iter().filter(|family| family.is_enabled_in(config.families)).collect();
    let mut capabilities: Vec<_> = families.iter().map(|family| Capability::MultiProtocol(*family)).collect();
    capabilities.extend([Capability::RouteRefresh, Capability::EnhancedRouteRefresh]);
    if config.families.ipv4 {
        capabilities.push(Capability::ExtendedNextHop);
    }
    if let Some(time) = config.graceful_restart {
        capabilities.push(Capability::GracefulRestart(GracefulRestart {
            restarted: restart.restarted,
            notification: true,
            time: u16::try_from(time.as_secs()).unwrap_or(u16::MAX).min(0xfff),
            families: families.into_iter().map(|family| (family, restart.forwarding)).collect(),
        }));
    }
    Open::new(config.local_as, whole_seconds(config.hold_time), config.router_id, capabilities)
}

/// Checks the peer's OPEN and returns what both sides agree on. An error is the NOTIFICATION
/// to send.
pub fn negotiate(config: &PeerConfig, theirs: &Open) -> Result<Negotiated, Notification> {
    let peer_as = theirs.asn();
    let is_internal = peer_as == config.local_as;
    let is_expected = match config.remote_as {
        RemoteAs::Number(asn) => peer_as == asn,
        RemoteAs::Internal => is_internal,
        // RFC 7607: no speaker has AS 0.
        RemoteAs::External => !is_internal && peer_as != 0,
    };
    if !is_expected {
        return Err(Notification::with_data(code::BAD_PEER_AS, peer_as.to_be_bytes()));
    }
    // RFC 6286, 2.2
    if theirs.router_id.is_unspecified() || (is_internal && theirs.router_id == config.router_id) {
        return Err(Notification::with_data(code::BAD_BGP_IDENTIFIER, theirs.router_id.octets()));
    }
    if matches!(theirs.hold_time, 1 | 2) {
        return Err(Notification::with_data(code::UNACCEPTABLE_HOLD_TIME, theirs.hold_time.to_be_bytes()));
    }
    let is_common = |family: &Family| family.is_enabled_in(config.families) && theirs.can_speak(*family);
    let families: Vec<_> = Family::ALL.into_iter().filter(is_common).collect();
    if families.is_empty() {
        return Err(Notification::new(code::UNSUPPORTED_CAPABILITY));
    }
    let hold_time = whole_seconds(config.hold_time).min(theirs.hold_time);
    let restart = theirs.graceful_restart().filter(|_| config.graceful_restart.is_some());
    Ok(Negotiated {
        peer_as,
        peer_id: theirs.router_id,
        is_internal,
        hold_time: (hold_time > 0).then(|| Duration::from_secs(hold_time.into())),
        families,
        four_octet_as: theirs.four_octet_as().is_some(),
        extended_next_hop: config.families.ipv4 && theirs.has_capability(&Capability::ExtendedNextHop),
        enhanced_refresh: theirs.has_capability(&Capability::EnhancedRouteRefresh),
        graceful_restart: restart.is_some(),
        hard_reset: restart.is_some_and(|restart| restart.notification),
        capabilities: theirs.capabilities.iter().filter_map(Capability::name).collect(),
    })
}

fn whole_seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}
