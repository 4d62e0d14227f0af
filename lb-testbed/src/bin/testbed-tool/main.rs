//! What runs inside a testbed's namespaces and containers: servers and clients that
//! count; and testbeds by hand.

mod connection;
mod decapsulate;
mod http;
mod http_get;
mod kubernetes_node;
mod pause;
mod serve;
mod signals;
mod sockets;
mod sources;
mod tcp_echo;
mod tcp_hold;
mod testbeds;
mod udp_echo;
mod udp_session;
mod udp_stream;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Helpers for Trigon's network-namespace testbeds.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Echo lines over TCP, after a line with a name
    TcpEcho(tcp_echo::TcpEchoArgs),
    /// Echo datagrams, with a name before each
    UdpEcho(udp_echo::UdpEchoArgs),
    /// Answer datagrams of connections that were opened, and of no others
    UdpSession(udp_session::UdpSessionArgs),
    /// Hold TCP connections to `tcp-echo`; `status` or `stop` on stdin prints a report as JSON
    TcpHold(tcp_hold::TcpHoldArgs),
    /// Send numbered datagrams to `udp-echo` at a steady rate; prints a report as JSON
    UdpStream(udp_stream::UdpStreamArgs),
    /// Ask `serve` by HTTP who answers, and as whom it sees the client; prints a report as JSON
    HttpGet(http_get::HttpGetArgs),
    /// Take packets out of outer IP headers, as a bare server's ipip device does
    Decapsulate,
    /// Serve HTTP and both echoes in a container, until a signal comes
    Serve(serve::ServeArgs),
    /// Do nothing in a container, until a signal comes
    Pause,
    /// Run a node of Kubernetes, as the first process of namespaces that are the node's own
    KubernetesNode(kubernetes_node::KubernetesNodeArgs),
    /// Build a testbed, and tear it down when this ends
    Up(testbeds::Up),
    /// Tear testbeds down
    Down(testbeds::Down),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed-tool: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::TcpEcho(options) => tcp_echo::run(&options),
        Command::UdpEcho(options) => udp_echo::run(&options),
        Command::UdpSession(options) => udp_session::run(&options),
        Command::TcpHold(options) => tcp_hold::run(&options),
        Command::HttpGet(options) => http_get::run(&options),
        Command::Decapsulate => decapsulate::run(),
        Command::Serve(options) => serve::run(&options),
        Command::Pause => pause::run(),
        Command::KubernetesNode(options) => kubernetes_node::run(&options),
        Command::UdpStream(options) => udp_stream::run(&options),
        Command::Up(options) => testbeds::up(&options),
        Command::Down(options) => testbeds::down(&options),
    }
}
