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
use lb_testbed::{
    Capture, Config, Frame, Machine, ServiceSpec, Triangle, VIP, capabilities::agent_capabilities,
    write_manifest,
};
use serde_json::Value;

use super::{
    common::{held::HeldConnections, round::Round, run_with_diagnostics, wait_at_most},
    lab::SOON,
};

const OBJECTS: &str = include_str!("objects.yaml");

/// The router's interface to the link.
const LINK: &str = "fabric";
/// The longest time until another director answers for a dead one's VIPs.
const TAKE_OVER: Duration = Duration::from_secs(1);
/// Between ARP requests or neighbour solicitations.
const PACE: Duration = Duration::from_millis(100);

/// Three directors on a link, and a router that asks there for the VIPs.
fn start_announced_cluster() -> Result<Triangle> {
    let triangle = start_cluster()?;
    write_announcements(&triangle, OBJECTS)?;
    Ok(triangle)
}

/// The same, with nothing announced yet.
fn start_cluster() -> Result<Triangle> {
    let config = Config {
        directors: 3,
        nodes: 2,
        pods_per_node: 1,
        agent_capabilities: Some(agent_capabilities()?),
        ..Config::l2()
    };
    let triangle = Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?;
    for network in ["192.0.2.0/24", "2001:db8:1::/64"] {
        triangle.testbed.router().ip(&format!("route replace {network} dev {LINK}"))?;
    }
    Ok(triangle)
}

fn write_announcements(triangle: &Triangle, objects: &str) -> Result<()> {
    write_manifest(triangle.source_dir(), "announcements.yaml", objects).map(drop)
}

/// The owner of a VIP, as a director sees it.
fn owner_seen_by(triangle: &Triangle, director: &Machine, vip: &str) -> Result<Option<String>> {
    let vips = triangle.testbed.run_trigon_json(director, &["l2"])?;
    let found = vips.as_array().into_iter().flatten().find(|one| one["vip"] == vip);
    Ok(found.and_then(|one| one["owner"].as_str()).map(ToOwned::to_owned))
}

/// Waits until all these directors see the same owner of a VIP, and returns its name.
fn wait_agreed_owner(triangle: &Triangle, directors: &[&Machine], vip: &str) -> Result<String> {
    let mut last = BTreeSet::new();
    wait_at_most(SOON, &format!("an owner of {vip}"), || {
        last =
            directors.iter().map(|director| owner_seen_by(triangle, director, vip)).collect::<Result<_>>()?;
        ensure!(last.len() == 1 && !last.contains(&None), "{last:?}");
        Ok(true)
    })?;
    last.into_iter().flatten().next().context("nobody")
}

fn mac_address(machine: &Machine) -> Result<String> {
    interface_mac(machine, machine.interface)
}

fn interface_mac(machine: &Machine, interface: &str) -> Result<String> {
    let link: Value = serde_json::from_str(&machine.namespace.ip(&format!("-j link show {interface}"))?)?;
    Ok(link[0]["address"].as_str().with_context(|| format!("{interface} has no address"))?.to_owned())
}

