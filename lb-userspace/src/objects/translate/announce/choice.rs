//! What both kinds of advertisements choose: pools, and names of interfaces.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Fields, KnownObjects, selector::read_selectors};
use crate::objects::{model::PoolChoice, source::Kind, translate::values::Complaint};

/// Bytes of the longest name of an interface, without the NUL at its end (`IFNAMSIZ`).
const LONGEST_INTERFACE: usize = 15;

pub fn read_pool_choice(
    names: &[String],
    written: &[LabelSelector],
    known: &KnownObjects<'_>,
    fields: &mut Fields<'_>,
) -> PoolChoice {
    let names = read_names("ipAddressPools", names, Kind::AddressPool, known, fields);
    PoolChoice { names, selectors: read_selectors("ipAddressPoolSelectors", written, fields) }
}

/// Names of other objects. If one does not exist, this is reported, and until it does, the
/// object keeps its former version. A new object is used all the same, without that name.
pub fn read_names(
    field: &str,
    names: &[String],
    kind: Kind,
    known: &KnownObjects<'_>,
    fields: &mut Fields<'_>,
) -> BTreeSet<Arc<str>> {
    fields.report_duplicates(field, names);
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !known.contains(kind, name)) {
        let remedy = format!("correct the name ({}), or add the {kind}", known.list_names(kind));
        fields.report_missing(&format!("{field}[{index}]"), format!("there is no {kind} `{name}`"), remedy);
    }
    names.iter().map(|name| name.as_str().into()).collect()
}

pub fn parse_interface(name: &str) -> Result<Arc<str>, Complaint> {
    let is_name = (1..=LONGEST_INTERFACE).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        && !matches!(name, "." | "..");
    if is_name {
        return Ok(name.into());
    }
    let remedy = format!("write one such as eth0, of at most {LONGEST_INTERFACE} characters");
    Err(Complaint::new(format!("`{name}` is not the name of an interface"), remedy))
}
