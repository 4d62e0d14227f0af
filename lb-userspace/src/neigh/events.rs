//! The kernel's announcements that something about the network has changed.
//!
//! There are two sockets, because there are two answers. What decides routes is not decoded:
//! asking the kernel again is simpler, and right even if the kernel had to drop messages. Of
//! neighbours there is news all the time, a thousand of them in use are probed and confirmed
//! twenty times a second: those messages are decoded, and asking again is for when some were lost.

use std::io;

use futures::FutureExt;
use rtnetlink::{
    MulticastGroup::{self, *},
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::changes::{NeighbourChange, decode_changes};
use crate::os::sockopt::set_option;

/// Everything that can change how an address is routed.
pub const ROUTING: [MulticastGroup; 8] =
    [Link, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route, Ipv4Rule, Ipv6Rule, Nexthop];
/// Interfaces come and go, up and down.
pub const LINKS: [MulticastGroup; 1] = [Link];

/// Bytes that wait until they are read, with the kernel's overhead: it counts about 1 KiB for an
/// announcement, and doubles this. A thousand neighbours that change at once make three each.
const NEIGHBOUR_QUEUE: libc::c_int = 4 << 20;
/// More announcements at once than the queue holds: they come faster than they are read.
const MAX_AT_ONCE: usize = 1 << 14;
/// Bytes of the longest announcement of a neighbour: some 200.
const MAX_ANNOUNCEMENT: usize = 4096;

/// A socket that becomes readable when something has changed. Nothing is decoded, and so
/// nothing piles up in memory either.
pub struct Events(AsyncFd<Socket>);

impl Events {
    /// Changes of the network namespace of the calling thread.
    pub fn subscribe(groups: &[MulticastGroup]) -> io::Result<Self> {
        Ok(Self(register(open(groups)?)?))
    }

    /// Waits for a change. Cancel safe.
    pub async fn wait_for_change(&self) -> io::Result<()> {
        let receive = |socket: &Socket| match receive(socket, &mut [0; 16])? {
            // Messages that were dropped are a change all the same.
            Received::Datagram(_) | Received::Overrun => Ok(()),
            Received::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        };
        self.0.async_io(Interest::READABLE, receive).await
    }

    /// Discards the changes that are waiting. If it leaves some, the next
    /// [`Self::wait_for_change`] returns for them.
    pub fn discard_changes(&self) -> io::Result<()> {
        while let Some(result) = self.wait_for_change().now_or_never() {
            result?;
        }
        Ok(())
    }
}

/// A socket on which the kernel announces what becomes of each neighbour.
pub struct NeighbourEvents(AsyncFd<Socket>);

/// What the kernel has announced of neighbours.
#[derive(Default, Debug)]
pub struct Announced {
    /// Oldest first.
    pub changes: Vec<NeighbourChange>,
    /// There was more, or there is and the queue does not become empty.
    pub has_gap: bool,
}

impl NeighbourEvents {
    /// Neighbours of the network namespace of the calling thread. Needs `CAP_NET_ADMIN`.
    pub fn subscribe() -> io::Result<Self> {
        let socket = open(&[Neigh])?;
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &NEIGHBOUR_QUEUE)?;
        Ok(Self(register(socket)?))
    }

    /// Waits until something is announced. Cancel safe.
    pub async fn wait_for_changes(&self) -> io::Result<Announced> {
        let receive = |socket: &Socket| match take_changes(socket)? {
            Announced { changes, has_gap: false } if changes.is_empty() => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            announced => Ok(announced),
        };
        self.0.async_io(Interest::READABLE, receive).await
    }

    /// What is announced already.
    pub fn take_changes(&self) -> io::Result<Announced> {
        take_changes(self.0.get_ref())
    }
}

/// Empties the queue. One that was full takes nothing more until it is empty, and the kernel says
/// so only once, when that begins: so what is lost without a word was announced before this.
fn take_changes(socket: &Socket) -> io::Result<Announced> {
    let mut buffer = [0; MAX_ANNOUNCEMENT];
    let mut announced = Announced::default();
    for _ in 0..MAX_AT_ONCE {
        match receive(socket, &mut buffer)? {
            Received::Datagram(len) => {
                announced.changes.extend(decode_changes(buffer.get(..len).unwrap_or_default()));
            }
            Received::Overrun => announced.has_gap = true,
            Received::Nothing => return Ok(announced),
        }
    }
    Ok(Announced { has_gap: true, ..announced })
}

enum Received {
    /// The number of bytes that are in the buffer; what did not fit is lost.
    Datagram(usize),
    /// The kernel dropped messages that the queue had no room for.
    Overrun,
    Nothing,
}

fn receive(socket: &Socket, mut buffer: &mut [u8]) -> io::Result<Received> {
    match socket.recv(&mut buffer, 0) {
        Ok(len) => Ok(Received::Datagram(len)),
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(Received::Overrun),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Nothing),
        Err(error) => Err(error),
    }
}

fn open(groups: &[MulticastGroup]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in groups {
        socket.add_membership(*group as u32)?;
    }
    Ok(socket)
}

fn register(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: the socket owns its descriptor until it is dropped, and keeps the same one.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}
