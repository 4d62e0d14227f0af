//! `serve`: all servers of a Pod in one program.

use std::{path::PathBuf, process, thread, time::Duration};

use anyhow::Result;
use clap::Args;
use lb_testbed::{HTTP_PORT, TCP_ECHO_PORT, UDP_ECHO_PORT};

use crate::{
    http,
    signals::Termination,
    tcp_echo::{self, TcpEchoArgs},
    udp_echo::{self, UdpEchoArgs},
};

/// Distinct addresses of clients are logged with everything else.
const LOG: &str = "/dev/stdout";

#[derive(Args)]
pub struct ServeArgs {
    /// In all answers
    #[arg(long)]
    name: String,
    /// Seconds to go on after SIGTERM, until everybody knows that this one ends
    #[arg(long, default_value_t = 0)]
    linger: u64,
}

pub fn run(options: &ServeArgs) -> Result<()> {
    let termination = Termination::block()?;
    let (name, sources) = (options.name.clone(), Some(PathBuf::from(LOG)));
    let tcp = TcpEchoArgs { port: TCP_ECHO_PORT, name: name.clone(), sources: sources.clone() };
    let udp = UdpEchoArgs { port: UDP_ECHO_PORT, name: name.clone(), sources };
    spawn("http", move || http::run(HTTP_PORT, &name));
    spawn("tcp-echo", move || tcp_echo::run(&tcp));
    spawn("udp-echo", move || udp_echo::run(&udp));
    termination.wait()?;
    thread::sleep(Duration::from_secs(options.linger));
    Ok(())
}

/// A Pod without one of its servers is better restarted.
fn spawn(what: &'static str, serve: impl FnOnce() -> Result<()> + Send + 'static) {
    thread::spawn(move || {
        if let Err(error) = serve() {
            eprintln!("{what}: {error:#}");
        }
        process::exit(1);
    });
}
