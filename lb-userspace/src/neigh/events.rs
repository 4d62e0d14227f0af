//! The kernel's announcements that something about the network has changed.

use std::io;

use futures::FutureExt;
use rtnetlink::{
    MulticastGroup::{self, *},
    sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

/// All that can alter the way to an address.
pub const ROUTING: [MulticastGroup; 9] =
    [Link, Neigh, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route, Ipv4Rule, Ipv6Rule, Nexthop];
/// Interfaces come and go, up and down.
pub const LINKS: [MulticastGroup; 1] = [Link];

/// A socket that becomes readable when something has changed. What has changed
/// is not looked at: to ask again is simpler, and right even when the kernel
/// had to drop messages. So nothing is decoded, and nothing piles up in memory.
pub struct Events(TokioSocket);

impl Events {
    /// Of the network namespace of the calling thread.
    pub fn subscribe(groups: &[MulticastGroup]) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in groups {
            socket.socket_ref().add_membership(*group as u32)?;
        }
        Ok(Self(socket))
    }

    /// Waits for a change. Cancel safe.
    pub async fn next(&self) -> io::Result<()> {
        let mut start = [0; 16];
        match self.0.recv(&mut &mut start[..]).await {
            // There were more changes than the socket could hold.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            result => result,
        }
    }

    /// Takes the changes that are waiting. May leave some: they will be heard.
    pub fn drain(&self) -> io::Result<()> {
        while let Some(result) = self.next().now_or_never() {
            result?;
        }
        Ok(())
    }
}
