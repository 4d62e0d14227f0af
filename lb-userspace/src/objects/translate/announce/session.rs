//! The parameters of a BGP session.

use std::{ops::RangeInclusive, time::Duration};

use super::{Fields, KnownObjects};
use crate::{
    objects::{
        crds::{BgpPeerSpec, Duration as Written},
        source::{Kind, Object, ObjectRef},
        translate::values::Complaint,
    },
    protocols::bgp::{
        Remote,
        config::{Families, Password},
    },
};

const HOLD: Duration = Duration::from_secs(90);
const CONNECT: Duration = Duration::from_secs(10);
const RESTART: Duration = Duration::from_secs(120);

/// Bytes of the longest TCP MD5 key (Linux: `TCP_MD5SIG_MAXKEYLEN`).
const LONGEST_PASSWORD: usize = 80;

pub struct PeerTimers {
    pub hold: Duration,
    pub keepalive: Option<Duration>,
    pub connect: Duration,
}

pub fn read_timers(spec: &BgpPeerSpec, fields: &mut Fields<'_>) -> PeerTimers {
    let keepalive = read_seconds("keepaliveTime", spec.keepalive_time, 0..=21845, fields);
    // As in MetalLB, a hold time that is not written follows from the keepalive time.
    let hold = match (read_seconds("holdTime", spec.hold_time, 0..=65535, fields), keepalive) {
        (Some(hold), _) => hold,
        (None, Some(keepalive)) if spec.hold_time.is_none() => keepalive * 3,
        (None, _) => HOLD,
    };
    if !hold.is_zero() && hold < Duration::from_secs(3) {
        let message = format!("a hold time of {hold:?} is less than 3s (RFC 4271, 4.2)");
        fields.report_wrong(
            "holdTime",
            message,
            "write 3s or more, or 0s for a session that is never given up",
        );
    }
    if let Some(keepalive) = keepalive.filter(|keepalive| *keepalive > hold) {
        let message = format!("{keepalive:?} is longer than the hold time of {hold:?}");
        fields.report_wrong(
            "keepaliveTime",
            message,
            format!("write a third of it, {:?}, or leave it out", hold / 3),
        );
    }
    let connect = read_seconds("connectTime", spec.connect_time, 1..=65535, fields).unwrap_or(CONNECT);
    PeerTimers { hold, keepalive: keepalive.filter(|time| !time.is_zero()), connect }
}

/// Whole seconds within limits, if there are any.
fn read_seconds(
    field: &str,
    time: Option<Written>,
    limits: RangeInclusive<u64>,
    fields: &mut Fields<'_>,
) -> Option<Duration> {
    let time = time?.0;
    if time.subsec_nanos() == 0 && limits.contains(&time.as_secs()) {
        return Some(time);
    }
    let message = format!("{time:?} is not a time in whole seconds that it may have");
    fields.report_wrong(field, message, format!("write {}s to {}s", limits.start(), limits.end()));
    None
}

pub fn read_password(
    spec: &BgpPeerSpec,
    known: &KnownObjects<'_>,
    fields: &mut Fields<'_>,
) -> Option<Password> {
    let (field, text) = match (&spec.password, &spec.password_secret) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            fields.report_wrong("passwordSecret", "there is a password, too", "remove one of the two");
            return None;
        }
        (Some(password), None) => ("password", password.reveal()),
        (None, Some(reference)) => {
            let namespace = reference.namespace.as_deref().unwrap_or(&fields.this.namespace);
            let secret = ObjectRef::new(Kind::Secret, namespace, &reference.name);
            ("passwordSecret", fields.ok_or_report("passwordSecret", secret_password(&secret, known))?)
        }
    };
    let wrong = match text.len() {
        0 => "is empty".to_owned(),
        1..=LONGEST_PASSWORD if !text.contains(['\n', '\r']) => return Some(Password::new(text)),
        1..=LONGEST_PASSWORD => "has more than one line".to_owned(),
        length => format!("is of {length} bytes, and TCP MD5 takes {LONGEST_PASSWORD}"),
    };
    fields.report_wrong(
        field,
        wrong,
        format!("use one of 1 to {LONGEST_PASSWORD} bytes, here and on the router"),
    );
    None
}

