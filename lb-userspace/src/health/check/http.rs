//! As much of HTTP/1.1 (RFC 9112) as a check needs. Pure.

use std::net::SocketAddr;

/// `HTTP/1.1 200`
pub const STATUS_LEN: usize = 12;

pub fn encode_request(path: &str, to: SocketAddr) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: trigon/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

/// By the beginning of the answer: good, if it is a status of 2xx or 3xx.
pub fn check_status(answer: &[u8]) -> Result<(), String> {
    let is_http = answer.starts_with(b"HTTP/1.") && answer.get(8) == Some(&b' ');
    match answer.get(9..STATUS_LEN) {
        Some([b'2' | b'3', b'0'..=b'9', b'0'..=b'9']) if is_http => Ok(()),
        _ => Err(format!("the answer begins with `{}`", answer.escape_ascii())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_the_vip() {
        let text = |to: &str| String::from_utf8(encode_request("/live", to.parse().unwrap())).unwrap();
        assert!(text("192.0.2.1:80").starts_with("GET /live HTTP/1.1\r\nHost: 192.0.2.1:80\r\n"));
        assert!(text("[2001:db8::1]:80").contains("\r\nHost: [2001:db8::1]:80\r\n"));
        assert!(text("192.0.2.1:80").ends_with("\r\n\r\n"));
    }

    #[test]
    fn success_and_redirection_pass_and_all_else_fails() {
        for good in ["HTTP/1.1 200", "HTTP/1.0 204", "HTTP/1.1 302", "HTTP/1.1 399"] {
            assert_eq!(check_status(good.as_bytes()), Ok(()), "{good}");
        }
        let bad = [
            "",
            "HTTP/1.1 20",
            "HTTP/1.1 100",
            "HTTP/1.1 404",
            "HTTP/1.1 503",
            "HTTP/1.1 2xx",
            "SSH-2.0-Open",
            "HTTP/2.0 200",
        ];
        for bad in bad {
            assert!(check_status(bad.as_bytes()).unwrap_err().contains(bad), "{bad}");
        }
    }
}
