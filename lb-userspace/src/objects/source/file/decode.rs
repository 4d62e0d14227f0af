//! Values to Kubernetes objects, strictly: a field that Kubernetes does not
//! know is an error, since no API server checks the files.

use std::{path::Path, sync::Arc};

use k8s_openapi::{
    api::{core::v1, discovery},
    serde::de::DeserializeOwned,
};
use serde_ignored::Path as Ignored;
use serde_json::Value;
use serde_path_to_error::{Segment, Track};

use super::{contents::FileContents, fields::FIELDS, strict, suggest::nearest_name, yaml::Document};
use crate::objects::{
    crds,
    model::Problem,
    source::{
        kind::Kind,
        lines::{ChildLines, Lines},
        located::{Located, Origin},
        object::{Object, ObjectRef},
    },
};

/// What a document is, by its `apiVersion` and `kind`.
enum DocumentKind {
    Ours(Kind),
    /// `kind: List`, as `kubectl get -o yaml` writes, or a list of one kind.
    List,
    /// Another Kubernetes kind, which is ignored.
    Other(String),
}

/// Adds the objects of a document, and what is wrong with it.
pub fn decode(document: Document, file: &Arc<Path>, contents: &mut FileContents) {
    let Document { value, lines } = document;
    if value.is_null() {
        return;
    }
    let origin = Origin { file: file.clone(), lines: Arc::new(lines.flatten()) };
    match document_kind(&value) {
        Err(problem) => {
            let is_ours =
                value["apiVersion"].as_str().is_some_and(|text| split_api_version(text).0 == crds::GROUP);
            let problems = if is_ours { &mut contents.refused } else { &mut contents.faults };
            problems.push(origin.locate_problem(problem));
        }
        Ok(DocumentKind::Other(kind)) => {
            tracing::debug!(at = origin.location_of(""), kind, "not a kind that Trigon reads");
        }
        Ok(DocumentKind::List) => {
            for item in list_items(value, lines) {
                decode(item, file, contents);
            }
        }
        Ok(DocumentKind::Ours(kind)) => match decode_object(kind, value) {
            Ok(object) => contents.add(Located { object, origin }),
            Err(Refusal { this: Some(this), problems }) if kind.is_announcing() => {
                contents.refused.extend(problems.into_iter().map(|p| origin.locate_problem(p)));
                contents.add(Located { object: Object::Unreadable(this), origin });
            }
            Err(Refusal { problems, .. }) => {
                let to = if kind.is_announcing() { &mut contents.refused } else { &mut contents.faults };
                to.extend(problems.into_iter().map(|p| origin.locate_problem(p)));
            }
        },
    }
}

/// Group and version.
fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

fn document_kind(value: &Value) -> Result<DocumentKind, Problem> {
    let api_version = type_field(value, "apiVersion")?;
    let kind = type_field(value, "kind")?;
    let (group, version) = split_api_version(api_version);
    let Some(ours) = Kind::of_group(group).find(|ours| ours.name() == kind) else {
        if kind.ends_with("List") && value["items"].is_array() {
            return Ok(DocumentKind::List);
        }
        return check_other_kind(value, group, kind);
    };
    if version == ours.version() {
        return Ok(DocumentKind::Ours(ours));
    }
    let slash = if group.is_empty() { "" } else { "/" };
    Err(unread_object(value).problem(
        "apiVersion",
        format!("`{api_version}` is not a version that Trigon reads"),
        format!("write `apiVersion: {group}{slash}{}`", ours.version()),
    ))
}

/// A kind that Trigon does not read. One that looks like a typing error in ours is a
/// problem: skipping it silently would lose a service.
fn check_other_kind(value: &Value, group: &str, kind: &str) -> Result<DocumentKind, Problem> {
    let known: Vec<&str> = Kind::of_group(group).map(Kind::name).collect();
    let (what, remedy) = match nearest_name(kind, &known) {
        Some(meant) if group == crds::GROUP => (group, format!("write `kind: {meant}`")),
        Some(meant) => ("Kubernetes", format!("write `kind: {meant}`")),
        None if group == crds::GROUP => (group, format!("write one of {}", known.join(", "))),
        None => return Ok(DocumentKind::Other(kind.to_owned())),
    };
    Err(unread_object(value).problem("kind", format!("`{kind}` is not a {what} kind"), remedy))
}

