//! VIPs on a link: one director answers ARP and NDP for each, and another when
//! it dies.

mod interfaces;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{Capture, Config, Frame, Machine, ServiceSpec, Triangle, VIP, write_manifest};
use serde_json::Value;

use super::{
    common::{held::Held, round::Round, told, within},
    lab::SOON,
};

const OBJECTS: &str = include_str!("objects.yaml");

/// The router's interface to the link.
const LINK: &str = "fabric";
/// Until somebody else answers for a dead node's VIPs.
const TAKE_OVER: Duration = Duration::from_secs(1);
/// Between questions.
const PACE: Duration = Duration::from_millis(100);

/// Three directors on a link, and a router that asks there for the VIPs.
fn start() -> Result<Triangle> {
    let triangle = cluster()?;
    announce(&triangle, OBJECTS)?;
    Ok(triangle)
}

/// The same, of which nothing is announced yet.
fn cluster() -> Result<Triangle> {
    let config = Config { directors: 3, nodes: 2, pods_per_node: 1, ..Config::l2() };
    let triangle = Triangle::start(config, &[ServiceSpec::everything("web")])?;
    for network in ["192.0.2.0/24", "2001:db8:1::/64"] {
        triangle.testbed.router().ip(&format!("route replace {network} dev {LINK}"))?;
    }
    Ok(triangle)
}

fn announce(triangle: &Triangle, objects: &str) -> Result<()> {
    write_manifest(triangle.source(), "announcements.yaml", objects).map(drop)
}

/// Whom a director holds for the owner of a VIP.
fn owner(triangle: &Triangle, director: &Machine, vip: &str) -> Result<Option<String>> {
    let vips = triangle.testbed.trigon_json(director, &["l2"])?;
    let found = vips.as_array().into_iter().flatten().find(|one| one["vip"] == vip);
    Ok(found.and_then(|one| one["owner"].as_str()).map(ToOwned::to_owned))
}

/// The one whom all these hold for the owner.
fn agreed(triangle: &Triangle, directors: &[&Machine], vip: &str) -> Result<String> {
    let mut last = BTreeSet::new();
    within(SOON, &format!("an owner of {vip}"), || {
        last = directors.iter().map(|director| owner(triangle, director, vip)).collect::<Result<_>>()?;
        ensure!(last.len() == 1 && !last.contains(&None), "{last:?}");
        Ok(true)
    })?;
    last.into_iter().flatten().next().context("nobody")
}

fn mac(machine: &Machine) -> Result<String> {
    mac_of(machine, machine.interface)
}

fn mac_of(machine: &Machine, interface: &str) -> Result<String> {
    let link: Value = serde_json::from_str(&machine.namespace.ip(&format!("-j link show {interface}"))?)?;
    Ok(link[0]["address"].as_str().with_context(|| format!("{interface} has no address"))?.to_owned())
}

