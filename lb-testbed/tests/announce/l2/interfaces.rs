//! Directors with a second link: who answers, and where. VLANs are left to unit
//! tests, since these tests also run on kernels without them.

use super::*;

/// The VIP of a Service that kube-proxy carries.
const MAIL: &str = "192.0.2.20";
/// The router's side of the second link.
const SECOND: &str = "second";

fn start_with_two_links() -> Result<Triangle> {
    let config = Config { directors: 2, nodes: 1, pods_per_node: 1, ..Config::l2() };
    let mail =
        ServiceSpec::with_all_ports("mail").vips([MAIL.parse()?]).annotation("trigon.dev/dsr", "false");
    let triangle = Triangle::start(config, &[ServiceSpec::with_all_ports("web"), mail])?;
    let testbed = &triangle.testbed;
    let router = testbed.router();
    router.ip(&format!("link add {SECOND} type bridge"))?;
    router.ip_batch(&format!("link set {SECOND} up\naddr add 10.99.0.1/24 dev {SECOND}\n"))?;
    for (number, director) in testbed.directors().into_iter().enumerate() {
        let port = format!("second{number}");
        router.ip(&format!("link add {port} type veth peer name eth1"))?;
        router.ip(&format!("link set eth1 netns {}", director.namespace.path().display()))?;
        router.ip(&format!("link set {port} up master {SECOND}"))?;
        director.namespace.ip("link set eth1 up")?;
    }
    Ok(triangle)
}

fn advertisement_objects(pool: &str, spec: &str) -> String {
    format!(
        "apiVersion: trigon.dev/v1alpha1\nkind: AddressPool\nmetadata: {{name: pool}}\nspec: {{addresses: [{pool}/32]}}\n---\n\
         apiVersion: trigon.dev/v1alpha1\nkind: L2Advertisement\nmetadata: {{name: lan}}\nspec: {{ipAddressPools: [pool], {spec}}}\n"
    )
}

/// The MAC addresses that answer ARP requests for a VIP on a link.
fn answering_macs(triangle: &Triangle, link: &str, vip: &str) -> Result<BTreeSet<String>> {
    let words = ["arping", "-I", link, "-W", "0.1", "-c", "3", vip];
    let told = String::from_utf8(triangle.testbed.router().run_for_output(&words)?.stdout)?;
    Ok(told.lines().filter_map(parse_mac).collect())
}

/// Waits until one of these interfaces, and no other, answers for a VIP on a link; nobody may answer
/// for it on the other link.
fn wait_answered_only_on(triangle: &Triangle, vip: &str, link: &str, by: &[(&Machine, &str)]) -> Result<()> {
    let macs = by
        .iter()
        .map(|(machine, interface)| interface_mac(machine, interface))
        .collect::<Result<BTreeSet<_>>>()?;
    wait_at_most(SOON, &format!("{vip} on {link}"), || {
        let answers = answering_macs(triangle, link, vip)?;
        ensure!(answers.len() == 1 && answers.is_subset(&macs), "{answers:?}, not one of {macs:?}");
        Ok(true)
    })?;
    for other in [LINK, SECOND].into_iter().filter(|other| *other != link) {
        let answers = answering_macs(triangle, other, vip)?;
        ensure!(answers.is_empty(), "{vip} is answered for on {other} too, by {answers:?}");
    }
    Ok(())
}

/// Waits until `trigon status` reports exactly these problems of the advertisement.
fn wait_problems(triangle: &Triangle, director: &Machine, expected: &[&str]) -> Result<()> {
    wait_at_most(SOON, "problems", || {
        let status = triangle.testbed.agent_status(director)?;
        let told = status["problems"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let told: Vec<_> = told.filter(|line| line.starts_with("L2Advertisement")).collect();
        let fits = told.iter().zip(expected).all(|(told, expected)| told.contains(expected));
        ensure!(told.len() == expected.len() && fits, "{told:?}, not {expected:?}");
        Ok(true)
    })
    .map(drop)
}

#[test]
fn vips_are_announced_where_advertisements_say_and_packets_would_not_vanish() -> Result<()> {
    run_with_diagnostics(&mut start_with_two_links()?, |triangle| {
        let directors = triangle.testbed.directors();
        let (first, second) = (directors[0], directors[1]);
        let web = VIP.v4.to_string();

        let chosen =
            "interfaces: [eth1], nodeSelectors: [{matchLabels: {kubernetes.io/hostname: director2}}]";
        write_announcements(triangle, &advertisement_objects(MAIL, chosen))?;
        wait_answered_only_on(triangle, MAIL, SECOND, &[(second, "eth1")])?;

        // On eth1 no program would see packets for a VIP in the data path.
        write_announcements(triangle, &advertisement_objects(&web, "interfaces: [eth0, eth1, eht0]"))?;
        wait_answered_only_on(triangle, &web, LINK, &[(first, "eth0"), (second, "eth0")])?;
        for director in [first, second] {
            let told = [
                format!("node {} has no interface `eht0`; correct", director.name),
                format!("interface `eth1` of node {} is none of its agent's", director.name),
            ];
            wait_problems(triangle, director, &[&told[0], &told[1]])?;
        }
        write_announcements(triangle, &advertisement_objects(&web, "interfaces: [eth0]"))?;
        wait_problems(triangle, first, &[])?;
        wait_answered_only_on(triangle, &web, LINK, &[(first, "eth0"), (second, "eth0")])
    })
}
