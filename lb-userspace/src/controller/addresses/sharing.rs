//! Which Services may have the same address.

use crate::{
    announce::{SharingConflict, sharing_conflict},
    controller::object::Service,
    objects::translate::{ALLOW_SHARED_IP, annotation},
};

/// Why two Services may not have the same address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conflict {
    /// One is another load balancer's.
    Foreign,
    /// The same protocol and port.
    Port(String, i32),
    /// Agents would not announce it for both.
    Terms(SharingConflict),
}

pub fn conflict_between(one: &Service, other: &Service) -> Option<Conflict> {
    if !one.is_ours || !other.is_ours {
        return Some(Conflict::Foreign);
    }
    let terms = sharing_conflict(&one.terms, &other.terms).map(Conflict::Terms);
    let port = || one.ports.iter().find(|port| other.ports.contains(port)).cloned();
    terms.or_else(|| port().map(|(protocol, number)| Conflict::Port(protocol, number)))
}

impl Conflict {
    /// What else than another address helps.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Foreign => None,
            Self::Port(protocol, number) => Some(format!(
                "take {protocol} port {number} out of one of the two, which otherwise may share it"
            )),
            Self::Terms(SharingConflict::Keys) => Some(format!(
                "to share it, write the same word in {} of both, and let their ports differ",
                annotation(ALLOW_SHARED_IP)
            )),
            Self::Terms(SharingConflict::Pods) => Some(
                "to share it, write Cluster in spec.externalTrafficPolicy of both, or the same selector"
                    .to_owned(),
            ),
        }
    }
}
