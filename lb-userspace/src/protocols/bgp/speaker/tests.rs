//! Two speakers, or one and a peer that misbehaves, over loopback.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    task::{PeerTask, StatusReport, TaskOrders},
    *,
};
use crate::protocols::bgp::{
    BgpOrders, PeerStatus, State,
    config::{Attributes, Leaving, PeerConfig, PeerOrders, Remote, RemoteAs, Routes},
    fsm::Jitter,
    peering::RouteOrders,
    testing,
    wire::{Capability, Family, Message, Notification, Open, code},
};

struct Speaker {
    port: u16,
    address: Ipv4Addr,
    asn: u32,
    wanted: watch::Sender<Arc<BgpOrders>>,
    statuses: watch::Receiver<Arc<Vec<PeerStatus>>>,
    task: JoinHandle<()>,
}

impl Speaker {
    fn start(number: u8) -> Self {
        let address = Ipv4Addr::new(127, 0, 0, number);
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let (wanted, receiver) =
            watch::channel(Arc::new(BgpOrders { complete: true, ..BgpOrders::default() }));
        let (sender, statuses) = watch::channel(Arc::default());
        let bfd = watch::channel(BfdStates::default()).1;
        let options = SpeakerConfig { listen: Some(port), restarted: false };
        let task = tokio::spawn(async move { run(options, receiver, bfd, sender).await.unwrap() });
        Self { port, address, asn: 65_000 + u32::from(number), wanted, statuses, task }
    }

    fn config(&self, asn: u32, address: Ipv4Addr, port: u16) -> PeerConfig {
        PeerConfig {
            local_as: self.asn,
            remote_as: RemoteAs::Number(asn),
            remote: Remote::Address { address: address.into(), interface: None },
            port,
            source: Some(self.address.into()),
            router_id: self.address,
            connect_retry: Duration::from_secs(1),
            ..testing::config()
        }
    }

    fn config_for(&self, other: &Speaker) -> PeerConfig {
        self.config(other.asn, other.address, other.port)
    }

    fn change_orders(&self, act: impl FnOnce(&mut BgpOrders)) {
        self.wanted.send_modify(|wanted| act(Arc::make_mut(wanted)));
    }

    fn add_peer(&self, name: &str, config: PeerConfig, routes: &Routes) {
        let peer = PeerOrders { config: config.into(), routes: Arc::new(routes.clone()) };
        self.change_orders(|wanted| drop(wanted.peers.insert(name.into(), peer)));
    }

    fn set_routes(&self, name: &str, routes: Routes) {
        self.change_orders(|wanted| wanted.peers.get_mut(name).unwrap().routes = Arc::new(routes));
    }

    async fn wait_for_status(&mut self, name: &str, is_so: impl Fn(&PeerStatus) -> bool) -> PeerStatus {
        let found = timeout(Duration::from_secs(30), async {
            loop {
                let all = self.statuses.borrow_and_update().clone();
                if let Some(status) = all.iter().find(|status| status.name == name && is_so(status)) {
                    return status.clone();
                }
                self.statuses.changed().await.unwrap();
            }
        });
        found.await.unwrap_or_else(|_| panic!("{name}: {:#?}", self.statuses.borrow()))
    }
}

fn is_up(status: &PeerStatus) -> bool {
    status.state == State::Established
}

fn routes(count: u32) -> Routes {
    let attributes = Arc::new(Attributes::default());
    let route = |i: u32| (IpAddr::from(Ipv4Addr::from(0x0a00_0000 + i)).into(), attributes.clone());
    (0..count).map(route).collect()
}

#[tokio::test]
async fn speakers_that_connect_to_each_other_agree_on_a_session_and_announce_their_routes() {
    let (mut one, mut two) = (Speaker::start(1), Speaker::start(2));
    one.add_peer("two", one.config_for(&two), &routes(5000));
    two.add_peer("one", two.config_for(&one), &Routes::new());
    let heard = two.wait_for_status("one", |status| is_up(status) && status.routes_refused >= 5000).await;
    assert_eq!(heard.remote_as, Some(one.asn));
    let announced = one.wait_for_status("two", |status| status.routes_sent == 5000).await;
    // `established` may differ between the two: a connection that loses the collision may have
    // been established on one side only (RFC 4271, section 6.8).
    assert_eq!((announced.state, announced.routes_pending), (State::Established, 0));
    one.set_routes("two", routes(5001));
    two.wait_for_status("one", |status| status.routes_refused == heard.routes_refused + 1).await;
    one.set_routes("two", Routes::new());
    one.wait_for_status("two", |status| status.routes_sent == 0).await;
}

