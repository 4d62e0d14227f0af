//! Writes of a Service's status.
//!
//! By server-side apply: what is ours in a status is a set of fields that the API server keeps for us, so conditions
//! and addresses of others stay, and what is not applied any more goes, if nobody else wants it. The version that was
//! decided by goes along: if the Service has changed since, or a new one has its name, nothing is written.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use k8s_openapi::{
    api::core::v1::{self, LoadBalancerStatus, ObjectReference, ServiceStatus},
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder},
};
use tokio::time::{timeout, timeout_at};
use tracing::{info, warn};

use super::{
    NAME,
    addresses::Wanted,
    object::{ASSIGNED, Object, PROGRAMMED, Service},
    programmed::Notice,
    refusal::Refusal,
    target::Target,
};
use crate::objects::{
    source::{Kind, ObjectRef},
    translate::TranslateConfig,
};

/// For how long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What was tried, in an Event.
const ASSIGN: &str = "AssignAddress";
const PROGRAM: &str = "Program";

/// What to write, and what to tell then.
#[derive(Debug)]
pub struct Write {
    pub this: ObjectRef,
    pub object: Box<v1::Service>,
    /// To be told by an Event.
    pub refusal: Option<Refusal>,
    /// From then on another may lead.
    pub give_up: Instant,
    outcome: String,
}

/// Why nothing was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The Service has changed, or is gone.
    Conflict,
    Other(String),
}

impl Write {
    /// `wall`: when the condition changes, if it does.
    pub fn new(
        service: &Service,
        target: &Target,
        refusal: Option<Refusal>,
        give_up: Instant,
        wall: Timestamp,
    ) -> Self {
        let this = service.this().clone();
        let metadata = ObjectMeta {
            name: Some(this.name.to_string()),
            namespace: Some(this.namespace.to_string()),
            uid: Some(service.uid.clone()),
            resource_version: Some(service.version.clone()),
            ..ObjectMeta::default()
        };
        let object =
            v1::Service { metadata, status: status(service, target, wall), ..v1::Service::default() };
        let outcome = target.outcome(&service.status);
        Self { this, object: Box::new(object), refusal, give_up, outcome }
    }

    /// Writes, and returns what is there then.
    pub async fn carry_out(
        self,
        client: &Client,
        recorder: &Recorder,
        options: TranslateConfig,
    ) -> Result<Object, Failure> {
        let api = Api::<v1::Service>::namespaced(client.clone(), &self.this.namespace);
        let (how, patch) = (PatchParams::apply(NAME).force(), Patch::Apply(&self.object));
        let written = api.patch_status(&self.this.name, &how, &patch);
        let end = self.give_up.min(Instant::now() + PATIENCE);
        let written = timeout_at(end.into(), written).await;
        let written = written.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())));
        let object = written.map_err(|error| self.failure(&error))?;
        match &self.refusal {
            Some(refusal) => {
                warn!("{}: {}", self.this, refusal.message);
                self.tell(recorder, refusal).await;
            }
            None => info!("{}: {}", self.this, self.outcome),
        }
        Ok(Object::of_service(object, options))
    }

    fn failure(&self, error: &kube::Error) -> Failure {
        match error {
            kube::Error::Api(status)
                if [StatusCode::CONFLICT, StatusCode::NOT_FOUND].iter().any(|code| status.code == *code) =>
            {
                Failure::Conflict
            }
            error => {
                warn!("{}: its status cannot be written, which is tried again: {error}", self.this);
                Failure::Other(error.to_string())
            }
        }
    }

    /// By an Event. One that fails is not repeated: the condition says it too.
    async fn tell(&self, recorder: &Recorder, refusal: &Refusal) {
        let event = Event {
            type_: EventType::Warning,
            reason: refusal.reason.name().to_owned(),
            note: Some(refusal.message.clone()),
            action: ASSIGN.to_owned(),
            secondary: refusal.holder.as_ref().map(reference),
        };
        publish(recorder, event, &self.this, self.object.metadata.uid.clone()).await;
    }
}

/// Tells by an Event what machines have begun to say of a Service.
pub async fn tell(recorder: &Recorder, service: &Service, notice: &Notice) {
    warn!("{}: {}: {}", notice.service, notice.reason, notice.message);
    let event = Event {
        type_: EventType::Warning,
        reason: notice.reason.clone(),
        note: Some(notice.message.clone()),
        action: PROGRAM.to_owned(),
        secondary: None,
    };
    publish(recorder, event, &notice.service, Some(service.uid.clone())).await;
}

async fn publish(recorder: &Recorder, event: Event, this: &ObjectRef, uid: Option<String>) {
    let regarding = ObjectReference { uid, ..reference(this) };
    match timeout(PATIENCE, recorder.publish(&event, &regarding)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!("{this}: no Event could be written: {error}"),
        Err(_) => warn!("{this}: no Event could be written: no answer in time"),
    }
}

/// All that is ours in the status; None: nothing.
fn status(service: &Service, target: &Target, wall: Timestamp) -> Option<ServiceStatus> {
    let Target { addresses, programmed } = target;
    let mut conditions = Vec::with_capacity(2);
    let mut load_balancer = None;
    if let Wanted::Addresses { ingress, verdict } = addresses {
        // Where there is nothing to have and nothing to take away, the field stays nobody's.
        let has_ingress = !ingress.is_empty() || !service.status.ingress.is_empty();
        load_balancer = has_ingress.then(|| LoadBalancerStatus { ingress: Some(ingress.clone()) });
        conditions.push(condition(ASSIGNED, verdict.texts(), service.status.assigned.as_ref(), wall));
    }
    if let Some(verdict) = programmed {
        let texts = (verdict.status, verdict.reason.as_str(), verdict.message.as_str());
        conditions.push(condition(PROGRAMMED, texts, service.status.programmed.as_ref(), wall));
    }
    (!conditions.is_empty()).then_some(ServiceStatus { load_balancer, conditions: Some(conditions) })
}

fn condition(
    type_: &str,
    (status, reason, message): (&str, &str, &str),
    before: Option<&Condition>,
    wall: Timestamp,
) -> Condition {
    let since =
        before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since.unwrap_or(Time(wall)),
        observed_generation: None,
    }
}

fn reference(object: &ObjectRef) -> ObjectReference {
    let namespace = Some(object.namespace.to_string()).filter(|namespace| !namespace.is_empty());
    ObjectReference {
        api_version: Some(Kind::Service.version().to_owned()),
        kind: Some(object.kind.name().to_owned()),
        name: Some(object.name.to_string()),
        namespace,
        ..ObjectReference::default()
    }
}
