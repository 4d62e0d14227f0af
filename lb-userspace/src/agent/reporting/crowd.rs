//! Agents of many machines that have programmed whatever Services ask for, without the machines: for `cargo xtask bench
//! --kube` and for tests of what a controller makes of a thousand of them. What they write, and when, is decided as in any
//! agent.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1;
use kube::{Api, Client, ResourceExt, api::ListParams};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{Reporter, content::Report};
use crate::{
    objects::{
        crds::{AgentReportSpec, AgentRole, ReportedServices},
        index::Index,
        source::{ApiServer, Kind, Object, Update, follow_kinds, watch_all},
        translate::TranslateConfig,
    },
    os::moment::wait_until,
};

/// So many share a connection: a process may have 1,024 files, and a thousand agents are not alone in it.
const SHARE: usize = 10;

/// A machine that has an agent.
#[derive(Clone, Debug)]
pub struct Member {
    pub node: String,
    pub role: AgentRole,
}

/// See [`crowd`].
pub struct Crowd {
    kubeconfig: PathBuf,
    members: Vec<Member>,
    held: oneshot::Receiver<()>,
}

/// When it is dropped, all machines of the crowd are dead: what they have told stays.
pub struct Life {
    _holds: oneshot::Sender<()>,
}

/// The agents of these machines, of which the API server has a Node each, for as long as [`Life`] is held.
pub fn crowd(kubeconfig: PathBuf, members: Vec<Member>) -> (Crowd, Life) {
    let (holds, held) = oneshot::channel();
    (Crowd { kubeconfig, members, held }, Life { _holds: holds })
}

/// What Services ask for, as of a version.
#[derive(Clone, Copy, Default)]
struct Known {
    seen: u64,
    /// [`crate::agent::snapshot::SourceVersion::requests`]
    requests: u64,
    services: usize,
}

impl Crowd {
    /// Reports until the end of its life. An error: it cannot, or not any more.
    pub fn run(self) -> anyhow::Result<()> {
        let Self { kubeconfig, members, held } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let find = || ApiServer::find(Some(&kubeconfig));
            let server = find().await?;
            let uids = node_uids(server.client()).await?;
            let (known_to, known) = watch::channel(Known::default());
            let mut agents = JoinSet::new();
            for sharing in members.chunks(SHARE) {
                let server = find().await?;
                for Member { node, role } in sharing.iter().cloned() {
                    let uid = uids.get(&node).with_context(|| format!("there is no Node {node}"))?;
                    agents.spawn(report(server.clone(), node, role, Arc::clone(uid), known.clone()));
                }
            }
            tokio::select! {
                ended = learn(server, known_to) => ended,
                Some(ended) = agents.join_next() => bail!("an agent has ended: {ended:?}"),
                _ = held => Ok(()),
            }
        })
    }
}

async fn node_uids(client: Client) -> anyhow::Result<BTreeMap<String, Arc<str>>> {
    let nodes = Api::<v1::Node>::all(client).list_metadata(&ListParams::default()).await?;
    Ok(nodes.items.iter().map(|node| (node.name_any(), node.uid().unwrap_or_default().into())).collect())
}

/// Follows Services. One for all: what a watch costs is measured where there are agents.
async fn learn(server: ApiServer, known: watch::Sender<Known>) -> anyhow::Result<()> {
    let (updates_to, mut updates) = mpsc::channel::<Update>(1);
    let watch = |kind, client| watch_all::<v1::Service, _, _>(kind, client, Object::from);
    let following = follow_kinds(server, &[Kind::Service], watch, updates_to);
    let indexing = async {
        let mut index = Index::new(TranslateConfig::default());
        while let Some(Update { changes, seen, .. }) = updates.recv().await {
            index.apply_changes(changes);
            let services = index.cluster().services.len();
            // Before all are listed, no agent has anything to tell.
            if seen > 0 {
                known.send_replace(Known { seen, requests: index.requests(), services });
            }
        }
    };
    tokio::select! {
        () = following => {}
        () = indexing => {}
    }
    bail!("the watch of Services has ended")
}

/// The agent of one machine, for as long as anything is known.
async fn report(
    server: ApiServer,
    node: String,
    role: AgentRole,
    node_uid: Arc<str>,
    mut known: watch::Receiver<Known>,
) {
    let mut reporter = Reporter::new(&server, &node, watch::channel(None).0);
    loop {
        tokio::select! {
            changed = known.changed() => match changed {
                Ok(()) => reporter.note_news(),
                Err(_) => return,
            },
            () = wait_until(reporter.due()) => {
                let report = well(role, &node_uid, *known.borrow_and_update());
                reporter.tell(Some(report)).await;
            }
        }
    }
}

/// What an agent tells that has programmed everything.
fn well(role: AgentRole, node_uid: &Arc<str>, Known { seen, requests, services }: Known) -> Report {
    let services = u32::try_from(services).unwrap_or(u32::MAX);
    let spec = AgentReportSpec {
        roles: vec![role],
        version: env!("CARGO_PKG_VERSION").to_owned(),
        services: ReportedServices { seen, programmed: services, total: services },
        ..AgentReportSpec::default()
    };
    Report { node_uid: Arc::clone(node_uid), spec, requests }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::reporting::pace::Urgency;

    #[test]
    fn only_what_services_ask_for_is_urgent_to_a_crowd() {
        let report =
            |seen, requests| well(AgentRole::Node, &Arc::from("uid"), Known { seen, requests, services: 3 });
        let told = report(7, 1);
        assert_eq!(report(7, 1).urgency(Some(&told)), Urgency::None);
        assert_eq!(report(8, 1).urgency(Some(&told)), Urgency::Later);
        assert_eq!(report(8, 2).urgency(Some(&told)), Urgency::Soon);
    }
}
