//! UDP flows keep their Pod when rings change, although directors keep no state of them and UDP has no SYN to tell
//! a new flow from an old one.

mod common;

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, run_with_diagnostics, socket_address};
use lb_testbed::{
    Config, EndpointState, PortSpec, Process, Protocol, ServiceSpec, Triangle, UDP_ECHO_PORT,
    UdpStreamOptions, VIP,
};

const SESSION_PORT: u16 = 4433;

/// Pods of nodes 1 and 2; then node 3 joins; then node 1 drains.
const STEPS: [(&str, &[(&str, EndpointState)]); 3] = {
    use EndpointState::{Ready, Terminating};
    [
        ("two nodes", &[("pod1_1", Ready), ("pod1_2", Ready), ("pod2_1", Ready), ("pod2_2", Ready)]),
        (
            "a third node",
            &[
                ("pod1_1", Ready),
                ("pod1_2", Ready),
                ("pod2_1", Ready),
                ("pod2_2", Ready),
                ("pod3_1", Ready),
                ("pod3_2", Ready),
            ],
        ),
        (
            "the first one drains",
            &[
                ("pod1_1", Terminating),
                ("pod1_2", Terminating),
                ("pod2_1", Ready),
                ("pod2_2", Ready),
                ("pod3_1", Ready),
                ("pod3_2", Ready),
            ],
        ),
    ]
};

fn service(step: usize) -> ServiceSpec {
    let ports = vec![
        PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT),
        PortSpec::new("session", Protocol::Udp, SESSION_PORT, SESSION_PORT),
    ];
    ServiceSpec::new("udp", ports).endpoints(STEPS[step].1)
}

/// Packets that nodes handed on to other nodes.
fn count_second_hops(triangle: &Triangle) -> Result<u64> {
    triangle.testbed.sum_verdict(triangle.testbed.nodes(), "hand_on")
}

#[test]
fn streams_keep_their_pod() -> Result<()> {
    const RATE: u32 = 1000;
    const PAUSE: Duration = Duration::from_secs(2);
    run_with_diagnostics(
        &mut Triangle::start(Config { clients: 4, ..Config::l3() }, &[service(0)])?,
        |triangle| {
            let mut streams = Vec::new();
            for vip in VIP.both() {
                for (number, source) in (0..).zip(client_addresses(triangle, vip)) {
                    let options = UdpStreamOptions {
                        target: socket_address(vip, UDP_ECHO_PORT),
                        rate: RATE,
                        length: PAUSE * 4,
                        source: Some(source),
                        // The same at every run, so that the same flows change their owner.
                        source_port: 41_000 + number,
                    };
                    streams.push((options.clone(), triangle.testbed.start_udp_stream(&options)?));
                }
            }
            for (step, (what, _)) in STEPS.iter().enumerate().skip(1) {
                thread::sleep(PAUSE);
                println!("{what}");
                triangle.write_objects(&[service(step)])?;
            }
            for (options, stream) in streams {
                let report = stream.finish()?;
                let from = options.source.context("no source")?;
                println!(
                    "{from} -> {}: {} of {}, {:?}",
                    options.target, report.received, report.sent, report.per_pod
                );
                ensure!(report.per_pod.len() == 1, "{from}: answered by several: {report:?}");
                // A virtual link's queue may overflow when this machine is busy.
                ensure!(report.received * 100 >= report.sent * 98, "{from}: {report:?}");
            }
            let hops = count_second_hops(triangle)?;
            println!("{hops} packets took a second hop");
            ensure!(hops > 0, "no flow had to be handed on: the test shows nothing");
            Ok(())
        },
    )
}

/// A connection to `udp-session`, known by its identifier.
struct Session {
    socket: UdpSocket,
    id: String,
    pod: String,
    /// The last number that was sent.
    number: u64,
}

impl Session {
    fn open(triangle: &Triangle, source: SocketAddr, to: SocketAddr) -> Result<Self> {
        let socket = triangle.testbed.client().within(|| Ok(UdpSocket::bind(source)?))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let id = format!("{}.{}", source.port(), to.port());
        let mut session = Self { socket, id, pod: String::new(), number: 0 };
        let answer = session.ask(&format!("open {}", session.id))?;
        session.pod =
            answer.strip_suffix(&format!(" opened {}", session.id)).context(answer.clone())?.to_owned();
        Ok(session)
    }

    /// Sends the next number; the answer has the sum of all of them.
    fn exchange(&mut self) -> Result<()> {
        self.number += 1;
        let answer = self.ask(&format!("data {} {}", self.id, self.number))?;
        let sum: u64 = (1..=self.number).sum();
        let expected = format!("{} {} {} {sum}", self.pod, self.id, self.number);
        ensure!(answer == expected, "`{answer}` instead of `{expected}`");
        Ok(())
    }

    /// Sends the question again if no answer comes, as QUIC does; ignores late answers to earlier ones.
    fn ask(&self, question: &str) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut buffer = [0; 2048];
        let key = question.split_once(' ').map_or(question, |(_, rest)| rest);
        while Instant::now() < deadline {
            self.socket.send(question.as_bytes())?;
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if answer.contains(key) || answer.contains("reset") {
                    return Ok(answer);
                }
            }
        }
        anyhow::bail!("no answer to `{question}`")
    }
}

#[test]
fn sessions_keep_their_state() -> Result<()> {
    const SESSIONS: u16 = 12;
    const STEP: Duration = Duration::from_secs(2);
    run_with_diagnostics(
        &mut Triangle::start(Config { clients: 4, ..Config::l3() }, &[service(0)])?,
        |triangle| {
            let testbed = &triangle.testbed;
            let servers = testbed.pods().iter().map(|pod| testbed.start_udp_session(pod, SESSION_PORT));
            let _servers = servers.collect::<Result<Vec<Process>>>()?;
            let mut sessions = Vec::new();
            for vip in VIP.both() {
                for (number, source) in (0..SESSIONS).zip(client_addresses(triangle, vip).into_iter().cycle())
                {
                    let source = SocketAddr::new(source, 42_000 + number);
                    sessions.push(Session::open(triangle, source, socket_address(vip, SESSION_PORT))?);
                }
            }
            for (step, (what, _)) in STEPS.iter().enumerate() {
                triangle.write_objects(&[service(step)])?;
                let end = Instant::now() + STEP;
                while Instant::now() < end {
                    for session in &mut sessions {
                        session.exchange().with_context(|| format!("{what}: session {}", session.id))?;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                let numbers: u64 = sessions.iter().map(|session| session.number).sum();
                println!("{what}: {numbers} exchanges so far, {} second hops", count_second_hops(triangle)?);
            }
            ensure!(count_second_hops(triangle)? > 0, "no flow had to be handed on: the test shows nothing");
            Ok(())
        },
    )
}
