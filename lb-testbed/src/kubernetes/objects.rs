//! Has an API server hold the objects of a testbed, and no others of ours.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::api_server::ApiServer;

/// Kind, namespace (empty: none) and name of what was applied.
pub type Applied = BTreeSet<(String, String, String)>;

impl ApiServer {
    /// From now on these are the objects. With `kubectl`, the status by itself.
    pub fn replace_objects(&self, objects: &[Value]) -> Result<()> {
        let mut applied = self.applied.lock().ok().context("applying has panicked before")?;
        let now: Applied = objects.iter().map(name_of).collect();
        self.apply(objects)?;
        let with_status: Vec<_> = objects.iter().filter(|object| object["status"].is_object()).collect();
        if !with_status.is_empty() {
            // Two addresses of a Node have one merge key: they cannot be applied.
            let replace = ["replace", "--subresource=status", "-f", "-"];
            self.kubectl(&replace, &documents(with_status.into_iter().cloned()))?;
        }
        for (kind, namespace, name) in applied.difference(&now) {
            let scope: &[&str] = if namespace.is_empty() { &[] } else { &["--namespace", namespace] };
            self.kubectl(&[&["delete", kind, name, "--wait=false"], scope].concat(), "")?;
        }
        *applied = now;
        Ok(())
    }

    /// These beside all others, without their status.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
        }
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl(&apply, &documents(objects.iter().map(without_status))).map(drop)
    }
}

fn name_of(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let meta = &object["metadata"];
    (text(&object["kind"]), text(&meta["namespace"]), text(&meta["name"]))
}

fn without_status(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

fn documents(objects: impl Iterator<Item = Value>) -> String {
    objects.map(|object| object.to_string()).collect::<Vec<_>>().join("\n---\n") + "\n"
}