#[tokio::test]
async fn a_change_of_one_peer_leaves_the_others_alone() {
    let (mut one, mut two, mut three) = (Speaker::start(11), Speaker::start(12), Speaker::start(13));
    for other in [&two, &three] {
        one.add_peer(&other.address.to_string(), one.config_for(other), &routes(1));
        other.add_peer("one", PeerConfig { passive: true, ..other.config_for(&one) }, &Routes::new());
    }
    let stays = one.wait_for_status("127.0.0.12", is_up).await.established;
    one.wait_for_status("127.0.0.13", is_up).await;
    let changed = PeerConfig { hold_time: Duration::from_secs(30), ..one.config_for(&three) };
    one.add_peer("127.0.0.13", changed, &routes(1));
    let error = three.wait_for_status("one", |status| status.last_error.is_some()).await.last_error.unwrap();
    assert_eq!((error.code, error.sent), (Some(code::OTHER_CONFIGURATION_CHANGE), false));
    one.wait_for_status("127.0.0.13", |status| is_up(status) && status.hold_time_seconds == Some(30)).await;
    assert_eq!(two.wait_for_status("one", is_up).await.established, 1);
    one.change_orders(|wanted| drop(wanted.peers.remove("127.0.0.13")));
    let is_gone =
        |status: &PeerStatus| status.last_error.as_ref().is_some_and(|error| error.code != Some((6, 6)));
    let error = three.wait_for_status("one", is_gone).await.last_error.unwrap();
    assert_eq!(error.name, "Cease: Peer De-configured");
    assert_eq!(one.wait_for_status("127.0.0.12", is_up).await.established, stays);
    assert_eq!(two.wait_for_status("one", is_up).await.last_error, None);
}

#[tokio::test]
async fn a_stopped_speaker_sends_no_notification_so_that_its_routes_are_kept() {
    let (mut one, mut two) = (Speaker::start(21), Speaker::start(22));
    one.add_peer("two", one.config_for(&two), &routes(1));
    two.add_peer("one", PeerConfig { passive: true, ..two.config_for(&one) }, &Routes::new());
    one.wait_for_status("two", is_up).await;
    two.wait_for_status("one", is_up).await;
    one.task.abort();
    let lost = two.wait_for_status("one", |status| status.last_error.is_some()).await.last_error.unwrap();
    assert_eq!((lost.name.as_str(), lost.code), ("Connection Lost", None));
}

