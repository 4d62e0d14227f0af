//! Requests go round the triangle: real programs, real packets.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_testbed::{
    Config, DirectorCounters, ServiceSpec, TCP_ECHO_PORT, TcpHoldOptions, Triangle, UDP_ECHO_PORT,
    UdpStreamOptions, VIP,
};

/// What curl prints for `path` on a VIP.
fn curl(triangle: &Triangle, vip: IpAddr, path: &str) -> Result<String> {
    let url = format!("http://{}{path}", std::net::SocketAddr::new(vip, 80));
    triangle.testbed.client().run(&["curl", "-sS", "-g", "--max-time", "5", &url])
}

fn goes_round(config: Config, delivery: &str) -> Result<()> {
    let triangle = Triangle::start(config, &[ServiceSpec::everything("web").delivery(delivery)])?;
    requests(&triangle).with_context(|| triangle.story())
}

fn requests(triangle: &Triangle) -> Result<()> {
    let counters = DirectorCounters::attach(&triangle.testbed)?;
    for vip in VIP.both() {
        for _ in 0..20 {
            let answer = curl(triangle, vip, "/")?;
            ensure!(answer.starts_with("pod"), "{vip} answers {answer:?}");
        }
    }
    let count = counters.read()?;
    ensure!(count.packets > 0, "nothing came by the directors");
    ensure!(count.reply_packets == 0, "{} replies came by the directors", count.reply_packets);
    Ok(())
}

#[test]
fn over_a_routed_network() -> Result<()> {
    goes_round(Config::l3(), "auto")
}

#[test]
fn on_one_link() -> Result<()> {
    goes_round(Config::l2(), "auto")
}
