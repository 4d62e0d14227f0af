//! A TCP connection: bytes in, bytes out, and neither ever waited for.

use std::{io, net::Shutdown, time::Duration};

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream, time::timeout};

use crate::protocols::bgp::wire::{Decoder, Message, Notification};

/// UPDATEs are made only while less than this waits to be sent.
const ENOUGH: usize = 64 * 1024;
/// To send the last word, and to wait until the peer has closed as well.
const LAST_WORD: Duration = Duration::from_secs(2);

pub struct Link {
    stream: TcpStream,
    decoder: Decoder,
    out: Vec<u8>,
    /// There is more to be said than has room.
    pub has_more: bool,
    /// Was something left over the last time?
    was_blocked: bool,
}

/// What writing came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    pub progress: bool,
    pub pending: bool,
}

impl Link {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, decoder: Decoder::default(), out: Vec::new(), has_more: false, was_blocked: false }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn has_room(&self) -> bool {
        self.out.len() < ENOUGH
    }

    /// Waits until there is something to read, or room for what is to be written. Cancel safe.
    pub async fn ready(&self) -> io::Result<()> {
        let wants = if self.out.is_empty() && !self.has_more {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        self.stream.ready(wants).await.map(drop)
    }

    /// Takes in some of what has come. An error is the end of the connection.
    pub fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the peer")),
            Ok(len) => {
                self.decoder.extend(&bytes[..len]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The same, but nobody listens any more.
    fn read_on(&mut self) -> io::Result<()> {
        self.decoder = Decoder::default();
        self.read()
    }

    pub fn next(&mut self, four_octet_as: bool) -> Result<Option<Message>, Notification> {
        self.decoder.next(four_octet_as)
    }

    /// Writes what the peer takes. None: nothing has changed in whether it takes anything.
    pub fn write(&mut self) -> io::Result<Option<Written>> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.try_write(&self.out[written..]) {
                Ok(len) => written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..written);
        let result = Written { progress: written > 0, pending: !self.out.is_empty() };
        let was_blocked = std::mem::replace(&mut self.was_blocked, result.pending);
        Ok((was_blocked || result.pending).then_some(result))
    }

    /// Says what is left to say, closes, and waits a moment for the peer to do so too: with
    /// unread bytes the kernel would reset the connection, and the last word be lost.
    pub async fn close(mut self) {
        self.has_more = false;
        let say = async {
            while !self.out.is_empty() {
                self.write()?;
                self.ready().await?;
                self.read_on()?;
            }
            SockRef::from(&self.stream).shutdown(Shutdown::Write)?;
            loop {
                self.ready().await?;
                self.read_on()?;
            }
        };
        let said: Result<io::Result<()>, _> = timeout(LAST_WORD, say).await;
        if said.is_err() {
            // Somebody who reads nothing would keep the kernel trying for long.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
