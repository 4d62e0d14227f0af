//! Follows an API server: watches all kinds, and hands over what they tell.

#[cfg(test)]
mod tests;

use std::{pin::pin, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use tokio::{sync::mpsc, time::sleep};

use super::{client::ApiServer, gather::Gatherer, watch::watch};
use crate::objects::source::{kind::Kind, update::Update};

/// For how long to wait for all lists before it is told that they are missing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hands over what the API server has, and then what changes, until the receiver is gone.
pub async fn follow_api(server: ApiServer, updates: mpsc::Sender<Update>) {
    let (answers_to, mut answers) = mpsc::unbounded_channel();
    let watches = Kind::ALL.map(|kind| {
        let answers_to = answers_to.clone();
        // Nobody listens any more when following has ended.
        let noted = move |answer| drop(answers_to.send((kind, answer)));
        let events = watch(kind, server.observed_client(noted), server.namespace());
        events.map(move |event| (kind, event)).boxed()
    });
    let mut events = stream::select_all(watches);
    let mut gathered = Gatherer::new(server.to_string());
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
