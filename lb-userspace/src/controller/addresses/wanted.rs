//! What a Service's status should say.

use std::net::IpAddr;

use k8s_openapi::{api::core::v1::LoadBalancerIngress, apimachinery::pkg::apis::meta::v1::Condition};

use super::Loss;
use crate::{
    controller::{
        object::{Service, Status},
        refusal::{Reason, Refusal},
        request::Request,
    },
    objects::translate::Complaint,
};

/// Packets arrive with the address as their destination.
const IP_MODE: &str = "VIP";
const ASSIGNED: &str = "Assigned";

/// What the controller is to have in a status.
#[derive(Clone, PartialEq, Debug)]
pub enum Wanted {
    /// The Service asks for nothing, or not us: what others wrote is theirs.
    Nothing,
    Addresses {
        ingress: Vec<LoadBalancerIngress>,
        verdict: Verdict,
    },
}

/// The condition, without the time.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    Assigned(String),
    Refused(Refusal),
}

/// `loss`: why the Service does not get this address.
pub fn wanted<'a>(service: &Service, loss: impl Fn(IpAddr) -> Option<&'a Loss>) -> Wanted {
    if !service.has_request() {
        return Wanted::Nothing;
    }
    let may_keep = |address: &IpAddr| service.has_family(*address) && loss(*address).is_none();
    let (addresses, verdict) = match &service.request {
        Err(refusal) => (service.held().filter(may_keep).collect(), Verdict::Refused(refusal.clone())),
        Ok(request) => {
            let mut addresses = Vec::with_capacity(2);
            let mut refusal = None;
            for asked in &request.addresses {
                match loss(*asked) {
                    None => addresses.push(*asked),
                    Some(loss) => {
                        let of_family = |held: &IpAddr| held.is_ipv4() == asked.is_ipv4() && may_keep(held);
                        addresses.extend(service.held().find(of_family));
                        refusal.get_or_insert_with(|| refusal_of(*asked, request, loss));
                    }
                }
            }
            let verdict = refusal.map_or_else(|| Verdict::assigned(&addresses), Verdict::Refused);
            (addresses, verdict)
        }
    };
    Wanted::Addresses { ingress: addresses.into_iter().map(ingress_of).collect(), verdict }
}

impl Wanted {
    /// Does the status say so already?
    pub fn is_met(&self, status: &Status) -> bool {
        match self {
            Self::Nothing => !status.owned.addresses,
            Self::Addresses { ingress, verdict } => {
                let condition = status.assigned.as_ref();
                is_same(ingress, &status.ingress)
                    && condition.is_some_and(|condition| verdict.is_told(condition))
            }
        }
    }
}

impl Verdict {
    fn assigned(addresses: &[IpAddr]) -> Self {
        let names: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
        Self::Assigned(format!("{} as asked for", names.join(" and ")))
    }

    /// Status, reason and message of the condition.
    pub fn texts(&self) -> (&'static str, &'static str, &str) {
        match self {
            Self::Assigned(message) => ("True", ASSIGNED, message),
            Self::Refused(refusal) => ("False", refusal.reason.name(), &refusal.message),
        }
    }

    pub fn is_told(&self, condition: &Condition) -> bool {
        self.texts() == (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str())
    }
}

/// Their order means nothing.
fn is_same(one: &[LoadBalancerIngress], other: &[LoadBalancerIngress]) -> bool {
    one.len() == other.len() && one.iter().all(|ingress| other.contains(ingress))
}

fn ingress_of(address: IpAddr) -> LoadBalancerIngress {
    let (ip, ip_mode) = (Some(address.to_string()), Some(IP_MODE.to_owned()));
    LoadBalancerIngress { ip, ip_mode, ..LoadBalancerIngress::default() }
}

fn refusal_of(address: IpAddr, request: &Request, loss: &Loss) -> Refusal {
    let elsewhere = "ask for another address";
    match loss {
        Loss::ToNode(node) => {
            let complaint = Complaint::new(
                format!("{address} is the address of {node}"),
                "ask for an address that no machine has: all of the Node's traffic would be taken",
            );
            Refusal::new(Reason::AddressOfNode, &request.field, complaint).held_by(node)
        }
        Loss::ToService(holder, conflict) => {
            let remedy = match conflict.remedy() {
                Some(remedy) => format!("{elsewhere}, or give up that of the other; {remedy}"),
                None => format!("{elsewhere}: that Service is another load balancer's"),
            };
            let complaint = Complaint::new(format!("{address} belongs to {holder} already"), remedy);
            Refusal::new(Reason::AddressInUse, &request.field, complaint).held_by(holder)
        }
    }
}
