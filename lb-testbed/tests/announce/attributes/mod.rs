//! Route attributes and aggregates of a `BgpAdvertisement`, as routers see them.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lb_testbed::Route;

use super::lab::{Lab, run_with_both, vip_prefixes};

mod wide_as;

pub const BIRD: &str = include_str!("bird.conf");
pub const FRR: &str = include_str!("frr.conf");
pub const OBJECTS: &str = include_str!("objects.yaml");

/// The aggregates around the VIPs.
const NETWORKS: [&str; 2] = ["192.0.2.0/25", "2001:db8:1::/64"];

fn string_set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The two paths to a prefix: by the external session, and the internal one.
fn two_paths(lab: &Lab, prefix: &str) -> Result<(Route, Route)> {
    let routes = lab.wait_routes(prefix, |routes| routes.len() == 2)?;
    let (internal, external): (Vec<_>, Vec<_>) = routes.into_iter().partition(|one| one.as_path.is_empty());
    let external = external.into_iter().next().with_context(|| format!("{prefix}: none from outside"))?;
    let internal = internal.into_iter().next().with_context(|| format!("{prefix}: none from inside"))?;
    Ok((external, internal))
}

fn check_attributes(lab: &mut Lab) -> Result<()> {
    for prefix in vip_prefixes() {
        let (external, internal) = two_paths(lab, &prefix)?;
        println!("{external:?}\n{internal:?}");
        for route in [&external, &internal] {
            let well_known =
                route.communities.contains("65535:65282") || route.communities.contains("no-advertise");
            let others = ["64512:100", "64512:7"].iter().all(|one| route.communities.contains(*one));
            ensure!(well_known && others && route.communities.len() == 3, "{route:?}");
            ensure!(route.large_communities == string_set(&["64512:1:2", "4200000001:3:4"]), "{route:?}");
            ensure!(route.med == Some(77), "{route:?}");
        }
        ensure!(external.as_path == [64512; 3], "prepended twice: {external:?}");
        ensure!(internal.local_pref == Some(250), "{internal:?}");
        ensure!(external.local_pref != Some(250), "{external:?}");
    }
    for network in NETWORKS {
        let (external, internal) = two_paths(lab, network)?;
        for route in [&external, &internal] {
            ensure!(route.communities.is_empty() && route.large_communities.is_empty(), "{route:?}");
        }
        ensure!(external.as_path == [64512], "{external:?}");
        ensure!(internal.local_pref == Some(100), "{internal:?}");
    }
    Ok(())
}

#[test]
fn routers_see_attributes() -> Result<()> {
    run_with_both(BIRD, FRR, OBJECTS, check_attributes)
}
