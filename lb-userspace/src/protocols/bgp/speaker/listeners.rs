//! Where peers call: one socket for each family.

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
    /// To be set on the sockets.
    keys: BTreeMap<IpAddr, Password>,
    /// Those of which that failed: their calls come unsigned.
    unsigned: BTreeSet<IpAddr>,
}

impl Listeners {
    /// Opens those that are not. A port that is taken is no reason to stop: we can still call.
    pub fn open(&mut self, port: u16) {
        for is_v6 in [false, true] {
            let listener = if is_v6 { &mut self.v6 } else { &mut self.v4 };
            if listener.is_some() {
                continue;
            }
            match listen(socket::wildcard(is_v6, port)) {
                Ok(opened) => {
                    *listener = Some(opened);
                    let keys = self.keys.clone();
                    keys.iter().for_each(|(address, key)| self.sign(*address, Some(key)));
                }
                // Without the family there is nobody to call by it.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                    debug!(port, is_v6, "this machine does not have the family");
                }
                Err(error) => warn!(
                    %error,
                    port,
                    "routers can't call us: another BGP daemon may have the port; stop it or choose another port"
                ),
            }
        }
    }

    pub fn are_open(&self) -> bool {
        self.v4.is_some() && self.v6.is_some()
    }

    /// Who must sign what it sends.
    pub fn set_keys(&mut self, keys: BTreeMap<IpAddr, Password>) {
        let before = std::mem::replace(&mut self.keys, keys.clone());
        for address in before.keys().filter(|address| !keys.contains_key(address)) {
            self.sign(*address, None);
        }
        for (address, key) in keys.iter().filter(|(address, key)| before.get(address) != Some(key)) {
            self.sign(*address, Some(key));
        }
    }

    /// Must calls from there be refused, since the kernel does not check what they are
    /// to be signed with?
    pub fn is_unsigned(&self, address: IpAddr) -> bool {
        self.unsigned.contains(&address)
    }

    fn sign(&mut self, address: IpAddr, key: Option<&Password>) {
        self.unsigned.remove(&address);
        let listener = if address.is_ipv6() { &self.v6 } else { &self.v4 };
        let Some(listener) = listener else { return };
        if let Err(error) = socket::set_key(listener, address, key) {
            warn!(%address, %error, "calls of this peer can't be asked for TCP MD5, and are refused");
            self.unsigned.insert(address);
        }
    }

    /// The next one that calls. Cancel safe.
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // SYN-ACKs must pass the GTSM (RFC 5082) of peers that have it on.
    socket::set_ttl(&socket, address.ip(), 255)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}
