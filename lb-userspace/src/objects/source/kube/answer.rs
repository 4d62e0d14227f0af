//! What an API server answers to the requests for a kind, and what that says about it.

use std::{collections::BTreeMap, error::Error};

use hyper::StatusCode;
use k8s_openapi::jiff::Timestamp;

use crate::objects::{crds, model::Problem, source::kind::Kind};

/// The answer to a request for objects of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Good,
    /// Another status than success.
    Status(StatusCode),
    /// There was none, and why.
    Missing(String),
}

/// Why the objects of a kind are not followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KindFault {
    /// The server gives no useful answer: since when, and why at first.
    Away {
        since: Timestamp,
        reason: String,
    },
    Unauthorized {
        since: Timestamp,
    },
    Forbidden,
    Unknown,
    Refused(StatusCode),
}

impl Answer {
    /// What is wrong after this answer, and was `before` it.
    pub fn kind_fault(&self, before: Option<&KindFault>, now: Timestamp) -> Option<KindFault> {
        let since = before.and_then(KindFault::since).unwrap_or(now);
        let away = |reason: String| match before {
            Some(away @ KindFault::Away { .. }) => away.clone(),
            _ => KindFault::Away { since, reason },
        };
        match self {
            Self::Good => None,
            Self::Missing(reason) => Some(away(reason.clone())),
            // All objects are to be listed again, or not by a streaming list: the next request does that.
            Self::Status(StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY) => None,
            Self::Status(StatusCode::UNAUTHORIZED) => Some(KindFault::Unauthorized { since }),
            Self::Status(StatusCode::FORBIDDEN) => Some(KindFault::Forbidden),
            // Also of a kind that has been there: an API server that starts gives it before it knows all kinds.
            Self::Status(StatusCode::NOT_FOUND) => Some(KindFault::Unknown),
            Self::Status(status) if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS => {
                Some(away(format!("it answers {status}")))
            }
            Self::Status(status) => Some(KindFault::Refused(*status)),
        }
    }
}

impl KindFault {
    fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Away { since, .. } | Self::Unauthorized { since } => Some(*since),
            _ => None,
        }
    }

    /// What is wrong with one kind, and what helps.
    fn problem(&self, kind: Kind) -> Problem {
        let (message, remedy) = match self {
            Self::Away { since, reason } => {
                (format!("is not heard of {} ({reason})", since_text(*since)), LOOK_AT_SERVER)
            }
            Self::Unauthorized { since } => (unauthorized(*since), RENEW),
            Self::Forbidden if matches!(kind, Kind::Secret | Kind::AgentReport) => (
                "the API server does not let us read it".to_owned(),
                "apply the Role of manifests/base, in the namespace of the Pod or of the kubeconfig's context: \
                 that is where it is read",
            ),
            Self::Forbidden => (
                "the API server does not let us read it".to_owned(),
                "apply the ClusterRole of manifests/base",
            ),
            Self::Unknown if kind.group() == crds::GROUP => (
                "the API server does not know it".to_owned(),
                "apply this release's definitions: `trigon crds | kubectl apply --server-side -f -`",
            ),
            Self::Unknown => ("the API server does not know it".to_owned(), USE_NEWER),
            Self::Refused(status) => {
                (format!("the API server answers {status} to a request for it"), USE_NEWER)
            }
        };
        problem(format!("kind {kind}"), message, remedy)
    }
}

const LOOK_AT_SERVER: &str = "look at the API server and at the way to it; it is tried again all the time";
const RENEW: &str = "renew the token or certificate of the kubeconfig";
const USE_NEWER: &str = "look into the API server's log; Kubernetes 1.30 or a newer one is needed";

/// What is wrong with all kinds that have a fault, of `count`: one problem if the same is wrong with all.
pub fn problems(server: &str, faults: &BTreeMap<Kind, &KindFault>, count: usize) -> Vec<Problem> {
    let since = faults.values().filter_map(|fault| fault.since()).min();
    let (Some(since), true) = (since, faults.len() == count) else {
        return faults.iter().map(|(kind, fault)| fault.problem(*kind)).collect();
    };
    let reason = faults.values().find_map(|fault| match fault {
        KindFault::Away { reason, .. } => Some(reason),
        _ => None,
    });
    let (message, remedy) = match reason {
        Some(reason) => {
            (format!("is away {} ({reason}); what it had stays in effect", since_text(since)), LOOK_AT_SERVER)
        }
        None => (unauthorized(since), RENEW),
    };
    vec![problem(format!("API server {server}"), message, remedy)]
}

/// Without fractions of a second, so that it stays the same while kinds come and go.
fn since_text(since: Timestamp) -> String {
    format!("since {}", since.strftime("%Y-%m-%d %H:%M:%S UTC"))
}

fn unauthorized(since: Timestamp) -> String {
    format!("does not know us {} (401); what it had stays in effect", since_text(since))
}

fn problem(object: String, message: String, remedy: &str) -> Problem {
    Problem { object, field: "watch".to_owned(), message, remedy: remedy.to_owned(), ..Problem::default() }
}

/// The first cause of an error, which says more than what it led to.
pub fn first_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(before) = cause.source() {
        cause = before;
    }
    cause.to_string()
}
