//! AS numbers of four bytes (RFC 6793), with peers who know them and with one who does not.

use anyhow::{Result, ensure};

use crate::lab::{Lab, prefixes, small};

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");
const OURS: u32 = 4_200_000_001;

fn paths_are_whole(lab: &mut Lab) -> Result<()> {
    for prefix in prefixes() {
        let routes = lab.wait_routes(&prefix, |routes| routes.len() == 2)?;
        for route in routes {
            ensure!(route.as_path == [OURS; 2], "{route:?}");
        }
    }
    Ok(())
}

/// The second session has no such capability: AS_TRANS in AS_PATH, the truth in AS4_PATH.
#[test]
fn bird_sees_our_as_with_and_without_the_capability() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(|lab| {
        paths_are_whole(lab)?;
        let told = lab.peer("director1", "narrow")?;
        ensure!(!told["capabilities"].to_string().contains("4-octet-as"), "{told}");
        Ok(())
    })
}

#[test]
fn frr_sees_our_as() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(paths_are_whole)
}

/// A peer that negotiates no capabilities hears of IPv4 alone, by AS numbers of two bytes. FRR
/// does not look at AS4_PATH, since we have offered the capability.
#[test]
fn frr_without_capabilities_gets_routes() -> Result<()> {
    let narrow = " neighbor fd77:1::2 remote-as 4200000001\n";
    let frr = FRR.replace(narrow, &format!("{narrow} neighbor fd77:1::2 dont-capability-negotiate\n"));
    Lab::frr(small(), &frr, OBJECTS)?.told(|lab| {
        let [v4, _] = prefixes();
        let mut routes = lab.wait_routes(&v4, |routes| routes.len() == 2)?;
        routes.retain(|route| route.from == "fd77:1::2");
        ensure!(routes.len() == 1 && routes[0].as_path.len() == 2, "{routes:?}");
        let told = lab.peer("director1", "narrow")?;
        ensure!(told["capabilities"] == serde_json::json!([]), "{told}");
        Ok(())
    })
}
