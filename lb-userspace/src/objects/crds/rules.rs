//! What an API server refuses by itself: of what `translate` refuses, that which shows in one object and can be said in a
//! line of CEL, with the words of `translate`. So nothing that was good before is refused.
//!
//! Kubernetes 1.30 takes no function that is newer than 1.29: there is `isIP`, say, but not for new rules.

use schemars::Schema;
use serde_json::{Value, json};

/// What texts of addresses look like; which of them are none is left to `translate`.
pub const ADDRESS: &str = "self.matches('^[0-9a-fA-F.:]+$')";
pub const NO_ADDRESS: &str = "is not an IP address; write an address such as 192.0.2.10 or 2001:db8::10";
/// Characters of the longest text of an IP address.
pub const LONGEST_ADDRESS: usize = 45;

pub const INTERFACE: &str = "self.matches('^[!-.0-~]{1,15}$') && !(self in ['.', '..'])";
pub const NO_INTERFACE: &str =
    "is not the name of an interface; write one such as eth0, of at most 15 characters";

/// RFC 7607, 6793 and 7300 keep these back.
pub const AS: &str = "!(self in [0, 23456, 65535, 4294967295])";
pub const NO_AS: &str =
    "is no AS; write the number of the AS; private ones are 64512 to 65534 and 4200000000 to 4294967294";

/// A rule about a value, which is `self` in it, and what is told where it is broken. An API server tells the value, too.
pub fn rule(rule: &str, message: &str) -> impl Fn(&mut Schema) + use<> {
    let rule = json!({"rule": rule, "message": message});
    move |schema| add(schema, &rule)
}

/// Rules about the fields of an object (`self`), each with the field that it is told of. The value is not told.
pub fn rules_of_fields(rules: &'static [(&str, &str, &str)]) -> impl Fn(&mut Schema) {
    move |schema| {
        for (field, rule, message) in rules {
            add(schema, &json!({"fieldPath": format!(".{field}"), "rule": rule, "message": message}));
        }
    }
}

/// The same for each item of a list.
pub fn each(of_item: impl Fn(&mut Schema)) -> impl Fn(&mut Schema) {
    move |schema| {
        let item: Option<&mut Schema> = schema.get_mut("items").and_then(|item| item.try_into().ok());
        if let Some(item) = item {
            of_item(item);
        }
    }
}

fn add(schema: &mut Schema, rule: &Value) {
    let rules = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.push(rule.clone());
    }
}
