//! `tcp-echo`

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Args;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use crate::{sockets, sources::SourceLog};

const LISTENER: Token = Token(0);

#[derive(Args)]
pub struct TcpEchoArgs {
    #[arg(long)]
    pub port: u16,
    /// The first line of every connection
    #[arg(long, default_value = "echo")]
    pub name: String,
    /// A file for the distinct addresses that connections came from
    #[arg(long)]
    pub sources: Option<PathBuf>,
}

pub fn run(options: &TcpEchoArgs) -> Result<()> {
    let mut server = Server {
        poll: Poll::new()?,
        listener: sockets::tcp_server(options.port)?,
        greeting: format!("{}\n", options.name),
        sources: SourceLog::open(options.sources.as_deref())?,
        clients: HashMap::new(),
        last: LISTENER.0,
    };
    server.poll.registry().register(&mut server.listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", options.port);
    server.serve()
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    greeting: String,
    sources: SourceLog,
    clients: HashMap<Token, Client>,
    /// The token given last.
    last: usize,
}

impl Server {
    fn serve(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.context("waiting for events")?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    token => self.move_on(token),
                }
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, from)) => {
                    self.sources.note(from)?;
                    self.greet(stream)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client closed the connection before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => (),
                Err(error) => return Err(error).context("accepting a connection"),
            }
        }
    }

    fn greet(&mut self, mut stream: TcpStream) -> Result<()> {
        self.last += 1;
        let token = Token(self.last);
        // A server that delays small answers would be measured instead of the network.
        stream.set_nodelay(true).ok();
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let mut client = Client { stream, unsent: self.greeting.clone().into_bytes() };
        if client.flush().is_ok() {
            self.clients.insert(token, client);
        }
        Ok(())
    }

    fn move_on(&mut self, token: Token) {
        let ended = self.clients.get_mut(&token).is_some_and(|client| !client.echo().unwrap_or(false));
        if ended {
            self.clients.remove(&token);
        }
    }
}

struct Client {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Client {
    /// Reads all there is and sends it back; whether the connection goes on.
    fn echo(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => self.unsent.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        self.flush().map(|()| true)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
