//! HTTP, as little of it as Pods need: one request on each connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv6Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// For a whole request, and for each part of it.
const LIMIT: u64 = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(10);
/// Of the kubelet, whose probes are no clients.
const HEALTH: &str = "/healthz";

/// `/` says `name`, `/echo-addr` the client's address. Logs address and path of each request.
pub fn run(port: u16, name: &str) -> Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("TCP {port}"))?;
    println!("listening on {port}");
    loop {
        let (stream, from) = match listener.accept() {
            Ok(accepted) => accepted,
            // Of that connection, or of a shortage that passes.
            Err(error) => {
                eprintln!("accepting: {error}");
                thread::sleep(Duration::from_millis(10));
                continue;
            }
        };
        let (name, from) = (name.to_owned(), from.ip().to_canonical());
        thread::spawn(move || {
            if let Err(error) = converse(&stream, from, &name) {
                eprintln!("{from}: {error:#}");
            }
        });
    }
}

fn converse(mut stream: &TcpStream, from: IpAddr, name: &str) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(path) = read_request(stream)? else { return Ok(()) };
    if path != HEALTH {
        println!("{from} {path}");
    }
    stream.write_all(answer(&path, from, name).as_bytes()).context("answering")
}

/// The path of a GET, without its query; None if the client closes without a word.
fn read_request(stream: impl Read) -> Result<Option<String>> {
    let mut lines = BufReader::new(stream.take(LIMIT)).lines();
    let Some(first) = lines.next().transpose().context("reading a request")? else { return Ok(None) };
    // What is not read would reset the connection when it is closed.
    for line in lines {
        if line.context("reading a header")?.is_empty() {
            break;
        }
    }
    let target = first.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    let path = target.context("not a GET")?.split('?').next().unwrap_or_default();
    Ok(Some(path.to_owned()))
}

fn answer(path: &str, from: IpAddr, name: &str) -> String {
    let (status, body) = match path {
        "/" => ("200 OK", format!("{name}\n")),
        "/echo-addr" => ("200 OK", format!("{from}\n")),
        HEALTH => ("200 OK", "well\n".to_owned()),
        _ => ("404 Not Found", "there is no such page\n".to_owned()),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nX-Pod: {name}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(request: &[u8]) -> Option<String> {
        read_request(request).expect("a request")
    }

    #[test]
    fn the_path_is_read_without_its_query() {
        assert_eq!(path_of(b"GET /?17 HTTP/1.1\r\nHost: a\r\n\r\n"), Some("/".to_owned()));
        assert_eq!(path_of(b"GET /echo-addr HTTP/1.0\r\n\r\n"), Some("/echo-addr".to_owned()));
        assert_eq!(path_of(b""), None);
        assert!(read_request(&b"POST / HTTP/1.1\r\n\r\n"[..]).is_err());
    }

    #[test]
    fn answers_say_how_long_they_are() {
        let from = "198.51.100.10".parse().expect("an address");
        let text = answer("/", from, "web-1");
        assert!(text.contains("Content-Length: 6\r\n") && text.ends_with("\r\n\r\nweb-1\n"), "{text}");
        assert!(answer("/echo-addr", from, "web-1").ends_with("\n198.51.100.10\n"));
        assert!(answer("/other", from, "web-1").starts_with("HTTP/1.1 404 "));
    }
}
