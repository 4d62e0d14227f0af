//! Clients that go on while Pods come and go: 50 new connections a second, and 200 that last.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use lb_testbed::{
    Answers, Family, TCP_ECHO_PORT, TcpHold, TcpHoldOptions, VIP, cluster::Cluster, report::TcpReport,
};

/// Requests at once, and how often.
const BURST: u64 = 10;
const TICK: Duration = Duration::from_millis(200);
/// Of both families together.
const LASTING: usize = 200;
/// Between an echo and the next line.
const INTERVAL: Duration = Duration::from_millis(500);

/// Runs `act` meanwhile. Every request is to be answered, and no connection to break but those to Pods that are gone.
pub fn under_load(cluster: &Cluster, act: impl FnOnce(&mut Lasting) -> Result<()>) -> Result<()> {
    let mut lasting = Lasting::open(cluster)?;
    let stop = AtomicBool::new(false);
    let (outcome, requests) = thread::scope(|scope| {
        let requests = scope.spawn(|| request_until(cluster, &stop));
        let outcome = act(&mut lasting);
        stop.store(true, Ordering::Relaxed);
        (outcome, requests.join())
    });
    outcome?;
    let answers = requests.map_err(|_| anyhow!("the requests panicked"))??;
    println!("{} of {} requests answered, by {:?}", answers.answered, answers.requests, answers.per_pod);
    ensure!(answers.requests > 0 && answers.all_answered(), "{answers:?}");
    lasting.check(cluster, "at the end")
}

/// To both VIPs in turn, by all of the client's addresses.
fn request_until(cluster: &Cluster, stop: &AtomicBool) -> Result<Answers> {
    let mut sum = Answers::default();
    let clients: Vec<_> = cluster.testbed.client_addresses().iter().flat_map(|dual| dual.both()).collect();
    for source in clients.into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begin = Instant::now();
        let vip = VIP.get(Family::of(source));
        sum += cluster.testbed.send_requests_from(source, SocketAddr::new(vip, 80), BURST)?;
        thread::sleep(TICK.saturating_sub(begin.elapsed()));
    }
    Ok(sum)
}

/// Connections that are to last as long as their Pods.
pub struct Lasting {
    /// Of each family.
    holds: Vec<TcpHold>,
}

impl Lasting {
    fn open(cluster: &Cluster) -> Result<Self> {
        let open = |vip: IpAddr| {
            let clients = cluster.testbed.client_addresses().iter().flat_map(|dual| dual.both());
            cluster.testbed.start_tcp_hold(&TcpHoldOptions {
                target: SocketAddr::new(vip, TCP_ECHO_PORT),
                connections: LASTING / 2,
                sources: clients.filter(|client| client.is_ipv4() == vip.is_ipv4()).collect(),
                interval: INTERVAL,
            })
        };
        Ok(Self { holds: VIP.both().map(open).into_iter().collect::<Result<_>>()? })
    }

    /// Those to Pods that are there, and are not ending, all live.
    pub fn check(&mut self, cluster: &Cluster, when: &str) -> Result<()> {
        let reports = self.holds.iter_mut().map(TcpHold::read_report).collect::<Result<Vec<_>>>()?;
        let report = reports.into_iter().fold(TcpReport::default(), TcpReport::merge);
        // Listed later: a Pod that is in it was there when the connection broke.
        let pods = cluster.pods()?;
        println!("{when}: {} of {} connections alive, to {:?}", report.alive, report.opened, report.per_pod);
        ensure!(report.opened == LASTING as u64, "{when}: {report:?}");
        let broken = report.broken_per_pod.keys().find(|pod| pods.contains(*pod));
        ensure!(broken.is_none(), "{when}: connections to a Pod that is there broke: {report:?}");
        Ok(())
    }
}
