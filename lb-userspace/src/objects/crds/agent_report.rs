use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many exceptions a report names at most.
pub const MAX_EXCEPTIONS: usize = 100;
/// How long the message of one may be, in characters of at most 4 bytes: an Event, which repeats it, takes 1024 bytes.
pub const MAX_MESSAGE: usize = 240;

/// What an agent has programmed, by exception: of Services that are not named, the machine has all that was asked up
/// to the version `services.seen`. Only agents write it, each the one that is named like its Node.
#[derive(CustomResource, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "trigon.dev",
    version = "v1alpha1",
    kind = "AgentReport",
    namespaced,
    derive = "PartialEq",
    doc = "What the agent of a Node has programmed",
    printcolumn = r#"{"name": "Roles", "type": "string", "jsonPath": ".spec.roles"}"#,
    printcolumn = r#"{"name": "Programmed", "type": "integer", "jsonPath": ".spec.services.programmed"}"#,
    printcolumn = r#"{"name": "Total", "type": "integer", "jsonPath": ".spec.services.total"}"#,
    printcolumn = r#"{"name": "Exception", "type": "string", "jsonPath": ".spec.exceptions[0].message"}"#,
    printcolumn = r#"{"name": "Version", "type": "string", "jsonPath": ".spec.version"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AgentReportSpec {
    /// What the machine is for.
    #[schemars(length(max = 2))]
    pub roles: Vec<AgentRole>,
    /// The agent's release.
    #[schemars(length(max = 64))]
    pub version: String,
    pub services: ReportedServices,
    /// Services that are not as they should be, the worse ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub exceptions: Vec<AgentException>,
    /// How many Services more are not programmed: there was no room to name them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u32,
}

/// What a machine is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentRole {
    Director,
    Node,
}

impl AgentRole {
    pub const ALL: [Self; 2] = [Self::Director, Self::Node];
}

/// How far an agent is with the Services in the data path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportedServices {
    /// The highest `metadata.resourceVersion` of a Service that is in effect.
    pub seen: u64,
    /// Ports of VIPs that were read back from the kernel.
    pub programmed: u32,
    /// Of so many.
    pub total: u32,
}

/// A Service that is not as it should be on a machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentException {
    /// `namespace/name` of the Service.
    #[schemars(length(max = 317))]
    pub service: String,
    /// A word in CamelCase: `NotProgrammed`, say.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// A sentence for people, with what helps.
    #[schemars(length(max = 240))]
    pub message: String,
}

/// The reasons that this release knows. Others may have more, and are not to be misread for that: the reason is a text.
pub mod exception_reasons {
    /// The maps do not hold it, or not as it is now.
    pub const NOT_PROGRAMMED: &str = "NotProgrammed";
    /// Its latest version makes no sense: it is as it was good last, or not there.
    pub const INVALID: &str = "Invalid";
    /// A director reaches none of its backends. It is programmed all the same.
    pub const NO_BACKEND: &str = "NoBackendReachable";
    /// Clients' longest packets do not fit a path to its backends. It is programmed all the same.
    pub const MTU: &str = "PathMtuTooSmall";
}

impl AgentException {
    /// With a message that is cut off where it is too long.
    pub fn new(service: &str, reason: &str, message: &str) -> Self {
        let message = message.chars().take(MAX_MESSAGE).collect();
        Self { service: service.to_owned(), reason: reason.to_owned(), message }
    }

    /// Is the Service programmed nevertheless?
    pub fn is_warning(&self) -> bool {
        [exception_reasons::NO_BACKEND, exception_reasons::MTU].contains(&self.reason.as_str())
    }
}

impl AgentReportSpec {
    /// Puts in the exceptions that there is room for, the worse ones first: at most one of a kind for each Service.
    pub fn set_exceptions(&mut self, all: impl IntoIterator<Item = AgentException>) {
        let mut sorted = BTreeMap::new();
        for exception in all {
            let key = (exception.is_warning(), exception.service.clone(), exception.reason.clone());
            sorted.entry(key).or_insert(exception);
        }
        let omitted =
            sorted.values().skip(MAX_EXCEPTIONS).filter(|exception| !exception.is_warning()).count();
        self.omitted = u32::try_from(omitted).unwrap_or(u32::MAX);
        self.exceptions = sorted.into_values().take(MAX_EXCEPTIONS).collect();
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
