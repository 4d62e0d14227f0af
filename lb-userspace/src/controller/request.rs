//! The addresses that a Service asks for.

use std::{iter, net::IpAddr};

use super::refusal::{Reason, Refusal};
use crate::objects::{
    model::Labels,
    translate::{Complaint, LOAD_BALANCER_IPS, annotation, check_one_per_family, family_name, parse_address},
};

const LOAD_BALANCER_IP: &str = "spec.loadBalancerIP";
/// How much of a text that should be an address is read, in characters.
const LONGEST: usize = 60;

/// What a Service asks for, at most one address of each family.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    pub addresses: Vec<IpAddr>,
    /// The field that they are in.
    pub field: String,
}

/// Reads the request. Empty: it asks for nothing. `families`: `spec.ipFamilies`, empty if not known.
pub fn read_request(
    annotations: &Labels,
    load_balancer_ip: Option<&str>,
    families: &[String],
) -> Result<Request, Refusal> {
    let annotated = annotations.get(LOAD_BALANCER_IPS).map(str::trim).filter(|list| !list.is_empty());
    let old = load_balancer_ip.filter(|text| !text.is_empty());
    let request = match (annotated, old) {
        (None, None) => return Ok(Request::default()),
        (Some(list), _) => parse_all(&annotation(LOAD_BALANCER_IPS), list.split(','))?,
        (None, Some(text)) => parse_all(LOAD_BALANCER_IP, iter::once(text))?,
    };
    if let (Some(_), Some(text)) = (annotated, old)
        && let old = parse_all(LOAD_BALANCER_IP, iter::once(text))?.addresses
        && !old.iter().all(|old| request.addresses.contains(old))
    {
        let message = format!("{} is none of the addresses in {}", text.trim(), request.field);
        let complaint = Complaint::new(message, "remove one of the two");
        return Err(Refusal::new(Reason::AddressInvalid, LOAD_BALANCER_IP, complaint));
    }
    check_families(request, families)
}

fn parse_all<'a>(field: &str, texts: impl Iterator<Item = &'a str>) -> Result<Request, Refusal> {
    let mut addresses = Vec::with_capacity(2);
    for text in texts {
        // No address is as long, and the message is to have room for the remedy.
        let text: String = text.trim().chars().take(LONGEST).collect();
        let address = parse_address(&text).and_then(|address| check_one_per_family(address, &addresses));
        let refused = |complaint| Refusal::new(Reason::AddressInvalid, field, complaint);
        addresses.push(address.map_err(refused)?);
    }
    Ok(Request { addresses, field: field.to_owned() })
}

fn check_families(request: Request, families: &[String]) -> Result<Request, Refusal> {
    let is_other = |address: &&IpAddr| !has_family(families, **address);
    let Some(other) = request.addresses.iter().find(is_other) else { return Ok(request) };
    let family = family_name(*other);
    let complaint = Complaint::new(
        format!("{other} is an {family} address, and the Service has none of those (spec.ipFamilies)"),
        format!("ask for an address of {} only, or add {family} to spec.ipFamilies", families.join(" and ")),
    );
    Err(Refusal::new(Reason::FamilyMismatch, &request.field, complaint))
}

/// Does a Service of these families have such addresses?
pub fn has_family(families: &[String], address: IpAddr) -> bool {
    families.is_empty() || families.iter().any(|family| family == family_name(address))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(annotation: &str, old: &str, families: &[&str]) -> Result<Vec<String>, (Reason, String)> {
        let annotations = BTreeMap::from([(LOAD_BALANCER_IPS.to_owned(), annotation.to_owned())]);
        let families: Vec<_> = families.iter().map(|family| (*family).to_owned()).collect();
        match read_request(&Some(annotations).into(), Some(old), &families) {
            Ok(request) => Ok(request.addresses.iter().map(IpAddr::to_string).collect()),
            Err(refusal) => Err((refusal.reason, refusal.message)),
        }
    }

    fn granted(addresses: &[&str]) -> Result<Vec<String>, (Reason, String)> {
        Ok(addresses.iter().map(|address| (*address).to_owned()).collect())
    }

    #[test]
    fn one_address_of_each_family_may_be_asked_for() {
        const BOTH: &[&str] = &["IPv4", "IPv6"];
        assert_eq!(read("", "", BOTH), granted(&[]));
        assert_eq!(read(" 192.0.2.10 , 2001:db8::10", "", BOTH), granted(&["192.0.2.10", "2001:db8::10"]));
        assert_eq!(read("", "192.0.2.10", &["IPv4"]), granted(&["192.0.2.10"]));
        assert_eq!(
            read("2001:db8::10,192.0.2.10", "192.0.2.10", BOTH),
            granted(&["2001:db8::10", "192.0.2.10"])
        );
        assert_eq!(read("192.0.2.10", "", &[]), granted(&["192.0.2.10"]), "families that are not known");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field_and_what_helps() {
        let wrong = |annotation: &str, old: &str, parts: &[&str]| {
            let (reason, message) = read(annotation, old, &["IPv4"]).expect_err("a refusal");
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            reason
        };
        const ANNOTATION: &str = "metadata.annotations[trigon.dev/load-balancer-ips]: ";
        for (list, part) in [
            ("web", "`web` is not an IP address: write"),
            ("192.0.2.10,", "`` is not an IP address"),
            ("192.0.2.10,192.0.2.11", "192.0.2.11 is the second IPv4 address"),
            ("127.0.0.1", "127.0.0.1 is a loopback address"),
            ("0.0.0.0", "0.0.0.0 is an unspecified address"),
            ("224.0.0.1", "224.0.0.1 is a multicast address"),
            ("fe80::1", "fe80::1 is a link-local address"),
            ("::ffff:192.0.2.1", "write 192.0.2.1"),
            (&"x".repeat(100_000), "xxx` is not an IP address: write"),
        ] {
            assert_eq!(wrong(list, "", &[ANNOTATION, part]), Reason::AddressInvalid);
        }
        let parts = ["spec.loadBalancerIP: `192.0.2.10,2001:db8::10` is not an IP address"];
        assert_eq!(wrong("", "192.0.2.10,2001:db8::10", &parts), Reason::AddressInvalid);
        let parts =
            ["spec.loadBalancerIP: 192.0.2.11 is none of", ANNOTATION.trim_end_matches(": "), "remove one"];
        assert_eq!(wrong("192.0.2.10", "192.0.2.11", &parts), Reason::AddressInvalid);
        let parts = ["2001:db8::10 is an IPv6 address", "an address of IPv4 only, or add IPv6"];
        assert_eq!(wrong("192.0.2.10,2001:db8::10", "", &parts), Reason::FamilyMismatch);
    }
}
