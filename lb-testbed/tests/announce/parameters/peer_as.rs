//! A peer of another AS than is expected is refused, by either side.

use anyhow::{Result, ensure};

use crate::{
    common::wait_at_most,
    lab::{Lab, SOON},
    pair::{PEERS, SessionPair, wait_sessions},
};

/// Waits until an OPEN was answered with Bad Peer AS, by us (`sent`) or by the router, and the router
/// reports it; the session was never established.
fn wait_refused(lab: &Lab, peer: usize, sent: bool) -> Result<()> {
    let told = lab.wait_peer("director1", PEERS[peer], "refused", |told| {
        told["last_error"]["name"] == "OPEN Message Error: Bad Peer AS" && told["last_error"]["sent"] == sent
    })?;
    ensure!(told["established"] == 0, "{told}");
    wait_at_most(SOON, "the router knows why", || {
        let told = super::session_details(lab, peer)?;
        let error =
            told.field_text("Last error:", "lastNotificationReason").unwrap_or_default().to_lowercase();
        ensure!(error.contains("bad peer as"), "{error} in {told:?}");
        Ok(true)
    })
    .map(drop)
}

/// What is logged of a session is in the span of its peer.
fn check_refusals_are_logged_by_peer(lab: &mut Lab) -> Result<()> {
    let log = lab.triangle.agent("director1")?.log();
    for peer in PEERS {
        let span = format!("bgp{{peer={peer}}}");
        let is_told = log.lines().any(|line| line.contains(&span) && line.contains("Bad Peer AS"));
        ensure!(is_told, "{peer} is not in the log:\n{log}");
    }
    Ok(())
}

/// With these AS fields in our `BgpPeer`s; the router is of AS 64513.
fn pair_with_as_fields(v4: &str, v6: &str) -> SessionPair {
    let [v4, v6] = [v4, v6].map(|fields| format!("{fields}\n  peerAddress: "));
    SessionPair::new()
        .replace("myASN: 64512\n  peerASN: 64513\n  peerAddress: 10", &format!("{v4}10"))
        .replace("myASN: 64512\n  peerASN: 64513\n  peerAddress: fd", &format!("{v6}fd"))
}

/// We expect an external peer where the router is internal, and the other way round.
#[test]
fn a_dynamic_as_must_be_of_its_kind() -> Result<()> {
    let external = "myASN: 64513\n  dynamicASN: external";
    let internal = "myASN: 64512\n  dynamicASN: internal";
    let mut pair = pair_with_as_fields(external, internal);
    // By IPv4 we are of its own AS.
    pair.bird = pair.bird.replace("10.77.1.2 as 64512", "10.77.1.2 as 64513;\n  direct");
    pair.frr = pair.frr.replace("10.77.1.2 remote-as 64512", "10.77.1.2 remote-as 64513");
    let right = pair_with_as_fields(
        &external.replace("external", "internal"),
        &internal.replace("internal", "external"),
    );
    pair.run_with_both(|lab| {
        wait_refused(lab, 0, true)?;
        wait_refused(lab, 1, true)?;
        check_refusals_are_logged_by_peer(lab)?;
        lab.write_objects(&right.objects)?;
        wait_sessions(lab, 1)
    })
}

/// By IPv4 we expect another AS, by IPv6 the router does.
#[test]
fn both_sides_must_be_of_the_as_that_the_other_expects() -> Result<()> {
    let pair = pair_with_as_fields("myASN: 64512\n  peerASN: 64999", "myASN: 64999\n  peerASN: 64513");
    pair.run_with_both(|lab| {
        wait_refused(lab, 0, true)?;
        wait_refused(lab, 1, false)?;
        lab.write_objects(&SessionPair::new().objects)?;
        wait_sessions(lab, 1)
    })
}
