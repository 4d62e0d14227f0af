//! The policy of a Service: source ranges, session affinity, and rate of new flows.

use ipnet::IpNet;

use super::{
    annotations::{self, NEW_FLOWS},
    values::{self, Complaint},
};
use crate::objects::{
    model::{NewFlows, Policy, Problem},
    source::{ObjectRef, Service, ServiceSpec},
};

/// How source ranges were written before there was a field for them.
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// Seconds, as in Kubernetes: three hours, and a day at most.
const DEFAULT_TIMEOUT: u32 = 10_800;
const MAX_TIMEOUT: u32 = 86_400;

/// The policy, with ranges of both address families; what is wrong with it goes to `problems`.
pub fn read_policy(
    this: &ObjectRef,
    object: &Service,
    spec: &ServiceSpec,
    problems: &mut Vec<Problem>,
) -> Policy {
    let mut complain =
        |(field, complaint): (String, Complaint)| problems.push(complaint.into_problem(this, field));
    let mut ranges = Vec::new();
    for (field, text) in written_ranges(object, spec) {
        match values::parse_source_range(text) {
            Ok(range) => ranges.push(range),
            Err(complaint) => complain((field, complaint)),
        }
    }
    ranges.sort_unstable();
    ranges.dedup();
    let affinity = affinity_timeout(spec).map_err(&mut complain).unwrap_or_default();
    let new_flows = new_flow_limit(object).map_err(&mut complain).unwrap_or_default();
    Policy { affinity, ranges, new_flows }
}

/// The source ranges as they are written, each with its field.
fn written_ranges<'a>(object: &'a Service, spec: &'a ServiceSpec) -> Vec<(String, &'a str)> {
    let ranges = &spec.load_balancer_source_ranges;
    if !ranges.is_empty() {
        let fields = (0..).map(|index: usize| format!("spec.loadBalancerSourceRanges[{index}]"));
        return fields.zip(ranges.iter().map(|range| range.trim())).collect();
    }
    let annotation = object.annotations.get(SOURCE_RANGES).unwrap_or_default().trim();
    let ranges = annotation.split(',').filter(|_| !annotation.is_empty());
    ranges.map(|range| (annotations::field(SOURCE_RANGES), range.trim())).collect()
}

/// The timeout of session affinity in seconds. None: there is no affinity.
fn affinity_timeout(spec: &ServiceSpec) -> Result<Option<u32>, (String, Complaint)> {
    let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    match spec.session_affinity.as_deref() {
        Some("ClientIP") => {
            let Some(written) = client_ip.and_then(|config| config.timeout_seconds) else {
                return Ok(Some(DEFAULT_TIMEOUT));
            };
            let timeout = u32::try_from(written).ok().filter(|timeout| (1..=MAX_TIMEOUT).contains(timeout));
            timeout.map(Some).ok_or_else(|| {
                let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds".to_owned();
                let remedy = format!("write a number of seconds from 1 to {MAX_TIMEOUT}");
                (
                    field,
                    Complaint::new(
                        format!("{written} is too {}", if written < 1 { "little" } else { "much" }),
                        remedy,
                    ),
                )
            })
        }
        None | Some("" | "None") if client_ip.is_none() => Ok(None),
        None | Some("" | "None") => {
            let remedy = "write sessionAffinity: ClientIP, or remove it";
            Err((
                "spec.sessionAffinityConfig.clientIP".to_owned(),
                Complaint::new("has no effect without sessionAffinity", remedy),
            ))
        }
        Some(other) => {
            let complaint =
                Complaint::new(format!("`{other}` is not a value of it"), "write ClientIP or None");
            Err(("spec.sessionAffinity".to_owned(), complaint))
        }
    }
}

/// None: no limit.
fn new_flow_limit(object: &Service) -> Result<Option<NewFlows>, (String, Complaint)> {
    let Some(written) = object.annotations.get(NEW_FLOWS) else { return Ok(None) };
    let number = written.parse::<u32>().ok().filter(|number| *number > 0);
    number.map(|all| Some(NewFlows::Everywhere(all))).ok_or_else(|| {
        let remedy = format!("write a number from 1 to {}, or remove the annotation", u32::MAX);
        (
            annotations::field(NEW_FLOWS),
            Complaint::new(format!("`{written}` is not a number of flows"), remedy),
        )
    })
}

/// The part of it that applies to clients of one family. As with kube-proxy, ranges of
/// only the other family do not restrict them: they are all admitted.
pub fn policy_of_family(policy: &Policy, is_ipv4: bool) -> Policy {
    let ranges = policy.ranges.iter().filter(|range| matches!(range, IpNet::V4(_)) == is_ipv4);
    Policy { ranges: ranges.copied().collect(), ..policy.clone() }
}
