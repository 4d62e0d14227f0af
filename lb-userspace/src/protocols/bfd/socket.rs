//! The UDP sockets of BFD (RFC 5881, section 4; RFC 5883, section 5).

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
};

use rustix::net::netdevice;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::{SessionKey, demux::MAX_TTL};
use crate::os::{random::random_number, sockopt};

const SINGLE_HOP: u16 = 3784;
const MULTIHOP: u16 = 4784;
/// The lowest source port allowed (RFC 5881, section 4).
const FIRST_SOURCE_PORT: u16 = 49152;
/// DSCP CS6 ("network control", RFC 2474) as TOS byte: routers may queue it with priority.
const CS6: u32 = 0xc0;
/// Length in bytes that no control packet exceeds, authenticated or not.
const MAX_PACKET: usize = 64;

/// A UDP port to listen on: one of the two of BFD, in one address family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ListenPort {
    pub is_v4: bool,
    pub is_multihop: bool,
}

impl ListenPort {
    pub fn for_session(key: &SessionKey) -> Self {
        Self { is_v4: key.remote.is_ipv4(), is_multihop: key.multihop }
    }

    pub fn number(self) -> u16 {
        if self.is_multihop { MULTIHOP } else { SINGLE_HOP }
    }
}

/// The socket that receives for all sessions that share a port.
pub struct Receiver(AsyncFd<Socket>);

/// A datagram, and how it arrived.
#[derive(Debug)]
pub struct Datagram {
    bytes: [u8; MAX_PACKET],
    len: usize,
    pub from: IpAddr,
    pub to: IpAddr,
    pub ifindex: u32,
    pub ttl: u8,
}

impl Datagram {
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Receiver {
    /// Opens the port in the network namespace of the calling thread.
    pub fn open(port: ListenPort) -> io::Result<Self> {
        let socket = open_udp_socket(port.is_v4)?;
        let on: libc::c_int = 1;
        let options = if port.is_v4 {
            [(libc::IPPROTO_IP, libc::IP_RECVTTL), (libc::IPPROTO_IP, libc::IP_PKTINFO)]
        } else {
            let level = libc::IPPROTO_IPV6;
            [(level, libc::IPV6_RECVHOPLIMIT), (level, libc::IPV6_RECVPKTINFO)]
        };
        for (level, name) in options {
            sockopt::set_option(&socket, level, name, &on)?;
        }
        socket.bind(&SocketAddr::new(unspecified_address(port.is_v4), port.number()).into())?;
        // SAFETY: the socket owns its descriptor and never exchanges it.
        Ok(Self(unsafe { AsyncFd::register(socket) }?))
    }

    /// Waits until a datagram has arrived since the last call. Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await.map(|mut guard| guard.clear_ready())
    }

    /// The next datagram; None if none is waiting. Asks the kernel and not the runtime,
    /// which may not have noticed an arrival yet.
    pub fn receive(&self) -> io::Result<Option<Datagram>> {
        loop {
            match receive_datagram(self.0.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                result => return result.map(Some),
            }
        }
    }

    pub fn interface_name(&self, ifindex: u32) -> Option<String> {
        netdevice::index_to_name(self.0.get_ref(), ifindex).ok()
    }
}

/// Buffer for the requested control messages, aligned as they must be.
#[repr(C, align(8))]
struct ControlBuffer([u8; 128]);

fn receive_datagram(socket: &Socket) -> io::Result<Datagram> {
    let mut bytes = [0; MAX_PACKET];
    let mut control = ControlBuffer([0; 128]);
    let mut room = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: zeros are a valid value of this struct of numbers and pointers.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut room;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: all that `message` points to outlives the call, and is as long
    // as it says; the kernel writes an address, and how long it is.
    let (len, from) = unsafe {
        SockAddr::try_init(|address, address_len| {
            (message.msg_name, message.msg_namelen) = (address.cast(), *address_len);
            let len = libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0);
            *address_len = message.msg_namelen;
            usize::try_from(len).map_err(|_| io::Error::last_os_error())
        })
    }?;
    let from = from.as_socket().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |from| from.ip());
    let mut datagram =
        Datagram { bytes, len, from, to: unspecified_address(from.is_ipv4()), ifindex: 0, ttl: 0 };
    read_control_messages(&message, &mut datagram);
    Ok(datagram)
}

