//! Clients that go on while Pods come and go: 50 new connections a second, and 200 that last.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use lb_testbed::{
    Answers, Family, TCP_ECHO_PORT, TcpHold, TcpHoldOptions, VIP,
    cluster::{Cluster, LINGER},
    report::TcpReport,
};

use super::PATIENCE;

/// Requests at once, and how often.
const BURST: u64 = 10;
const TICK: Duration = Duration::from_millis(200);
/// In a second: of the 50 that are due, the last ones may be late.
const RATE: f64 = 45.0;
/// Of both families together.
const LASTING: usize = 200;
/// Between an echo and the next line.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks at what has become of them.
const PAUSE: Duration = Duration::from_millis(500);

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
    let (mut sum, start) = (Answers::default(), Instant::now());
    let clients: Vec<_> = cluster.testbed.client_addresses().iter().flat_map(|dual| dual.both()).collect();
    for (source, number) in clients.into_iter().cycle().zip(0_u32..) {
        thread::sleep((TICK * number).saturating_sub(start.elapsed()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let vip = VIP.get(Family::of(source));
        sum += cluster.testbed.send_requests_from(source, SocketAddr::new(vip, 80), BURST)?;
    }
    let rate = sum.requests as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.1} requests a second");
    ensure!(rate >= RATE, "{rate:.1} requests a second: the test shows nothing");
    Ok(sum)
}

/// Connections that are to last as long as their Pods.
pub struct Lasting {
    /// Of each family.
    holds: Vec<TcpHold>,
    /// When each Pod was not ending yet.
    living: BTreeMap<String, Instant>,
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
        let holds = VIP.both().map(open).into_iter().collect::<Result<_>>()?;
        Ok(Self { holds, living: BTreeMap::new() })
    }

    /// Looks again and again, until it is over.
    pub fn watch(&mut self, cluster: &Cluster, when: &str, is_over: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_over()? {
            self.check(cluster, when)?;
            ensure!(Instant::now() < deadline, "{when}: not over within {PATIENCE:?}");
            thread::sleep(PAUSE);
        }
        self.check(cluster, when)
    }

    /// Those to Pods that run all live, also to those that are about to end.
    pub fn check(&mut self, cluster: &Cluster, when: &str) -> Result<()> {
        let reports = self.holds.iter_mut().map(TcpHold::read_report).collect::<Result<Vec<_>>>()?;
        let report = reports.into_iter().fold(TcpReport::default(), TcpReport::merge);
        // Listed later: a Pod that is not ending then ran when the connection broke.
        let now = Instant::now();
        self.living.extend(cluster.pods()?.into_iter().map(|pod| (pod, now)));
        println!("{when}: {} of {} connections alive, to {:?}", report.alive, report.opened, report.per_pod);
        ensure!(report.opened == LASTING as u64, "{when}: {report:?}");
        let ran = |pod: &&String| self.living.get(*pod).is_some_and(|seen| now < *seen + LINGER);
        let broken = report.broken_per_pod.keys().find(ran);
        ensure!(broken.is_none(), "{when}: connections to a Pod that still ran broke: {report:?}");
        Ok(())
    }
}
