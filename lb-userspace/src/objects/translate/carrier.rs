//! Who carries a Service's packets to its endpoints, and by which settings.

use super::{
    TranslateConfig,
    annotations::{self, BACKENDS, DELIVERY, DSR, HEALTH_CHECK},
    health,
    policy::read_policy,
    settings::Settings,
    values,
};
use crate::objects::{
    model::{Check, PinnedSettings, Policy, Problem},
    source::{Service, ServiceSpec},
};

/// The `loadBalancerClass` of Services that are for Trigon.
const CLASS: &str = "trigon.dev/lb";

pub enum Carrier {
    DataPath(Settings),
    KubeProxy,
    /// The Service is not ours.
    Nobody,
    /// One of its settings is invalid: without, say, its source ranges, it would be served unprotected.
    Unknown,
}

/// What is wrong with the settings goes to `problems`.
pub fn decide_carrier(object: &Service, options: TranslateConfig, problems: &mut Vec<Problem>) -> Carrier {
    let (this, annotations) = (&object.this, &object.annotations);
    let Some(spec) = object.spec.as_ref().filter(|spec| reason_not_ours(spec, options).is_none()) else {
        return Carrier::Nobody;
    };
    let before = problems.len();
    let mut complain = |annotation: &str, complaint: values::Complaint| {
        problems.push(complaint.into_problem(this, annotations::field(annotation)));
    };
    let dsr = annotations::parse_choice(annotations, DSR, annotations::BOOLEANS);
    let delivery = annotations::parse_choice(annotations, DELIVERY, annotations::DELIVERIES);
    let bare = annotations::parse_choice(annotations, BACKENDS, annotations::BACKEND_KINDS);
    let dsr = dsr.map_err(|complaint| complain(DSR, complaint)).unwrap_or_default();
    let delivery = delivery.map_err(|complaint| complain(DELIVERY, complaint)).unwrap_or_default();
    let bare = bare.map_err(|complaint| complain(BACKENDS, complaint)).unwrap_or_default();
    let check = if dsr { health::wanted_check(annotations, spec, bare) } else { Ok(None) };
    let check = check.map_err(|complaint| complain(HEALTH_CHECK, complaint)).unwrap_or_default();
    let policy = if dsr { read_policy(this, object, spec, problems) } else { Policy::default() };
    let publish_not_ready = spec.publish_not_ready_addresses;
    if problems.len() > before {
        return Carrier::Unknown;
    }
    let local = spec.is_local() && !bare;
    let settings = Settings { delivery, bare, local, publish_not_ready, policy, check };
    if dsr { Carrier::DataPath(settings) } else { Carrier::KubeProxy }
}

/// Settings of which some are invalid, as the maps have them; what no map has is read as far as it is valid.
/// None: there is nothing `pinned`.
pub fn pinned_settings<'a>(
    object: &Service,
    pinned: impl Iterator<Item = &'a PinnedSettings>,
) -> Option<Settings> {
    let spec = object.spec.as_ref()?;
    let all: Vec<_> = pinned.collect();
    let PinnedSettings { delivery, bare, policy } = *all.first()?;
    // Each has only the ranges of its own family.
    let mut ranges: Vec<_> = all.iter().flat_map(|pinned| pinned.policy.ranges.iter().copied()).collect();
    ranges.sort_unstable();
    ranges.dedup();
    let check = health::wanted_check(&object.annotations, spec, *bare);
    Some(Settings {
        delivery: *delivery,
        bare: *bare,
        local: spec.is_local() && !*bare,
        publish_not_ready: spec.publish_not_ready_addresses,
        policy: Policy { ranges, ..policy.clone() },
        check: check.unwrap_or_else(|_| bare.then_some(Check::Tcp)),
    })
}

/// Why the Service is not ours: the field, and the value it would have to have. None: it is ours.
pub fn reason_not_ours(spec: &ServiceSpec, options: TranslateConfig) -> Option<(&'static str, &'static str)> {
    let ours = match spec.load_balancer_class.as_deref() {
        None | Some("") => options.default_class,
        Some(class) => class == CLASS,
    };
    if spec.type_.as_deref() != Some("LoadBalancer") {
        Some(("spec.type", "LoadBalancer"))
    } else if !ours {
        Some(("spec.loadBalancerClass", CLASS))
    } else {
        None
    }
}
