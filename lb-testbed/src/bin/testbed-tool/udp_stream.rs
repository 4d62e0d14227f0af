//! `udp-stream`

use std::{
    io::{self, BufRead, ErrorKind},
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use lb_testbed::report::UdpReport;

use crate::sockets;

/// Between bursts.
const TICK: Duration = Duration::from_millis(1);
/// Datagrams sent at once, at most, to catch up after a delay: the queues of
/// virtual links hold 256 packets, and they are not under test.
const BURST: u64 = 64;
/// How long answers may take that have not come when the last datagram is sent.
const STRAGGLERS: Duration = Duration::from_millis(500);
/// Pads datagrams to a size that real ones have.
const PADDING: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// How many errors, or lost datagrams, a report tells.
const SAMPLES: usize = 10;

#[derive(Args)]
pub struct UdpStreamArgs {
    /// Address and port of `udp-echo`
    #[arg(long)]
    target: SocketAddr,
    /// Datagrams a second
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    source_address: Option<IpAddr>,
    /// The source port; 0 is any
    #[arg(long, default_value_t = 0)]
    port: u16,
}

pub fn run(options: &UdpStreamArgs) -> Result<()> {
    ensure!(options.rate > 0, "--rate must be above 0");
    let total = (f64::from(options.rate) * options.seconds).round() as u64;
    let socket = sockets::udp_client(options.source_address, options.port, options.target)?;
    socket.set_nonblocking(true)?;
    let mut stream = Stream::new(socket, total);
    stream.send_all(options.rate, &is_told_to_stop())?;
    println!("{}", serde_json::to_string(&stream.finish())?);
    Ok(())
}

/// Becomes true when a line of stdin says `stop`. The end of stdin says nothing.
fn is_told_to_stop() -> Arc<AtomicBool> {
    let is_told = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_told);
    thread::spawn(move || {
        if io::stdin().lock().lines().map_while(Result::ok).any(|line| line == "stop") {
            told.store(true, Ordering::Relaxed);
        }
    });
    is_told
}

struct Stream {
    socket: UdpSocket,
    /// Which datagrams have been answered.
    answered: Vec<bool>,
    last_answer: Instant,
    max_gap: Duration,
    report: UdpReport,
}

impl Stream {
    fn new(socket: UdpSocket, total: u64) -> Self {
        let answered = vec![false; usize::try_from(total).unwrap_or(usize::MAX)];
        Self {
            socket,
            answered,
            last_answer: Instant::now(),
            max_gap: Duration::ZERO,
            report: UdpReport::default(),
        }
    }

    /// Sends until all are sent, or `is_told_to_stop`.
    fn send_all(&mut self, rate: u32, is_told_to_stop: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        let total = self.answered.len() as u64;
        while self.report.sent < total && !is_told_to_stop.load(Ordering::Relaxed) {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64 + 1;
            let until = due.min(total).min(self.report.sent + BURST);
            while self.report.sent < until {
                self.send()?;
            }
            self.receive();
            thread::sleep(TICK);
        }
        let end = Instant::now() + STRAGGLERS;
        while Instant::now() < end && self.report.received < self.report.sent {
            self.receive();
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        let datagram = format!("{} {PADDING}", self.report.sent);
        match self.socket.send(datagram.as_bytes()) {
            Ok(_) => self.report.sent += 1,
            // An ICMP error for an earlier datagram, or a full queue here: not sent, try again.
            Err(error) if is_about_earlier(&error) => self.note(&error.to_string()),
            Err(error) => return Err(error).context("sending"),
        }
        Ok(())
    }

    /// Takes all answers that are there.
    fn receive(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.answer(&String::from_utf8_lossy(&buffer[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => self.note(&error.to_string()),
            }
        }
    }

    /// `<pod> <number> <padding>`
    fn answer(&mut self, text: &str) {
        let now = Instant::now();
        self.max_gap = self.max_gap.max(now - self.last_answer);
        self.last_answer = now;
        let words: Vec<_> = text.split(' ').collect();
        let &[pod, number, PADDING] = words.as_slice() else {
            return self.note(&format!("strange answer {text:?}"));
        };
        let index = number.parse().unwrap_or(usize::MAX);
        match self.answered.get_mut(index) {
            Some(answered) if *answered => self.report.duplicates += 1,
            Some(answered) => {
                *answered = true;
                self.report.received += 1;
                *self.report.per_pod.entry(pod.to_owned()).or_default() += 1;
            }
            None => self.note(&format!("answer to what was never sent: {text:?}")),
        }
    }

    fn note(&mut self, what: &str) {
        if self.report.errors.len() < SAMPLES {
            self.report.errors.push(what.to_owned());
        }
    }

    fn finish(mut self) -> UdpReport {
        let sent = (0..self.report.sent).zip(&self.answered);
        let lost = sent.filter(|(_, answered)| !**answered).map(|(number, _)| number);
        self.report.first_lost = lost.take(SAMPLES).collect();
        self.report.lost = self.report.sent - self.report.received;
        self.report.max_gap_ms = self.max_gap.as_millis() as u64;
        self.report
    }
}

fn is_about_earlier(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, WouldBlock};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | WouldBlock)
}
