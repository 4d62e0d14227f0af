//! `tcp-hold`

use std::{
    io::{self, BufRead, ErrorKind},
    net::{IpAddr, SocketAddr},
    sync::mpsc::{self, Receiver, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use lb_testbed::report::TcpReport;
use mio::{Events, Interest, Poll, Token};

use crate::{connection::Connection, sockets};

/// Connections being opened at the same time: more would overrun queues that
/// are not under test.
const OPENING: usize = 100;
/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(10);
/// How many errors a report tells.
const SAMPLES: usize = 10;

#[derive(Args)]
pub struct TcpHoldArgs {
    /// Address and port of `tcp-echo`
    #[arg(long)]
    target: SocketAddr,
    #[arg(long)]
    connections: usize,
    /// Spread the connections over these (those of the target's family)
    #[arg(long, value_delimiter = ',')]
    source_addresses: Vec<IpAddr>,
    /// Milliseconds between a line's echo and the next line
    #[arg(long, default_value_t = 1000)]
    interval: u64,
    /// Stop after this time
    #[arg(long)]
    seconds: Option<f64>,
}

pub fn run(options: &TcpHoldArgs) -> Result<()> {
    let mut hold = Hold {
        target: options.target,
        sources: sockets::of_family(&options.source_addresses, options.target)?,
        wanted: options.connections,
        interval: Duration::from_millis(options.interval),
        poll: Poll::new()?,
        connections: Vec::with_capacity(options.connections),
    };
    let end = options.seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    hold.converse(&commands(), end)?;
    print(&hold.report())
}

/// The lines of stdin, until its end.
fn commands() -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        // Nobody listens any more: we are about to end.
        lines.map(|line| sender.send(line)).take_while(Result::is_ok).count();
    });
    receiver
}

fn print(report: &TcpReport) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}

struct Hold {
    target: SocketAddr,
    sources: Vec<IpAddr>,
    wanted: usize,
    interval: Duration,
    poll: Poll,
    connections: Vec<Connection>,
}

impl Hold {
    /// Goes on until it is told to stop, or `end`.
    fn converse(&mut self, commands: &Receiver<String>, end: Option<Instant>) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut awaited = false;
        while end.is_none_or(|end| Instant::now() < end) {
            match commands.try_recv().as_deref() {
                Ok("status") => print(&self.report())?,
                Ok("opened") => awaited = true,
                Ok("stop") | Err(TryRecvError::Disconnected) => break,
                Ok(word) => bail!("`{word}` is none of status, opened, stop"),
                Err(TryRecvError::Empty) => (),
            }
            let opening = self.open_more()?;
            if awaited && opening == 0 {
                awaited = false;
                print(&self.report())?;
            }
            self.turn(&mut events)?;
        }
        Ok(())
    }

    /// One round of events and timers.
    fn turn(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, Some(TICK)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            result => result.context("waiting for events")?,
        }
        let now = Instant::now();
        for event in events.iter() {
            self.connections[event.token().0].readable(now);
        }
        for (token, connection) in self.connections.iter_mut().enumerate() {
            connection.tick(token, now);
        }
        Ok(())
    }

    /// Opens a few more connections; how many are not open yet.
    fn open_more(&mut self) -> Result<usize> {
        let opening = self.connections.iter().filter(|connection| connection.is_opening()).count();
        let more = (OPENING - opening.min(OPENING)).min(self.wanted - self.connections.len());
        for _ in 0..more {
            self.open()?;
        }
        Ok(opening + self.wanted - (self.connections.len() - more))
    }

    fn open(&mut self) -> Result<()> {
        let token = self.connections.len();
        let source = self.sources.get(token % self.sources.len().max(1)).copied();
        let mut stream = sockets::tcp_client(source, self.target)?;
        self.poll.registry().register(&mut stream, Token(token), Interest::READABLE)?;
        self.connections.push(Connection::new(stream, self.interval, Instant::now()));
        Ok(())
    }

    fn report(&self) -> TcpReport {
        let mut report = TcpReport::default();
        for connection in &self.connections {
            add(&mut report, connection);
        }
        report
    }
}

fn add(report: &mut TcpReport, connection: &Connection) {
    let broken = connection.broken();
    report.echoes += connection.echoes;
    report.max_echo_ms = report.max_echo_ms.max(connection.slowest.as_millis() as u64);
    report.broken += u64::from(broken.is_some());
    if let Some(pod) = connection.pod() {
        report.opened += 1;
        report.alive += u64::from(broken.is_none());
        *report.per_pod.entry(pod.to_owned()).or_default() += 1;
        if broken.is_some() {
            *report.broken_per_pod.entry(pod.to_owned()).or_default() += 1;
        }
    }
    if report.errors.len() < SAMPLES {
        report.errors.extend(broken.map(str::to_owned));
    }
}
