//! `udp-session`: a server that keeps state for each connection, as QUIC does.
//! A connection is known by an identifier that its client chooses, not by
//! addresses; what arrives for one that is unknown is answered with a reset.
//!
//! ```text
//! open ID        -> NAME opened ID
//! data ID NUMBER -> NAME ID NUMBER SUM     SUM: of all numbers, each once
//!                   NAME reset ID
//! ```

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use clap::Args;

use crate::sockets;

#[derive(Args)]
pub struct UdpSessionArgs {
    #[arg(long)]
    port: u16,
    /// Put before each answer
    #[arg(long, default_value = "session")]
    name: String,
}

pub fn run(options: &UdpSessionArgs) -> Result<()> {
    let socket = sockets::udp_server(options.port)?;
    let mut sessions = Sessions::default();
    let mut buffer = [0; 2048];
    println!("listening on {}", options.port);
    loop {
        let (length, from) = socket.recv_from(&mut buffer).context("receiving")?;
        let Some(answer) = sessions.answer(&String::from_utf8_lossy(&buffer[..length])) else { continue };
        if let Err(error) = socket.send_to(format!("{} {answer}", options.name).as_bytes(), from) {
            eprintln!("answering {from}: {error}");
        }
    }
}

/// By identifier: the numbers that came.
#[derive(Default)]
struct Sessions(HashMap<String, BTreeSet<u64>>);

impl Sessions {
    /// None to what is not of this protocol.
    fn answer(&mut self, text: &str) -> Option<String> {
        match *text.split(' ').collect::<Vec<_>>() {
            ["open", id] => {
                self.0.entry(id.to_owned()).or_default();
                Some(format!("opened {id}"))
            }
            ["data", id, number] => {
                let Some(numbers) = self.0.get_mut(id) else { return Some(format!("reset {id}")) };
                numbers.insert(number.parse().ok()?);
                Some(format!("{id} {number} {}", numbers.iter().sum::<u64>()))
            }
            _ => None,
        }
    }
}
