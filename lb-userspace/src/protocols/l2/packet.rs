//! Packet sockets, which receive questions and send answers past the kernel's own ARP and
//! neighbour discovery, which do not know the VIPs.

use std::{io, mem::size_of, os::fd::AsFd};

use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::wire::{ARP_REQUEST, ETH_P_ARP, ETH_P_IPV6, ICMPV6, SOLICITATION};

/// Bytes; no question is longer.
pub const LONGEST: usize = 256;

pub struct PacketSocket(AsyncFd<Socket>);

impl PacketSocket {
    /// Opens a socket on one interface. It receives only ARP requests, or only neighbour
    /// solicitations: a filter in the kernel drops everything else.
    pub fn open(is_v4: bool, ifindex: u32) -> io::Result<Self> {
        let (protocol, filter) =
            if is_v4 { (ETH_P_ARP, arp_request_filter()) } else { (ETH_P_IPV6, solicitation_filter()) };
        // Until it is bound, the socket has no protocol and receives nothing: so no frame
        // comes in past the filter.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter)?;
        socket.bind(&packet_address(protocol, ifindex)?)?;
        // SAFETY: the socket owns its descriptor and never exchanges it.
        Ok(Self(unsafe { AsyncFd::register(socket) }?))
    }

    /// Waits until a frame has arrived since the last call. Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await.map(|mut guard| guard.clear_ready())
    }

    /// Receives a frame and returns its length in bytes; None if none is waiting.
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

fn packet_address(protocol: u16, ifindex: u32) -> io::Result<SockAddr> {
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
/// Offset of the packet type (`sll_pkttype`).
const PACKET_TYPE: u32 = 0xffff_f004;
/// `PACKET_OTHERHOST`: the frame is for another MAC address, or of a VLAN that this machine
/// has no device for.
const OTHER_HOST: u32 = 3;

const ACCEPT: u32 = 0xffff;
const REJECT: u32 = 0;

/// A filter program that accepts frames not for other hosts that meet all demands. A demand
/// is a load instruction, an offset and the value that must be there.
fn build_filter(demands: &[(u16, u32, u32)]) -> Vec<SockFilter> {
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
    program.push(SockFilter::new(RETURN, 0, 0, ACCEPT));
    program.push(SockFilter::new(RETURN, 0, 0, REJECT));
    program
}

fn arp_request_filter() -> Vec<SockFilter> {
    build_filter(&[(LOAD_HALF, 20, ARP_REQUEST.into())])
}

fn solicitation_filter() -> Vec<SockFilter> {
    build_filter(&[(LOAD_BYTE, 20, ICMPV6.into()), (LOAD_BYTE, 54, SOLICITATION.into())])
}
