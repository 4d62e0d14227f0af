//! Directors lose and regain their link, and routers change their MAC address: connections don't break.

mod common;

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Result, ensure};
use common::{
    held::HeldConnections, run_with_diagnostics, socket_address, streams::start_streams, wait_at_most,
};
use lb_testbed::{Config, DirectorCounters, ServiceSpec, Testbed, Triangle, VIP, write_manifest};

/// How long a director's link is down before the router stops sending to that director.
const SILENCE: Duration = Duration::from_millis(300);
/// How long to wait for what takes a second or two.
const PATIENCE: Duration = Duration::from_secs(15);
/// Retransmissions begin 200 ms after the first try, and then double.
const RECOVERY: Duration = Duration::from_secs(1);

/// Packets at each director's link since the last call; resets the counters.
fn read_and_reset_packet_counts(counters: &DirectorCounters) -> Result<BTreeMap<String, u64>> {
    let counts = counters.read_each()?;
    counters.reset()?;
    let packets: BTreeMap<_, _> = counts.into_iter().map(|(name, count)| (name, count.packets)).collect();
    println!("packets at the directors' links: {packets:?}");
    Ok(packets)
}

fn check_connections_survive_director_loss(config: Config) -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let testbed = &triangle.testbed;
        let counters = DirectorCounters::attach(testbed)?;
        let mut held = HeldConnections::open(triangle)?;
        for (lost, left) in [(1, 0), (0, 1)] {
            let director = testbed.directors()[lost];
            let before = read_and_reset_packet_counts(&counters)?;
            ensure!(before.values().all(|packets| *packets > 100), "both should be at work");
            testbed.set_link(director, false)?;
            thread::sleep(SILENCE);
            testbed.set_directors(&[left])?;
            thread::sleep(RECOVERY);
            held.check_all_answer(&format!("without {}", director.name))?;
            testbed.set_link(director, true)?;
            testbed.set_directors(&[0, 1])?;
            thread::sleep(RECOVERY / 2);
            held.check_all_answer(&format!("with {} back", director.name))?;
        }
        ensure!(
            read_and_reset_packet_counts(&counters)?.values().all(|packets| *packets > 100),
            "both should be back at work"
        );
        Ok(())
    })
}

#[test]
fn no_connection_breaks_when_a_director_goes_and_comes_over_a_router() -> Result<()> {
    check_connections_survive_director_loss(Config::l3())
}

#[test]
fn no_connection_breaks_when_a_director_goes_and_comes_on_one_link() -> Result<()> {
    check_connections_survive_director_loss(Config::l2())
}

/// Gateways are replaced: the same address, another MAC address. They announce
/// it, as any router does; otherwise hosts would keep the old one for about half a minute.
fn replace_router(testbed: &Testbed) -> Result<()> {
    for (number, machine) in testbed.machines().iter().enumerate() {
        let name = &machine.name;
        let notify = [format!("ipv4/conf/{name}/arp_notify"), format!("ipv6/conf/{name}/ndisc_notify")];
        testbed.router().write_sysctls(&notify.each_ref().map(|setting| (setting.as_str(), "1")))?;
        testbed.router().ip(&format!("link set {name} address 02:00:00:00:99:0{number}"))?;
    }
    Ok(())
}

/// Agents that were started with a broken source have no plan; what is pinned must still get there.
#[test]
fn a_new_mac_address_is_followed_by_agents_without_a_good_source() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            write_manifest(triangle.source_dir(), "broken.yaml", "{ no YAML")?;
            for name in triangle.agent_names() {
                triangle.agent(&name)?.kill()?;
                triangle.start_agent(&name, &[])?;
            }
            for name in triangle.agent_names() {
                let machine = triangle.testbed.machine(&name)?;
                wait_at_most(PATIENCE, "an agent without a good source", || {
                    Ok(triangle.testbed.agent_status(machine)?["source"]["good"] == false)
                })?;
            }
            replace_router(&triangle.testbed)?;
            for vip in VIP.both() {
                let silence = wait_at_most(PATIENCE, "answers over the new router", || {
                    let answers = triangle.testbed.send_requests(socket_address(vip, 80), 4)?;
                    Ok(answers.all_answered())
                })?;
                println!("{vip}: answers again after {silence:?}");
            }
            Ok(())
        },
    )
}

#[test]
fn a_new_mac_address_of_the_router_is_followed() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            let testbed = &triangle.testbed;
            let mut held = HeldConnections::open(triangle)?;
            let streams = start_streams(triangle, 500, Duration::from_secs(4))?;
            thread::sleep(Duration::from_millis(500));
            replace_router(testbed)?;
            let mut gap = 0;
            for stream in streams {
                let report = stream.finish()?;
                gap = gap.max(report.max_gap_ms);
                ensure!(report.max_gap_ms < 3000 && report.lost * 10 < report.sent, "{report:?}");
            }
            println!("longest silence after the router's MAC addresses changed: {gap} ms");
            held.check_all_answer("with a new MAC address of the router").map(drop)
        },
    )
}