fn read_control_messages(message: &libc::msghdr, datagram: &mut Datagram) {
    // SAFETY: the kernel has filled the buffer that `message` points to with
    // `msg_controllen` bytes of messages.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return whole messages in the
        // buffer, or null; each is as long as its level and type imply.
        unsafe {
            let data = libc::CMSG_DATA(next);
            match ((*next).cmsg_level, (*next).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    datagram.ttl = data.cast::<libc::c_int>().read_unaligned() as u8;
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    datagram.ifindex = info.ipi_ifindex as u32;
                    datagram.to = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    datagram.ifindex = info.ipi6_ifindex;
                    datagram.to = Ipv6Addr::from(info.ipi6_addr.s6_addr).into();
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
}

/// Sends for one session, always from the same source port. The socket is opened when
/// it is needed, and anew after a failure: address or interface may come and go.
pub struct Sender {
    key: SessionKey,
    /// Source port; chosen when the first packet is sent.
    port: Option<u16>,
    open: Option<(Socket, SocketAddr)>,
}

impl Sender {
    pub fn new(key: SessionKey) -> Self {
        Self { key, port: None, open: None }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (socket, to) = match self.open.take() {
            Some(open) => open,
            None => self.open_socket()?,
        };
        match socket.send_to(bytes, &to.into()) {
            // A full queue is no failure: BFD tolerates a lost packet.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => {
                self.open = Some((socket, to));
                Ok(())
            }
        }
    }

    fn open_socket(&mut self) -> io::Result<(Socket, SocketAddr)> {
        let key = &self.key;
        let is_v4 = key.remote.is_ipv4();
        let socket = open_udp_socket(is_v4)?;
        let ifindex = match key.interface.as_deref() {
            Some(name) => netdevice::name_to_index(&socket, name)?,
            None => 0,
        };
        socket.bind_device(key.interface.as_deref().map(str::as_bytes))?;
        if is_v4 {
            socket.set_ttl_v4(MAX_TTL.into())?;
            socket.set_tos_v4(CS6)?;
        } else {
            socket.set_unicast_hops_v6(MAX_TTL.into())?;
            socket.set_tclass_v6(CS6)?;
        }
        // The socket only sends; nothing is read from it.
        socket.set_recv_buffer_size(1)?;
        let local = key.local.unwrap_or(unspecified_address(is_v4));
        self.port = Some(bind_source_port(&socket, |port| scoped_address(local, port, ifindex), self.port)?);
        Ok((socket, scoped_address(key.remote, ListenPort::for_session(key).number(), ifindex)))
    }
}

/// Binds to this port, or without one to the first free port after a random one.
fn bind_source_port(
    socket: &Socket,
    address: impl Fn(u16) -> SocketAddr,
    port: Option<u16>,
) -> io::Result<u16> {
    if let Some(port) = port {
        return socket.bind(&address(port).into()).map(|()| port);
    }
    let ports = u16::MAX - FIRST_SOURCE_PORT;
    let start = random_number()? as u16 % ports;
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for offset in 0..ports {
        let port = FIRST_SOURCE_PORT + ((u32::from(start) + u32::from(offset)) % u32::from(ports)) as u16;
        result = socket.bind(&address(port).into()).map(|()| port);
        if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    result
}

fn open_udp_socket(is_v4: bool) -> io::Result<Socket> {
    let socket =
        Socket::new(if is_v4 { Domain::IPV4 } else { Domain::IPV6 }, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if !is_v4 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn unspecified_address(is_v4: bool) -> IpAddr {
    if is_v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn scoped_address(address: IpAddr, port: u16, ifindex: u32) -> SocketAddr {
    let mut address = SocketAddr::new(address, port);
    if let SocketAddr::V6(address) = &mut address {
        // The kernel ignores the scope of addresses that are not link-local.
        address.set_scope_id(ifindex);
    }
    address
}
