//! `trigon check DIR`: what the agent would make of a directory.
mod mtu;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt::Write, net::IpAddr, path::Path, process::ExitCode, sync::Arc};

use serde::Serialize;

use super::{
    args::Cli,
    outcome::{Outcome, UNUSABLE, print_result},
    render::count_of,
};
use crate::{
    announce,
    objects::{
        index::Index,
        model::{Backends, Cluster, Endpoint, Problem},
        source::{
            Change, Object, ObjectRef, SERVICE_LABEL, Service,
            file::{Listing, read_dir},
        },
        translate::{DSR, TranslateConfig, reason_not_ours},
    },
};

pub fn run(cli: &Cli, dir: &Path, options: TranslateConfig, mtu: Option<u16>) -> Outcome {
    let report = check_directory(dir, options, mtu);
    print_result(cli.output, &report, render_report)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(UNUSABLE) })
}

/// The outcome. At its start an agent takes a directory only if nothing is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CheckReport {
    pub directory: String,
    /// (VIP, port, protocol) in the data path.
    pub services: usize,
    /// Distinct endpoints and bare servers behind them.
    pub endpoints: usize,
    pub nodes: usize,
    /// Of Services in the data path, and of those that kube-proxy carries.
    pub vips: usize,
    pub bgp_peers: usize,
    pub advertisements: usize,
    pub problems: Vec<Problem>,
    /// What is valid, but surely not what is meant.
    pub warnings: Vec<Problem>,
}

impl CheckReport {
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// `mtu`: of the network between directors and backends, if it is to be
/// considered.
pub fn check_directory(dir: &Path, options: TranslateConfig, mtu: Option<u16>) -> CheckReport {
    let mut report = CheckReport { directory: dir.display().to_string(), ..CheckReport::default() };
    let listing = match read_dir(dir) {
        Ok(listing) => listing,
        // Without all objects, those that were read cannot be judged.
        Err(problems) => return CheckReport { problems, ..report },
    };
    if listing.objects.is_empty() && listing.refused.is_empty() {
        report.problems.push(no_objects_problem(dir));
        return report;
    }
    let mut index = Index::new(options);
    index.apply_changes(listing.objects.iter().cloned().map(Change::from).collect());
    let cluster = Arc::clone(index.cluster());
    report.services = cluster.services.len();
    report.endpoints = count_endpoints(&cluster);
    report.nodes = cluster.nodes.len();
    report.vips = cluster.announced.len();
    report.bgp_peers = cluster.announcing.peers.len();
    report.advertisements = cluster.announcing.bgp.len() + cluster.announcing.l2.len();
    let sharing = announce::sharing_problems(&cluster).into_iter().map(|problem| index.locate(problem));
    let refused = listing.refused.iter().cloned().chain(index.refused());
    report.problems = refused.chain(index.faults()).chain(sharing).collect();
    if report.is_good() {
        let mut warnings = find_warnings(&listing, &cluster, options);
        warnings.extend(mtu.into_iter().flat_map(|mtu| mtu::warnings(&cluster, mtu)));
        report.warnings = warnings.into_iter().map(|warning| index.locate(warning)).collect();
    }
    report
}

/// For people: one line for each finding, and the sum.
pub fn render_report(report: &CheckReport) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{problem}");
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let _ = writeln!(
        text,
        "{}: {}, {}, {}, {}, {}, {}; {}, {}",
        report.directory,
        count_of(report.services, "service"),
        count_of(report.endpoints, "endpoint"),
        count_of(report.nodes, "node"),
        count_of(report.vips, "VIP"),
        count_of(report.bgp_peers, "BGP peer"),
        count_of(report.advertisements, "advertisement"),
        count_of(report.problems.len(), "problem"),
        count_of(report.warnings.len(), "warning"),
    );
    text
}

fn no_objects_problem(dir: &Path) -> Problem {
    Problem {
        object: format!("directory {}", dir.file_name().unwrap_or(dir.as_os_str()).display()),
        field: "contents".to_owned(),
        message: "no objects in it".to_owned(),
        remedy: "add .yaml, .yml or .json files with Services, EndpointSlices and Nodes".to_owned(),
        location: Some(dir.display().to_string().into()),
        ..Problem::default()
    }
}

