//! BFD over real links, between two of our agents. Needs root. lb-testbed's tests of
//! announcements run it against other implementations.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lb_testbed::{Namespace, Namespaces};
use lb_userspace::protocols::bfd::{self, Profile, SessionKey, SessionState, SessionStatus};
use tokio::{runtime, sync::watch};

/// For what waits on slow timers: a second each until a session is up.
const LATER: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_millis(100);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn profile() -> Profile {
    Profile { transmit: INTERVAL, receive: INTERVAL, ..Profile::default() }
}

/// Two machines, and the switch between them.
struct Link {
    all: Namespaces,
    ours: Namespace,
    theirs: Namespace,
    switch: Namespace,
}

const OURS: &str = "192.0.2.1";
const THEIRS: &str = "192.0.2.2";
const OURS_V6: &str = "2001:db8::1";
const THEIRS_V6: &str = "2001:db8::2";
const THEIRS_LOCAL: &str = "fe80::b0";

impl Link {
    fn new() -> Self {
        let all = Namespaces::new().unwrap();
        let [ours, theirs, switch] = ["ours", "theirs", "switch"].map(|short| all.add(short).unwrap());
        switch.ip("link add br0 type bridge mcast_snooping 0").unwrap();
        switch.ip("link set br0 up").unwrap();
        for (namespace, interface, v4, v6, local) in
            [(&ours, "a0", OURS, OURS_V6, "fe80::a0"), (&theirs, "b0", THEIRS, THEIRS_V6, THEIRS_LOCAL)]
        {
            let port = format!("type veth peer name {interface} netns {}", switch.name);
            namespace.ip(&format!("link add {interface} {port}")).unwrap();
            switch.ip(&format!("link set {interface} up master br0")).unwrap();
            namespace.ip(&format!("link set {interface} up")).unwrap();
            namespace.ip(&format!("addr add {v4}/24 dev {interface}")).unwrap();
            namespace.ip(&format!("addr add {v6}/64 dev {interface} nodad")).unwrap();
            namespace.ip(&format!("addr add {local}/64 dev {interface} nodad")).unwrap();
        }
        Self { all, ours, theirs, switch }
    }

    /// Packets vanish; neither side sees its interface go down.
    fn cut(&self) {
        self.switch.ip("link set a0 nomaster").unwrap();
    }

    fn restore(&self) {
        self.switch.ip("link set a0 master br0").unwrap();
    }
}

fn single_hop(remote: &str) -> SessionKey {
    SessionKey { remote: ip(remote), local: None, interface: None, multihop: false }
}

fn link_local(remote: &str, interface: &str) -> SessionKey {
    SessionKey { interface: Some(interface.into()), ..single_hop(remote) }
}

fn multihop(local: &str, remote: &str) -> SessionKey {
    SessionKey { local: Some(ip(local)), multihop: true, ..single_hop(remote) }
}

