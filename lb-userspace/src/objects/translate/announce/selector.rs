//! Label selectors of objects to those of the model.

use std::sync::Arc;

use imbl::OrdMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::Fields;
use crate::objects::{
    model::{Node, Requirement, Selector, Selectors},
    translate::values::Complaint,
};

pub type NodesByName = OrdMap<Arc<str>, Arc<Node>>;

/// What becomes of two that meet on some nodes only.
pub const FIRST_BY_NAME: &str = " on some nodes, where the first by name is followed";

/// On which nodes two objects that conflict are both used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NodeOverlap {
    Nowhere,
    /// On some of the first one's nodes; on the others there is no conflict. A changed
    /// label of a Node can change which.
    Somewhere,
    /// On every node that the first one is for.
    Everywhere,
}

/// Compares the nodes that two objects select now. If both are for all nodes, they always meet.
pub fn node_overlap(first: &Selectors, other: &Selectors, nodes: &NodesByName) -> NodeOverlap {
    let own = nodes.values().filter(|node| first.matches(&node.labels));
    let (both, alone): (Vec<_>, Vec<_>) = own.partition(|node| other.matches(&node.labels));
    if first.is_everything() && other.is_everything() {
        NodeOverlap::Everywhere
    } else if both.is_empty() {
        NodeOverlap::Nowhere
    } else if alone.is_empty() {
        NodeOverlap::Everywhere
    } else {
        NodeOverlap::Somewhere
    }
}

/// A list of selectors of which one must match.
pub fn read_selectors(field: &str, written: &[LabelSelector], fields: &mut Fields<'_>) -> Selectors {
    let mut all = Vec::with_capacity(written.len());
    for (index, one) in written.iter().enumerate() {
        let selector = read_selector(&format!("{field}[{index}]"), one, fields);
        if all.contains(&selector) {
            let remedy = "remove or correct one of the two";
            fields.report_wrong(&format!("{field}[{index}]"), "this selector is there twice", remedy);
        }
        all.push(selector);
    }
    Selectors(all)
}

fn read_selector(field: &str, written: &LabelSelector, fields: &mut Fields<'_>) -> Selector {
    let labels = written.match_labels.iter().flatten();
    let mut requirements: Vec<_> =
        labels.map(|(key, value)| Requirement::In(key.clone(), [value.clone()].into())).collect();
    for (index, expression) in written.match_expressions.iter().flatten().enumerate() {
        let field = format!("{field}.matchExpressions[{index}]");
        match read_requirement(expression) {
            Ok(requirement) => requirements.push(requirement),
            Err((name, complaint)) => {
                fields.report_wrong(&format!("{field}.{name}"), complaint.message, complaint.remedy);
            }
        }
    }
    Selector(requirements.into_iter().collect())
}

fn read_requirement(written: &LabelSelectorRequirement) -> Result<Requirement, (&'static str, Complaint)> {
    let key = written.key.clone();
    let values = written.values.clone().unwrap_or_default();
    let count = values.len();
    let set = || values.iter().cloned().collect();
    let wrong = |message: &str, remedy: &str| Err(("values", Complaint::new(message, remedy)));
    if key.is_empty() {
        return Err(("key", Complaint::new("is empty", "write the name of a label")));
    }
    match (written.operator.as_str(), count) {
        ("In" | "NotIn", 0) => {
            wrong("is empty", "write the values of the label, or use Exists or DoesNotExist")
        }
        ("Exists" | "DoesNotExist", 1..) => wrong("has no meaning here", "remove it, or use In or NotIn"),
        ("In", _) => Ok(Requirement::In(key, set())),
        ("NotIn", _) => Ok(Requirement::NotIn(key, set())),
        ("Exists", _) => Ok(Requirement::Exists(key)),
        ("DoesNotExist", _) => Ok(Requirement::DoesNotExist(key)),
        (other, _) => {
            let message = format!("`{other}` is not an operator");
            Err(("operator", Complaint::new(message, "write In, NotIn, Exists or DoesNotExist")))
        }
    }
}
