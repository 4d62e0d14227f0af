//! `Community`, and what communities look like.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Fields,
    admit::{Admitted, Fit},
};
use crate::{
    objects::{
        crds::{Community, MAX_COMMUNITIES},
        model::Communities,
        source::ObjectRef,
        translate::values::Complaint,
    },
    protocols::bgp::LargeCommunity,
};

/// Those that have a name of their own: RFC 1997, 3765, 7999, 8326.
const WELL_KNOWN: &[(&str, u32)] = &[
    ("graceful-shutdown", 0xffff_0000),
    ("blackhole", 0xffff_029a),
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
    ("no-peer", 0xffff_ff04),
];

/// RFC 1997 or RFC 8092.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommunityValue {
    Standard(u32),
    Large(LargeCommunity),
}

pub fn read(object: &Community, fields: &mut Fields<'_>) -> Option<Communities> {
    let mut all = Communities::default();
    fields.report_excess("communities", &object.spec.communities, MAX_COMMUNITIES);
    for (index, alias) in object.spec.communities.iter().enumerate() {
        let field = |name: &str| format!("communities[{index}].{name}");
        if alias.name.is_empty() {
            fields.report_wrong(&field("name"), "is empty", "write the name that advertisements are to use");
        }
        if has_name(&all, &alias.name) {
            let message = format!("`{}` is there twice", alias.name);
            fields.report_wrong(&field("name"), message, "remove or rename one of the two");
        }
        match fields.ok_or_report(&field("value"), parse_community(&alias.value)) {
            Some(CommunityValue::Standard(value)) => drop(all.standard.insert(alias.name.clone(), value)),
            Some(CommunityValue::Large(value)) => drop(all.large.insert(alias.name.clone(), value)),
            None => {}
        }
    }
    Some(all)
}

/// A `Community` conflicts with one that has one of its names.
pub fn check_fit(this: &ObjectRef, new: &Communities, others: &Admitted<Communities>) -> Fit {
    for name in new.standard.keys().chain(new.large.keys()) {
        if let Some((other, _)) = others.iter().find(|(_, all)| has_name(all, name)) {
            let message = format!("`{name}` has a meaning by {other} already");
            return Fit::Not(this.problem("spec.communities", message, "use another name in one of the two"));
        }
    }
    Fit::Well
}

fn has_name(all: &Communities, name: &str) -> bool {
    all.standard.contains_key(name) || all.large.contains_key(name)
}

/// What an advertisement means: a name that an object gives, or a value.
pub fn resolve_community(
    text: &str,
    named: &BTreeMap<Arc<str>, Arc<Communities>>,
) -> Result<CommunityValue, Complaint> {
    for all in named.values() {
        if let Some(value) = all.standard.get(text) {
            return Ok(CommunityValue::Standard(*value));
        }
        if let Some(value) = all.large.get(text) {
            return Ok(CommunityValue::Large(*value));
        }
    }
    parse_community(text).map_err(|complaint| {
        if text.contains(':') {
            return complaint;
        }
        let remedy = format!("correct it, or give the name a value in a Community; {}", complaint.remedy);
        Complaint::new(format!("there is no community `{text}`"), remedy)
    })
}

fn parse_community(text: &str) -> Result<CommunityValue, Complaint> {
    if let Some((_, value)) = WELL_KNOWN.iter().find(|(name, _)| *name == text) {
        return Ok(CommunityValue::Standard(*value));
    }
    let parsed = match text.strip_prefix("large:") {
        Some(rest) => parse_numbers::<u32>(rest).and_then(|parts| match parts.as_slice() {
            [global, first, second] => Some(CommunityValue::Large(LargeCommunity(*global, *first, *second))),
            _ => None,
        }),
        None => parse_numbers::<u16>(text).and_then(|parts| match parts.as_slice() {
            [high, low] => Some(CommunityValue::Standard(u32::from(*high) << 16 | u32::from(*low))),
            _ => None,
        }),
    };
    parsed.ok_or_else(|| {
        let remedy = "write two numbers up to 65535 (65000:100), or three up to 4294967295 (large:65000:1:2)";
        Complaint::new(format!("`{text}` is not a community"), remedy)
    })
}

/// Numbers between colons, of digits only: `parse` alone would take a sign, too.
fn parse_numbers<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    let number = |part: &str| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
    text.split(':').map(number).collect()
}