fn type_field<'a>(value: &'a Value, field: &str) -> Result<&'a str, Problem> {
    let remedy = "start every object with apiVersion and kind, as `kubectl get -o yaml` does";
    let wrong = |field: &str, message: &str| Err(unread_object(value).problem(field, message, remedy));
    match (value, &value[field]) {
        (Value::Object(_), Value::String(text)) if !text.is_empty() => Ok(text),
        (Value::Object(_), Value::Null) => wrong(field, "is missing"),
        (Value::Object(_), _) => wrong(field, "is not a name"),
        _ => wrong("kind", "is missing: this is no Kubernetes object"),
    }
}

/// Names an object in a problem that is found before the object could be read.
struct UnreadObject(String);

fn unread_object(value: &Value) -> UnreadObject {
    let kind = value["kind"].as_str().unwrap_or("object");
    let meta = &value["metadata"];
    UnreadObject(match (meta["namespace"].as_str(), meta["name"].as_str()) {
        (_, None) => format!("{kind} without a name"),
        (None, Some(name)) if kind == "Node" => format!("{kind} {name}"),
        (namespace, Some(name)) => format!("{kind} {}/{name}", namespace.unwrap_or("default")),
    })
}

impl UnreadObject {
    fn problem(
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
            location: None,
        }
    }
}

/// The items of a list. Those of a `ServiceList` need not say that they are Services.
fn list_items(mut list: Value, lines: Lines) -> Vec<Document> {
    let own_kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or("").to_owned();
    let api_version = list["apiVersion"].take();
    let Value::Array(values) = list["items"].take() else { return Vec::new() };
    let Some(ChildLines::Items(item_lines)) = lines.into_child("items").map(|lines| lines.below) else {
        return Vec::new();
    };
    let item = |(mut value, lines): (Value, Lines)| {
        if let (Value::Object(fields), false) = (&mut value, own_kind.is_empty()) {
            fields.entry("kind").or_insert_with(|| own_kind.clone().into());
            fields.entry("apiVersion").or_insert_with(|| api_version.clone());
        }
        Document { value, lines }
    };
    values.into_iter().zip(item_lines).map(item).collect()
}

/// Why an object cannot be read, and which one it is, if its name is known.
struct Refusal {
    this: Option<ObjectRef>,
    problems: Vec<Problem>,
}

fn decode_object(kind: Kind, mut value: Value) -> Result<Object, Refusal> {
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
        Kind::Service => decode_typed(kind, value).map(|o: v1::Service| Object::Service(Arc::new(o.into()))),
        Kind::EndpointSlice => {
            let slice = |o: discovery::v1::EndpointSlice| Object::EndpointSlice(Arc::new(o.into()));
            decode_typed(kind, value).map(slice)
        }
        Kind::Node => decode_typed(kind, value).map(|o| Object::Node(Arc::new(o))),
        Kind::Secret => decode_typed(kind, value).map(|o: v1::Secret| Object::Secret(Arc::new(o.into()))),
        Kind::AddressPool => decode_typed(kind, value).map(|o| Object::AddressPool(Arc::new(o))),
        Kind::BgpPeer => decode_typed(kind, value).map(|o| Object::BgpPeer(Arc::new(o))),
        Kind::BgpAdvertisement => decode_typed(kind, value).map(|o| Object::BgpAdvertisement(Arc::new(o))),
        Kind::L2Advertisement => decode_typed(kind, value).map(|o| Object::L2Advertisement(Arc::new(o))),
        Kind::BfdProfile => decode_typed(kind, value).map(|o| Object::BfdProfile(Arc::new(o))),
        Kind::Community => decode_typed(kind, value).map(|o| Object::Community(Arc::new(o))),
    }
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
