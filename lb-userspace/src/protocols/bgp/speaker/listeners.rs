//! The sockets that peers connect to, one for each address family.

use std::{
    collections::{BTreeMap, BTreeSet},
    future, io,
    net::{IpAddr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::socket;
use crate::protocols::bgp::config::Password;

#[derive(Default)]
pub struct Listeners {
    v4: Option<TcpListener>,
    v6: Option<TcpListener>,
    /// TCP MD5 passwords by peer address, to be set on the sockets.
    keys: BTreeMap<IpAddr, Password>,
    /// Peers whose password could not be set: the kernel does not check their signatures.
    unsigned: BTreeSet<IpAddr>,
}

impl Listeners {
    /// Opens the sockets that are not open. If the port is taken we go on, as we can still
    /// connect to peers.
    pub fn open_missing(&mut self, port: u16) {
        for is_v6 in [false, true] {
            let listener = if is_v6 { &mut self.v6 } else { &mut self.v4 };
            if listener.is_some() {
                continue;
            }
            match open_listener(socket::wildcard_address(is_v6, port)) {
                Ok(opened) => {
                    *listener = Some(opened);
                    let keys = self.keys.clone();
                    keys.iter().for_each(|(address, key)| self.set_listener_key(*address, Some(key)));
                }
                // Without the address family no peer can connect by it.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                    debug!(port, is_v6, "this machine does not support the address family");
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    warn!(%error, port, "routers can't connect to us; the agent needs CAP_NET_BIND_SERVICE");
                }
                Err(error) => warn!(
                    %error,
                    port,
                    "routers can't connect to us: another BGP daemon may use the port; stop it or choose another port"
                ),
            }
        }
    }

    pub fn are_open(&self) -> bool {
        self.v4.is_some() && self.v6.is_some()
    }

    /// Sets the passwords with which peers must sign.
    pub fn set_keys(&mut self, keys: BTreeMap<IpAddr, Password>) {
        let before = std::mem::replace(&mut self.keys, keys.clone());
        for address in before.keys().filter(|address| !keys.contains_key(address)) {
            self.set_listener_key(*address, None);
        }
        for (address, key) in keys.iter().filter(|(address, key)| before.get(address) != Some(key)) {
            self.set_listener_key(*address, Some(key));
        }
    }

    /// Must connections from this address be refused, since the kernel does not check their
    /// signatures?
    pub fn is_unsigned(&self, address: IpAddr) -> bool {
        self.unsigned.contains(&address)
    }

    fn set_listener_key(&mut self, address: IpAddr, key: Option<&Password>) {
        self.unsigned.remove(&address);
        let listener = if address.is_ipv6() { &self.v6 } else { &self.v4 };
        let Some(listener) = listener else { return };
        if let Err(error) = socket::set_md5_key(listener, address, key) {
            warn!(%address, %error, "TCP MD5 can't be set for this peer, so its connections are refused; the agent needs CAP_NET_ADMIN");
            self.unsigned.insert(address);
        }
    }

    /// Waits for the next incoming connection. Cancel safe.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        tokio::select! {
            accepted = accept(self.v4.as_ref()) => accepted,
            accepted = accept(self.v6.as_ref()) => accepted,
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => future::pending().await,
    }
}

fn open_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // SYN-ACKs must pass the TTL check of peers with GTSM (RFC 5082).
    socket::set_ttl(&socket, address.ip(), 255)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}