fn count_endpoints(cluster: &Cluster) -> usize {
    let (mut pods, mut bare) = (BTreeSet::<&Endpoint>::new(), BTreeSet::<&IpAddr>::new());
    for service in cluster.services.values() {
        match &service.backends {
            Backends::Endpoints(endpoints) => pods.extend(endpoints),
            Backends::Bare(addresses) => bare.extend(addresses),
        }
    }
    pods.len() + bare.len()
}

fn find_warnings(listing: &Listing, cluster: &Cluster, options: TranslateConfig) -> Vec<Problem> {
    let existing: BTreeSet<ObjectRef> = listing.objects.iter().map(|l| l.object.object_ref()).collect();
    let mut warnings = Vec::new();
    for located in &listing.objects {
        let this = located.object.object_ref();
        match &located.object {
            Object::Service(service) => {
                warnings.extend(unused_dsr_warning(&this, service, options));
                warnings.extend(open_family_warning(&this, cluster));
            }
            Object::EndpointSlice(slice) => {
                let field = format!("metadata.labels[{SERVICE_LABEL}]");
                match &slice.service {
                    None => {
                        let remedy = "add the label with the name of the Service";
                        warnings.push(this.problem(field, "is missing: it belongs to no Service", remedy));
                    }
                    Some(service) if !existing.contains(service) => {
                        let message = format!("there is no {service}");
                        warnings.push(this.problem(field, message, "correct the name, or add the Service"));
                    }
                    Some(_) => {}
                }
            }
            _ => {}
        }
    }
    warnings.extend(no_endpoint_warnings(cluster));
    warnings.extend(announce::silent_vip_problems(cluster));
    warnings
}

/// A Service that asks for the data path and does not get it.
fn unused_dsr_warning(this: &ObjectRef, service: &Service, options: TranslateConfig) -> Option<Problem> {
    let asks = service.annotations.get(DSR) == Some("true");
    let spec = service.spec.as_ref().filter(|_| asks)?;
    if let Some((field, value)) = reason_not_ours(spec, options) {
        let message = format!("not {value}: {DSR} has no effect");
        return Some(this.problem(field, message, format!("write {value}")));
    }
    if service.ingress.iter().any(Option::is_some) {
        return None;
    }
    let remedy = "add the address that clients are to connect to";
    Some(this.problem("status.loadBalancer.ingress", "there is no ip: nobody can connect", remedy))
}

/// VIPs that admit everybody, of a Service that has ranges of the other family.
fn open_family_warning(this: &ObjectRef, cluster: &Cluster) -> Option<Problem> {
    let of_service: Vec<_> =
        cluster.services.values().filter(|service| *service.name == this.full_name()).collect();
    let is_restricted = of_service.iter().any(|service| !service.policy.ranges.is_empty());
    let open = of_service.into_iter().find(|service| is_restricted && service.policy.ranges.is_empty())?;
    let (vip, family, all) = match open.frontend.vip {
        vip @ IpAddr::V4(_) => (vip, "IPv4", "0.0.0.0/0"),
        vip @ IpAddr::V6(_) => (vip, "IPv6", "::/0"),
    };
    let message =
        format!("has no {family} range: all {family} clients are admitted to {vip}, as by kube-proxy");
    let remedy = format!("add the {family} ranges that are meant, or {all} for everybody");
    Some(this.problem("spec.loadBalancerSourceRanges", message, remedy))
}

fn no_endpoint_warnings(cluster: &Cluster) -> impl Iterator<Item = Problem> {
    let empty = cluster.services.values().filter(|service| !service.backends.take_new());
    empty.map(|service| {
        let is_empty = matches!(&service.backends, Backends::Endpoints(all) if all.is_empty());
        let family = if service.frontend.vip.is_ipv4() { "IPv4" } else { "IPv6" };
        Problem {
            object: format!("Service {}", service.name),
            field: "spec.ports".to_owned(),
            message: format!("{} has no endpoint that takes new connections", service.frontend),
            remedy: if is_empty {
                format!("add an EndpointSlice with the Service's label, addressType {family} and a port of the same name")
            } else {
                "make one ready: see conditions in its EndpointSlices".to_owned()
            },
            ..Problem::default()
        }
    })
}
