//! Servers in Pods.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{plan::Pod, process::Process, testbed::Testbed};

pub const HTTP_PORT: u16 = 8080;
pub const UDP_ECHO_PORT: u16 = 5353;
pub const TCP_ECHO_PORT: u16 = 7000;
/// The length of `/download`.
pub const DOWNLOAD_BYTES: u64 = 64 << 20;

const PATIENCE: Duration = Duration::from_secs(5);

impl Testbed {
    /// nginx in a Pod, on port 8080 of both families: `/` says the Pod's name,
    /// `/echo-addr` the client's address, `/download` is long, and there once [`Self::download_file`] was called.
    pub fn start_http(&self, pod: &Pod) -> Result<Process> {
        let dir = self.dir().join(format!("{}.nginx", pod.name));
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let config = dir.join("nginx.conf");
        let text = nginx_config(pod, &dir, &self.http_log(pod), &self.download_path());
        fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let config = config.to_string_lossy();
        let server = pod.namespace.spawn(
            &format!("{}.http", pod.name),
            "nginx",
            // Without -e it would first open a log of the system's.
            &["-e", "stderr", "-p", &dir.to_string_lossy(), "-c", &config],
        )?;
        // nginx logs requests, so a mere connection leaves no trace.
        wait_until_ready(server, |_| accepts_connection(pod, HTTP_PORT))
    }

    /// An echo of datagrams, `<pod> <datagram>`.
    pub fn start_udp_echo(&self, pod: &Pod, port: u16) -> Result<Process> {
        self.start_tool(pod, "udp-echo", port)
    }

    /// A server that knows its connections, as one of QUIC does.
    pub fn start_udp_session(&self, pod: &Pod, port: u16) -> Result<Process> {
        let arguments = ["udp-session", "--port", &port.to_string(), "--name", &pod.name];
        let server =
            pod.namespace.spawn(&format!("{}.udp-session", pod.name), self.tool_path()?, &arguments)?;
        wait_until_ready(server, |server| server.log().contains("listening"))
    }

    /// An echo of lines that says the Pod's name first.
    pub fn start_tcp_echo(&self, pod: &Pod, port: u16) -> Result<Process> {
        self.start_tool(pod, "tcp-echo", port)
    }

    /// The addresses that a Pod's HTTP server saw clients come from.
    pub fn http_sources(&self, pod: &Pod) -> Result<Vec<IpAddr>> {
        read_addresses(&self.http_log(pod))
    }

    /// The addresses that a Pod's UDP echo saw datagrams come from.
    pub fn udp_sources(&self, pod: &Pod) -> Result<Vec<IpAddr>> {
        read_addresses(&self.sources_log(pod, "udp-echo"))
    }

    /// The addresses that a Pod's TCP echo saw clients come from.
    pub fn tcp_sources(&self, pod: &Pod) -> Result<Vec<IpAddr>> {
        read_addresses(&self.sources_log(pod, "tcp-echo"))
    }

    /// What `/download` serves, to compare with. It is there once this was called: few testbeds need it.
    pub fn download_file(&self) -> Result<PathBuf> {
        let path = self.download_path();
        if !path.exists() {
            write_noise(&path, DOWNLOAD_BYTES).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(path)
    }

    fn start_tool(&self, pod: &Pod, command: &str, port: u16) -> Result<Process> {
        let (port, log) = (port.to_string(), self.sources_log(pod, command));
        let arguments = [command, "--port", &port, "--name", &pod.name, "--sources", &log.to_string_lossy()];
        let label = format!("{}.{command}", pod.name);
        let server = pod.namespace.spawn(&label, self.tool_path()?, &arguments)?;
        // Not by a connection: it would be among the sources.
        wait_until_ready(server, |server| server.log().contains("listening"))
    }

    fn download_path(&self) -> PathBuf {
        self.dir().join("download")
    }

    fn http_log(&self, pod: &Pod) -> PathBuf {
        self.dir().join(format!("{}.access.log", pod.name))
    }

    fn sources_log(&self, pod: &Pod, command: &str) -> PathBuf {
        self.dir().join(format!("{}.{command}.sources", pod.name))
    }
}

fn accepts_connection(pod: &Pod, port: u16) -> bool {
    let address = SocketAddr::new(pod.address.v4.into(), port);
    pod.namespace.within(|| Ok(TcpStream::connect(address)?)).is_ok()
}

fn wait_until_ready(mut server: Process, ready: impl Fn(&Process) -> bool) -> Result<Process> {
    let deadline = Instant::now() + PATIENCE;
    while !ready(&server) {
        let label = server.label().to_owned();
        ensure!(server.is_running(), "{label} ended; it wrote:\n{}", server.log());
        ensure!(
            Instant::now() < deadline,
            "{label} not ready within {PATIENCE:?}; it wrote:\n{}",
            server.log()
        );
        thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}

/// One address a line, each once.
fn read_addresses(log: &Path) -> Result<Vec<IpAddr>> {
    let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let first_words = text.lines().filter_map(|line| line.split_whitespace().next());
    let mut found = first_words
        .map(|word| word.parse().with_context(|| format!("{}: `{word}` is no address", log.display())))
        .collect::<Result<Vec<_>>>()?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// Not zeros: a broken byte must be seen.
fn write_noise(path: &Path, length: u64) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..length / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes())?;
    }
    Ok(out.flush()?)
}

fn nginx_config(pod: &Pod, dir: &Path, log: &Path, download: &Path) -> String {
    let (name, dir, log, download) = (&pod.name, dir.display(), log.display(), download.display());
    format!(
        r#"user root;
worker_processes 1;
daemon off;
pid {dir}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    log_format sources '$remote_addr $request_method $uri $status';
    access_log {log} sources;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    sendfile on;
    keepalive_timeout 300s;
    keepalive_requests 1000000;
    default_type text/plain;
    server {{
        listen {HTTP_PORT} backlog=4096;
        listen [::]:{HTTP_PORT} backlog=4096;
        add_header X-Pod {name} always;
        location = / {{ return 200 "{name}\n"; }}
        location = /echo-addr {{ return 200 "$remote_addr\n"; }}
        location = /download {{ alias {download}; }}
    }}
}}
"#
    )
}
