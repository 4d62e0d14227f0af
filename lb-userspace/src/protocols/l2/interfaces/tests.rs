use std::net::IpAddr;

use super::*;
use crate::protocols::l2::{Ballot, L2Orders, elect::Election};

fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

/// `eth0` has the index 0, and so on; `eth0.7` is a VLAN on it.
pub fn interfaces(own: &[&str], up: &[&str]) -> Interfaces {
    let mut interfaces = Interfaces { own: names(own), seen: BTreeMap::new() };
    let seen = |name: &&str| {
        let number = |name: &str| name.trim_start_matches("eth").parse().unwrap_or(99);
        let (below, tag) = name.split_once('.').map_or((*name, 0), |(below, _)| (below, 1000));
        let seen = InterfaceState {
            ifindex: number(below) + tag,
            device: Some(number(below)),
            mac: Some([2; 6]).filter(|_| *name != "tun"),
            is_up: true,
        };
        (Arc::from(*name), seen)
    };
    interfaces.set_seen(up.iter().map(seen).collect());
    interfaces
}

fn candidates(in_data_path: bool, on: &[&str]) -> Candidates {
    let ballot = Arc::new(Ballot::from(names(&["me"])));
    Candidates { ballot, ready: true, in_data_path, interfaces: names(on) }
}

#[test]
fn without_an_interface_that_is_up_we_are_not_ready() {
    let [plain, named] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
    let vips = [(plain, candidates(false, &[])), (named, candidates(false, &["eth1", "eth2"]))];
    let wanted = L2Orders { me: "me".into(), vips: vips.into(), ..L2Orders::default() };
    let mut election = Election::default();
    election.set_orders(&wanted, std::time::Instant::now());
    let table: [(&[&str], &[IpAddr]); 5] = [
        (&[], &[]),
        (&["eth0"], &[plain]),
        (&["eth2"], &[named]),
        (&["eth0", "eth1"], &[plain, named]),
        (&["eth3"], &[]),
    ];
    for (up, ready) in table {
        let seen: Vec<_> = election.announceable(&interfaces(&["eth0"], up)).into_keys().collect();
        assert_eq!(seen, ready, "{up:?}");
    }
}

/// Packets for a VIP in the data path that came elsewhere would vanish.
#[test]
fn vips_in_the_data_path_are_announced_where_programs_are() {
    let up = ["eth0", "eth0.7", "eth1", "eth1.7"];
    let interfaces = interfaces(&["eth0"], &up);
    for (in_data_path, on) in [(true, vec!["eth0", "eth0.7"]), (false, up.to_vec())] {
        let candidates = candidates(in_data_path, &up);
        assert_eq!(interfaces.suitable_for(&candidates).map(|name| &**name).collect::<Vec<_>>(), on);
        assert!(
            up.iter()
                .all(|name| interfaces.is_wanted_on(&candidates, &Arc::from(*name)) == on.contains(name))
        );
    }
    assert!(!interfaces.can_announce(&candidates(true, &["eth1"])));
    assert!(interfaces.can_announce(&candidates(false, &["eth1"])));
    assert!(interfaces.can_announce(&candidates(true, &[])));
}

#[test]
fn unusable_interfaces_are_reported_with_the_reason() {
    let mut interfaces = interfaces(&["eth0"], &["eth0", "eth1", "eth2", "tun"]);
    interfaces.seen.get_mut("eth2").unwrap().is_up = false;
    let all = ["eht0", "eth0", "eth1", "eth2", "tun"];
    let faults = |in_data_path| {
        let faults = interfaces.faults(&candidates(in_data_path, &all));
        faults.into_iter().map(|fault| (fault.interface, fault.why)).collect::<Vec<_>>()
    };
    let fault = |name: &str, why| (name.to_owned(), why);
    let mut expected = vec![
        fault("eht0", FaultReason::Missing),
        fault("eth1", FaultReason::NoProgram),
        fault("eth2", FaultReason::Down),
        fault("tun", FaultReason::NotEthernet),
    ];
    assert_eq!(faults(true), expected);
    expected.remove(1);
    assert_eq!(faults(false), expected);
}
