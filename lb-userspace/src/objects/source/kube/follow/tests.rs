//! Faults that no real API server has when it is asked to: a response that ends in mid-object.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use kube::Config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::*;
use crate::objects::source::{Change, Object};

const PATIENCE: Duration = Duration::from_secs(20);

/// What is answered to a watch of Services, one after the other: chunks of a body that ends with them.
struct Script {
    services: Mutex<Vec<String>>,
    /// What was asked for.
    queries: Mutex<Vec<String>>,
}

fn event(kind: &str, name: &str, version: u32) -> String {
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version.to_string()},
        "spec": {"ports": [{"port": 80}]},
    });
    format!("{}\n", serde_json::json!({"type": kind, "object": object}))
}

fn end_of_list(kind: &str, api_version: &str, version: u32) -> String {
    let annotations = serde_json::json!({"k8s.io/initial-events-end": "true"});
    let object = serde_json::json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"resourceVersion": version.to_string(), "annotations": annotations},
    });
    format!("{}\n", serde_json::json!({"type": "BOOKMARK", "object": object}))
}

async fn serve(listener: TcpListener, script: Arc<Script>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        tokio::spawn(answer(stream, Arc::clone(&script)));
    }
}

/// One request for each connection.
async fn answer(mut stream: TcpStream, script: Arc<Script>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        .await?;
    if request.starts_with("GET /api/v1/services?") {
        script.queries.lock().await.push(request.lines().next().unwrap_or_default().to_owned());
        let mut bodies = script.services.lock().await;
        if !bodies.is_empty() {
            // The chunk is said to be longer than it is: the body has no good end.
            let chunk = format!("{:x}\r\n{}", bodies[0].len() + 1, bodies.remove(0));
            return stream.write_all(chunk.as_bytes()).await;
        }
    } else {
        let body = end_of_list("Any", "v1", 1);
        stream.write_all(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes()).await?;
    }
    std::future::pending().await
}

async fn start(services: Vec<String>) -> (mpsc::Receiver<Update>, Arc<Script>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let script = Arc::new(Script { services: services.into(), queries: Mutex::default() });
    tokio::spawn(serve(listener, Arc::clone(&script)));
    let config = Config::new(format!("http://{address}").parse().expect("a URL"));
    let server = ApiServer::from_config(config).expect("a client");
    let (updates_to, updates) = mpsc::channel(1);
    tokio::spawn(follow_api(server, updates_to));
    (updates, script)
}

/// The names of the Services, once they are these.
async fn wait_for_services(updates: &mut mpsc::Receiver<Update>, wanted: &[&str]) {
    let wanted: BTreeSet<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let mut there = BTreeSet::new();
    let found = timeout(PATIENCE, async {
        while there != wanted {
            let update = updates.recv().await.expect("a source that goes on");
            for change in update.changes {
                match change {
                    Change::Put(Object::Service(service), _) => there.insert(service.this.name.to_string()),
                    Change::Gone(this) => there.remove(&*this.name),
                    _ => false,
                };
            }
        }
    });
    assert!(found.await.is_ok(), "{there:?} after {PATIENCE:?}, and not {wanted:?}");
}

#[tokio::test]
async fn a_watch_that_is_cut_in_mid_object_goes_on_where_it_was() {
    let half = |text: String| text[..text.len() - 20].to_owned();
    let list = [event("ADDED", "a", 1), event("ADDED", "b", 2)].concat();
    let (mut updates, script) = start(vec![
        // The list is cut: it begins anew.
        half(list.clone()),
        list + &end_of_list("Service", "v1", 3) + &half(event("ADDED", "c", 4)),
        // The watch is cut: it goes on after what was whole.
        event("ADDED", "c", 4) + &half(event("DELETED", "a", 5)),
        event("DELETED", "a", 5),
    ])
    .await;
    wait_for_services(&mut updates, &["b", "c"]).await;
    let asked = script.queries.lock().await;
    let has = |number: usize, part: &str| asked[number].contains(part);
    assert!(has(0, "sendInitialEvents=true") && has(1, "sendInitialEvents=true"), "{asked:?}");
    assert!(has(2, "resourceVersion=3 ") && !has(2, "sendInitialEvents"), "{asked:?}");
    assert!(has(3, "resourceVersion=4 ") && !has(3, "sendInitialEvents"), "{asked:?}");
}
