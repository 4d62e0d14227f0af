//! Which changes of a Service agents have to answer for.

use super::annotations::{DSR, PREFIX};
use crate::objects::source::Service;

/// Does it ask for the data path, rightly or not?
pub fn asks_for_data_path(service: &Service) -> bool {
    service.annotations.get(DSR).is_some_and(|value| value != "false")
}

/// Do two versions of a Service ask the same of the data path? Conditions, labels and what others write into its
/// annotations make no difference; its endpoints are in other objects.
pub fn asks_the_same(one: &Service, other: &Service) -> bool {
    one.spec == other.spec && one.ingress == other.ingress && settings(one).eq(settings(other))
}

fn settings(service: &Service) -> impl Iterator<Item = (&str, Option<&str>)> {
    let names = service.annotations.names().filter(|name| name.starts_with(PREFIX));
    names.map(move |name| (name, service.annotations.get(name)))
}
