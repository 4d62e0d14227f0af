//! Clients that go on while something happens: `tcp-hold` and `udp-stream` in
//! the client's namespace.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr},
    process::{ChildStdin, ChildStdout},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;

use crate::{
    namespace::Namespace,
    process::Process,
    report::{TcpReport, UdpReport},
    testbed::Testbed,
};

/// Connections to hold.
#[derive(Clone, Debug)]
pub struct TcpHoldOptions {
    pub target: SocketAddr,
    pub connections: usize,
    /// Spread over these; empty: the kernel's choice.
    pub sources: Vec<IpAddr>,
    /// Between a line's echo and the next line, of each connection.
    pub interval: Duration,
}

/// Connections being held.
#[derive(Debug)]
pub struct TcpHold {
    process: Process,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl TcpHold {
    /// How the connections are now.
    pub fn read_report(&mut self) -> Result<TcpReport> {
        self.request_report("status")
    }

    /// Closes them; how they were at the end.
    pub fn stop(mut self) -> Result<TcpReport> {
        let report = self.request_report("stop")?;
        self.process.wait(Duration::from_secs(5))?;
        Ok(report)
    }

    fn request_report(&mut self, word: &str) -> Result<TcpReport> {
        let mut line = String::new();
        writeln!(self.stdin, "{word}")
            .and_then(|()| self.stdout.read_line(&mut line))
            .with_context(|| format!("asking tcp-hold for {word}; it wrote:\n{}", self.process.log()))?;
        parse_report(&line, &self.process)
    }
}

/// A stream of datagrams to send.
#[derive(Clone, Debug)]
pub struct UdpStreamOptions {
    pub target: SocketAddr,
    /// Datagrams a second.
    pub rate: u32,
    pub length: Duration,
    /// `None`: the kernel's choice.
    pub source: Option<IpAddr>,
    /// 0: any.
    pub source_port: u16,
}

/// A stream being sent.
#[derive(Debug)]
pub struct UdpStream {
    process: Process,
    stdin: ChildStdin,
    stdout: ChildStdout,
    length: Duration,
}

impl UdpStream {
    /// Has it send no more, if it is not over yet; [`Self::finish`] waits for the last answers.
    pub fn cut_short(&mut self) {
        // An error: it is over.
        let _ = writeln!(self.stdin, "stop");
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Result<UdpReport> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).context("reading from udp-stream")?;
        self.process.wait(self.length + Duration::from_secs(5))?;
        parse_report(&text, &self.process)
    }
}

impl Testbed {
    /// Opens connections from the client; returns when all are greeted or have failed.
    pub fn start_tcp_hold(&self, options: &TcpHoldOptions) -> Result<TcpHold> {
        self.start_tcp_hold_from(self.client(), options)
    }

    /// The same from another namespace.
    pub fn start_tcp_hold_from(&self, from: &Namespace, options: &TcpHoldOptions) -> Result<TcpHold> {
        let mut command = from.command(self.tool_path()?)?;
        command.arg("tcp-hold");
        command.args(["--target", &options.target.to_string()]);
        command.args(["--connections", &options.connections.to_string()]);
        command.args(["--interval", &options.interval.as_millis().to_string()]);
        if !options.sources.is_empty() {
            let sources: Vec<_> = options.sources.iter().map(IpAddr::to_string).collect();
            command.args(["--source-addresses", &sources.join(",")]);
        }
        let mut process = Process::spawn_piped(self.site(), "tcp-hold", command)?;
        let (stdin, stdout) = process.take_pipes()?;
        let mut hold = TcpHold { process, stdin, stdout: BufReader::new(stdout) };
        hold.request_report("opened").context("opening connections")?;
        Ok(hold)
    }

    /// Starts to send datagrams from the client.
    pub fn start_udp_stream(&self, options: &UdpStreamOptions) -> Result<UdpStream> {
        self.start_udp_stream_from(self.client(), options)
    }

    /// The same from another namespace.
    pub fn start_udp_stream_from(&self, from: &Namespace, options: &UdpStreamOptions) -> Result<UdpStream> {
        let mut command = from.command(self.tool_path()?)?;
        command.arg("udp-stream");
        command.args(["--target", &options.target.to_string()]);
        command.args(["--rate", &options.rate.to_string()]);
        command.args(["--seconds", &options.length.as_secs_f64().to_string()]);
        command.args(["--port", &options.source_port.to_string()]);
        if let Some(source) = options.source {
            command.args(["--source-address", &source.to_string()]);
        }
        let mut process = Process::spawn_piped(self.site(), "udp-stream", command)?;
        let (stdin, stdout) = process.take_pipes()?;
        Ok(UdpStream { process, stdin, stdout, length: options.length })
    }
}

fn parse_report<T: DeserializeOwned>(text: &str, from: &Process) -> Result<T> {
    let label = from.label();
    ensure!(!text.trim().is_empty(), "{label} reported nothing; it wrote:\n{}", from.log());
    serde_json::from_str(text).with_context(|| format!("{label} reported `{}`", text.trim()))
}
