//! Raw sockets for the ICMP errors that this machine gets.

use std::{io, os::fd::OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, ipproto, recv, socket_with};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
};

use super::{PathMtuReport, errors};
use crate::os::sockopt;

/// Room in bytes for an ICMP error of either family, whatever it quotes.
const LONGEST: usize = 1500;

/// `linux/icmp.h` and `linux/icmpv6.h`: a bit for every type that is not
/// wanted.
const ICMP_FILTER: libc::c_int = 1;
const ICMPV6_FILTER: libc::c_int = 1;
const SOL_RAW: libc::c_int = 255;
const UNREACHABLE: u32 = 3;
const PACKET_TOO_BIG: u32 = 2;

/// Sends a report for each ICMP error about a tunnel packet, until a socket fails.
/// A report that nobody takes in time is lost: routers repeat the error for later packets.
///
/// The sockets belong to the network namespace of the thread that first polls
/// the future. Needs CAP_NET_RAW.
pub async fn listen(reports: mpsc::Sender<PathMtuReport>) -> io::Result<()> {
    let v4 = Socket::open(AddressFamily::INET)?;
    let v6 = Socket::open(AddressFamily::INET6)?;
    let (mut bytes_v4, mut bytes_v6) = ([0; LONGEST], [0; LONGEST]);
    loop {
        let report = tokio::select! {
            len = v4.receive(&mut bytes_v4) => errors::parse_v4(bytes_v4.get(..len?).unwrap_or_default()),
            len = v6.receive(&mut bytes_v6) => errors::parse_v6(bytes_v6.get(..len?).unwrap_or_default()),
        };
        if let Some(report) = report {
            let _ = reports.try_send(report);
        }
    }
}

struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    fn open(family: AddressFamily) -> io::Result<Self> {
        let protocol = if family == AddressFamily::INET { ipproto::ICMP } else { ipproto::ICMPV6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
        if family == AddressFamily::INET {
            sockopt::set_option(&socket, SOL_RAW, ICMP_FILTER, &!(1u32 << UNREACHABLE))?;
        } else {
            let mut unwanted = [u32::MAX; 8];
            unwanted[0] = !(1 << PACKET_TOO_BIG);
            sockopt::set_option(&socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &unwanted)?;
        }
        // SAFETY: the AsyncFd owns the descriptor, which stays open with it.
        Ok(Self(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?))
    }

    /// Receives one packet and returns its length in bytes. Cancel safe.
    async fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            let read = |socket: &AsyncFd<OwnedFd>| {
                let (len, _) = recv(socket.get_ref(), &mut *bytes, RecvFlags::empty())?;
                Ok(len)
            };
            match ready.try_io(read) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return result,
                Err(_) => {}
            }
        }
    }
}
