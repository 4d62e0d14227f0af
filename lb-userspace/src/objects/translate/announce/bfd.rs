//! `BfdProfile`

use std::time::Duration;

use super::Fields;
use crate::{objects::crds::BfdProfile, protocols::bfd::Profile};

/// Milliseconds.
const INTERVALS: std::ops::RangeInclusive<u32> = 10..=60_000;

pub fn read(object: &BfdProfile, fields: &mut Fields<'_>) -> Option<Profile> {
    let spec = &object.spec;
    let usual = Profile::default();
    let mut interval = |field: &str, millis: Option<u32>| {
        let millis: Option<u64> =
            fields.checked_number(field, millis, INTERVALS, "an interval in milliseconds");
        millis.map(Duration::from_millis)
    };
    let transmit = interval("transmitInterval", spec.transmit_interval);
    let receive = interval("receiveInterval", spec.receive_interval);
    interval("echoInterval", spec.echo_interval);
    let multiplier =
        fields.checked_number("detectMultiplier", spec.detect_multiplier, 2..=255, "a multiplier");
    let minimum_ttl = fields.checked_number("minimumTtl", spec.minimum_ttl, 1..=254, "a TTL to ask for");
    if spec.echo_mode == Some(true) {
        let remedy = "remove it, and set the intervals as short as they need be";
        fields.report_wrong("echoMode", "echo is not supported", remedy);
    }
    Some(Profile {
        transmit: transmit.unwrap_or(usual.transmit),
        receive: receive.unwrap_or(usual.receive),
        multiplier: multiplier.unwrap_or(usual.multiplier),
        passive: spec.passive_mode.unwrap_or_default(),
        minimum_ttl: minimum_ttl.unwrap_or(usual.minimum_ttl),
    })
}
