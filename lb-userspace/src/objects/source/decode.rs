//! Values to Kubernetes objects, strictly: a field that Kubernetes does not know is an error. No API
//! server checks files, and one may have an older release's definition of our own kinds.

mod fields;
mod strict;
mod suggest;

use std::sync::Arc;

use fields::FIELDS;
use k8s_openapi::{
    api::{core::v1, discovery},
    serde::de::DeserializeOwned,
};
use serde_ignored::Path as Ignored;
use serde_json::Value;
use serde_path_to_error::{Segment, Track};
pub use suggest::nearest_name;

use super::{
    kind::Kind,
    object::{Object, ObjectRef},
};
use crate::objects::{crds, model::Problem};

/// Names an object in a problem that is found before the object could be read.
pub struct UnreadObject(String);

pub fn unread_object(value: &Value) -> UnreadObject {
    let kind = value["kind"].as_str().unwrap_or("object");
    let meta = &value["metadata"];
    UnreadObject(match (meta["namespace"].as_str(), meta["name"].as_str()) {
        (_, None) => format!("{kind} without a name"),
        (None, Some(name)) if kind == "Node" => format!("{kind} {name}"),
        (namespace, Some(name)) => format!("{kind} {}/{name}", namespace.unwrap_or("default")),
    })
}

impl UnreadObject {
    pub fn problem(
        self,
        field: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        Problem {
            object: self.0,
            field: field.into(),
            message: message.into(),
            remedy: remedy.into(),
            ..Problem::default()
        }
    }
}

/// Why an object cannot be read, and which one it is, if its name is known.
pub struct Refusal {
    pub this: Option<ObjectRef>,
    pub problems: Vec<Problem>,
}

pub fn decode_object(kind: Kind, mut value: Value) -> Result<Object, Refusal> {
    if value["metadata"]["name"].as_str().is_none_or(str::is_empty) {
        let remedy = "give the object a name of its own in its namespace";
        let problems = vec![unread_object(&value).problem("metadata.name", "is missing", remedy)];
        return Err(Refusal { this: None, problems });
    }
    if let (crds::GROUP, Value::Object(fields)) = (kind.group(), &mut value) {
        // Both are known here, and the types of our own kinds have no such fields.
        fields.remove("apiVersion");
        fields.remove("kind");
        // An advertisement that chooses nothing is for everything, as with MetalLB.
        if matches!(kind, Kind::BgpAdvertisement | Kind::L2Advertisement) {
            fields.entry("spec").or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
    }
    match kind {
        Kind::Service => decode_typed::<v1::Service>(kind, value).map(Object::from),
        Kind::EndpointSlice => decode_typed::<discovery::v1::EndpointSlice>(kind, value).map(Object::from),
        Kind::Node => decode_typed::<v1::Node>(kind, value).map(Object::from),
        Kind::Secret => decode_typed::<v1::Secret>(kind, value).map(Object::from),
        Kind::AddressPool => decode_typed(kind, value).map(|o| Object::AddressPool(Arc::new(o))),
        Kind::BgpPeer => decode_typed(kind, value).map(|o| Object::BgpPeer(Arc::new(o))),
        Kind::BgpAdvertisement => decode_typed(kind, value).map(|o| Object::BgpAdvertisement(Arc::new(o))),
        Kind::L2Advertisement => decode_typed(kind, value).map(|o| Object::L2Advertisement(Arc::new(o))),
        Kind::BfdProfile => decode_typed(kind, value).map(|o| Object::BfdProfile(Arc::new(o))),
        Kind::Community => decode_typed(kind, value).map(|o| Object::Community(Arc::new(o))),
        Kind::AgentReport => Err(written_by_agents(&value)),
    }
}

/// No source has one to read.
fn written_by_agents(value: &Value) -> Refusal {
    let problem = unread_object(value).problem("kind", "is written by agents, and read by none", "remove it");
    Refusal { this: None, problems: vec![problem] }
}

fn decode_typed<T: DeserializeOwned>(kind: Kind, value: Value) -> Result<T, Refusal> {
    strict::read(&value).map_or_else(|| decode_tracked(kind, value), Ok)
}

/// The same, slowly, to find out what is wrong.
fn decode_tracked<T: DeserializeOwned>(kind: Kind, value: Value) -> Result<T, Refusal> {
    let meta = &value["metadata"];
    let text = |field: &str| meta[field].as_str().unwrap_or_default();
    let object = ObjectRef::new(kind, text("namespace"), text("name"));

    let mut unknown = Vec::new();
    let mut on_ignored = |path: Ignored<'_>| unknown.push(ignored_path(&path));
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let result = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut on_ignored));
    let problems = match result {
        Ok(typed) if unknown.is_empty() => return Ok(typed),
        Ok(_) => unknown.iter().map(|field| unknown_field(&object, field)).collect(),
        Err(error) => vec![wrong_type(&object, &track.path(), &error.to_string())],
    };
    Err(Refusal { this: Some(object), problems })
}