/// Connects to a speaker, once it listens.
async fn call_from(source: Ipv4Addr, speaker: &Speaker) -> tokio::net::TcpStream {
    let call = async {
        loop {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((source, 0).into()).unwrap();
            match socket.connect((speaker.address, speaker.port).into()).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(Duration::from_secs(10), call).await.unwrap()
}

#[tokio::test]
async fn connections_from_unknown_addresses_are_closed() {
    let (one, absent) = (Speaker::start(31), Speaker::start(32));
    one.add_peer("absent", PeerConfig { passive: true, ..one.config_for(&absent) }, &Routes::new());
    let mut link = link::PeerLink::new(call_from(Ipv4Addr::LOCALHOST, &one).await);
    link.wait_ready().await.unwrap();
    assert!(link.read_bytes().is_err());
}

/// Establishes a session with a hold time of 3 s, as a peer of AS 65042.
async fn establish_as_peer(stream: tokio::net::TcpStream) -> link::PeerLink {
    let mut link = link::PeerLink::new(stream);
    let capabilities = vec![Capability::MultiProtocol(Family::Ipv4)];
    let open = Open::new(65_042, 3, Ipv4Addr::new(127, 0, 0, 42), capabilities);
    link.queue_bytes(&Message::Open(open).encode(true).unwrap());
    link.write_queued().unwrap();
    for _ in ["OPEN", "KEEPALIVE"] {
        while link.next_message(true).unwrap().is_none() {
            link.wait_ready().await.unwrap();
            link.read_bytes().unwrap();
            link.write_queued().unwrap();
        }
    }
    link.queue_bytes(&Message::KeepAlive.encode(true).unwrap());
    link.write_queued().unwrap();
    link
}

/// A peer that goes on sending KEEPALIVEs, but reads nothing more.
async fn run_peer_that_stops_reading(stream: tokio::net::TcpStream) {
    let mut link = establish_as_peer(stream).await;
    let keepalive = Message::KeepAlive.encode(true).unwrap();
    loop {
        link.queue_bytes(&keepalive);
        if link.write_queued().is_err() {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn the_session_with_a_peer_that_reads_nothing_is_ended() {
    let mut one = Speaker::start(41);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.42:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let port = listener.local_addr().unwrap().port();
    let deaf = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        run_peer_that_stops_reading(stream).await;
    });
    // More than all the buffers between hold: each route has a message of its own.
    let route = |i: u32| {
        let attributes =
            Attributes { med: Some(i), communities: (0..900).collect(), ..Attributes::default() };
        (IpAddr::from(Ipv4Addr::from(0x0a00_0000 + i)).into(), Arc::new(attributes))
    };
    one.add_peer(
        "deaf",
        one.config(65_042, Ipv4Addr::new(127, 0, 0, 42), port),
        &(0..4000).map(route).collect(),
    );
    let is_given_up = |status: &PeerStatus| {
        status.last_error.as_ref().is_some_and(|error| error.code == Some(code::SEND_HOLD_TIMER_EXPIRED))
    };
    let status = one.wait_for_status("deaf", is_given_up).await;
    assert_eq!(status.established, 1);
    deaf.await.unwrap();
}

#[tokio::test]
async fn keepalives_that_came_while_we_were_busy_count_before_the_hold_timer() {
    // Of one session, the socket might be looked at first by chance.
    const PEERS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    const BUSY: Duration = Duration::from_secs(4);
    let mut one = Speaker::start(43);
    let listener = TcpListener::bind("127.0.0.44:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The peers go on while this thread is busy.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut peers = tokio::task::JoinSet::new();
            for _ in PEERS {
                peers.spawn(run_peer_that_stops_reading(listener.accept().await.unwrap().0));
            }
            peers.join_all().await;
        });
    });
    for name in PEERS {
        one.add_peer(name, one.config(65_042, Ipv4Addr::new(127, 0, 0, 44), port), &Routes::new());
    }
    for name in PEERS {
        one.wait_for_status(name, is_up).await;
    }
    std::thread::sleep(BUSY);
    for name in PEERS {
        let is_over = |status: &PeerStatus| status.seconds >= BUSY.as_secs() || status.last_error.is_some();
        let status = one.wait_for_status(name, is_over).await;
        assert_eq!((status.last_error, status.established), (None, 1), "{name}");
    }
}

/// Waits until a task reports this state, and returns the name and the detail of the last error.
async fn wait_for_report(
    reports: &mut mpsc::UnboundedReceiver<StatusReport>,
    state: State,
) -> Option<(String, String)> {
    let found = timeout(Duration::from_secs(30), async {
        loop {
            let status = reports.recv().await.unwrap().status;
            if status.state == state {
                return status.last_error.map(|error| (error.name, error.detail));
            }
        }
    });
    found.await.unwrap()
}

/// On a runtime without IO a task panics when it connects.
#[test]
fn a_task_that_panics_tells_of_it_and_begins_anew() {
    let listener = TcpListener::bind("127.0.0.51:0").unwrap();
    let config = PeerConfig {
        remote: Remote::Address { address: Ipv4Addr::new(127, 0, 0, 51).into(), interface: None },
        port: listener.local_addr().unwrap().port(),
        ..testing::config()
    };
    let route_orders = RouteOrders { routes: Arc::default(), leaving: Leaving::No, complete: true };
    let (_orders, orders) = watch::channel(Some(TaskOrders { config: config.into(), route_orders }));
    let (reports, mut reported) = mpsc::unbounded_channel();
    let task = PeerTask {
        name: "router".into(),
        orders,
        bfd: watch::channel(BfdStates::default()).1,
        incoming: mpsc::channel(1).1,
        reports,
        restarted: false,
        jitter: Jitter::seeded(1),
        reported: PeerStatus::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        tokio::spawn(task.run());
        assert_eq!(wait_for_report(&mut reported, State::Connect).await, None);
        let (name, detail) = wait_for_report(&mut reported, State::Idle).await.unwrap();
        assert_eq!(name, "Internal Error");
        assert!(detail.contains("IO is disabled"), "{detail}");
        assert_eq!(wait_for_report(&mut reported, State::Connect).await, Some((name, detail)));
    });
}

