//! Single values: addresses, ports, protocols.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::objects::{
    model::{Problem, Protocol},
    source::ObjectRef,
};

/// What is wrong with a value, without the object and field that it is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint {
    pub message: String,
    pub remedy: String,
    /// See [`Problem::left_out`].
    pub left_out: bool,
}

impl Complaint {
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into(), left_out: false }
    }

    /// Of what Kubernetes allows, and Trigon leaves out.
    pub fn left_out(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { left_out: true, ..Self::new(message, remedy) }
    }

    pub fn into_problem(self, object: &ObjectRef, field: impl Into<String>) -> Problem {
        Problem { left_out: self.left_out, ..object.problem(field, self.message, self.remedy) }
    }
}

/// An address that packets from anywhere can be sent to.
pub fn parse_address(text: &str) -> Result<IpAddr, Complaint> {
    parse_address_unless(text, |_| true)
}

/// An address that a session can be had with, on this link or this machine too.
pub fn parse_host(text: &str) -> Result<IpAddr, Complaint> {
    parse_address_unless(text, |class| !matches!(class, AddressClass::Loopback | AddressClass::LinkLocal))
}

fn parse_address_unless(text: &str, is_bad: impl Fn(AddressClass) -> bool) -> Result<IpAddr, Complaint> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let message = format!("`{text}` is not an IP address");
        return Err(Complaint::new(message, "write an address such as 192.0.2.10 or 2001:db8::10"));
    };
    if address.to_canonical() != address {
        let message = format!("{address} is an IPv4-mapped IPv6 address");
        return Err(Complaint::new(message, format!("write {}", address.to_canonical())));
    }
    match address_class(address).filter(|class| is_bad(*class)) {
        None => Ok(address),
        Some(class) => {
            let message = format!("{address} is {} address", class.name());
            Err(Complaint::new(message, "use an address that other machines can send to"))
        }
    }
}

/// Addresses that belong to no single host, or not to the same one everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AddressClass {
    Unspecified,
    Loopback,
    Multicast,
    LinkLocal,
    Broadcast,
}

impl AddressClass {
    fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "an unspecified",
            Self::Loopback => "a loopback",
            Self::Multicast => "a multicast",
            Self::LinkLocal => "a link-local",
            Self::Broadcast => "the broadcast",
        }
    }
}

fn address_class(address: IpAddr) -> Option<AddressClass> {
    let (link_local, this_network) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[0] == 0),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), false),
    };
    if address.is_unspecified() || this_network {
        Some(AddressClass::Unspecified)
    } else if address.is_loopback() {
        Some(AddressClass::Loopback)
    } else if address.is_multicast() {
        Some(AddressClass::Multicast)
    } else if link_local {
        Some(AddressClass::LinkLocal)
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some(AddressClass::Broadcast)
    } else {
        None
    }
}

/// A range of clients' addresses; bits behind its prefix are ignored.
pub fn parse_source_range(text: &str) -> Result<IpNet, Complaint> {
    text.parse::<IpNet>().map(|range| range.trunc()).map_err(|_| {
        let message = format!("`{text}` is not a range of addresses");
        Complaint::new(message, "write one such as 198.51.100.0/24 or 2001:db8::/32")
    })
}

pub fn check_port(number: i32) -> Result<u16, Complaint> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Complaint::new(format!("{number} is not a port"), "use a number from 1 to 65535"))
}

/// TCP unless something else is written, as in Kubernetes.
pub fn parse_protocol(text: Option<&str>) -> Result<Protocol, Complaint> {
    match text {
        None | Some("" | "TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Err(Complaint::left_out("`SCTP` is not supported", "use TCP or UDP")),
        Some(other) => Err(Complaint::new(format!("`{other}` is not a protocol"), "use TCP or UDP")),
    }
}

/// `IPv4` or `IPv6`, as `addressType` names it.
pub fn family_name(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
