use std::{borrow::Cow, fmt, ops::RangeInclusive, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rules::rule;

/// Characters of the longest text that is one.
const LONGEST: usize = 64;

/// A time as Kubernetes writes it: `90s`, `1m30s`, `1.5h`, `300ms`. Unlike
/// kube's own, it takes no text that could make it panic, and no negative one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(pub time::Duration);

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text).map(Self).ok_or_else(|| format!("`{text}` is not a duration such as 90s or 1m30s"))
    }
}

fn parse(text: &str) -> Option<time::Duration> {
    if text == "0" {
        return Some(time::Duration::ZERO);
    }
    if text.is_empty() || text.chars().count() > LONGEST {
        return None;
    }
    let (mut rest, mut total) = (text, time::Duration::ZERO);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = time::Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    Some(total)
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// No `format`: `duration` would be that of ISO 8601.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "string", "maxLength": LONGEST });
        rule(FORM, "is not a duration such as 90s or 1m30s")(&mut schema);
        schema
    }
}

/// As [`parse`] has it, but for points that are too many.
const FORM: &str = "self.matches('^(0|([0-9.]+(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)$')";

/// For the schema: a rule about texts that are durations. The others break another rule.
pub fn duration_rule(is_good: &str, message: &str) -> impl Fn(&mut Schema) + use<> {
    rule(&format!("!{FORM} || {is_good}"), message)
}

/// For the schema: limits in seconds. Whether they are whole ones is left to `translate`.
pub fn within_seconds(limits: RangeInclusive<u32>) -> impl Fn(&mut Schema) + use<> {
    let (least, most) = limits.into_inner();
    let is_good =
        format!("(duration(self) >= duration('{least}s') && duration(self) <= duration('{most}s'))");
    let message = format!("is not a time in whole seconds that it may have; write {least}s to {most}s");
    duration_rule(&is_good, &message)
}
