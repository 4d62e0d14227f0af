//! `decapsulate`: what a bare server's ipip device does, where the kernel has
//! none. Of IPv4 in IPv4 and IPv6 in IPv6, for addresses of this machine.

use std::{
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

/// IANA protocol numbers: IPv4 or IPv6 inside, and packets with a header of their own.
const IPV4: i32 = 4;
const IPV6: i32 = 41;
const RAW: i32 = 255;

pub fn run() -> Result<()> {
    let (v4, v6) = (Decapsulator::open(Domain::IPV4, IPV4)?, Decapsulator::open(Domain::IPV6, IPV6)?);
    println!("listening");
    thread::scope(|scope| {
        let other = scope.spawn(|| v6.serve());
        v4.serve().and(other.join().unwrap_or(Ok(())))
    })
}

struct Decapsulator {
    outer: Socket,
    inner: Socket,
}

impl Decapsulator {
    fn open(domain: Domain, protocol: i32) -> Result<Self> {
        let open = |protocol| Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)));
        let open = |protocol| open(protocol).context("opening a raw socket (are you root?)");
        Ok(Self { outer: open(protocol)?, inner: open(RAW)? })
    }

    fn serve(&self) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = match (&self.outer).read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.context("receiving")?,
            };
            // Packets that are too short, or cannot be sent, are lost, as in a kernel's device.
            if let Some((to, packet)) = self.inner(&buffer[..len]) {
                self.inner.send_to(packet, &SocketAddr::new(to, 0).into()).ok();
            }
        }
    }

    /// The packet inside, and where it goes to. Of IPv4, raw sockets give the
    /// outer header too.
    fn inner<'a>(&self, packet: &'a [u8]) -> Option<(IpAddr, &'a [u8])> {
        if self.outer.domain().ok()? == Domain::IPV6 {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            return Some((Ipv6Addr::from(to).into(), packet));
        }
        let inner = packet.get(usize::from(packet.first()? & 0xf) * 4..)?;
        let to: [u8; 4] = inner.get(16..20)?.try_into().ok()?;
        Some((Ipv4Addr::from(to).into(), inner))
    }
}
