//! Agents and commands with arguments or in an environment that cannot work end with a clear error and change
//! nothing.

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Output};

use anyhow::{Context, Result, ensure};
use common::{run_with_diagnostics, socket_address};
use lb_testbed::{Config, Machine, ServiceSpec, Triangle, VIP, locate_program};

/// A second agent on node1, with a socket and a pin directory of its own, beside the one that runs.
struct Attempt<'a> {
    triangle: &'a Triangle,
    /// Words before the program, e.g. `setpriv` to run it as another user.
    prefix: &'a [&'a str],
    interface: &'a str,
    socket: PathBuf,
    source: PathBuf,
    pins: PathBuf,
}

impl<'a> Attempt<'a> {
    fn new(triangle: &'a Triangle) -> Self {
        let testbed = &triangle.testbed;
        Self {
            triangle,
            prefix: &[],
            interface: "eth0",
            socket: testbed.dir().join("attempt").join("agent.sock"),
            source: triangle.source_dir().to_owned(),
            pins: testbed.bpffs().join("attempt"),
        }
    }

    fn machine(&self) -> Result<&Machine> {
        self.triangle.testbed.machine("node1")
    }

    /// Runs the agent until it ends; `timeout` kills it after 20 s.
    fn run(&self) -> Result<Output> {
        let program = self.triangle.testbed.dir().join("trigon");
        if !program.exists() {
            // A copy in the testbed's directory, so that an unprivileged user may execute it.
            fs::copy(locate_program("trigon", "TRIGON_BIN")?, &program).context("copying trigon")?;
        }
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let (program, socket, source, pins) =
            (path(&program), path(&self.socket), path(&self.source), path(&self.pins));
        let mut command = vec!["timeout", "20"];
        command.extend(self.prefix);
        command.extend([&*program, "--socket", &socket, "agent", "--role", "node", "--node-name", "node1"]);
        command.extend(["--interface", self.interface, "--source", &source, "--pin-dir", &pins]);
        self.machine()?.namespace.run_for_output(&command)
    }

    /// The agent exits with this code, its error contains all of `said`, and it leaves no pins. The agent that ran
    /// before is still ready, and requests are answered.
    fn expect_failure(&self, code: i32, said: &[&str]) -> Result<()> {
        let output = self.run()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        println!("exit code {:?}: {}", output.status.code(), text.trim());
        ensure!(output.status.code() == Some(code), "not {code}: {output:?}");
        ensure!(said.iter().all(|part| text.contains(part)), "{said:?} not in {text}");
        ensure!(!self.triangle.testbed.bpffs().join("attempt").exists(), "it has left pins");
        let answers = self.triangle.testbed.send_requests(socket_address(VIP.v4.into(), 80), 2)?;
        ensure!(answers.all_answered(), "{answers:?}");
        self.triangle.check_ready("node1")
    }
}

#[test]
fn agents_that_cannot_work_say_why() -> Result<()> {
    let config = Config { directors: 1, nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let attempt = || Attempt::new(triangle);
        let dir = triangle.testbed.dir();
        println!("an interface that is not there");
        Attempt { interface: "eth7", ..attempt() }
            .expect_failure(2, &["--interface eth7", "no such interface", "`ip link`"])?;
        println!("a source that is not there");
        let source = dir.join("nowhere");
        Attempt { source, ..attempt() }
            .expect_failure(2, &["--source", "nowhere", "no such directory; make it"])?;
        println!("a pin directory on another file system");
        let pins = dir.join("pins");
        Attempt { pins, ..attempt() }
            .expect_failure(2, &["--pin-dir", "pins", "not on a BPF file system"])?;
        println!("a socket where another agent answers");
        let socket = triangle.testbed.socket_path(triangle.testbed.machine("node1")?);
        Attempt { socket, ..attempt() }
            .expect_failure(1, &["--socket", "another agent answers there; stop it"])?;
        println!("a pin directory that another agent has");
        let pins = triangle.testbed.pin_dir(triangle.testbed.machine("node1")?);
        Attempt { pins, ..attempt() }
            .expect_failure(1, &["--pin-dir", "an agent is at work there; stop it first"])?;
        println!("a socket's path where there is a file");
        let socket = dir.join("precious");
        fs::write(&socket, "kept")?;
        Attempt { socket: socket.clone(), ..attempt() }
            .expect_failure(1, &["--socket", "something else is there"])?;
        ensure!(fs::read_to_string(&socket)? == "kept", "the file is gone");
        println!("unload of a directory that has no pins");
        let elsewhere = ["unload", "--pin-dir", &dir.to_string_lossy()];
        let output = triangle.testbed.run_trigon(triangle.testbed.machine("node1")?, &elsewhere)?;
        ensure!(output.status.code() == Some(2) && dir.join("source").exists(), "{output:?}");
        println!("an interface that another agent has");
        attempt()
            .expect_failure(1, &["--interface eth0", "another XDP program is attached", "trigon unload"])?;
        println!("without privilege");
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
        let world_writable = dir.join("anybodys");
        fs::create_dir(&world_writable)?;
        fs::set_permissions(&world_writable, fs::Permissions::from_mode(0o777))?;
        Attempt { prefix: &nobody, socket: world_writable.join("agent.sock"), ..attempt() }
            .expect_failure(1, &["not permitted to use BPF", "run as root, or give CAP_BPF"])
    })
}

#[test]
fn commands_say_when_no_agent_answers() -> Result<()> {
    let config = Config { directors: 1, nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        triangle.agent("node1")?.kill()?;
        for command in ["status", "services", "backends", "drops"] {
            let output = triangle.testbed.run_trigon(triangle.testbed.machine("node1")?, &[command])?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            println!("{command}: exit code {:?}: {}", output.status.code(), text.trim());
            let fine = output.status.code() == Some(1) && text.contains("no agent answers; start one");
            ensure!(fine, "{command}: {output:?}");
        }
        Ok(())
    })
}
