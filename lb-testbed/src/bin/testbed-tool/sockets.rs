//! Sockets that the standard library cannot make.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::AsFd,
};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes, beyond `net.core.rmem_max`: packets lost here would be counted as lost on the network.
const UDP_BUFFER: usize = 16 << 20;
const BACKLOG: i32 = 4096;

/// Any address of both families, as servers listen.
fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)
}

/// A UDP socket with a large receive buffer, bound to both families.
pub fn udp_server(port: u16) -> Result<std::net::UdpSocket> {
    let socket = udp(Domain::IPV6)?;
    socket.set_only_v6(false)?;
    socket.bind(&anywhere(port).into()).with_context(|| format!("binding UDP port {port}"))?;
    Ok(socket.into())
}

/// A connected UDP socket with a large receive buffer.
pub fn udp_client(source: Option<IpAddr>, port: u16, target: SocketAddr) -> Result<std::net::UdpSocket> {
    let socket = udp(Domain::for_address(target))?;
    let source = source.unwrap_or(unspecified_like(target));
    let source = SocketAddr::new(source, port);
    socket.bind(&source.into()).with_context(|| format!("binding {source}"))?;
    socket.connect(&target.into()).with_context(|| format!("connecting to {target}"))?;
    Ok(socket.into())
}

fn udp(domain: Domain) -> Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).context("opening a UDP socket")?;
    setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &UDP_BUFFER)
        .context("SO_RCVBUFFORCE (are you root?)")?;
    Ok(socket)
}

/// A listening socket of both families that does not block.
pub fn tcp_server(port: u16) -> Result<mio::net::TcpListener> {
    let socket =
        Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).context("opening a TCP socket")?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&anywhere(port).into()).with_context(|| format!("binding TCP port {port}"))?;
    socket.listen(BACKLOG)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

/// A connection that is being opened, from a chosen address.
pub fn tcp_client(source: Option<IpAddr>, target: SocketAddr) -> Result<mio::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into()).with_context(|| format!("binding {source}"))?;
    }
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => {
            Err(error.into())
        }
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

/// Those addresses that can talk to `target`.
pub fn of_family(addresses: &[IpAddr], target: SocketAddr) -> Result<Vec<IpAddr>> {
    let usable: Vec<_> = addresses.iter().copied().filter(|a| a.is_ipv4() == target.is_ipv4()).collect();
    ensure!(addresses.is_empty() || !usable.is_empty(), "no source address of the family of {target}");
    Ok(usable)
}

fn unspecified_like(target: SocketAddr) -> IpAddr {
    if target.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}
