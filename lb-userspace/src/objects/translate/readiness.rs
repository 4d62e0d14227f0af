//! Which endpoints take new connections, by the conditions in their EndpointSlices.

use crate::objects::source::Endpoint;

/// What the conditions of an endpoint say, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Readiness {
    Ready,
    /// It is terminating, but still answers: takes new connections where no endpoint is ready.
    Serving,
    /// Not ready, but in a slice: it keeps the connections that it has.
    Draining,
}

impl Readiness {
    /// `all_ready`: as `publishNotReadyAddresses` of the Service has it.
    pub fn of(endpoint: &Endpoint, all_ready: bool) -> Self {
        // What is absent means what it means to kube-proxy.
        let conditions = &endpoint.conditions;
        if all_ready || conditions.ready.unwrap_or(true) {
            Self::Ready
        } else if conditions.terminating.unwrap_or(false) && conditions.serving.unwrap_or(true) {
            Self::Serving
        } else {
            Self::Draining
        }
    }

    /// The least that an endpoint of a service must be to take new connections, as
    /// kube-proxy has it.
    pub fn least_for_new(all: impl Iterator<Item = Self>) -> Self {
        all.min().unwrap_or(Self::Ready).min(Self::Serving)
    }

    /// `least` is of all endpoints of the service.
    pub fn takes_new(self, least: Self) -> bool {
        self <= least
    }
}
