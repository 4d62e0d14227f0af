//! `http-get`

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use lb_testbed::report::HttpReport;

/// For a connection, and for each part of a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so many that are not answered, no more are made.
const FAILURES: usize = 3;
const REQUEST: &[u8] = b"GET /echo-addr HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n";

#[derive(Args)]
pub struct HttpGetArgs {
    /// Address and port of the HTTP of `serve`
    #[arg(long)]
    target: SocketAddr,
    /// Requests, each on a connection of its own
    #[arg(long)]
    count: u64,
}

pub fn run(options: &HttpGetArgs) -> Result<()> {
    let mut report = HttpReport { requests: options.count, ..HttpReport::default() };
    for _ in 0..options.count {
        match ask(options.target) {
            Ok((pod, source)) => {
                report.answered += 1;
                report.sources.entry(pod).or_default().insert(source);
            }
            Err(error) => report.errors.push(format!("{error:#}")),
        }
        if report.errors.len() == FAILURES {
            break;
        }
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn ask(target: SocketAddr) -> Result<(String, IpAddr)> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST).context("asking")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading an answer")?;
    parse(&answer)
}

/// Which Pod answers, by its header, and the client's address, which is the body.
fn parse(answer: &str) -> Result<(String, IpAddr)> {
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no headers: {answer:?}"))?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "no success: {answer:?}");
    let pod = head.lines().find_map(|line| line.strip_prefix("X-Pod: "));
    let pod = pod.with_context(|| format!("no Pod: {answer:?}"))?;
    let source: IpAddr = body.trim().parse().with_context(|| format!("no address: {answer:?}"))?;
    Ok((pod.to_owned(), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_pod_and_source() {
        let told = parse("HTTP/1.1 200 OK\r\nX-Pod: web-1\r\nConnection: close\r\n\r\n2001:db8::1\n");
        assert_eq!(told.unwrap(), ("web-1".to_owned(), "2001:db8::1".parse().unwrap()));
        let failed = "HTTP/1.1 404 Not Found\r\nX-Pod: web-1\r\n\r\n192.0.2.1\n";
        for wrong in ["", failed, "HTTP/1.1 200 OK\r\n\r\n192.0.2.1\n"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
