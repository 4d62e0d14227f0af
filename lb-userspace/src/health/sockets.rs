//! The sockets that probes leave and answers come by, of one family.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use lb_common::gue;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::wire::{self, Question};

/// `IPPROTO_RAW`: packets with their IP header, and none come in.
const RAW: i32 = 255;

pub struct Sockets {
    /// Ours, with the port of `udp`.
    own: SocketAddr,
    udp: AsyncFd<UdpSocket>,
    /// Opened when first needed.
    raw: Option<Socket>,
}

impl Sockets {
    /// On this address of ours.
    pub fn open(own: IpAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind((own, 0))?;
        udp.set_nonblocking(true)?;
        let own = udp.local_addr()?;
        // SAFETY: the socket owns its descriptor and never exchanges it.
        let udp = unsafe { AsyncFd::register(udp) }.map_err(io::Error::from)?;
        Ok(Self { own, udp, raw: None })
    }

    pub fn address(&self) -> IpAddr {
        self.own.ip()
    }

    pub fn send(&mut self, node: IpAddr, question: &Question) -> io::Result<()> {
        let inner = wire::answer(node, self.own, question);
        if question.is_ipip {
            let packet = wire::in_ip(self.own.ip(), node, &inner);
            self.raw()?.send_to(&packet, &SocketAddr::new(node, 0).into())?;
        } else {
            self.udp.get_ref().send_to(&wire::in_gue(&inner), (node, gue::PORT))?;
        }
        Ok(())
    }

    fn raw(&mut self) -> io::Result<&Socket> {
        let raw = match self.raw.take() {
            Some(raw) => raw,
            None => {
                let raw = Socket::new(Domain::for_address(self.own), Type::RAW, Some(Protocol::from(RAW)))?;
                raw.set_nonblocking(true)?;
                raw
            }
        };
        Ok(self.raw.insert(raw))
    }

    /// Waits until something has come since the last time.
    pub async fn readable(&self) -> io::Result<()> {
        self.udp.readable().await.map(|mut guard| guard.clear_ready())
    }

    /// An answer that has come, and from whom. Asks the kernel itself, not the
    /// runtime, which may be late to know.
    pub fn receive(&self) -> io::Result<Option<(IpAddr, Question)>> {
        let mut buffer = [0; Question::LEN + 1];
        let (len, from) = self.udp.get_ref().recv_from(&mut buffer)?;
        Ok(Question::parse(&buffer[..len]).map(|question| (from.ip(), question)))
    }
}
