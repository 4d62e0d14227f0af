//! The sockets of checks.

use std::{io, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::unix::AsyncFd,
    net::{TcpSocket, TcpStream},
};

use super::{echo, http};
use crate::{health::targets::Question, objects::model::Check};

/// What came of a check. A server that does not answer has none.
pub enum Outcome {
    Passed,
    /// By the server's fault, or that of the way to it.
    Failed(String),
    /// By our own fault: it says nothing about the server.
    Unasked(String),
}

/// Asks a server. To be dropped when its time is over.
pub async fn ask(question: &Question, secret: u64, sequence: u64) -> Outcome {
    let Some(interface) = &question.interface else {
        return Outcome::Failed("there is no way to it".into());
    };
    let result = match &question.check {
        Check::Tcp => connect(question, interface).await.map(drop),
        Check::Http(path) => get(question, interface, path).await,
        Check::Icmp => echo(question, interface, secret, sequence).await,
    };
    result.map_or_else(|outcome| outcome, |()| Outcome::Passed)
}

async fn connect(question: &Question, interface: &str) -> Result<TcpStream, Outcome> {
    let socket = marked(question, interface, Type::STREAM, Protocol::TCP).map_err(unasked)?;
    // Ends with a reset: a closed connection would keep its port for a minute.
    socket.set_linger(Some(Duration::ZERO)).map_err(unasked)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.connect(question.to).await.map_err(|e| match e.kind() {
        // Of the addresses, ports and routes of this machine.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkUnreachable => unasked(e),
        _ => failed(e),
    })
}

async fn get(question: &Question, interface: &str, path: &str) -> Result<(), Outcome> {
    let stream = connect(question, interface).await?;
    let request = http::request(path, question.to);
    let mut sent = 0;
    while sent < request.len() {
        stream.writable().await.map_err(failed)?;
        sent += some(stream.try_write(&request[sent..])).map_err(failed)?;
    }
    let mut answer = [0; http::STATUS_LEN];
    let mut len = 0;
    while len < answer.len() {
        stream.readable().await.map_err(failed)?;
        match stream.try_read(&mut answer[len..]) {
            Ok(0) => break,
            read => len += some(read).map_err(failed)?,
        }
    }
    http::judge(&answer[..len]).map_err(Outcome::Failed)
}

async fn echo(question: &Question, interface: &str, secret: u64, sequence: u64) -> Result<(), Outcome> {
    let is_v4 = question.to.is_ipv4();
    let protocol = if is_v4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let socket = marked(question, interface, Type::RAW, protocol).map_err(unasked)?;
    // From now on, what comes is from the VIP.
    socket.connect(&question.to.into()).map_err(unasked)?;
    // SAFETY: the socket owns its descriptor and never exchanges it.
    let socket = unsafe { AsyncFd::register(socket) }.map_err(|e| unasked(io::Error::from(e)))?;
    let request = echo::request(is_v4, &echo::token(secret, question.mark, sequence));
    socket.get_ref().send(&request).map_err(failed)?;
    loop {
        let mut guard = socket.readable().await.map_err(failed)?;
        let mut packet = [0; echo::LONGEST];
        let read =
            guard.try_io(|socket| rustix::io::read(socket.get_ref(), &mut packet).map_err(io::Error::from));
        if let Ok(read) = read {
            let len = read.map_err(failed)?;
            if echo::is_answer(is_v4, &packet[..len], &request) {
                return Ok(());
            }
        }
    }
}

/// A socket whose packets go to the server that the mark names.
fn marked(question: &Question, interface: &str, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(question.to), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_mark(question.mark)?;
    // Elsewhere there may be no program to see the mark.
    socket.bind_device(Some(interface.as_bytes()))?;
    Ok(socket)
}

/// Nothing, where it only was too early.
fn some(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

fn failed(error: io::Error) -> Outcome {
    Outcome::Failed(error.to_string())
}

fn unasked(error: io::Error) -> Outcome {
    Outcome::Unasked(error.to_string())
}
