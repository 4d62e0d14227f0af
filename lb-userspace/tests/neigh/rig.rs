//! Two network namespaces and a follower in one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lb_testbed::{Namespace, Namespaces};
use lb_userspace::neigh::{Findings, LinkFault, LinkFaults, NetworkFaults, NextHop, NextHops, Reach, follow};
use tokio::{runtime, sync::watch, time::timeout};
use tracing_subscriber::{Layer, layer, prelude::*};

pub const OWN: [u8; 6] = [2, 0, 0, 0, 0, 0xa0];
/// Of `b0` at the start, and later.
pub const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xb0];
pub const PEER_LATER: [u8; 6] = [2, 0, 0, 0, 0, 0xb1];

pub const SOON: Duration = Duration::from_secs(1);
/// Where the kernel waits on timers of its own.
pub const LATER: Duration = Duration::from_secs(8);

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The two namespaces.
pub struct Site {
    pub a: Namespace,
    pub b: Namespace,
    _all: Namespaces,
}

impl Site {
    pub fn new() -> Self {
        let all = Namespaces::new().unwrap();
        let [a, b] = ["a", "b"].map(|short| all.add(short).unwrap());
        let peer = format!("peer name b0 address 02:00:00:00:00:b0 netns {}", b.name);
        a.ip(&format!("link add a0 address 02:00:00:00:00:a0 type veth {peer}")).unwrap();
        for (namespace, interface, last) in [(&a, "a0", 1), (&b, "b0", 2)] {
            namespace.ip(&format!("link set {interface} up")).unwrap();
            namespace.ip(&format!("addr add 192.0.2.{last}/24 dev {interface}")).unwrap();
            namespace.ip(&format!("addr add 2001:db8::{last}/64 dev {interface} nodad")).unwrap();
        }
        Self { a, b, _all: all }
    }

    pub fn index_of_a0(&self) -> u32 {
        self.index_of("a0")
    }

    /// Of an interface in `a`.
    pub fn index_of(&self, interface: &str) -> u32 {
        let shown = self.a.run(&["ip", "-o", "link", "show", "dev", interface]).unwrap();
        shown.split(':').next().unwrap().parse().unwrap()
    }

    pub fn in_a(&self, arguments: &str) {
        self.a.ip(arguments).unwrap();
    }

    pub fn in_b(&self, arguments: &str) {
        self.b.ip(arguments).unwrap();
    }
}

