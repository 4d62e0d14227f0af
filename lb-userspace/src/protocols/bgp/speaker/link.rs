//! A TCP connection with buffers, so that reading and writing never wait.

use std::{io, net::Shutdown, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream, sync::Semaphore, time::timeout};

use crate::protocols::bgp::wire::{Decoder, Message, Notification};

/// UPDATEs are made only while fewer bytes than this wait to be sent.
const MAX_QUEUED_BYTES: usize = 64 * 1024;
/// Time limit for sending what is left, and for the peer to close as well.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How many connections of a peer may be closing at once. Of one that connects over and over, the
/// others end at once.
pub const MAX_CLOSING: usize = 8;

pub struct PeerLink {
    stream: TcpStream,
    decoder: Decoder,
    out: Vec<u8>,
    /// More messages wait than there is room for.
    pub has_more: bool,
    /// Was something left unwritten the last time?
    was_blocked: bool,
}

/// The result of writing: the peer's TCP took some bytes; others are left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteResult {
    pub progress: bool,
    pub pending: bool,
}

impl PeerLink {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, decoder: Decoder::default(), out: Vec::new(), has_more: false, was_blocked: false }
    }

    pub fn queue_bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn has_room(&self) -> bool {
        self.out.len() < MAX_QUEUED_BYTES
    }

    /// Waits until the connection can be read, or written if there is something to write. Cancel
    /// safe.
    pub async fn wait_ready(&self) -> io::Result<()> {
        let wants = if self.out.is_empty() && !self.has_more {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        self.stream.ready(wants).await.map(drop)
    }

    /// Reads some of the bytes that have arrived. An error is the end of the connection.
    pub fn read_bytes(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the peer")),
            Ok(len) => {
                self.decoder.push_bytes(&bytes[..len]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads likewise, and discards the bytes.
    fn discard_input(&mut self) -> io::Result<()> {
        self.decoder = Decoder::default();
        self.read_bytes()
    }

    pub fn next_message(&mut self, four_octet_as: bool) -> Result<Option<Message>, Notification> {
        self.decoder.next_message(four_octet_as)
    }

    /// Writes what the peer's TCP takes. None: everything was written, as the last time.
    pub fn write_queued(&mut self) -> io::Result<Option<WriteResult>> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.try_write(&self.out[written..]) {
                Ok(len) => written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..written);
        let result = WriteResult { progress: written > 0, pending: !self.out.is_empty() };
        let was_blocked = std::mem::replace(&mut self.was_blocked, result.pending);
        Ok((was_blocked || result.pending).then_some(result))
    }

    /// Sends what is left, closes, and waits a moment for the peer to close too. With unread
    /// bytes the kernel would reset the connection, and the last message would be lost.
    async fn close(mut self) {
        self.has_more = false;
        let finish = async {
            while !self.out.is_empty() {
                self.write_queued()?;
                self.wait_ready().await?;
                self.discard_input()?;
            }
            SockRef::from(&self.stream).shutdown(Shutdown::Write)?;
            loop {
                self.wait_ready().await?;
                self.discard_input()?;
            }
        };
        let result: Result<io::Result<()>, _> = timeout(CLOSE_TIMEOUT, finish).await;
        if result.is_err() {
            // The kernel would keep trying for long to send to a peer that reads nothing.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// The connections of a peer that are closing.
pub struct ClosingLinks(Arc<Semaphore>);

impl Default for ClosingLinks {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CLOSING)))
    }
}

impl ClosingLinks {
    /// Closes a connection once everything has been sent on it.
    pub fn close(&self, mut link: PeerLink) {
        // Write at once, since our process may end before the spawned task runs.
        let _ = link.write_queued();
        if let Ok(permit) = self.0.clone().try_acquire_owned() {
            tokio::spawn(async move {
                link.close().await;
                drop(permit);
            });
        }
    }
}
