//! Options of BGP's TCP sockets: TTLs, MD5, source addresses, devices.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::AsFd,
};

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    os::sockopt,
    protocols::bgp::config::{Password, PeerConfig, Remote, RemoteAs},
};

/// `linux/tcp.h`: `struct tcp_md5sig`
#[repr(C)]
struct Md5Signature {
    address: SockAddrStorage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    ifindex: i32,
    key: [u8; libc::TCP_MD5SIG_MAXKEYLEN],
}

/// A socket to connect to the peer with, and the address to connect to.
pub fn open_outgoing(config: &PeerConfig, address: IpAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket =
        Socket::new(Domain::for_address(SocketAddr::new(address, 0)), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    set_options(&socket, config, address)?;
    if let Some(password) = &config.password {
        set_md5_key(&socket, address, Some(password))?;
    }
    let interface = peer_interface(config);
    let scope = match interface {
        Some(name) if is_link_local(address) => sockopt::interface_index(name)?,
        Some(name) => {
            socket.bind_device(Some(name.as_bytes()))?;
            0
        }
        None => 0,
    };
    if let Some(source) = config.source {
        socket.bind(&scoped_address(source, 0, if is_link_local(source) { scope } else { 0 }).into())?;
    }
    Ok((TcpSocket::from_std_stream(socket.into()), scoped_address(address, config.port, scope)))
}

/// Sets the options of a connection that the peer has made, as of our own.
pub fn prepare_accepted(stream: &TcpStream, config: &PeerConfig, address: IpAddr) -> io::Result<()> {
    set_options(&SockRef::from(stream), config, address)
}

fn set_options(socket: &Socket, config: &PeerConfig, address: IpAddr) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(hops) = config.ttl_security {
        set_ttl(socket, address, 255)?;
        // RFC 5082: packets are sent with 255, and lose one at each router.
        return set_minimum_ttl(socket, address, 256 - i32::from(hops.max(1)));
    }
    match (is_internal(config), config.multihop) {
        (true, _) => Ok(()),
        (false, true) => set_ttl(socket, address, 255),
        (false, false) => set_ttl(socket, address, 1),
    }
}

/// Is the peer of our AS, as far as that is known before its OPEN?
fn is_internal(config: &PeerConfig) -> bool {
    match config.remote_as {
        RemoteAs::Number(asn) => asn == config.local_as,
        RemoteAs::Internal => true,
        RemoteAs::External => false,
    }
}

pub fn set_ttl(socket: &Socket, address: IpAddr, ttl: u32) -> io::Result<()> {
    match address {
        IpAddr::V4(_) => socket.set_ttl_v4(ttl),
        IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl),
    }
}

fn set_minimum_ttl(socket: &Socket, address: IpAddr, ttl: i32) -> io::Result<()> {
    match address {
        IpAddr::V4(_) => sockopt::set_option(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &ttl),
        IpAddr::V6(_) => sockopt::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &ttl),
    }
}

/// Sets the password with which segments to and from that address must be signed (RFC 2385);
/// None removes it.
pub fn set_md5_key(socket: &impl AsFd, address: IpAddr, password: Option<&Password>) -> io::Result<()> {
    let key = password.map_or(&[][..], Password::bytes);
    let mut signature = Md5Signature {
        address: SockAddr::from(SocketAddr::new(address, 0)).as_storage(),
        flags: 0,
        prefix_length: 0,
        key_length: 0,
        ifindex: 0,
        key: [0; libc::TCP_MD5SIG_MAXKEYLEN],
    };
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a TCP MD5 password has 80 bytes at most");
    signature.key.get_mut(..key.len()).ok_or_else(too_long)?.copy_from_slice(key);
    signature.key_length = u16::try_from(key.len()).map_err(|_| too_long())?;
    match sockopt::set_option(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &signature) {
        // There was no password to remove.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) && password.is_none() => Ok(()),
        result => result,
    }
}

/// The interface that the peer is on, if it is configured.
pub fn peer_interface(config: &PeerConfig) -> Option<&str> {
    match &config.remote {
        Remote::Address { interface, .. } => interface.as_deref(),
        Remote::Interface(interface) => Some(interface),
    }
}

pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn scoped_address(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope).into(),
    }
}

/// The address to listen on: all addresses of a family.
pub fn wildcard_address(is_v6: bool, port: u16) -> SocketAddr {
    let address = if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { std::net::Ipv4Addr::UNSPECIFIED.into() };
    SocketAddr::new(address, port)
}
