//! Streams of UDP datagrams.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use lb_testbed::{Triangle, UDP_ECHO_PORT, UdpStream, UdpStreamOptions, VIP};

use super::{client_addresses, socket_address};

/// From what was done last to the end of streams: it may lose something a little later.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Starts one to each VIP from each of the client's addresses, of `rate` datagrams a second.
pub fn start_streams(triangle: &Triangle, rate: u32, length: Duration) -> Result<Vec<UdpStream>> {
    let mut streams = Vec::new();
    for vip in VIP.both() {
        let target = socket_address(vip, UDP_ECHO_PORT);
        for source in client_addresses(triangle, vip) {
            let options = UdpStreamOptions { target, rate, length, source: Some(source), source_port: 0 };
            streams.push(triangle.testbed.start_udp_stream(&options)?);
        }
    }
    Ok(streams)
}

/// Ends them soon, if they are not over yet: every datagram was answered, once.
pub fn check_nothing_lost(mut streams: Vec<UdpStream>) -> Result<()> {
    thread::sleep(AFTERWARDS);
    streams.iter_mut().for_each(UdpStream::cut_short);
    check_all_answered(streams)
}

/// Waits for their end: the same.
pub fn check_all_answered(streams: Vec<UdpStream>) -> Result<()> {
    for stream in streams {
        let report = stream.finish()?;
        ensure!(report.lost == 0 && report.duplicates == 0, "{report:?}");
    }
    Ok(())
}
