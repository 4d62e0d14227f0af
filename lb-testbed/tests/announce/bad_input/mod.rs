//! Bad objects are refused, with a problem that names object, field and remedy; all others are applied.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    common::wait_at_most,
    lab::{Lab, SOON, small_config},
};

const BIRD: &str = include_str!("bird.conf");
const GOOD: &str = include_str!("good.yaml");
const BAD: &str = include_str!("bad.yaml");

/// Of each problem: the object, the field and a part of the remedy.
const EXPECTED_PROBLEMS: [[&str; 3]; 6] = [
    ["BgpPeer default/worse-both-as", "spec.dynamicASN", "remove one of the two"],
    ["BgpPeer default/worse-profile", "spec.bfdProfile", "add the BfdProfile"],
    ["BgpPeer default/worse-password", "spec.password", "1 to 80 bytes"],
    ["BgpPeer worse-self", "spec.peerAddress", "write the router's address"],
    ["AddressPool default/worse-pool", "spec.addresses[0]", "addresses of its own"],
    ["BgpAdvertisement default/worse-advertisement", "spec.localPref", "write the same in both"],
];

fn reported_problems(lab: &Lab) -> Result<Vec<String>> {
    let testbed = &lab.triangle.testbed;
    let status = testbed.agent_status(testbed.machine("director1")?)?;
    let words = |value: &Value| value.as_str().map(ToOwned::to_owned);
    Ok(status["problems"].as_array().into_iter().flatten().filter_map(words).collect())
}

#[test]
fn bad_objects_are_reported_and_the_others_stay_in_effect() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, GOOD)?.run_with_diagnostics(|lab| {
        lab.wait_announced()?;
        lab.write_objects(&format!("{GOOD}---\n{BAD}"))?;
        for parts in EXPECTED_PROBLEMS {
            wait_at_most(SOON, &format!("{parts:?} in `trigon status`"), || {
                let problems = reported_problems(lab)?;
                let is_said = problems.iter().any(|one| parts.iter().all(|part| one.contains(part)));
                ensure!(is_said, "{problems:?}");
                Ok(true)
            })?;
        }
        let found = reported_problems(lab)?;
        println!("{}", found.join("\n"));
        ensure!(found.len() == EXPECTED_PROBLEMS.len(), "{found:?}");
        ensure!(!found.iter().any(|one| one.contains("1234567890")), "a password is shown: {found:?}");
        lab.wait_announced()?;
        let told = lab.peer_status("director1", "v4")?;
        ensure!(told["established"] == 1 && told["state"] == "Established", "{told}");
        lab.write_objects(GOOD)?;
        wait_at_most(SOON, "no problem", || Ok(reported_problems(lab)?.is_empty())).map(drop)
    })
}
