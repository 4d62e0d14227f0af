//! Objects that cannot be are refused, with object, field and remedy; all others are not.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    common::within,
    lab::{Lab, SOON, small},
};

const BIRD: &str = include_str!("bird.conf");
const GOOD: &str = include_str!("good.yaml");
const BAD: &str = include_str!("bad.yaml");

/// Object, field, and a word of the remedy.
const SAID: [[&str; 3]; 5] = [
    ["BgpPeer default/worse-both-as", "spec.dynamicASN", "remove one of the two"],
    ["BgpPeer default/worse-profile", "spec.bfdProfile", "add the BfdProfile"],
    ["BgpPeer default/worse-password", "spec.password", "1 to 80 bytes"],
    ["AddressPool default/worse-pool", "spec.addresses[0]", "addresses of its own"],
    ["BgpAdvertisement default/worse-advertisement", "spec.localPref", "write the same in both"],
];

fn problems(lab: &Lab) -> Result<Vec<String>> {
    let testbed = &lab.triangle.testbed;
    let status = testbed.status(testbed.machine("director1")?)?;
    let words = |value: &Value| value.as_str().map(ToOwned::to_owned);
    Ok(status["problems"].as_array().into_iter().flatten().filter_map(words).collect())
}

#[test]
fn bad_objects_are_named_and_the_rest_goes_on() -> Result<()> {
    Lab::bird(small(), BIRD, GOOD)?.told(|lab| {
        lab.wait_announced()?;
        lab.write(&format!("{GOOD}---\n{BAD}"))?;
        for parts in SAID {
            within(SOON, &format!("{parts:?} in `trigon status`"), || {
                let problems = problems(lab)?;
                let is_said = problems.iter().any(|one| parts.iter().all(|part| one.contains(part)));
                ensure!(is_said, "{problems:?}");
                Ok(true)
            })?;
        }
        let found = problems(lab)?;
        println!("{}", found.join("\n"));
        ensure!(found.len() == SAID.len(), "{found:?}");
        ensure!(!found.iter().any(|one| one.contains("1234567890")), "a password is shown: {found:?}");
        lab.wait_announced()?;
        let told = lab.peer("director1", "v4")?;
        ensure!(told["established"] == 1 && told["state"] == "Established", "{told}");
        lab.write(GOOD)?;
        within(SOON, "no problem", || Ok(problems(lab)?.is_empty())).map(drop)
    })
}
