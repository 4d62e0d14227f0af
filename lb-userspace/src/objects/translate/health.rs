//! The health check that a Service asks for its bare servers.

use super::{
    annotations::{BACKENDS, HEALTH_CHECK},
    values::Complaint,
};
use crate::objects::{
    model::{Check, Labels, Protocol},
    source::ServiceSpec,
};

const HTTP: &str = "http:";
/// Bytes, so that a request fits into one packet.
const LONGEST_PATH: usize = 1024;

/// The check of the Service's TCP ports: whether a connection succeeds, unless the
/// annotation says otherwise. None: nothing is checked.
pub fn wanted_check(
    annotations: &Labels,
    spec: &ServiceSpec,
    bare: bool,
) -> Result<Option<Check>, Complaint> {
    let Some(written) = annotations.get(HEALTH_CHECK) else {
        return Ok(bare.then_some(Check::Tcp));
    };
    if !bare {
        let remedy = format!("remove it, or write {BACKENDS}: bare if these are servers without an agent");
        return Err(Complaint::new("only bare servers are checked; nodes are probed", remedy));
    }
    let check = match written {
        "none" => return Ok(None),
        "icmp" => return Ok(Some(Check::Icmp)),
        "tcp" => Check::Tcp,
        _ => Check::Http(http_path(written)?.into()),
    };
    let mut ports = spec.ports.iter();
    if ports.all(|port| port.protocol.as_deref() == Some("UDP")) {
        let message = format!("`{written}` asks none of its ports: they are all UDP");
        return Err(Complaint::new(message, "write icmp, or none"));
    }
    Ok(Some(check))
}

/// The check of one port. No UDP port is sure to answer, so its server is checked by ICMP.
pub fn check_of_port(check: Option<&Check>, protocol: Protocol) -> Option<Check> {
    check.map(|check| match protocol {
        Protocol::Tcp => check.clone(),
        Protocol::Udp => Check::Icmp,
    })
}

fn http_path(written: &str) -> Result<&str, Complaint> {
    let Some(path) = written.strip_prefix(HTTP) else {
        let message = format!("`{written}` is not a value of it");
        return Err(Complaint::new(message, "write one of `tcp`, `http:/PATH`, `icmp`, `none`"));
    };
    let is_sound = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_sound || path.len() > LONGEST_PATH {
        let message = format!("`{path}` is not a path that can be asked for");
        let remedy = format!("write http:/PATH, of visible ASCII characters, at most {LONGEST_PATH}");
        return Err(Complaint::new(message, remedy));
    }
    Ok(path)
}