pub fn cpu_time_of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Counts how often everything is read from the kernel.
#[derive(Clone, Default)]
pub struct Readings(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Readings {
    fn on_new_span(&self, span: &tracing::span::Attributes<'_>, _: &tracing::Id, _: layer::Context<'_, S>) {
        if span.metadata().name() == "read_routing" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `follow` on a thread of its own, in `a`.
pub struct Follower {
    pub targets: watch::Sender<BTreeSet<IpAddr>>,
    next_hops: watch::Receiver<Arc<NextHops>>,
    uplinks: watch::Receiver<BTreeSet<u32>>,
    faults: watch::Receiver<NetworkFaults>,
    readings: Readings,
    runtime: runtime::Runtime,
    /// The CPU time it took.
    thread: JoinHandle<anyhow::Result<Duration>>,
}

impl Follower {
    pub fn new(site: &Site, targets: &[&str]) -> Self {
        let (targets, wanted) = watch::channel(targets.iter().map(|text| ip(text)).collect());
        let (hops, next_hops) = watch::channel(Arc::default());
        let (uplinks_to, uplinks_found) = watch::channel(BTreeSet::new());
        let (faults_to, faults) = watch::channel(NetworkFaults::default());
        let readings = Readings::default();
        let counter = readings.clone();
        let uplinks = BTreeMap::from([(site.index_of_a0(), "a0".to_owned())]);
        let thread = site.a.spawn_thread(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let _counting = tracing_subscriber::registry().with(counter).set_default();
            let out = Findings { hops, uplinks: uplinks_to, faults: faults_to };
            runtime.block_on(follow(uplinks, wanted, out))?;
            Ok(cpu_time_of_this_thread())
        });
        let thread = thread.unwrap();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { targets, next_hops, uplinks: uplinks_found, faults, readings, runtime, thread }
    }

    /// Waits for what is emitted for `target` to be as wanted.
    pub fn wait_until(&mut self, what: &str, limit: Duration, target: &str, wanted: impl Fn(&Reach) -> bool) {
        self.wait_until_all(what, limit, |map| map.get(&ip(target)).is_some_and(&wanted));
    }

    pub fn wait_until_all(&mut self, what: &str, limit: Duration, wanted: impl Fn(&NextHops) -> bool) {
        let started = Instant::now();
        let waiting = self.next_hops.wait_for(|map| wanted(map));
        let met = self.runtime.block_on(async { timeout(limit, waiting).await.is_ok_and(|map| map.is_ok()) });
        let took = started.elapsed();
        let last = self.next_hops.borrow().clone();
        assert!(met, "{what}: not within {limit:?}; the last was {last:#?}");
        println!("{what}: {:.1} ms", took.as_secs_f64() * 1e3);
    }

    /// Waits for what is said of the uplink.
    pub fn wait_for_uplink(&mut self, fault: Option<LinkFault>) {
        let wanted: LinkFaults = fault.map(|fault| ("a0".to_owned(), fault)).into_iter().collect();
        let waiting = self.faults.wait_for(|faults| faults.links == wanted);
        let met =
            self.runtime.block_on(async { timeout(SOON, waiting).await.is_ok_and(|told| told.is_ok()) });
        assert!(met, "not {fault:?}: {:?}", *self.faults.borrow());
    }

    /// Waits for these to be all interfaces by which packets leave through the uplink.
    pub fn wait_for_uplinks(&mut self, wanted: &BTreeSet<u32>) {
        let waiting = self.uplinks.wait_for(|found| found == wanted);
        let met =
            self.runtime.block_on(async { timeout(SOON, waiting).await.is_ok_and(|told| told.is_ok()) });
        assert!(met, "not {wanted:?}: {:?}", *self.uplinks.borrow());
    }

    pub fn reach_of(&self, target: &str) -> Reach {
        self.next_hops.borrow()[&ip(target)].clone()
    }

    pub fn next_hop_of(&self, target: &str) -> NextHop {
        match self.reach_of(target) {
            Reach::Via(next) => next,
            other => panic!("{target}: {other:?}"),
        }
    }

    /// Waits until nothing is read any more, and tells how often everything was read until then.
    pub fn settled_readings(&self) -> usize {
        loop {
            let count = self.readings.0.load(Ordering::Relaxed);
            thread::sleep(Duration::from_millis(300));
            if self.readings.0.load(Ordering::Relaxed) == count {
                return count;
            }
        }
    }

    /// Ends it, and tells how much CPU time it took.
    pub fn stop(self) -> Duration {
        drop(self.targets);
        self.thread.join().unwrap().unwrap()
    }
}

pub fn has_mac(mac: [u8; 6]) -> impl Fn(&Reach) -> bool {
    move |reach| matches!(reach, Reach::Via(next) if next.dst_mac == Some(mac))
}

pub fn has_mtu(mtu: u32) -> impl Fn(&Reach) -> bool {
    move |reach| matches!(reach, Reach::Via(next) if next.mtu == mtu)
}

pub fn has_gateway(gateway: &str) -> impl Fn(&Reach) -> bool {
    let gateway = ip(gateway);
    move |reach| matches!(reach, Reach::Via(next) if next.gateway == Some(gateway))
}

pub fn is_unreachable(part: &str) -> impl Fn(&Reach) -> bool {
    move |reach| matches!(reach, Reach::Unreachable(reason) if reason.contains(part))
}
