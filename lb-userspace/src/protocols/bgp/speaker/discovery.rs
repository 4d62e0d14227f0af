//! Finds unnumbered peers on an interface: by their router advertisements (RFC 4861), or by
//! their answer to an ICMPv6 echo request to all routers. They find us by our router advertisements.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{net::UdpSocket, time::Interval};
use tracing::warn;

use crate::os::moment::ticks_every;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// The identifier of our echo requests.
const ECHO_IDENTIFIER: [u8; 2] = *b"tg";
/// Time between our advertisements, solicitations and echo requests.
const INTERVAL: Duration = Duration::from_secs(10);

pub struct Discovery {
    interface: Arc<str>,
    /// None: the socket could not be opened yet.
    open: Option<DiscoverySocket>,
    tick: Interval,
    is_warned: bool,
}

struct DiscoverySocket {
    /// A raw ICMPv6 socket; the kernel computes its checksums.
    socket: UdpSocket,
    index: u32,
}

impl Discovery {
    pub fn new(interface: &Arc<str>) -> Self {
        Self { interface: interface.clone(), open: None, tick: ticks_every(INTERVAL), is_warned: false }
    }

    /// Waits for a router and returns its link-local address; the same one again and again.
    /// Cancel safe.
    pub async fn next_router(&mut self) -> IpAddr {
        loop {
            let mut bytes = [0; 1500];
            tokio::select! {
                _ = self.tick.tick() => self.send_probes(),
                received = receive_message(self.open.as_ref(), &mut bytes) => match received {
                    Ok((len, from)) => {
                        if let Some(address) = self.process_message(&bytes[..len], from) {
                            return address;
                        }
                    }
                    // The interface may be gone: the next tick opens a new socket.
                    Err(_) => self.open = None,
                },
            }
        }
    }

    fn send_probes(&mut self) {
        if self.open.is_none() {
            match DiscoverySocket::new(&self.interface) {
                Ok(open) => (self.open, self.is_warned) = (Some(open), false),
                Err(error) if !self.is_warned => {
                    warn!(interface = %self.interface, %error, "routers can't be discovered on the interface");
                    self.is_warned = true;
                }
                Err(_) => {}
            }
        }
        if let Some(open) = &self.open {
            let messages = [
                (&router_solicitation()[..], ALL_ROUTERS),
                (&router_advertisement(), ALL_NODES),
                (&echo_request(), ALL_ROUTERS),
            ];
            if messages.into_iter().try_for_each(|(message, to)| open.send(message, to)).is_err() {
                self.open = None;
            }
        }
    }

    fn process_message(&self, bytes: &[u8], from: SocketAddr) -> Option<IpAddr> {
        let SocketAddr::V6(from) = from else { return None };
        let is_router = match bytes {
            [SOLICITATION, ..] => {
                if let Some(open) = &self.open {
                    let _ = open.send(&router_advertisement(), ALL_NODES);
                }
                false
            }
            [ADVERTISEMENT, ..] => true,
            [ECHO_REPLY, _, _, _, a, b, ..] => [*a, *b] == ECHO_IDENTIFIER,
            _ => false,
        };
        (is_router && from.ip().is_unicast_link_local()).then_some((*from.ip()).into())
    }
}

impl DiscoverySocket {
    fn new(interface: &str) -> io::Result<Self> {
        let index = crate::os::sockopt::interface_index(interface)?;
        let raw = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        raw.set_nonblocking(true)?;
        raw.bind_device(Some(interface.as_bytes()))?;
        raw.set_multicast_hops_v6(255)?;
        raw.set_unicast_hops_v6(255)?;
        raw.set_multicast_loop_v6(false)?;
        raw.join_multicast_v6(&ALL_ROUTERS, index)?;
        Ok(Self { socket: UdpSocket::from_std(raw.into())?, index })
    }

    fn send(&self, message: &[u8], to: Ipv6Addr) -> io::Result<()> {
        SockRef::from(&self.socket)
            .send_to(message, &SocketAddrV6::new(to, 0, 0, self.index).into())
            .map(drop)
    }
}

async fn receive_message(
    open: Option<&DiscoverySocket>,
    bytes: &mut [u8],
) -> io::Result<(usize, SocketAddr)> {
    match open {
        Some(open) => open.socket.recv_from(bytes).await,
        None => std::future::pending().await,
    }
}

fn router_solicitation() -> [u8; 8] {
    [SOLICITATION, 0, 0, 0, 0, 0, 0, 0]
}

/// A router advertisement with router lifetime 0, so that no host uses us as default router
/// (RFC 4861, section 4.2).
fn router_advertisement() -> [u8; 16] {
    let mut message = [0; 16];
    message[0] = ADVERTISEMENT;
    message
}

fn echo_request() -> [u8; 8] {
    let [a, b] = ECHO_IDENTIFIER;
    [ECHO_REQUEST, 0, 0, 0, a, b, 0, 0]
}
