//! The sockets of checks.

use std::{io, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::unix::AsyncFd,
    net::{TcpSocket, TcpStream},
};

use super::{echo, http};
use crate::{health::targets::CheckQuestion, objects::model::Check};

/// The outcome of a check. There is none for a server that does not answer in time.
pub enum CheckOutcome {
    Passed,
    /// The server failed, or the route to it.
    Failed(String),
    /// This machine could not ask, which says nothing about the server.
    Unasked(String),
}

/// Checks a server. Has no timeout: the caller drops it at the end of the round.
pub async fn ask_server(question: &CheckQuestion, secret: u64, sequence: u64) -> CheckOutcome {
    let Some(interface) = &question.interface else {
        return CheckOutcome::Failed("there is no way to it".into());
    };
    let result = match &question.check {
        Check::Tcp => connect(question, interface).await.map(drop),
        Check::Http(path) => get_http(question, interface, path).await,
        Check::Icmp => exchange_echo(question, interface, secret, sequence).await,
    };
    result.map_or_else(|outcome| outcome, |()| CheckOutcome::Passed)
}

async fn connect(question: &CheckQuestion, interface: &str) -> Result<TcpStream, CheckOutcome> {
    let socket =
        open_marked_socket(question, interface, Type::STREAM, Protocol::TCP).map_err(unasked_outcome)?;
    // Ends with a reset: a closed connection would keep its port for a minute.
    socket.set_linger(Some(Duration::ZERO)).map_err(unasked_outcome)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.connect(question.to).await.map_err(|e| match e.kind() {
        // This machine has no free port, or no route.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkUnreachable => unasked_outcome(e),
        _ => failed_outcome(e),
    })
}

async fn get_http(question: &CheckQuestion, interface: &str, path: &str) -> Result<(), CheckOutcome> {
    let stream = connect(question, interface).await?;
    let request = http::encode_request(path, question.to);
    let mut sent = 0;
    while sent < request.len() {
        stream.writable().await.map_err(failed_outcome)?;
        sent += zero_if_not_ready(stream.try_write(&request[sent..])).map_err(failed_outcome)?;
    }
    let mut answer = [0; http::STATUS_LEN];
    let mut len = 0;
    while len < answer.len() {
        stream.readable().await.map_err(failed_outcome)?;
        match stream.try_read(&mut answer[len..]) {
            Ok(0) => break,
            read => len += zero_if_not_ready(read).map_err(failed_outcome)?,
        }
    }
    http::check_status(&answer[..len]).map_err(CheckOutcome::Failed)
}

async fn exchange_echo(
    question: &CheckQuestion,
    interface: &str,
    secret: u64,
    sequence: u64,
) -> Result<(), CheckOutcome> {
    let is_v4 = question.to.is_ipv4();
    let protocol = if is_v4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let socket = open_marked_socket(question, interface, Type::RAW, protocol).map_err(unasked_outcome)?;
    // From now on, only packets from the VIP come in.
    socket.connect(&question.to.into()).map_err(unasked_outcome)?;
    // SAFETY: the socket owns its descriptor and never exchanges it.
    let socket = unsafe { AsyncFd::register(socket) }.map_err(|e| unasked_outcome(io::Error::from(e)))?;
    let request = echo::encode_request(is_v4, &echo::make_token(secret, question.mark, sequence));
    socket.get_ref().send(&request).map_err(failed_outcome)?;
    loop {
        let mut guard = socket.readable().await.map_err(failed_outcome)?;
        let mut packet = [0; echo::BUFFER_LEN];
        let read =
            guard.try_io(|socket| rustix::io::read(socket.get_ref(), &mut packet).map_err(io::Error::from));
        if let Ok(read) = read {
            let len = read.map_err(failed_outcome)?;
            if echo::is_answer(is_v4, &packet[..len], &request) {
                return Ok(());
            }
        }
    }
}

/// A socket whose packets go to the server that the mark names.
fn open_marked_socket(
    question: &CheckQuestion,
    interface: &str,
    kind: Type,
    protocol: Protocol,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(question.to), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_mark(question.mark)?;
    // Elsewhere there may be no program to see the mark.
    socket.bind_device(Some(interface.as_bytes()))?;
    Ok(socket)
}

/// 0 bytes, if the socket was not ready yet.
fn zero_if_not_ready(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

fn failed_outcome(error: io::Error) -> CheckOutcome {
    CheckOutcome::Failed(error.to_string())
}

fn unasked_outcome(error: io::Error) -> CheckOutcome {
    CheckOutcome::Unasked(error.to_string())
}
