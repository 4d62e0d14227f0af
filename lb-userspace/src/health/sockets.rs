//! The sockets of one family that send probes and receive their answers.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use lb_common::gue;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::wire::{self, ProbeQuestion};

/// `IPPROTO_RAW`: packets with their IP header, and none come in.
const RAW: i32 = 255;

pub struct ProbeSockets {
    /// Ours, with the port of `udp`.
    own: SocketAddr,
    udp: AsyncFd<UdpSocket>,
    /// Opened when first needed.
    raw: Option<Socket>,
}

impl ProbeSockets {
    /// On this address of the machine, with any port.
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

    /// Sends a probe to the node.
    pub fn send_probe(&mut self, node: IpAddr, question: &ProbeQuestion) -> io::Result<()> {
        let inner = wire::answer_packet(node, self.own, question);
        if question.is_ipip {
            let packet = wire::in_ip(self.own.ip(), node, &inner);
            self.raw_socket()?.send_to(&packet, &SocketAddr::new(node, 0).into())?;
        } else {
            self.udp.get_ref().send_to(&wire::in_gue(&inner), (node, gue::PORT))?;
        }
        Ok(())
    }

    fn raw_socket(&mut self) -> io::Result<&Socket> {
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

    /// Waits until a datagram has come since the last call.
    pub async fn readable(&self) -> io::Result<()> {
        self.udp.readable().await.map(|mut guard| guard.clear_ready())
    }

    /// An answer that has come, and the node's address; None if the datagram is not an
    /// answer, an error of kind `WouldBlock` if there is none. Asks the kernel itself,
    /// not the runtime, which may be late to know.
    pub fn receive_answer(&self) -> io::Result<Option<(IpAddr, ProbeQuestion)>> {
        let mut buffer = [0; ProbeQuestion::LEN + 1];
        let (len, from) = self.udp.get_ref().recv_from(&mut buffer)?;
        Ok(ProbeQuestion::parse(&buffer[..len]).map(|question| (from.ip(), question)))
    }
}
