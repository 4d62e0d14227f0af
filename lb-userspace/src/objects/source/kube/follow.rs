//! Follows an API server: watches all kinds, and hands over what they tell.

#[cfg(test)]
mod tests;

use std::{pin::pin, time::Duration};

use futures::{StreamExt, stream, stream::BoxStream};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::{sync::mpsc, time::sleep};

use super::{
    client::ApiServer,
    gather::Gatherer,
    watch::{Event, watch},
};
use crate::objects::source::{kind::Kind, object::Identified, update::Update};

/// For how long to wait for all lists before it is told that they are missing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hands over what an agent reads of the API server, and then what changes, until the receiver is gone.
pub async fn follow_api(server: ApiServer, updates: mpsc::Sender<Update>) {
    let namespace = server.namespace().to_owned();
    follow_kinds(server, &Kind::ALL, |kind, client| watch(kind, client, &namespace), updates).await;
}

/// The same for these kinds, each watched by `watch`.
pub async fn follow_kinds<O: Identified + Send + 'static>(
    server: ApiServer,
    kinds: &[Kind],
    watch: impl Fn(Kind, Client) -> BoxStream<'static, Event<O>>,
    updates: mpsc::Sender<Update<O>>,
) {
    let (answers_to, mut answers) = mpsc::unbounded_channel();
    let watches = kinds.iter().map(|&kind| {
        let answers_to = answers_to.clone();
        // Nobody listens any more when following has ended.
        let noted = move |answer| drop(answers_to.send((kind, answer)));
        let events = watch(kind, server.observed_client(noted));
        events.map(move |event| (kind, event)).boxed()
    });
    let mut events = stream::select_all(watches);
    let mut gathered = Gatherer::new(server.to_string(), kinds);
    let mut patience = pin!(sleep(PATIENCE));
    let mut is_patient = true;
    loop {
        // What is there is taken up first, so that it becomes one change, but not without end.
        tokio::select! {
            biased;
            permit = updates.reserve(), if gathered.is_full() => match permit {
                Ok(permit) => permit.send(gathered.take()),
                Err(_) => return,
            },
            Some((kind, answer)) = answers.recv() => gathered.note_answer(kind, &answer, Timestamp::now()),
            Some((kind, event)) = events.next(), if !gathered.is_full() => gathered.note_event(kind, event),
            () = &mut patience, if is_patient => {
                is_patient = false;
                gathered.lose_patience();
            }
            permit = updates.reserve(), if gathered.has_news() => match permit {
                Ok(permit) => permit.send(gathered.take()),
                Err(_) => return,
            },
            () = updates.closed() => return,
        }
    }
}
