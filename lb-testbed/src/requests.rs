//! HTTP requests by curl, from the client.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    ops::AddAssign,
};

use anyhow::{Context, Result, ensure};

use crate::{namespace::Namespace, run, testbed::Testbed};

/// The most errors that are kept.
const SAMPLES: usize = 10;

/// What became of requests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    pub requests: u64,
    pub answered: u64,
    /// Answers by Pod.
    pub per_pod: BTreeMap<String, u64>,
    /// What curl said, first few.
    pub errors: Vec<String>,
}

impl Answers {
    pub fn all_answered(&self) -> bool {
        self.answered == self.requests
    }
}

impl AddAssign for Answers {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.answered += other.answered;
        for (pod, count) in other.per_pod {
            *self.per_pod.entry(pod).or_default() += count;
        }
        self.errors.extend(other.errors);
        self.errors.truncate(SAMPLES);
    }
}

impl Testbed {
    /// `each` requests from each of the client's addresses, of the target's
    /// family, each on a connection of its own: who answers?
    pub fn send_requests(&self, target: SocketAddr, each: u64) -> Result<Answers> {
        let mut sum = Answers::default();
        for address in self.client_addresses() {
            let source = if target.is_ipv4() { IpAddr::V4(address.v4) } else { IpAddr::V6(address.v6) };
            sum += self.send_requests_from(source, target, each)?;
        }
        Ok(sum)
    }

    /// The same from one address.
    pub fn send_requests_from(&self, source: IpAddr, target: SocketAddr, count: u64) -> Result<Answers> {
        request(self.client(), &["--interface", &source.to_string()], target, count)
    }

    /// The same from another namespace, as its routes have it.
    pub fn send_requests_in(&self, from: &Namespace, target: SocketAddr, count: u64) -> Result<Answers> {
        request(from, &[], target, count)
    }

    /// The answer to one request.
    pub fn get(&self, target: SocketAddr, path: &str) -> Result<String> {
        let url = format!("http://{target}{path}");
        self.client().run(&["curl", "--silent", "--show-error", "--fail", "--max-time", "5", &url])
    }

    /// Gets `/download` and compares it with what was sent; its length.
    pub fn get_download(&self, target: SocketAddr) -> Result<u64> {
        self.get_download_in(self.client(), target)
    }

    /// The same from another namespace.
    pub fn get_download_in(&self, from: &Namespace, target: SocketAddr) -> Result<u64> {
        let sent = self.download_file()?;
        let (url, copy) = (format!("http://{target}/download"), self.dir().join("downloaded"));
        let path = copy.to_string_lossy();
        let words = ["curl", "--silent", "--show-error", "--fail", "--max-time", "60", "-o", &path, &url];
        from.run(&words)?;
        let got = fs::read(&copy).with_context(|| format!("reading {}", copy.display()))?;
        let sent = fs::read(&sent).with_context(|| format!("reading {}", sent.display()))?;
        ensure!(got == sent, "the download from {target} differs from what was sent");
        Ok(got.len() as u64)
    }
}

fn request(from: &Namespace, options: &[&str], target: SocketAddr, count: u64) -> Result<Answers> {
    // One process for all of them: a range in the query makes it ask again.
    let url = format!("http://{target}/?[1-{count}]");
    let mut command = from.command("curl")?;
    command.args(["--silent", "--show-error", "--fail", "--max-time", "5"]);
    command.args(["--header", "Connection: close"]).args(options).arg(&url);
    let output = run::run_for_output(&mut command, "").context("requesting")?;
    let mut answers = Answers { requests: count, ..Answers::default() };
    for pod in String::from_utf8_lossy(&output.stdout).lines() {
        answers.answered += 1;
        *answers.per_pod.entry(pod.to_owned()).or_default() += 1;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    answers.errors = said.lines().take(SAMPLES).map(str::to_owned).collect();
    Ok(answers)
}
