//! Captures frames in a namespace, with the kernel's receive timestamps.

use std::{
    io::IoSliceMut,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, anyhow};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
            setsockopt, socket, sockopt,
        },
        time::{TimeSpec, TimeVal, TimeValLike},
    },
};

use crate::namespace::Namespace;

/// Bytes kept of a frame: enough for headers and a few short messages.
const SNAP_LENGTH: usize = 1024;
/// Milliseconds without a frame after which to look whether to stop.
const POLL_INTERVAL_MS: i64 = 20;
const RECEIVE_BUFFER: usize = 64 << 20;

/// A listener at all interfaces of a namespace; what passes from one to
/// another may be seen twice.
pub struct Capture<T> {
    stop: Arc<OnceLock<SystemTime>>,
    thread: JoinHandle<Result<Vec<(SystemTime, T)>>>,
}

impl<T: Send + 'static> Capture<T> {
    /// Keeps what `pick` makes of frames.
    pub fn start(namespace: &Namespace, pick: impl Fn(&Frame) -> Option<T> + Send + 'static) -> Result<Self> {
        let socket = namespace.within(open_packet_socket)?;
        let stop = Arc::new(OnceLock::new());
        let stop_flag = stop.clone();
        let thread = thread::spawn(move || capture_frames(&socket, &stop_flag, pick));
        Ok(Self { stop, thread })
    }

    /// What has passed until now, in the order in which it passed.
    pub fn finish(self) -> Result<Vec<(SystemTime, T)>> {
        self.stop.get_or_init(SystemTime::now);
        self.thread.join().map_err(|_| anyhow!("the capturing thread panicked"))?
    }
}

fn open_packet_socket() -> Result<OwnedFd> {
    let (family, flags) = (AddressFamily::Packet, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Raw, flags, SockProtocol::EthAll).context("a packet socket")?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("SO_RCVBUFFORCE")?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("SO_TIMESTAMPNS")?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(POLL_INTERVAL_MS))
        .context("SO_RCVTIMEO")?;
    Ok(socket)
}

fn capture_frames<T>(
    socket: &OwnedFd,
    stop: &OnceLock<SystemTime>,
    pick: impl Fn(&Frame) -> Option<T>,
) -> Result<Vec<(SystemTime, T)>> {
    let mut picked = Vec::new();
    let mut buffer = [0; SNAP_LENGTH];
    let mut control = nix::cmsg_space!(TimeSpec);
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty()) {
            Ok(message) => {
                let at = message.cmsgs()?.find_map(|message| match message {
                    ControlMessageOwned::ScmTimestampns(at) => Some(at),
                    _ => None,
                });
                let len = message.bytes;
                let at = SystemTime::UNIX_EPOCH + Duration::from(at.context("a frame without time")?);
                if stop.get().is_some_and(|stop| at > *stop) {
                    return Ok(picked);
                }
                picked.extend(pick(&Frame(&buffer[..len])).map(|what| (at, what)));
            }
            // Nothing more has come by then.
            Err(Errno::EAGAIN) if stop.get().is_some() => return Ok(picked),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(e).context("capturing"),
        }
    }
}

/// The beginning of a frame.
pub struct Frame<'a>(&'a [u8]);

/// The addresses of an IP packet, and what follows its header.
pub struct Packet<'a> {
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: u8,
    payload: &'a [u8],
}

/// How a packet is encapsulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tunnel {
    Ipip,
    Gue,
    /// With private data: from a node that hands it on.
    HandedOn,
}

impl<'a> Frame<'a> {
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    pub fn to_mac(&self) -> Option<[u8; 6]> {
        self.0.get(..6)?.try_into().ok()
    }

    pub fn packet(&self) -> Option<Packet<'a>> {
        parse_packet(self.0.get(14..)?)
    }
}

impl<'a> Packet<'a> {
    /// As much of it as is looked at.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The packet within this one.
    pub fn inner_packet(&self) -> Option<(Tunnel, Packet<'a>)> {
        const GUE_PORT: [u8; 2] = 6080u16.to_be_bytes();
        match self.protocol {
            4 | 41 => Some((Tunnel::Ipip, parse_packet(self.payload)?)),
            17 if self.payload.get(2..4)? == GUE_PORT => {
                let words = usize::from(self.payload.get(8)? & 0x1f);
                let tunnel = if words == 0 { Tunnel::Gue } else { Tunnel::HandedOn };
                Some((tunnel, parse_packet(self.payload.get(12 + 4 * words..)?)?))
            }
            _ => None,
        }
    }
}

fn parse_packet(bytes: &[u8]) -> Option<Packet<'_>> {
    match bytes.first()? >> 4 {
        4 => {
            let address = |at: usize| bytes.get(at..)?.first_chunk::<4>().copied().map(IpAddr::from);
            let header = usize::from(bytes[0] & 15) * 4;
            let payload = bytes.get(header..)?;
            Some(Packet { from: address(12)?, to: address(16)?, protocol: bytes[9], payload })
        }
        6 => {
            let address = |at: usize| bytes.get(at..)?.first_chunk::<16>().copied().map(IpAddr::from);
            let payload = bytes.get(40..)?;
            Some(Packet { from: address(8)?, to: address(24)?, protocol: bytes[6], payload })
        }
        _ => None,
    }
}