/// Asks for a VIP's MAC address `count` times while `meanwhile` runs; returns the MAC addresses
/// that answered, in order. For ARP, an error if there were more than `twice` extra answers.
fn collect_answers(
    triangle: &Triangle,
    vip: IpAddr,
    count: u32,
    most_extra: usize,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Vec<String>> {
    let (seconds, milliseconds) = (PACE.as_secs_f32(), PACE.as_millis());
    let script = match vip {
        IpAddr::V4(_) => format!("arping -I {LINK} -W {seconds} -c {count} {vip}"),
        // ndisc6 ends with the first answer; `sleep` keeps the pace.
        IpAddr::V6(_) => format!(
            "for i in $(seq {count}); do ndisc6 -q -1 -r 1 -w {milliseconds} {vip} {LINK} && sleep {seconds}; done"
        ),
    };
    // Processes of one label share a log, so each tool has a label of its own.
    let label = if vip.is_ipv4() { "arping" } else { "ndisc6" };
    let mut asking = triangle.testbed.router().spawn(label, "sh", &["-c", &script])?;
    meanwhile()?;
    let _ = asking.wait(Duration::from_secs(60))?;
    let log = asking.log();
    let extra = log.split_once(" extra)").and_then(|(before, _)| before.rsplit('(').next());
    let extra: usize = extra.map_or(Ok(0), str::parse)?;
    ensure!(extra <= most_extra, "two answered {extra} questions: {log}");
    Ok(log.lines().filter_map(parse_mac).collect())
}

/// The MAC address in `42 bytes from 02:...`, or alone on the line.
fn parse_mac(line: &str) -> Option<String> {
    let is_mac = |word: &&str| word.split(':').filter(|octet| octet.len() == 2).count() == 6;
    line.split(' ').find(is_mac).map(str::to_lowercase)
}

/// Who answered, one after the other: without repetitions, and without single answers.
fn answerers_in_turn(answers: &[String]) -> Vec<String> {
    let mut moves: Vec<_> =
        answers.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    moves.dedup();
    moves
}

/// Takes the link of a VIP's owner down and up again: the VIP moves to another director and back.
fn check_owner_dies_and_returns(triangle: &Triangle, vip: IpAddr) -> Result<()> {
    let testbed = &triangle.testbed;
    let directors = testbed.directors();
    let first = testbed.machine(&wait_agreed_owner(triangle, &directors, &vip.to_string())?)?;
    let rest: Vec<_> = directors.into_iter().filter(|one| one.name != first.name).collect();
    let mut held = HeldConnections::open(triangle)?;
    let mut second = String::new();
    let started = Instant::now();
    // When its link is back, a director answers until it has heard the others' next hello.
    let answers = collect_answers(triangle, vip, 100, 1, || {
        thread::sleep(2 * TAKE_OVER);
        testbed.set_link(first, false)?;
        thread::sleep(2 * TAKE_OVER);
        second = wait_agreed_owner(triangle, &rest, &vip.to_string())?;
        testbed.set_link(first, true)
    })?;
    let pace = started.elapsed() / 100;
    let second = mac_address(testbed.machine(&second)?)?;
    println!(
        "{vip} is answered for by {:?}; {} of 100 questions",
        answerers_in_turn(&answers),
        answers.len()
    );
    // One move there and one back, and no more.
    ensure!(answerers_in_turn(&answers) == [mac_address(first)?, second, mac_address(first)?], "{answers:?}");
    let missed = 100 - answers.len() as u32;
    ensure!(pace * missed < TAKE_OVER, "nobody answered {missed} questions, each after {pace:?}");
    held.check_all_answer("after two moves").map(drop)
}

#[test]
fn one_director_answers_and_another_when_it_dies_and_it_again_when_it_is_back() -> Result<()> {
    run_with_diagnostics(&mut start_announced_cluster()?, |triangle| {
        VIP.both().iter().try_for_each(|vip| {
            wait_agreed_owner(triangle, &triangle.testbed.directors(), &vip.to_string()).map(drop)
        })?;
        // Directors' neighbour advertisements have the VIP as their source: they count as replies.
        Round { returns_directly: false, ..Round::of_all_pods(triangle) }.run(triangle)?;
        VIP.both().into_iter().try_for_each(|vip| check_owner_dies_and_returns(triangle, vip))
    })
}

/// The VIP of a gratuitous ARP packet or an unsolicited neighbour advertisement, and the sender's
/// MAC address.
fn parse_unsolicited(frame: &Frame<'_>) -> Option<(IpAddr, String)> {
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
fn the_owner_announces_a_vip_unsolicited_and_more_than_once() -> Result<()> {
    run_with_diagnostics(&mut start_cluster()?, |triangle| {
        let testbed = &triangle.testbed;
        let capture = Capture::start(testbed.router(), parse_unsolicited)?;
        write_announcements(triangle, OBJECTS)?;
        let directors = testbed.directors();
        let owner = |vip: &IpAddr| {
            mac_address(testbed.machine(&wait_agreed_owner(triangle, &directors, &vip.to_string())?)?)
        };
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
    run_with_diagnostics(&mut start_announced_cluster()?, |triangle| {
        let testbed = &triangle.testbed;
        let directors = testbed.directors();
        let first = wait_agreed_owner(triangle, &directors, &VIP.v4.to_string())?;
        let first = testbed.machine(&first)?;
        let rest: Vec<_> = directors.into_iter().filter(|one| one.name != first.name).collect();
        let mut held = HeldConnections::open(triangle)?;
        let answers = collect_answers(triangle, VIP.v4.into(), 60, 0, || {
            thread::sleep(TAKE_OVER);
            let drained = testbed.run_trigon(first, &["drain", "--no-wait"])?;
            ensure!(drained.status.success(), "{drained:?}");
            Ok(())
        })?;
        let second = wait_agreed_owner(triangle, &rest, &VIP.v4.to_string())?;
        ensure!(second != first.name, "{second} has drained");
        println!("answered by {:?}; {} of 60 questions", answerers_in_turn(&answers), answers.len());
        ensure!(
            answerers_in_turn(&answers) == [mac_address(first)?, mac_address(testbed.machine(&second)?)?],
            "{answers:?}"
        );
        held.check_all_answer("after the hand-over").map(drop)
    })
}
