//! Single values: addresses, ports, protocols.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    model::{Problem, Protocol},
    source::ObjectRef,
};

/// What is wrong with a value, before it is known whose it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint {
    pub message: String,
    pub remedy: String,
}

impl Complaint {
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }

    pub fn about(self, object: &ObjectRef, field: impl Into<String>) -> Problem {
        object.problem(field, self.message, self.remedy)
    }
}

/// An address that another machine can send packets to.
pub fn address(text: &str) -> Result<IpAddr, Complaint> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let message = format!("`{text}` is not an IP address");
        return Err(Complaint::new(message, "write an address such as 192.0.2.10 or 2001:db8::10"));
    };
    if address.to_canonical() != address {
        let message = format!("{address} is an IPv4 address in IPv6 clothes");
        return Err(Complaint::new(message, format!("write {}", address.to_canonical())));
    }
    match not_for_hosts(address) {
        None => Ok(address),
        Some(class) => {
            let message = format!("{address} is {class} address");
            Err(Complaint::new(message, "use an address that other machines can send to"))
        }
    }
}

fn not_for_hosts(address: IpAddr) -> Option<&'static str> {
    let (link_local, this_network) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[0] == 0),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), false),
    };
    if address.is_unspecified() || this_network {
        Some("an unspecified")
    } else if address.is_loopback() {
        Some("a loopback")
    } else if address.is_multicast() {
        Some("a multicast")
    } else if link_local {
        Some("a link-local")
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("the broadcast")
    } else {
        None
    }
}

pub fn port(number: i32) -> Result<u16, Complaint> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Complaint::new(format!("{number} is not a port"), "use a number from 1 to 65535"))
}

/// TCP unless something else is written, as in Kubernetes.
pub fn protocol(text: Option<&str>) -> Result<Protocol, Complaint> {
    match text {
        None | Some("" | "TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some(other) => Err(Complaint::new(format!("`{other}` is not supported"), "use TCP or UDP")),
    }
}

/// `IPv4` or `IPv6`, as `addressType` names it.
pub fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