fn secret_password<'a>(secret: &ObjectRef, known: &'a KnownObjects<'_>) -> Result<&'a str, Complaint> {
    match known.objects.get(secret) {
        Some(Object::Secret(found)) => match &found.password {
            Ok(password) => Ok(password.reveal()),
            Err((message, remedy)) => Err(Complaint::new(format!("{secret} {message}"), remedy)),
        },
        Some(_) => Err(Complaint::new(format!("{secret} cannot be read"), "correct the Secret")),
        None => {
            let remedy = "add it, of type kubernetes.io/basic-auth with a password, or correct the name";
            Err(Complaint::new(format!("there is no {secret}"), remedy))
        }
    }
}

/// How far away the peer may be.
pub struct Hops {
    pub multihop: bool,
    pub ttl_security: Option<u8>,
}

pub fn read_hops(spec: &BgpPeerSpec, is_internal: bool, fields: &mut Fields<'_>) -> Hops {
    let ebgp = spec.ebgp_multi_hop.unwrap_or_default();
    let bfd = spec.bfd_multi_hop.unwrap_or_default();
    if ebgp && is_internal {
        let remedy = "remove it: a peer of the own AS may be anywhere; for BFD to it, there is bfdMultiHop";
        fields.report_wrong("ebgpMultiHop", "the peer is of the same AS", remedy);
    }
    if bfd && !is_internal {
        let remedy = "remove it: ebgpMultiHop says that of peers of other ASes";
        fields.report_wrong("bfdMultiHop", "the peer is not known to be of the same AS", remedy);
    } else if bfd && spec.bfd_profile.is_none() {
        fields.report_wrong(
            "bfdMultiHop",
            "has no effect without bfdProfile",
            "add a bfdProfile, or remove it",
        );
    }
    let ttl_security = fields.checked_number("ttlSecurity", spec.ttl_security, 1..=254, "a number of hops");
    if ebgp && ttl_security.is_some() {
        let remedy = "remove ebgpMultiHop: ttlSecurity says how far away the peer may be";
        fields.report_wrong("ttlSecurity", "there is ebgpMultiHop, too", remedy);
    }
    Hops { multihop: ebgp || bfd, ttl_security }
}

pub fn read_graceful_restart(spec: &BgpPeerSpec, fields: &mut Fields<'_>) -> Option<Duration> {
    let time = read_seconds("gracefulRestartTime", spec.graceful_restart_time, 1..=4095, fields);
    if spec.enable_graceful_restart.unwrap_or_default() {
        return Some(time.unwrap_or(RESTART));
    }
    if spec.graceful_restart_time.is_some() {
        let remedy = "add enableGracefulRestart: true, or remove it";
        fields.report_wrong("gracefulRestartTime", "has no effect without enableGracefulRestart", remedy);
    }
    None
}

/// Both, unless one is switched off; an unnumbered session is one over IPv6.
pub fn read_families(spec: &BgpPeerSpec, remote: Option<&Remote>, fields: &mut Fields<'_>) -> Families {
    let single = spec.disable_mp.unwrap_or_default();
    if single && spec.dual_stack_address_family == Some(true) {
        let remedy = "remove one of the two; disableMP is the older name of its opposite";
        fields.report_wrong("disableMP", "there is dualStackAddressFamily, too", remedy);
    }
    let dual = spec.dual_stack_address_family.unwrap_or(!single);
    let over_ipv4 = matches!(remote, Some(Remote::Address { address, .. }) if address.is_ipv4());
    Families { ipv4: dual || over_ipv4, ipv6: dual || !over_ipv4 }
}
