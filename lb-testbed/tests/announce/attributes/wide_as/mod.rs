//! AS numbers of four bytes (RFC 6793), with peers that support them and one that does not.

use anyhow::{Result, ensure};

use crate::lab::{Lab, small_config, vip_prefixes};

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");
const OUR_AS: u32 = 4_200_000_001;

fn check_as_paths(lab: &mut Lab) -> Result<()> {
    for prefix in vip_prefixes() {
        let routes = lab.wait_routes(&prefix, |routes| routes.len() == 2)?;
        for route in routes {
            ensure!(route.as_path == [OUR_AS; 2], "{route:?}");
        }
    }
    Ok(())
}

/// The second session lacks the capability: AS_PATH has AS_TRANS, and AS4_PATH the real number.
#[test]
fn bird_sees_our_as_with_and_without_the_capability() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        check_as_paths(lab)?;
        let told = lab.peer_status("director1", "narrow")?;
        ensure!(!told["capabilities"].to_string().contains("4-octet-as"), "{told}");
        Ok(())
    })
}

#[test]
fn frr_sees_our_as() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?.run_with_diagnostics(check_as_paths)
}

/// A peer that negotiates no capabilities gets IPv4 routes only, with AS numbers of two bytes. FRR
/// ignores AS4_PATH, since we have offered the capability.
#[test]
fn frr_without_capabilities_gets_routes() -> Result<()> {
    let narrow = " neighbor fd77:1::2 remote-as 4200000001\n";
    let frr = FRR.replace(narrow, &format!("{narrow} neighbor fd77:1::2 dont-capability-negotiate\n"));
    Lab::start_frr(small_config(), &frr, OBJECTS)?.run_with_diagnostics(|lab| {
        let [v4, _] = vip_prefixes();
        let mut routes = lab.wait_routes(&v4, |routes| routes.len() == 2)?;
        routes.retain(|route| route.from == "fd77:1::2");
        ensure!(routes.len() == 1 && routes[0].as_path.len() == 2, "{routes:?}");
        let told = lab.peer_status("director1", "narrow")?;
        ensure!(told["capabilities"] == serde_json::json!([]), "{told}");
        Ok(())
    })
}
