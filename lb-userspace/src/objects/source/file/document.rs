//! The documents of a file: which are objects of ours, and what is wrong with them.

use std::{path::Path, sync::Arc};

use serde_json::Value;

use super::{contents::FileContents, yaml::Document};
use crate::objects::{
    crds,
    model::Problem,
    source::{
        decode::{Refusal, decode_object, nearest_name, unread_object},
        kind::Kind,
        lines::{ChildLines, Lines},
        located::{Located, Origin},
        object::Object,
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
