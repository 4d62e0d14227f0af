//! Sends and receives hellos by UDP, between the addresses of the Nodes.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use futures::{FutureExt, future::select_all};
use socket2::SockRef;
use tokio::io::unix::AsyncFd;
use tracing::{debug, info, warn};

use super::hello::{Hello, LONGEST};

/// DSCP "network control", which routers on the way may put into a queue of its own.
const CS6: u32 = 0xc0;
/// How many datagrams of a socket are processed at a time.
const BATCH: usize = 1024;

pub struct HelloSockets {
    port: u16,
    me: Arc<str>,
    nodes: BTreeMap<Arc<str>, Vec<IpAddr>>,
    /// By our own address; None: the socket could not be opened.
    sockets: BTreeMap<IpAddr, Option<AsyncFd<UdpSocket>>>,
}

impl HelloSockets {
    pub fn new(port: u16) -> Self {
        Self { port, me: Arc::default(), nodes: BTreeMap::new(), sockets: BTreeMap::new() }
    }

    pub fn set_nodes(&mut self, me: &Arc<str>, nodes: BTreeMap<Arc<str>, Vec<IpAddr>>) {
        self.me = me.clone();
        self.nodes = nodes;
        let own = self.nodes.get(&self.me).cloned().unwrap_or_default();
        self.sockets.retain(|address, _| own.contains(address));
        self.open_sockets();
    }

    /// Opens the sockets that are not open yet; true if one is still missing.
    pub fn open_sockets(&mut self) -> bool {
        let own = self.nodes.get(&self.me).map(Vec::as_slice).unwrap_or_default();
        for address in own {
            let tried = self.sockets.get(address);
            if tried.is_some_and(Option::is_some) {
                continue;
            }
            let socket = open_socket(SocketAddr::new(*address, self.port));
            match (&socket, tried.is_some()) {
                (Err(error), false) => warn!(
                    "cannot talk to other agents from {address}, UDP port {}: {error}; is it this Node's \
                     address? Without any, nothing is announced on links",
                    self.port
                ),
                (Ok(_), true) => info!("can talk to other agents from {address}"),
                _ => {}
            }
            self.sockets.insert(*address, socket.ok());
        }
        self.sockets.values().any(Option::is_none)
    }

    /// Is there no socket at all?
    pub fn has_no_socket(&self) -> bool {
        self.sockets.values().all(Option::is_none)
    }

    /// Waits until a datagram has arrived since the last call. Cancel safe.
    pub async fn readable(&self) {
        let sockets: Vec<_> = self.sockets.values().flatten().collect();
        if sockets.is_empty() {
            return std::future::pending().await;
        }
        let (ready, ..) = select_all(sockets.into_iter().map(|socket| socket.readable().boxed())).await;
        let _ = ready.map(|mut guard| guard.clear_ready());
    }

    /// Passes the hellos that have arrived to `hear`, if they come from an address of the Node
    /// that they name. True if there may be more.
    pub fn receive_hellos(&self, mut hear: impl FnMut(&Hello)) -> bool {
        let sockets = self.sockets.values().flatten();
        sockets.map(|socket| self.receive_from(socket.get_ref(), &mut hear)).fold(false, |a, b| a | b)
    }

    fn receive_from(&self, socket: &UdpSocket, hear: &mut impl FnMut(&Hello)) -> bool {
        let mut bytes = [0; LONGEST + 1];
        for _ in 0..BATCH {
            match socket.recv_from(&mut bytes) {
                Ok((len, from)) => {
                    match Hello::decode(&bytes[..len]).filter(|hello| self.is_from_its_node(hello, from)) {
                        Some(hello) => hear(&hello),
                        None => debug!(
                            "discarded a datagram from {from}, which is no address of a Node that we know"
                        ),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    debug!("cannot receive from other agents: {error}");
                    return false;
                }
            }
        }
        true
    }

    fn is_from_its_node(&self, hello: &Hello, from: SocketAddr) -> bool {
        let addresses = self.nodes.get(hello.node.as_str()).map(Vec::as_slice).unwrap_or_default();
        *hello.node != *self.me && addresses.contains(&from.ip())
    }

    /// Sends a hello to the first address of that node of whose family we have an address.
    pub fn send(&self, to: &str, hello: &Hello) {
        let addresses = self.nodes.get(to).map(Vec::as_slice).unwrap_or_default();
        let path = addresses.iter().find_map(|address| {
            let same = |own: &&IpAddr| own.is_ipv4() == address.is_ipv4();
            let own = self.nodes.get(&self.me)?.iter().find(same)?;
            Some((self.sockets.get(own)?.as_ref()?, address))
        });
        if let Some((socket, address)) = path
            && let Err(error) = socket.get_ref().send_to(&hello.encode(), (*address, self.port))
        {
            debug!("cannot send a hello to {to} at {address}: {error}");
        }
    }
}

fn open_socket(own: SocketAddr) -> io::Result<AsyncFd<UdpSocket>> {
    let socket = UdpSocket::bind(own)?;
    socket.set_nonblocking(true)?;
    let options = SockRef::from(&socket);
    if own.is_ipv4() { options.set_tos_v4(CS6) } else { options.set_tclass_v6(CS6) }?;
    // SAFETY: the socket owns its descriptor and never exchanges it.
    unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)
}
