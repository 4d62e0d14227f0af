//! Whatever happens.

use std::{collections::BTreeMap, net::IpAddr};

use proptest::prelude::*;

use super::*;
use crate::controller::{
    addresses::{Addresses, conflict_between},
    testing::this,
};

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Apply(Value),
    Delete(u8),
    Node(u8, Vec<u8>),
    ByHand(u8, Vec<u8>),
    /// Nobody leads for a while.
    Pause,
    /// So many writes; whether the answers of some get lost.
    Write(u8, bool),
    /// What the watch had to tell is told.
    Tell,
}

fn address(number: u8) -> String {
    if number.is_multiple_of(2) { format!("192.0.2.{number}") } else { format!("2001:db8::{number}") }
}

fn list(numbers: &[u8]) -> String {
    numbers.iter().map(|number| address(*number)).collect::<Vec<_>>().join(",")
}

fn some_service() -> impl Strategy<Value = Value> {
    let spec = (0..8_u8, prop::bool::weighted(0.9), prop::bool::weighted(0.9), any::<bool>());
    let asked = prop::collection::vec(1..7_u8, 0..3);
    (0..5_u8, spec, asked, 80..82_u16, 0..3_u8).prop_map(|(number, spec, asked, port, key)| {
        let (born, is_ours, is_balancer, has_both) = spec;
        let mut object = service(&format!("s{number}"), born, &list(&asked));
        object["spec"]["ports"] = json!([{"port": port}]);
        if key > 0 {
            object["metadata"]["annotations"]["metallb.io/allow-shared-ip"] = format!("key {key}").into();
        }
        if !is_ours {
            object["spec"]["loadBalancerClass"] = "example.com/lb".into();
        }
        if !is_balancer {
            object["spec"]["type"] = "ClusterIP".into();
        }
        if !has_both {
            object["spec"]["ipFamilies"] = json!(["IPv4"]);
        }
        object
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => some_service().prop_map(Step::Apply),
        1 => (0..5_u8).prop_map(Step::Delete),
        1 => (0..2_u8, prop::collection::vec(1..7_u8, 0..2)).prop_map(|(name, numbers)| Step::Node(name, numbers)),
        1 => (0..5_u8, prop::collection::vec(1..7_u8, 0..2)).prop_map(|(name, numbers)| Step::ByHand(name, numbers)),
        1 => Just(Step::Pause),
        4 => (1..4_u8, any::<bool>()).prop_map(|(count, is_lost)| Step::Write(count, is_lost)),
        4 => Just(Step::Tell),
    ]
}

/// Of those that have an address, without who wrote it by hand over what others have.
fn rightful<'a>(holders: impl Iterator<Item = &'a Arc<Service>>) -> Vec<&'a Arc<Service>> {
    let mut holders: Vec<_> = holders.collect();
    holders.sort_by_key(|holder| &holder.rank);
    let mut rightful: Vec<&Arc<Service>> = Vec::new();
    for holder in holders {
        if rightful.iter().all(|other| conflict_between(other, holder).is_none()) {
            rightful.push(holder);
        }
    }
    rightful
}

/// A write must not give a Service what another has that may not share it.
fn check_no_theft(api: &FakeApi, write: &Write) -> Result<(), TestCaseError> {
    let mut all = Addresses::default();
    api.all().into_iter().for_each(|change| all.apply(change));
    let Some(service) = all.service(&write.this) else { return Ok(()) };
    let status = write.object.status.as_ref().and_then(|status| status.load_balancer.clone());
    let given = status.and_then(|balancer| balancer.ingress).unwrap_or_default();
    for given in given.iter().filter_map(|ingress| ingress.ip.as_ref()?.parse::<IpAddr>().ok()) {
        if service.holds(given) {
            continue;
        }
        let holders = api.holders(given).into_iter();
        let holders = holders.filter_map(|holder| all.service(&this(holder.metadata.name.as_deref()?)));
        let rightful = rightful(holders.filter(|holder| holder.this() != service.this()));
        for holder in rightful {
            prop_assert!(
                conflict_between(holder, service).is_none(),
                "{} is given {given}, which {} has",
                write.this,
                holder.this()
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The watch may be late, answers may get lost, and leaders change.
    #[test]
    fn whatever_happens_it_ends_with_what_all_objects_ask_for(steps in prop::collection::vec(step(), 1..40)) {
        let mut rig = Rig::new();
        let mut untold = Vec::new();
        let mut nodes = BTreeMap::new();
        for step in steps {
            match step {
                Step::Apply(object) => untold.push(rig.api.apply(object)),
                Step::Delete(number) => untold.push(rig.api.delete(&format!("s{number}"))),
                Step::Node(name, numbers) => {
                    let addresses: Vec<_> = numbers.iter().map(|number| address(*number)).collect();
                    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
                    let change = node(&format!("n{name}"), &addresses);
                    nodes.insert(name, change.clone());
                    untold.push(change);
                }
                Step::ByHand(number, numbers) => {
                    let addresses: Vec<_> = numbers.iter().map(|number| address(*number)).collect();
                    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
                    untold.extend(rig.api.write_by_hand(&format!("s{number}"), by_hand(&addresses)));
                }
                Step::Pause => {
                    rig.engine.set_leadership(None, rig.now);
                    rig.lead();
                }
                Step::Write(count, is_lost) => {
                    let is_up_to_date = untold.is_empty();
                    for _ in 0..count {
                        let Some(write) = rig.engine.next_write(rig.now, Timestamp::UNIX_EPOCH) else { break };
                        if is_up_to_date && !is_lost {
                            check_no_theft(&rig.api, &write)?;
                        }
                        let result = rig.api.carry_out(&write);
                        if let Ok(object) = &result {
                            untold.push(Change::Put(object.clone(), None));
                        }
                        let lost = Err(Failure::Other("lost".to_owned()));
                        rig.engine.note_written(&write.this, if is_lost { lost } else { result }, rig.now);
                        rig.now += Duration::from_millis(300);
                    }
                }
                Step::Tell => rig.engine.apply_changes(std::mem::take(&mut untold), rig.now),
            }
        }
        rig.engine.apply_changes(untold, rig.now);
        rig.settle();
        // From scratch there is nothing to do either, and nobody has what another has.
        let mut all = Addresses::default();
        rig.api.all().into_iter().chain(nodes.into_values()).for_each(|change| all.apply(change));
        all.settle();
        for this in all.services() {
            let service = all.service(this).expect("a Service");
            prop_assert!(all.wanted(service).is_met(&service.status), "{service:?}: {:?}", all.wanted(service));
            for address in service.held().filter(|_| service.has_request()) {
                let holders = all.services().filter_map(|other| all.service(other));
                let rightful = rightful(holders.filter(|other| other.holds(address)));
                prop_assert!(rightful.iter().any(|other| other.this() == this), "{service:?}: {rightful:?}");
            }
        }
    }
}
