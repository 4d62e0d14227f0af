//! `udp-echo`

use std::{
    io::{IoSlice, IoSliceMut},
    net::SocketAddr,
    os::fd::AsRawFd,
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Args;
use nix::{
    libc::in6_pktinfo,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt, sockopt,
    },
};

use crate::{sockets, sources::SourceLog};

#[derive(Args)]
pub struct UdpEchoArgs {
    #[arg(long)]
    pub port: u16,
    /// Put before each answer
    #[arg(long, default_value = "echo")]
    pub name: String,
    /// A file for the distinct addresses that datagrams came from
    #[arg(long)]
    pub sources: Option<PathBuf>,
}

pub fn run(options: &UdpEchoArgs) -> Result<()> {
    let socket = sockets::udp_server(options.port)?;
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true).context("IPV6_RECVPKTINFO")?;
    let mut sources = SourceLog::open(options.sources.as_deref())?;
    // `<name> <datagram>` in one buffer: the name stays, datagrams come and go behind it.
    let mut buffer = format!("{} ", options.name).into_bytes();
    let start = buffer.len();
    buffer.resize(start + 65_536, 0);
    println!("listening on {}", options.port);
    loop {
        let asked = receive(&socket, &mut buffer[start..]).context("receiving")?;
        sources.note(SocketAddr::V6(asked.from.into()))?;
        if let Err(error) = answer(&socket, &buffer[..start + asked.length], &asked) {
            eprintln!("answering {}: {error}", asked.from);
        }
    }
}

/// A datagram: who sent it, and to which of our addresses.
struct Asked {
    length: usize,
    from: SockaddrIn6,
    to: Option<in6_pktinfo>,
}

fn receive(socket: &std::net::UdpSocket, buffer: &mut [u8]) -> Result<Asked> {
    let mut control = nix::cmsg_space!(in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let to = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(info),
        _ => None,
    });
    Ok(Asked { length: message.bytes, from: message.address.context("from nobody")?, to })
}

/// From the address that was asked, which may be one of several, as on a
/// server that owns a VIP.
fn answer(socket: &std::net::UdpSocket, datagram: &[u8], asked: &Asked) -> nix::Result<()> {
    // By whatever interface leads there.
    let from = asked.to.map(|to| in6_pktinfo { ipi6_ifindex: 0, ..to });
    let control: Vec<_> = from.iter().map(ControlMessage::Ipv6PacketInfo).collect();
    let parts = [IoSlice::new(datagram)];
    sendmsg(socket.as_raw_fd(), &parts, &control, MsgFlags::empty(), Some(&asked.from)).map(drop)
}
