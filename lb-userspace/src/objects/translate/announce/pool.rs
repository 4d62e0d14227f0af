//! `AddressPool`

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Fields,
    admit::{Admitted, Fit},
    selector::read_selectors,
};
use crate::objects::{
    crds::{AddressPool, MAX_ADDRESSES},
    model::{AddressRange, Pool},
    source::ObjectRef,
    translate::values::Complaint,
};

pub fn read(object: &AddressPool, fields: &mut Fields<'_>) -> Option<Pool> {
    let spec = &object.spec;
    if spec.addresses.is_empty() {
        fields.report_wrong("addresses", "is empty", "write prefixes such as 192.0.2.0/24, or ranges");
    }
    fields.report_excess("addresses", &spec.addresses, MAX_ADDRESSES);
    let mut ranges: Vec<AddressRange> = Vec::new();
    for (index, text) in spec.addresses.iter().enumerate() {
        let field = format!("addresses[{index}]");
        let Some(range) = fields.ok_or_report(&field, parse_range(text)) else { continue };
        if let Some(other) = ranges.iter().position(|other| other.overlaps(&range)) {
            let message = format!("{text} overlaps {}", spec.addresses[other]);
            fields.report_wrong(&field, message, "remove one of the two, or make it smaller");
        }
        ranges.push(range);
    }
    if let Some(allocation) = &spec.service_allocation {
        fields.report_duplicates("serviceAllocation.namespaces", &allocation.namespaces);
        read_selectors("serviceAllocation.namespaceSelectors", &allocation.namespace_selectors, fields);
        read_selectors("serviceAllocation.serviceSelectors", &allocation.service_selectors, fields);
    }
    Some(Pool { labels: object.metadata.labels.clone().into(), ranges })
}

/// A pool conflicts with one that has some of its addresses.
pub fn check_fit(this: &ObjectRef, pool: &Pool, others: &Admitted<Pool>) -> Fit {
    for (index, range) in pool.ranges.iter().enumerate() {
        let taken = others.iter().find_map(|(other, pool)| {
            let range = pool.ranges.iter().find(|taken| taken.overlaps(range))?;
            Some((other, range))
        });
        if let Some((other, taken)) = taken {
            let message = format!("{} overlaps {} of {other}", format_range(range), format_range(taken));
            let remedy = "give each pool addresses of its own";
            return Fit::Not(this.problem(format!("spec.addresses[{index}]"), message, remedy));
        }
    }
    Fit::Well
}

/// The range as a prefix if it is one, else as `FIRST-LAST`.
pub fn format_range(range: &AddressRange) -> String {
    match IpNet::new(range.first, range.largest_prefix_length()) {
        Ok(net) if net.broadcast() == range.last => net.to_string(),
        _ => format!("{}-{}", range.first, range.last),
    }
}

fn parse_range(text: &str) -> Result<AddressRange, Complaint> {
    let wrong = |message: String| {
        Complaint::new(
            message,
            "write a prefix such as 192.0.2.0/24, or a range such as 192.0.2.10-192.0.2.20",
        )
    };
    let Some((first, last)) = text.split_once('-') else {
        let net: IpNet =
            text.trim().parse().map_err(|_| wrong(format!("`{text}` is neither a prefix nor a range")))?;
        if net.trunc() != net {
            let message = format!("{net} has bits behind its prefix");
            return Err(Complaint::new(message, format!("write {}", net.trunc())));
        }
        return check_usable(AddressRange { first: net.network(), last: net.broadcast() });
    };
    let address = |text: &str| {
        let text = text.trim();
        text.parse::<IpAddr>().map_err(|_| wrong(format!("`{text}` is not an IP address")))
    };
    let (first, last) = (address(first)?, address(last)?);
    if first.is_ipv4() != last.is_ipv4() {
        return Err(wrong(format!("{first} and {last} are of different families")));
    }
    if first > last {
        let message = format!("the range is backwards: {first} comes after {last}");
        return Err(Complaint::new(message, format!("write {last}-{first}")));
    }
    check_usable(AddressRange { first, last })
}

/// Refuses a range with addresses at which no single host can be reached.
fn check_usable(range: AddressRange) -> Result<AddressRange, Complaint> {
    let never =
        ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8"];
    let nets = never.iter().filter_map(|net| net.parse::<IpNet>().ok());
    let of = |net: &IpNet| AddressRange { first: net.network(), last: net.broadcast() };
    match nets.into_iter().find(|net| of(net).overlaps(&range)) {
        None => Ok(range),
        Some(net) => {
            let message = format!("{} holds addresses of {net}, which are no host's", format_range(&range));
            Err(Complaint::new(message, "use addresses that other machines can send to"))
        }
    }
}
