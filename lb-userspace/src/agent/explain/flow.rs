//! The argument FLOW of `trigon explain`: `tcp 198.51.100.7:4242 -> 192.0.2.10:80`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use thiserror::Error;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowProtocol {
    Tcp,
    Udp,
    /// Echo, whatever the family; there are no ports.
    Icmp,
}

/// Packets from a client to what may be a VIP, both of the same family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    pub protocol: FlowProtocol,
    /// Ports are 0 where the protocol has none.
    pub client: SocketAddr,
    pub to: SocketAddr,
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FlowError {
    #[error("FLOW: {0:?} is no protocol; {GRAMMAR}")]
    Protocol(String),
    #[error("FLOW: {0:?} is not an address with a port; {GRAMMAR}")]
    WithPort(String),
    #[error("FLOW: {0:?} is not an address, which icmp needs without a port; {GRAMMAR}")]
    WithoutPort(String),
    #[error("FLOW: {0} and {1} are of different families; use two IPv4 or two IPv6 addresses")]
    Families(IpAddr, IpAddr),
    #[error("FLOW: the shell took `>` for itself; put quotes around the FLOW, or leave `->` out; {GRAMMAR}")]
    Shell,
    #[error("FLOW: {0:?} does not have a protocol, a client and a destination; {GRAMMAR}")]
    Parts(String),
}

const GRAMMAR: &str = "write PROTOCOL CLIENT -> VIP, where PROTOCOL is tcp, udp or icmp: \
     'tcp 198.51.100.7:4242 -> 192.0.2.10:80', 'udp [2001:db8::7]:4242 -> [2001:db8::10]:53', \
     'icmp 198.51.100.7 -> 192.0.2.10'";

impl FromStr for Flow {
    type Err = FlowError;

    fn from_str(text: &str) -> Result<Self, FlowError> {
        let spaced = text.replace("->", " ");
        let (protocol, client, to) = match *spaced.split_whitespace().collect::<Vec<_>>() {
            [_, _, "-"] => return Err(FlowError::Shell),
            [protocol, client, to] => (protocol, client, to),
            _ => return Err(FlowError::Parts(text.into())),
        };
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => FlowProtocol::Tcp,
            "udp" => FlowProtocol::Udp,
            "icmp" | "icmpv6" => FlowProtocol::Icmp,
            _ => return Err(FlowError::Protocol(protocol.into())),
        };
        let (client, to) = (parse_address(protocol, client)?, parse_address(protocol, to)?);
        if client.is_ipv4() != to.is_ipv4() {
            return Err(FlowError::Families(client.ip(), to.ip()));
        }
        Ok(Self { protocol, client, to })
    }
}

fn parse_address(protocol: FlowProtocol, text: &str) -> Result<SocketAddr, FlowError> {
    if protocol == FlowProtocol::Icmp {
        let addr: IpAddr = text.parse().map_err(|_| FlowError::WithoutPort(text.into()))?;
        return Ok(SocketAddr::new(addr.to_canonical(), 0));
    }
    let addr: SocketAddr = text.parse().map_err(|_| FlowError::WithPort(text.into()))?;
    // The scope of an IPv6 address is left out: it is not in packets.
    Ok(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
}

impl fmt::Display for FlowProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        })
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, client, to } = self;
        match protocol {
            FlowProtocol::Icmp => write!(f, "{protocol} {} -> {}", client.ip(), to.ip()),
            _ => write!(f, "{protocol} {client} -> {to}"),
        }
    }
}

#[cfg(test)]
mod tests;