#[tokio::test]
async fn few_connections_of_a_peer_that_connects_over_and_over_are_kept() {
    let listener = TcpListener::bind("127.0.0.61:0").unwrap();
    let closing = link::ClosingLinks::default();
    let mut ends = Vec::new();
    for _ in 0..50 {
        ends.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        closing.close(link::PeerLink::new(tokio::net::TcpStream::from_std(stream).unwrap()));
    }
    // A connection that has ended answers the first byte with a reset. Nothing is awaited, so that
    // the others stay.
    let is_kept = |end: &mut TcpStream| {
        (0..20).all(|_| {
            std::thread::sleep(Duration::from_millis(1));
            end.write_all(b"x").is_ok()
        })
    };
    assert_eq!(ends.iter_mut().map(is_kept).filter(|is_kept| *is_kept).count(), link::MAX_CLOSING);
}

/// As of a router that has had enough prefixes while we send more.
#[tokio::test]
async fn a_notification_that_has_come_is_read_though_writing_fails() {
    let mut one = Speaker::start(71);
    let listener = tokio::net::TcpListener::bind("127.0.0.72:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    one.add_peer("router", one.config(65_042, Ipv4Addr::new(127, 0, 0, 72), port), &Routes::new());
    let stream = listener.accept().await.unwrap().0.into_std().unwrap();
    let mut twin = stream.try_clone().unwrap();
    // What waits for an acknowledgment (RFC 896) would be gone with the connection.
    twin.set_nodelay(true).unwrap();
    let link = establish_as_peer(tokio::net::TcpStream::from_std(stream).unwrap()).await;
    one.wait_for_status("router", is_up).await;
    let enough = Message::Notification(Notification::new((6, 1)));
    twin.write_all(&enough.encode(true).unwrap()).unwrap();
    // The last one to close the connection resets it.
    SockRef::from(&twin).set_linger(Some(Duration::ZERO)).unwrap();
    drop((link, twin));
    // As nothing was awaited, the task gets its orders before the runtime looks at the socket.
    one.set_routes("router", routes(1));
    let status = one.wait_for_status("router", |status| status.last_error.is_some()).await;
    assert_eq!(status.last_error.unwrap().name, "Cease: Maximum Number of Prefixes Reached");
}

/// Sends these bytes, and returns all messages that come until the connection is closed.
async fn send_and_listen(stream: tokio::net::TcpStream, bytes: &[u8]) -> Vec<Message> {
    let mut link = link::PeerLink::new(stream);
    link.queue_bytes(bytes);
    link.write_queued().unwrap();
    let mut heard = Vec::new();
    loop {
        link.wait_ready().await.unwrap();
        let end = link.read_bytes();
        while let Some(message) = link.next_message(true).unwrap() {
            heard.push(message);
        }
        if end.is_err() {
            return heard;
        }
    }
}

#[tokio::test]
async fn a_peer_that_was_rude_may_call_again() {
    let mut one = Speaker::start(81);
    let address = Ipv4Addr::new(127, 0, 0, 82);
    let config = PeerConfig { passive: true, ..one.config(65_042, address, 179) };
    one.add_peer("rude", config, &Routes::new());
    let web = call_from(address, &one).await;
    let heard = send_and_listen(web, b"GET / HTTP/1.1\r\nHost: director1\r\n\r\n").await;
    let [Message::Open(_), Message::Notification(answer)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(answer.code, code::CONNECTION_NOT_SYNCHRONIZED);
    // Half a header, silence, and nothing at all.
    let mut half = link::PeerLink::new(call_from(address, &one).await);
    half.queue_bytes(&[0xff; 9]);
    half.write_queued().unwrap();
    let silent = call_from(address, &one).await;
    drop(call_from(address, &one).await);
    let link = establish_as_peer(call_from(address, &one).await).await;
    assert_eq!(one.wait_for_status("rude", is_up).await.established, 1);
    drop((half, silent, link));
}