/// `bfd::run` on a thread of its own.
struct Bfd {
    wanted: watch::Sender<Arc<BTreeMap<SessionKey, Profile>>>,
    statuses: watch::Receiver<Arc<BTreeMap<SessionKey, SessionStatus>>>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Bfd {
    fn start(namespace: &Namespace, sessions: &[(SessionKey, Profile)]) -> Self {
        let (wanted, to) = watch::channel(Arc::new(sessions.iter().cloned().collect()));
        let (from, statuses) = watch::channel(Arc::default());
        let run =
            || runtime::Builder::new_current_thread().enable_all().build()?.block_on(bfd::run(to, from));
        let thread = namespace.spawn_thread(run).unwrap();
        Self { wanted, statuses, thread }
    }

    fn set_wanted_sessions(&self, sessions: &[(SessionKey, Profile)]) {
        self.wanted.send_replace(Arc::new(sessions.iter().cloned().collect()));
    }

    fn status(&self, key: &SessionKey) -> Option<SessionStatus> {
        self.statuses.borrow().get(key).copied()
    }

    /// How long that took.
    fn wait_until(
        &self,
        key: &SessionKey,
        what: &str,
        limit: Duration,
        wanted: impl Fn(SessionStatus) -> bool,
    ) -> Duration {
        let started = Instant::now();
        while !self.status(key).is_some_and(&wanted) {
            assert!(started.elapsed() < limit, "{what}: not within {limit:?}: {:?}", self.status(key));
            assert!(!self.thread.is_finished());
            thread::sleep(Duration::from_millis(1));
        }
        println!("{what}: {:?}", started.elapsed());
        started.elapsed()
    }

    fn wait_until_up(&self, key: &SessionKey) {
        self.wait_until(key, &format!("{} up", key.remote), LATER, |status| status.state == SessionState::Up);
    }

    fn stop(self) {
        drop(self.wanted);
        self.thread.join().unwrap().unwrap();
    }
}

fn all_keys() -> Vec<(SessionKey, Profile)> {
    vec![
        (single_hop(THEIRS), profile()),
        (single_hop(THEIRS_V6), profile()),
        (link_local(THEIRS_LOCAL, "a0"), profile()),
    ]
}

#[test]
fn two_agents_come_up_notice_a_cut_and_recover() {
    let link = Link::new();
    let keys = all_keys();
    let ours = Bfd::start(&link.ours, &keys);
    let others = [
        (single_hop(OURS), profile()),
        (single_hop(OURS_V6), profile()),
        (link_local("fe80::a0", "b0"), profile()),
    ];
    let theirs = Bfd::start(&link.theirs, &others);
    keys.iter().for_each(|(key, _)| ours.wait_until_up(key));
    others.iter().for_each(|(key, _)| theirs.wait_until_up(key));
    link.cut();
    for (key, _) in &keys {
        ours.wait_until(key, "cut noticed", LATER, |status| status.state != SessionState::Up);
    }
    link.restore();
    for (key, _) in &keys {
        ours.wait_until_up(key);
        assert_eq!(ours.status(key).map(|status| status.downs), Some(1));
    }
    ours.stop();
    for (key, _) in &others {
        let farewell = |status: SessionStatus| {
            status.state == SessionState::Down && status.remote == SessionState::AdminDown
        };
        theirs.wait_until(key, "farewell", LATER, farewell);
    }
    theirs.stop();
}

#[test]
fn other_timers_and_another_session_reset_nothing() {
    let link = Link::new();
    let (v4, v6) = (single_hop(THEIRS), single_hop(THEIRS_V6));
    let ours = Bfd::start(&link.ours, &[(v4.clone(), profile())]);
    let theirs = Bfd::start(&link.theirs, &[(single_hop(OURS), profile()), (single_hop(OURS_V6), profile())]);
    ours.wait_until_up(&v4);
    let faster = Profile { transmit: INTERVAL / 2, receive: INTERVAL / 2, multiplier: 5, ..profile() };
    for profile in [faster, Profile { transmit: 3 * INTERVAL, ..faster }, profile()] {
        ours.set_wanted_sessions(&[(v4.clone(), profile), (v6.clone(), profile)]);
        ours.wait_until_up(&v6);
        thread::sleep(5 * INTERVAL);
    }
    ours.set_wanted_sessions(&[(v4.clone(), profile())]);
    theirs.wait_until(&single_hop(OURS_V6), "farewell", LATER, |status| {
        status.remote == SessionState::AdminDown
    });
    assert_eq!(
        ours.status(&v4),
        Some(SessionStatus { state: SessionState::Up, remote: SessionState::Up, downs: 0, heard: true })
    );
    assert_eq!(theirs.status(&single_hop(OURS)).map(|status| status.downs), Some(0));
    assert_eq!(ours.status(&v6), None);
    ours.stop();
    theirs.stop();
}

/// Over a router: TTL 254, port 4784.
#[test]
fn several_hops_are_as_many_as_the_profile_allows() {
    let link = Link::new();
    let far = link.all.add("far").unwrap();
    link.theirs.ip(&format!("link add c0 type veth peer name d0 netns {}", far.name)).unwrap();
    link.theirs.ip("link set c0 up").unwrap();
    link.theirs.ip("addr add 198.51.100.1/24 dev c0").unwrap();
    link.theirs.write_sysctls(&[("ipv4/ip_forward", "1")]).unwrap();
    far.ip("link set d0 up").unwrap();
    far.ip("addr add 198.51.100.2/24 dev d0").unwrap();
    far.ip("route add default via 198.51.100.1").unwrap();
    link.ours.ip(&format!("route add default via {THEIRS}")).unwrap();

    let key = multihop(OURS, "198.51.100.2");
    let near = Profile { minimum_ttl: 255, ..profile() };
    let ours = Bfd::start(&link.ours, &[(key.clone(), near)]);
    let theirs = Bfd::start(&far, &[(multihop("198.51.100.2", OURS), profile())]);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(ours.status(&key), Some(SessionStatus::default()), "254 is too far");
    ours.set_wanted_sessions(&[(key.clone(), profile())]);
    ours.wait_until_up(&key);
    ours.stop();
    theirs.stop();
}

/// An address that comes later, and an interface too.
#[test]
fn a_session_comes_up_once_its_local_address_exists() {
    let link = Link::new();
    let key = SessionKey { local: Some(ip("192.0.2.7")), ..single_hop(THEIRS) };
    let ours = Bfd::start(&link.ours, &[(key.clone(), profile())]);
    let theirs = Bfd::start(&link.theirs, &[(single_hop("192.0.2.7"), profile())]);
    thread::sleep(Duration::from_secs(1));
    link.ours.ip("addr add 192.0.2.7/24 dev a0").unwrap();
    ours.wait_until_up(&key);
    ours.stop();
    theirs.stop();
}

/// 50 ms x 3 while everything else wants the processors too.
#[test]
#[ignore = "takes half a minute, and all processors"]
fn a_busy_machine_costs_no_session() {
    let link = Link::new();
    let quick = Profile { transmit: INTERVAL / 2, receive: INTERVAL / 2, ..Profile::default() };
    let (there, back) = (single_hop(THEIRS), single_hop(OURS));
    let ours = Bfd::start(&link.ours, &[(there.clone(), quick)]);
    let theirs = Bfd::start(&link.theirs, &[(back.clone(), quick)]);
    ours.wait_until_up(&there);
    theirs.wait_until_up(&back);
    let end = Instant::now() + Duration::from_secs(30);
    let burners: Vec<_> = (0..2 * thread::available_parallelism().unwrap().get())
        .map(|_| {
            thread::spawn(move || {
                let mut number = 1u64;
                while Instant::now() < end {
                    number = std::hint::black_box((0..10_000).fold(number, |a, b| a.wrapping_mul(b | 1)));
                }
            })
        })
        .collect();
    burners.into_iter().for_each(|burner| burner.join().unwrap());
    assert_eq!(
        ours.status(&there),
        Some(SessionStatus { state: SessionState::Up, remote: SessionState::Up, downs: 0, heard: true })
    );
    assert_eq!(theirs.status(&back).map(|status| status.downs), Some(0));
    ours.stop();
    theirs.stop();
}
