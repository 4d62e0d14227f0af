//! A client that asks for each VIP every 10 ms, each time under another
//! address, so that answers tell which question they are for.

use std::{
    collections::BTreeMap,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use lb_testbed::Namespace;
use socket2::{Domain, SockAddr, Socket, Type};

type Mac = [u8; 6];

const PAUSE: Duration = Duration::from_millis(10);
const OURS: Mac = [2, 0, 0, 0, 0, 0xc];
const ETH_P_ALL: u16 = 3;

pub struct Client {
    log: Arc<Mutex<Log>>,
    is_done: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// What was asked, and what came.
#[derive(Clone, Default)]
pub struct Log {
    /// By number of the question.
    asked: Vec<(Instant, IpAddr)>,
    answers: BTreeMap<u32, Vec<(Instant, Mac)>>,
    announcements: BTreeMap<IpAddr, usize>,
}

impl Client {
    pub fn start(namespace: &Namespace, vips: &[IpAddr]) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        let is_done = Arc::new(AtomicBool::new(false));
        let (to, until, vips) = (log.clone(), is_done.clone(), vips.to_vec());
        let thread = namespace.spawn_thread(move || {
            ask_for_vips(&vips, &to, &until);
            Ok(())
        });
        let thread = thread.unwrap();
        Self { log, is_done, thread }
    }

    pub fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }

    pub fn stop(self) {
        self.is_done.store(true, Ordering::Relaxed);
        self.thread.join().unwrap().unwrap();
    }
}

impl Log {
    /// When it was answered for, and by whom.
    fn answers<'a>(&'a self, vip: &'a IpAddr) -> impl Iterator<Item = (Instant, Mac)> + 'a {
        let of_vip = |(number, _): &(&u32, _)| self.asked[**number as usize].1 == *vip;
        let mut answers: Vec<_> =
            self.answers.iter().filter(of_vip).flat_map(|(_, answers)| answers).copied().collect();
        answers.sort_unstable();
        answers.into_iter()
    }

    pub fn last_owner(&self, vip: &IpAddr) -> Option<Mac> {
        self.answers(vip).last().map(|(_, mac)| mac)
    }

    /// Questions that two have answered.
    pub fn conflicts(&self, vip: &IpAddr) -> Vec<Vec<Mac>> {
        let of_vip = |(number, _): &(&u32, _)| self.asked[**number as usize].1 == *vip;
        let macs = |(_, answers): (&u32, &Vec<(Instant, Mac)>)| answers.iter().map(|(_, mac)| *mac).collect();
        self.answers.iter().filter(of_vip).map(macs).filter(|macs: &Vec<Mac>| macs.len() > 1).collect()
    }

    /// Who has answered after whom.
    pub fn moves_since(&self, vip: &IpAddr, since: Instant) -> Vec<(Mac, Mac)> {
        let before = self.answers(vip).filter(|(at, _)| *at < since).last();
        let macs: Vec<_> = before
            .into_iter()
            .chain(self.answers(vip).filter(|(at, _)| *at >= since))
            .map(|(_, mac)| mac)
            .collect();
        macs.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| (pair[0], pair[1])).collect()
    }

    /// From one answer to the next, from that time until the last question.
    pub fn longest_silence(&self, vip: &IpAddr, since: Instant) -> Duration {
        let end = self.asked.iter().rev().find(|(_, asked)| asked == vip).map_or(since, |(at, _)| *at);
        let mut times = vec![since];
        times.extend(self.answers(vip).map(|(at, _)| at).filter(|at| *at > since));
        times.push(end.max(since));
        times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max().unwrap_or_default()
    }

    pub fn announcements(&self, vip: &IpAddr) -> usize {
        self.announcements.get(vip).copied().unwrap_or_default()
    }
}

fn ask_for_vips(vips: &[IpAddr], log: &Mutex<Log>, is_done: &AtomicBool) {
    let mut socket = open_packet_socket();
    while !is_done.load(Ordering::Relaxed) {
        for vip in vips {
            let mut log = log.lock().unwrap();
            let question = build_question(vip, log.asked.len() as u32);
            log.asked.push((Instant::now(), *vip));
            drop(log);
            socket.send(&question).unwrap();
        }
        let next = Instant::now() + PAUSE;
        let mut frame = [0; 2048];
        while Instant::now() < next {
            if let Ok(len) = socket.read(&mut frame) {
                record_frame(&frame[..len], &mut log.lock().unwrap());
            }
        }
    }
}

/// On all that comes by `eth0`; waits a millisecond at a time.
fn open_packet_socket() -> Socket {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).unwrap();
    let probe = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let ifindex = rustix::net::netdevice::name_to_index(&probe, "eth0").unwrap();
    // SAFETY: what is written is a whole `sockaddr_ll`, and fits.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = ETH_P_ALL.to_be();
            address.sll_ifindex = ifindex as i32;
            storage.cast::<libc::sockaddr_ll>().write(address);
            *len = size_of::<libc::sockaddr_ll>() as u32;
            Ok(())
        })
    }
    .unwrap();
    socket.bind(&address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    socket
}

fn build_question(vip: &IpAddr, number: u32) -> Vec<u8> {
    match vip {
        IpAddr::V4(vip) => {
            let asker = Ipv4Addr::from(0x0a00_0000 | number);
            let mut frame = [&[0xff; 6][..], &OURS, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &OURS].concat();
            frame.extend(asker.octets());
            frame.extend([0; 6]);
            frame.extend(vip.octets());
            frame
        }
        IpAddr::V6(vip) => {
            let asker = Ipv6Addr::from(0xfe80_u128 << 112 | 1 << 64 | u128::from(number));
            let [.., a, b, c] = vip.octets();
            let group =
                Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
            let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
            message.extend(vip.octets());
            message.extend([1, 1]);
            message.extend(OURS);
            let sum = checksum(asker, group, &message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            let mut frame = [&[0x33, 0x33, 0xff, a, b, c][..], &OURS, &[0x86, 0xdd]].concat();
            frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, 58, 255]);
            frame.extend(asker.octets());
            frame.extend(group.octets());
            frame.extend(message);
            frame
        }
    }
}

fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let all = [&from.octets()[..], &to.octets(), &[0, message.len() as u8, 0, 58], message].concat();
    let sum: u32 = all.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn record_frame(frame: &[u8], log: &mut Log) {
    let now = Instant::now();
    let v4 = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&frame[at..at + 4]).unwrap());
    let v6 = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).unwrap());
    let mac: Mac = frame[6..12].try_into().unwrap();
    let is_arp = frame.len() >= 42 && frame[12..14] == [8, 6];
    let is_advertisement =
        frame.len() >= 86 && frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && frame[54] == 136;
    let (vip, asker): (IpAddr, IpAddr) = if is_arp {
        (v4(28).into(), v4(38).into())
    } else if is_advertisement {
        (v6(62).into(), v6(38).into())
    } else {
        return;
    };
    let number = match asker {
        IpAddr::V4(asker) => u32::from(asker) & 0xff_ffff,
        IpAddr::V6(asker) => u128::from(asker) as u32,
    };
    let is_ours = mac != OURS && log.asked.get(number as usize).is_some_and(|(_, asked)| *asked == vip);
    if is_arp && vip == asker || is_advertisement && asker.is_multicast() {
        *log.announcements.entry(vip).or_default() += 1;
    } else if is_ours {
        log.answers.entry(number).or_default().push((now, mac));
    }
}