/// Who answered each of `count` questions, in order. Of ARP, an error if two answered
/// more than so many.
fn ask(
    triangle: &Triangle,
    vip: IpAddr,
    count: u32,
    twice: usize,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Vec<String>> {
    let (seconds, milliseconds) = (PACE.as_secs_f32(), PACE.as_millis());
    let script = match vip {
        IpAddr::V4(_) => format!("arping -I {LINK} -W {seconds} -c {count} {vip}"),
        // It waits for an answer, and no longer.
        IpAddr::V6(_) => format!(
            "for i in $(seq {count}); do ndisc6 -q -1 -r 1 -w {milliseconds} {vip} {LINK} && sleep {seconds}; done"
        ),
    };
    // Of one label there is one log.
    let label = if vip.is_ipv4() { "arping" } else { "ndisc6" };
    let mut asking = triangle.testbed.router().spawn(label, "sh", &["-c", &script])?;
    meanwhile()?;
    let _ = asking.wait(Duration::from_secs(60))?;
    let log = asking.log();
    let extra = log.split_once(" extra)").and_then(|(before, _)| before.rsplit('(').next());
    let extra: usize = extra.map_or(Ok(0), str::parse)?;
    ensure!(extra <= twice, "two answered {extra} questions: {log}");
    Ok(log.lines().filter_map(mac_in).collect())
}

/// `42 bytes from 02:...`, or the address alone.
fn mac_in(line: &str) -> Option<String> {
    let is_mac = |word: &&str| word.split(':').filter(|octet| octet.len() == 2).count() == 6;
    line.split(' ').find(is_mac).map(str::to_lowercase)
}

/// Without repetitions, and without single answers.
fn moves(answers: &[String]) -> Vec<String> {
    let mut moves: Vec<_> =
        answers.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    moves.dedup();
    moves
}

/// The owner of a VIP loses its link, and has it again.
fn dies_and_returns(triangle: &Triangle, vip: IpAddr) -> Result<()> {
    let testbed = &triangle.testbed;
    let directors = testbed.directors();
    let first = testbed.machine(&agreed(triangle, &directors, &vip.to_string())?)?;
    let rest: Vec<_> = directors.into_iter().filter(|one| one.name != first.name).collect();
    let mut held = Held::open(triangle)?;
    let mut second = String::new();
    let started = Instant::now();
    // Who has its link back answers until it has heard the others: for a hello's time.
    let answers = ask(triangle, vip, 100, 1, || {
        thread::sleep(2 * TAKE_OVER);
        testbed.set_link(first, false)?;
        thread::sleep(2 * TAKE_OVER);
        second = agreed(triangle, &rest, &vip.to_string())?;
        testbed.set_link(first, true)
    })?;
    let pace = started.elapsed() / 100;
    let second = mac(testbed.machine(&second)?)?;
    println!("{vip} is answered for by {:?}; {} of 100 questions", moves(&answers), answers.len());
    // One move there and one back, and no more.
    ensure!(moves(&answers) == [mac(first)?, second, mac(first)?], "{answers:?}");
    let missed = 100 - answers.len() as u32;
    ensure!(pace * missed < TAKE_OVER, "nobody answered {missed} questions, each after {pace:?}");
    held.check("after two moves").map(drop)
}

#[test]
fn one_director_answers_and_another_when_it_dies_and_it_again_when_it_is_back() -> Result<()> {
    told(&mut start()?, |triangle| {
        VIP.both().iter().try_for_each(|vip| {
            agreed(triangle, &triangle.testbed.directors(), &vip.to_string()).map(drop)
        })?;
        // Directors' neighbour advertisements have the VIP as their source: they count as replies.
        Round { returns_directly: false, ..Round::of(triangle) }.run(triangle)?;
        VIP.both().into_iter().try_for_each(|vip| dies_and_returns(triangle, vip))
    })
}

/// A VIP that somebody tells the link of unasked, and his MAC address.
fn unasked(frame: &Frame<'_>) -> Option<(IpAddr, String)> {
    const ADVERTISEMENT: u8 = 136;
    let bytes = frame.bytes();
    let vip = match bytes.get(12..14)? {
        [8, 6] => {
            let (from, to) = (bytes.get(28..32)?, bytes.get(38..42)?);
            IpAddr::from(<[u8; 4]>::try_from(from).ok().filter(|_| from == to)?)
        }
        [0x86, 0xdd] if bytes.get(38)? == &0xff && bytes.get(54)? == &ADVERTISEMENT => {
            IpAddr::from(<[u8; 16]>::try_from(bytes.get(62..78)?).ok()?)
        }
        _ => return None,
    };
    let octets = bytes.get(6..12)?.iter().map(|octet| format!("{octet:02x}"));
    Some((vip, octets.collect::<Vec<_>>().join(":")))
}

#[test]
fn the_owner_tells_the_link_unasked_and_more_than_once() -> Result<()> {
    told(&mut cluster()?, |triangle| {
        let testbed = &triangle.testbed;
        let capture = Capture::start(testbed.router(), unasked)?;
        announce(triangle, OBJECTS)?;
        let directors = testbed.directors();
        let owner = |vip: &IpAddr| mac(testbed.machine(&agreed(triangle, &directors, &vip.to_string())?)?);
        let owners = VIP.both().iter().map(owner).collect::<Result<Vec<_>>>()?;
        thread::sleep(2 * TAKE_OVER);
        let seen = capture.finish()?;
        for (vip, owner) in VIP.both().iter().zip(owners) {
            let told = seen.iter().filter(|(_, (told, _))| told == vip);
            let (times, macs): (Vec<SystemTime>, BTreeSet<&String>) =
                told.map(|(at, (_, mac))| (*at, mac)).unzip();
            ensure!(macs == BTreeSet::from([&owner]), "{vip} of {owner} was announced by {macs:?}");
            let span = times.last().context("nobody")?.duration_since(times[0])?;
            // At once, after 200 ms, and a second later.
            ensure!(span > TAKE_OVER, "{vip} was announced {} times within {span:?}", times.len());
        }
        Ok(())
    })
}

#[test]
fn a_director_that_drains_hands_its_vips_over() -> Result<()> {
    told(&mut start()?, |triangle| {
        let testbed = &triangle.testbed;
        let directors = testbed.directors();
        let first = agreed(triangle, &directors, &VIP.v4.to_string())?;
        let first = testbed.machine(&first)?;
        let rest: Vec<_> = directors.into_iter().filter(|one| one.name != first.name).collect();
        let mut held = Held::open(triangle)?;
        let answers = ask(triangle, VIP.v4.into(), 60, 0, || {
            thread::sleep(TAKE_OVER);
            let drained = testbed.trigon(first, &["drain", "--no-wait"])?;
            ensure!(drained.status.success(), "{drained:?}");
            Ok(())
        })?;
        let second = agreed(triangle, &rest, &VIP.v4.to_string())?;
        ensure!(second != first.name, "{second} has drained");
        println!("answered by {:?}; {} of 60 questions", moves(&answers), answers.len());
        ensure!(moves(&answers) == [mac(first)?, mac(testbed.machine(&second)?)?], "{answers:?}");
        held.check("after the hand-over").map(drop)
    })
}