fn unknown_field(object: &ObjectRef, field: &str) -> Problem {
    let name = field.rsplit('.').next().unwrap_or(field);
    // The name itself may be that of a field elsewhere; suggest only other names.
    let others: Vec<&str> = FIELDS.iter().copied().filter(|known| *known != name).collect();
    let remedy = match nearest_name(name, &others) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "remove it, or check its place and indentation".to_owned(),
    };
    object.problem(field, "unknown field", remedy)
}

fn wrong_type(object: &ObjectRef, path: &serde_path_to_error::Path, message: &str) -> Problem {
    let mut field = String::new();
    let mut explain = object.kind.to_string().to_lowercase();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_index(&mut field, *index),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                push_key(&mut field, key);
                push_key(&mut explain, key);
            }
            Segment::Unknown => {}
        }
    }
    if let Some(missing) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        push_key(&mut field, missing);
        return object.problem(field, "is missing", format!("add it; see `kubectl explain {explain}`"));
    }
    let message = if may_be_secret(object.kind, &field) { &without_value(message) } else { message };
    let remedy = if message.ends_with("expected a string") {
        "put the value in quotes".to_owned()
    } else {
        format!("see `kubectl explain {explain}`")
    };
    object.problem(field, message, remedy)
}

/// May the wrong value be a password, or contain one?
fn may_be_secret(kind: Kind, field: &str) -> bool {
    match kind {
        Kind::Secret => true,
        Kind::BgpPeer => !field.contains('.') || field.starts_with("spec.password"),
        _ => false,
    }
}

/// "invalid type: integer `123456`, expected a string" without the number.
fn without_value(message: &str) -> String {
    let what = message.split(['`', '"']).next().unwrap_or_default().trim_end();
    match message.rfind(", expected ") {
        Some(at) if at >= what.len() => format!("{what}{}", &message[at..]),
        _ if what.len() == message.len() => what.to_owned(),
        _ => "cannot be read".to_owned(),
    }
}

fn ignored_path(path: &Ignored<'_>) -> String {
    match path {
        Ignored::Root => String::new(),
        Ignored::Seq { parent, index } => {
            let mut field = ignored_path(parent);
            push_index(&mut field, *index);
            field
        }
        Ignored::Map { parent, key } => {
            let mut field = ignored_path(parent);
            push_key(&mut field, key);
            field
        }
        Ignored::Some { parent } | Ignored::NewtypeStruct { parent } | Ignored::NewtypeVariant { parent } => {
            ignored_path(parent)
        }
    }
}

fn push_index(field: &mut String, index: usize) {
    field.push_str(&format!("[{index}]"));
}

fn push_key(field: &mut String, key: &str) {
    if key.is_empty() || key.contains(['.', '[', '/']) {
        field.push_str(&format!("[{key}]"));
        return;
    }
    if !field.is_empty() {
        field.push('.');
    }
    field.push_str(key);
}
