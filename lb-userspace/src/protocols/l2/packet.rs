//! Packet sockets: questions come in and answers go out by them, past the
//! kernel's own ARP and neighbour discovery, which knows nothing of VIPs.

use std::{io, mem::size_of, os::fd::AsFd};

use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::wire::{ARP_REQUEST, ETH_P_ARP, ETH_P_IPV6, ICMPV6, SOLICITATION};

/// Enough for every question; what is longer is none.
pub const LONGEST: usize = 256;

pub struct PacketSocket(AsyncFd<Socket>);

impl PacketSocket {
    /// On one interface. Hears only ARP requests, or neighbour solicitations:
    /// the kernel sorts out all else.
    pub fn open(is_v4: bool, ifindex: u32) -> io::Result<Self> {
        let (protocol, filter) =
            if is_v4 { (ETH_P_ARP, arp_requests()) } else { (ETH_P_IPV6, solicitations()) };
        // Of no protocol until the filter is there: nothing slips past it.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter)?;
        socket.bind(&address(protocol, ifindex)?)?;
        // SAFETY: the socket owns its descriptor and never exchanges it.
        Ok(Self(unsafe { AsyncFd::register(socket) }?))
    }

    /// Waits until something has come since the last time. Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await.map(|mut guard| guard.clear_ready())
    }

    /// The length of a frame that has come; none: there is none left.
    pub fn receive(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::net::recv(self.0.get_ref().as_fd(), frame, rustix::net::RecvFlags::empty()) {
            Ok((len, _)) => Ok(Some(len)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.get_ref().send(frame).map(drop)
    }
}

fn address(protocol: u16, ifindex: u32) -> io::Result<SockAddr> {
    // SAFETY: what is written is a whole `sockaddr_ll`, and fits.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol.to_be();
            address.sll_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
            storage.cast::<libc::sockaddr_ll>().write(address);
            *len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }?;
    Ok(address)
}

// Classic BPF (`linux/bpf_common.h`, `linux/filter.h`).
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// To whom the frame was, as `sll_pkttype`.
const PACKET_TYPE: u32 = 0xffff_f004;
/// To somebody else's address, or of a VLAN that this machine is not in.
const OTHER_HOST: u32 = 3;

const WHOLE: u32 = 0xffff;
const NOTHING: u32 = 0;

/// Loads, each with what must be there.
fn filter(demands: &[(u16, u32, u32)]) -> Vec<SockFilter> {
    let drop_at = 2 * demands.len() + 3;
    let mut program = vec![
        SockFilter::new(LOAD_WORD, 0, 0, PACKET_TYPE),
        SockFilter::new(JUMP_IF_EQUAL, (drop_at - 2) as u8, 0, OTHER_HOST),
    ];
    for (load, at, value) in demands {
        program.push(SockFilter::new(*load, 0, 0, *at));
        let to_drop = (drop_at - program.len() - 1) as u8;
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, to_drop, *value));
    }
    program.push(SockFilter::new(RETURN, 0, 0, WHOLE));
    program.push(SockFilter::new(RETURN, 0, 0, NOTHING));
    program
}

fn arp_requests() -> Vec<SockFilter> {
    filter(&[(LOAD_HALF, 20, ARP_REQUEST.into())])
}

fn solicitations() -> Vec<SockFilter> {
    filter(&[(LOAD_BYTE, 20, ICMPV6.into()), (LOAD_BYTE, 54, SOLICITATION.into())])
}
