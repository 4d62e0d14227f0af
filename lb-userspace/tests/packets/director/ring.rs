//! The ring: the slot of a flow, and no state beside it.

use lb_common::{
    Verdict::ForwardL2,
    hash,
    maps::{FlowKey, Holder, names},
};

use crate::{
    case::arrives,
    expect::by_mac,
    machine::{AS_DIRECTOR, Machine},
    services::{self, L2, RING_LEN},
    world::{KINDS, Kind},
};

/// A machine whose slots of `L2` are backends of their own.
fn machine_with_a_backend_per_slot() -> Machine {
    let mut machine = Machine::new(AS_DIRECTOR);
    let slots: Vec<u16> = (0..RING_LEN as u16).map(|slot| slot + 1).collect();
    machine.set_ring(L2, &slots);
    let (_, bare) = services::backends().into_iter().find(|(id, _)| *id == 1).unwrap();
    for id in slots.into_iter().map(u32::from) {
        machine.set_backend(id, lb_common::maps::Backend { macs: services::macs_to_bare_server(id), ..bare });
    }
    machine
}

fn check_slots_of_many_flows(kind: Kind) {
    let machine = machine_with_a_backend_per_slot();
    let mut seen = [false; RING_LEN as usize];
    for port in 40_000..40_400 {
        let request = kind.request(L2).with_client_port(port);
        let slot = hash::slot(request.hash(), RING_LEN);
        let backend = slot + 1;
        seen[slot as usize] = true;
        arrives(format!("{kind} from port {port}"), AS_DIRECTOR, request.frame())
            .becomes(ForwardL2, by_mac(services::macs_to_bare_server(backend), &request))
            .for_backend(&request, backend)
            .assert_on(&machine);
    }
    assert!(seen.iter().all(|seen| *seen), "slots never asked for: {seen:?}");
}

#[test]
fn the_slot_of_a_flow_names_its_backend() {
    KINDS.into_iter().for_each(check_slots_of_many_flows);
}

#[test]
fn a_director_keeps_no_state_of_flows_to_nodes() {
    let mut machine = machine_with_a_backend_per_slot();
    for kind in KINDS {
        machine.run_xdp(&kind.request(L2).frame());
        machine.run_xdp(&kind.request(L2).into_later_packet().frame());
    }
    assert_eq!(machine.map::<FlowKey, Holder>(names::BARE_FLOWS).keys().count(), 0);
}
