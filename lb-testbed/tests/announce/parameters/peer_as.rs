//! A peer of another AS than it should be of is refused, by either side.

use anyhow::{Result, ensure};

use crate::{
    common::within,
    lab::{Lab, SOON},
    pair::{PEERS, Pair, stand},
};

/// No session: an OPEN was answered with Bad Peer AS, by us or the router, and it knows.
fn refused(lab: &Lab, peer: usize, sent: bool) -> Result<()> {
    let told = lab.wait_peer("director1", PEERS[peer], "refused", |told| {
        told["last_error"]["name"] == "OPEN Message Error: Bad Peer AS" && told["last_error"]["sent"] == sent
    })?;
    ensure!(told["established"] == 0, "{told}");
    within(SOON, "the router knows why", || {
        let told = super::told(lab, peer)?;
        let error = told.of("Last error:", "lastNotificationReason").unwrap_or_default().to_lowercase();
        ensure!(error.contains("bad peer as"), "{error} in {told:?}");
        Ok(true)
    })
    .map(drop)
}

/// The router is of AS 64513, and takes us for what we say we are.
fn with(v4: &str, v6: &str) -> Pair {
    let [v4, v6] = [v4, v6].map(|fields| format!("{fields}\n  peerAddress: "));
    Pair::new()
        .replace("myASN: 64512\n  peerASN: 64513\n  peerAddress: 10", &format!("{v4}10"))
        .replace("myASN: 64512\n  peerASN: 64513\n  peerAddress: fd", &format!("{v6}fd"))
}

/// An internal one where it should be external, and the other way round.
#[test]
fn a_dynamic_as_must_be_of_its_kind() -> Result<()> {
    let external = "myASN: 64513\n  dynamicASN: external";
    let internal = "myASN: 64512\n  dynamicASN: internal";
    let mut pair = with(external, internal);
    // By IPv4 we are of its own AS.
    pair.bird = pair.bird.replace("10.77.1.2 as 64512", "10.77.1.2 as 64513;\n  direct");
    pair.frr = pair.frr.replace("10.77.1.2 remote-as 64512", "10.77.1.2 remote-as 64513");
    let right = with(&external.replace("external", "internal"), &internal.replace("internal", "external"));
    pair.with_both(|lab| {
        refused(lab, 0, true)?;
        refused(lab, 1, true)?;
        lab.write(&right.objects)?;
        stand(lab, 1)
    })
}

/// By IPv4 we expect another AS, by IPv6 the router does.
#[test]
fn both_sides_must_be_of_the_as_that_the_other_expects() -> Result<()> {
    let pair = with("myASN: 64512\n  peerASN: 64999", "myASN: 64999\n  peerASN: 64513");
    pair.with_both(|lab| {
        refused(lab, 0, true)?;
        refused(lab, 1, false)?;
        lab.write(&Pair::new().objects)?;
        stand(lab, 1)
    })
}
