//! `udp-echo`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::{sockets, sources::SourceLog};

#[derive(Args)]
pub struct Options {
    #[arg(long)]
    port: u16,
    /// Put before each answer
    #[arg(long, default_value = "echo")]
    name: String,
    /// A file for the distinct addresses that datagrams came from
    #[arg(long)]
    sources: Option<PathBuf>,
}

pub fn run(options: &Options) -> Result<()> {
    let socket = sockets::udp_server(options.port)?;
    let mut sources = SourceLog::open(options.sources.as_deref())?;
    // `<name> <datagram>` in one buffer: the name stays, datagrams come and go behind it.
    let mut buffer = format!("{} ", options.name).into_bytes();
    let start = buffer.len();
    buffer.resize(start + 65_536, 0);
    println!("listening on {}", options.port);
    loop {
        let (length, from) = socket.recv_from(&mut buffer[start..]).context("receiving")?;
        sources.note(from)?;
        if let Err(error) = socket.send_to(&buffer[..start + length], from) {
            eprintln!("answering {from}: {error}");
        }
    }
}
