//! Values to Kubernetes objects, strictly: a field that Kubernetes does not
//! know is an error here, since nothing behind a file would ever tell.

use k8s_openapi::serde::de::DeserializeOwned;
use serde_ignored::Path as Ignored;
use serde_json::Value;
use serde_path_to_error::{Segment, Track};

use super::{
    Located, Origin,
    lines::{Below, Lines},
    suggest::nearest,
    yaml::Document,
};
use crate::{
    model::Problem,
    source::{Kind, Object, ObjectRef},
};

/// What an object says it is.
enum Identity {
    Ours(Kind),
    /// `kind: List`, as `kubectl get -o yaml` writes, or a list of one kind.
    List,
    /// Another Kubernetes kind, which is not for us.
    Other(String),
}

/// Adds the objects of a document to `objects`, and what is wrong with it to `problems`.
pub fn decode(document: Document, file: &Origin, objects: &mut Vec<Located>, problems: &mut Vec<Problem>) {
    let Document { value, lines } = document;
    let origin = Origin { file: file.file.clone(), lines };
    if value.is_null() {
        return;
    }
    match identify(&value) {
        Err(problem) => problems.push(origin.locate(problem)),
        Ok(Identity::Other(kind)) => {
            tracing::debug!(at = origin.at(""), kind, "not a kind that Trigon reads");
        }
        Ok(Identity::List) => {
            for item in items(value, origin.lines) {
                decode(item, file, objects, problems);
            }
        }
        Ok(Identity::Ours(kind)) => match object(kind, value) {
            Ok(object) => objects.push(Located { object, origin }),
            Err(found) => problems.extend(found.into_iter().map(|p| origin.locate(p))),
        },
    }
}

fn identify(value: &Value) -> Result<Identity, Problem> {
    let api_version = type_field(value, "apiVersion")?;
    let kind = type_field(value, "kind")?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let ours = match (group, kind) {
        ("", "Service") => Kind::Service,
        ("", "Node") => Kind::Node,
        ("discovery.k8s.io", "EndpointSlice") => Kind::EndpointSlice,
        _ if kind.ends_with("List") && value["items"].is_array() => return Ok(Identity::List),
        _ => return other(value, group, kind),
    };
    if version == "v1" {
        return Ok(Identity::Ours(ours));
    }
    let (right, slash) = if group.is_empty() { ("", "") } else { (group, "/") };
    Err(nameless(value).problem(
        "apiVersion",
        format!("`{api_version}` is not a version that Trigon reads"),
        format!("write `apiVersion: {right}{slash}v1`"),
    ))
}

/// A kind that is not ours, unless it is ours with a typing error: skipping
/// that in silence would lose a service.
fn other(value: &Value, group: &str, kind: &str) -> Result<Identity, Problem> {
    let known: &[&str] = match group {
        "" => &["Service", "Node"],
        "discovery.k8s.io" => &["EndpointSlice"],
        _ => &[],
    };
    match nearest(kind, known) {
        None => Ok(Identity::Other(kind.to_owned())),
        Some(meant) => Err(nameless(value).problem(
            "kind",
            format!("`{kind}` is not a Kubernetes kind"),
            format!("write `kind: {meant}`"),
        )),
    }
}

fn type_field<'a>(value: &'a Value, field: &str) -> Result<&'a str, Problem> {
    let remedy = "start every object with apiVersion and kind, as `kubectl get -o yaml` does";
    let wrong = |field: &str, message: &str| Err(nameless(value).problem(field, message, remedy));
    match (value, &value[field]) {
        (Value::Object(_), Value::String(text)) if !text.is_empty() => Ok(text),
        (Value::Object(_), Value::Null) => wrong(field, "is missing"),
        (Value::Object(_), _) => wrong(field, "is not a name"),
        _ => wrong("kind", "is missing: this is no Kubernetes object"),
    }
}

/// Who a problem is about before its object could be read.
struct Nameless(String);

fn nameless(value: &Value) -> Nameless {
    let kind = value["kind"].as_str().unwrap_or("object");
    let meta = &value["metadata"];
    Nameless(match (meta["namespace"].as_str(), meta["name"].as_str()) {
        (_, None) => format!("{kind} without a name"),
        (None, Some(name)) if kind == "Node" => format!("{kind} {name}"),
        (namespace, Some(name)) => format!("{kind} {}/{name}", namespace.unwrap_or("default")),
    })
}

impl Nameless {
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
fn items(mut list: Value, lines: Lines) -> Vec<Document> {
    let own_kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or("").to_owned();
    let api_version = list["apiVersion"].take();
    let Value::Array(values) = list["items"].take() else { return Vec::new() };
    let Some(Below::Items(item_lines)) = lines.into_child("items").map(|lines| lines.below) else {
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

fn object(kind: Kind, value: Value) -> Result<Object, Vec<Problem>> {
    if value["metadata"]["name"].as_str().is_none_or(str::is_empty) {
        let remedy = "give the object a name of its own in its namespace";
        return Err(vec![nameless(&value).problem("metadata.name", "is missing", remedy)]);
    }
    match kind {
        Kind::Service => typed(kind, value).map(|o| Object::Service(Box::new(o))),
        Kind::EndpointSlice => typed(kind, value).map(|o| Object::EndpointSlice(Box::new(o))),
        Kind::Node => typed(kind, value).map(|o| Object::Node(Box::new(o))),
    }
}

fn typed<T: DeserializeOwned>(kind: Kind, value: Value) -> Result<T, Vec<Problem>> {
    let meta = &value["metadata"];
    let text = |field: &str| meta[field].as_str().unwrap_or_default();
    let object = ObjectRef::new(kind, text("namespace"), text("name"));

    let mut unknown = Vec::new();
    let mut on_ignored = |path: Ignored<'_>| unknown.push(ignored_path(&path));
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let result = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut on_ignored));
    match result {
        Ok(typed) if unknown.is_empty() => Ok(typed),
        Ok(_) => Err(unknown.iter().map(|field| unknown_field(&object, field)).collect()),
        Err(error) => Err(vec![wrong_type(&object, &track.path(), &error.to_string())]),
    }
}

fn unknown_field(object: &ObjectRef, field: &str) -> Problem {
    let name = field.rsplit('.').next().unwrap_or(field);
    let remedy = match nearest(name, FIELDS) {
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
    let remedy = if message.ends_with("expected a string") {
        "put the value in quotes".to_owned()
    } else {
        format!("see `kubectl explain {explain}`")
    };
    object.problem(field, message, remedy)
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

/// The fields that a Trigon user writes by hand, for "did you mean".
const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "labels",
    "annotations",
    "spec",
    "status",
    "type",
    "ports",
    "port",
    "protocol",
    "targetPort",
    "nodePort",
    "appProtocol",
    "selector",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "sessionAffinity",
    "publishNotReadyAddresses",
    "loadBalancer",
    "ingress",
    "ip",
    "ipMode",
    "hostname",
    "addressType",
    "endpoints",
    "addresses",
    "address",
    "conditions",
    "ready",
    "serving",
    "terminating",
    "nodeName",
    "targetRef",
    "zone",
    "hints",
];
