//! The Lease at the API server.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use k8s_openapi::{
    api::coordination::v1::{self, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};
use tokio::{
    sync::watch,
    time::{sleep_until, timeout},
};
use tracing::{debug, error, info};

use super::{
    NAME,
    lease::{Answer, Elector, Record, Request, Stored},
};

/// For how long to wait for an answer: a leader has time for a second attempt.
const PATIENCE: Duration = Duration::from_secs(3);
/// For how long to try to give the Lease back.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes part in the election until `stop` is told or gone, and then gives the Lease back. `leads`: until when this
/// candidate leads.
pub async fn elect(
    api: Api<v1::Lease>,
    mut elector: Elector,
    leads: watch::Sender<Option<Instant>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut server = Server { api, lease: None };
    let mut log = Log::default();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = sleep_until(elector.due().into()) => {}
        }
        // An attempt that is cut off has been made or not: giving the Lease back begins by reading it.
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = attempt(&mut server, &mut elector, &mut log) => {}
        }
        leads.send_replace(elector.leads_until());
        log.note(&elector);
    }
    elector.leave(Instant::now());
    leads.send_replace(None);
    if timeout(FAREWELL, attempt(&mut server, &mut elector, &mut log)).await.is_err() {
        info!("the Lease could not be given back: another takes over once it has run out");
    }
}

async fn attempt(server: &mut Server, elector: &mut Elector, log: &mut Log) {
    let mut request = Some(elector.begin(Instant::now(), Timestamp::now()));
    while let Some(asked) = request {
        let answer = server.ask(asked, log).await;
        request = elector.handle(answer, Instant::now(), Timestamp::now());
    }
}

struct Server {
    api: Api<v1::Lease>,
    /// As it was read or written last.
    lease: Option<v1::Lease>,
}

impl Server {
    async fn ask(&mut self, request: Request, log: &mut Log) -> Answer {
        let how = PostParams::default();
        let asked = async {
            match request {
                Request::Read => self.api.get(NAME).await,
                Request::Create(record) => self.api.create(&how, &lease(record, v1::Lease::default())).await,
                Request::Replace(stored) => {
                    self.api.replace(NAME, &how, &replacement(stored, self.lease.as_ref())).await
                }
            }
        };
        let result = timeout(PATIENCE, asked).await;
        match result {
            Ok(result) => {
                self.lease = result.as_ref().ok().cloned().or(self.lease.take());
                answer_of(result, log)
            }
            Err(_) => log.failure("no answer in time".to_owned()),
        }
    }
}

fn answer_of(result: kube::Result<v1::Lease>, log: &mut Log) -> Answer {
    log.failure = None;
    match result {
        Ok(lease) => Answer::Stored(stored(lease)),
        Err(kube::Error::Api(status)) if status.code == StatusCode::NOT_FOUND => Answer::Missing,
        Err(kube::Error::Api(status)) if status.code == StatusCode::CONFLICT => Answer::Conflict,
        Err(error) => log.failure(error.to_string()),
    }
}

/// What others have in a Lease stays as it was `read`: labels, annotations and owners, say. It is known if it has the version
/// that is to be replaced.
fn replacement(Stored { record, version }: Stored, read: Option<&v1::Lease>) -> v1::Lease {
    let version = Some(version);
    let mut before =
        read.filter(|read| read.metadata.resource_version == version).cloned().unwrap_or_default();
    before.metadata.resource_version = version;
    lease(record, before)
}

/// `before`: with what others have in it.
fn lease(record: Record, before: v1::Lease) -> v1::Lease {
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..before.metadata };
    let spec = LeaseSpec {
        holder_identity: record.holder,
        lease_duration_seconds: Some(i32::try_from(record.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: record.acquired.map(MicroTime),
        renew_time: record.renewed.map(MicroTime),
        lease_transitions: Some(record.transitions),
        ..before.spec.unwrap_or_default()
    };
    v1::Lease { metadata, spec: Some(spec) }
}

fn stored(lease: v1::Lease) -> Stored {
    let spec = lease.spec.unwrap_or_default();
    let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
    let record = Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(seconds),
        acquired: spec.acquire_time.map(|time| time.0),
        renewed: spec.renew_time.map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or_default(),
    };
    Stored { record, version: lease.metadata.resource_version.unwrap_or_default() }
}

/// What was logged last.
#[derive(Default)]
struct Log {
    failure: Option<String>,
    was_failing: bool,
    leader: Option<String>,
    led: bool,
}

impl Log {
    fn failure(&mut self, why: String) -> Answer {
        debug!("Lease {NAME}: {why}");
        self.failure = Some(why);
        Answer::Failed
    }

    /// What is new after an attempt.
    fn note(&mut self, elector: &Elector) {
        match &self.failure {
            Some(why) if !self.was_failing => error!(
                "problem: Lease {NAME} cannot be read or written ({why}): look at the API server and the way to it, \
                 or apply the Role of manifests/base in the Lease's namespace; it is tried again all the time"
            ),
            None if self.was_failing => info!("no problem any more: Lease {NAME} can be read and written"),
            _ => {}
        }
        self.was_failing = self.failure.is_some();
        let leads = elector.leads_until().is_some_and(|until| Instant::now() < until);
        if leads != self.led {
            let me = elector.identity();
            if leads { info!("{me} leads") } else { info!("{me} does not lead any more") }
        }
        self.led = leads;
        let leader = elector.holder().filter(|_| !leads).map(str::to_owned);
        if let Some(leader) = leader.as_ref().filter(|leader| self.leader.as_ref() != Some(leader)) {
            info!("{leader} leads; this one waits");
        }
        self.leader = leader;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_others_have_in_the_lease_stays() -> serde_json::Result<()> {
        let read: v1::Lease = serde_json::from_value(json!({
            "metadata": {
                "name": NAME, "namespace": "trigon-system", "resourceVersion": "7", "uid": "u",
                "labels": {"app": "x"}, "annotations": {"example.com/note": "y"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "z", "uid": "o"}],
            },
            "spec": {"holderIdentity": "a", "leaseTransitions": 1, "preferredHolder": "b"},
        }))?;
        let record = Record { holder: Some("b".to_owned()), transitions: 2, ..Record::default() };
        let replaced = |version: &str| -> serde_json::Result<Value> {
            let stored = Stored { record: record.clone(), version: version.to_owned() };
            serde_json::to_value(replacement(stored, Some(&read)))
        };
        let now = replaced("7")?;
        assert_eq!(now["metadata"], serde_json::to_value(&read.metadata)?);
        assert_eq!(
            (&now["spec"]["holderIdentity"], &now["spec"]["leaseTransitions"]),
            (&json!("b"), &json!(2))
        );
        assert_eq!(now["spec"]["preferredHolder"], "b");
        // A version that is not known: the API server refuses it, or has nothing of others.
        assert_eq!(replaced("8")?["metadata"], json!({"name": NAME, "resourceVersion": "8"}));
        // Given back, it is nobody's.
        let nobody = lease(Record::default(), read);
        assert_eq!(nobody.spec.and_then(|spec| spec.holder_identity), None);
        Ok(())
    }
}
