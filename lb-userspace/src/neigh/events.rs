//! The kernel's announcements that something about the network has changed.

use std::io;

use futures::FutureExt;
use rtnetlink::{
    MulticastGroup::{self, *},
    sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

/// Everything that can change how an address is reached.
pub const ROUTING: [MulticastGroup; 9] =
    [Link, Neigh, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route, Ipv4Rule, Ipv6Rule, Nexthop];
/// Interfaces come and go, up and down.
pub const LINKS: [MulticastGroup; 1] = [Link];

/// A socket that becomes readable when something has changed. The messages are not
/// decoded: asking the kernel again is simpler, and right even if the kernel had to
/// drop messages. So nothing piles up in memory either.
pub struct Events(TokioSocket);

impl Events {
    /// Changes of the network namespace of the calling thread.
    pub fn subscribe(groups: &[MulticastGroup]) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in groups {
            socket.socket_ref().add_membership(*group as u32)?;
        }
        Ok(Self(socket))
    }

    /// Waits for a change. Cancel safe.
    pub async fn wait_for_change(&self) -> io::Result<()> {
        let mut start = [0; 16];
        match self.0.recv(&mut &mut start[..]).await {
            // The kernel dropped messages that the socket had no room for: a change all the same.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            result => result,
        }
    }

    /// Discards the changes that are waiting. If it leaves some, the next
    /// [`Self::wait`] returns for them.
    pub fn discard_changes(&self) -> io::Result<()> {
        while let Some(result) = self.wait_for_change().now_or_never() {
            result?;
        }
        Ok(())
    }
}
