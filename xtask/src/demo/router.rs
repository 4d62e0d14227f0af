//! The router: BIRD, which learns by BGP from the directors where the VIPs are.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_testbed::{Bird, Family, Machine, Testbed, Triangle, VIP, write_manifest};

use crate::{apt, shell::say, test};

const ROUTER_AS: u32 = 64513;
const DIRECTORS_AS: u32 = 64512;
/// What the sessions with all directors have in common; the kernel gets all paths to a VIP, for ECMP.
const BIRD: &str = "\
router id 198.51.100.1;
log stderr all;
protocol device { scan time 1; }
protocol kernel { ipv4 { import none; export all; }; merge paths on; }
protocol kernel { ipv6 { import none; export all; }; merge paths on; }
template bgp director {
  connect delay time 1;
  error wait time 1, 2;
  ipv4 { import all; export none; };
  ipv6 { import all; export none; };
}
";
const ADVERTISEMENT: &str = "\
apiVersion: trigon.dev/v1alpha1
kind: BgpAdvertisement
metadata: {name: vips}
";

/// How long to wait for sessions and routes.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// The next hops to each VIP in BIRD's table.
pub type BgpRoutes = BTreeMap<IpAddr, Vec<IpAddr>>;

/// Installs BIRD, if it is missing. False: it cannot be installed, so routes have to be static.
pub fn install_bird() -> bool {
    let installed = apt::install(&[test::BIRD], "the demo's router");
    if let Err(error) = &installed {
        say(format!("BIRD cannot be installed, so the routes to the VIPs are static: {error:#}"));
    }
    installed.is_ok()
}

/// The router of a testbed, with BIRD.
pub struct BgpRouter(Bird);

impl BgpRouter {
    /// Starts BIRD instead of static routes, and has the directors announce their VIPs to it. Returns
    /// when the router's kernel has a route to each VIP by each director.
    pub fn start(triangle: &Triangle) -> Result<Self> {
        say("BIRD on the router: routes to the VIPs by BGP");
        let testbed = &triangle.testbed;
        let directors = testbed.directors();
        testbed.route_vips_via(&[])?;
        let bird = Bird::start(testbed, testbed.router(), &bird_config(&directors))?;
        write_manifest(triangle.source_dir(), "bgp.yaml", &bgp_objects(&directors))?;
        let start = Instant::now();
        while !has_all_routes(testbed)? {
            ensure!(
                start.elapsed() < PATIENCE,
                "the router has no route by each director after {PATIENCE:?}; BIRD wrote:\n{}",
                bird.log()
            );
            thread::sleep(PAUSE);
        }
        Ok(Self(bird))
    }

    pub fn read_routes(&self) -> Result<BgpRoutes> {
        let next_hops = |vip: IpAddr| {
            let paths = self.0.routes(&format!("{vip}/{}", Family::of(vip).bits()))?;
            let mut hops: Vec<_> = paths.iter().filter_map(|path| path.next_hops.first().copied()).collect();
            hops.sort();
            Ok((vip, hops))
        };
        VIP.both().into_iter().map(next_hops).collect()
    }
}

fn bird_config(directors: &[&Machine]) -> String {
    let session = |director: &&Machine| {
        let (name, local, neighbor) = (&director.name, director.gateway.v4, director.address.v4);
        format!(
            "protocol bgp {name} from director {{ local {local} as {ROUTER_AS}; neighbor {neighbor} as \
             {DIRECTORS_AS}; }}\n"
        )
    };
    let sessions: Vec<_> = directors.iter().map(session).collect();
    format!("{BIRD}{}", sessions.concat())
}

fn bgp_objects(directors: &[&Machine]) -> String {
    let peer = |director: &&Machine| {
        let (name, router) = (&director.name, director.gateway.v4);
        format!(
            "---\n\
             apiVersion: trigon.dev/v1alpha1\n\
             kind: BgpPeer\n\
             metadata: {{name: {name}}}\n\
             spec: {{myASN: {DIRECTORS_AS}, peerASN: {ROUTER_AS}, peerAddress: {router}, nodeSelectors: \
             [{{matchLabels: {{kubernetes.io/hostname: {name}}}}}]}}\n"
        )
    };
    let peers: Vec<_> = directors.iter().map(peer).collect();
    format!("{ADVERTISEMENT}{}", peers.concat())
}

/// Does the router's kernel have a route to each VIP by each director?
fn has_all_routes(testbed: &Testbed) -> Result<bool> {
    for vip in VIP.both() {
        let family = Family::of(vip);
        let routes = testbed.router().ip(&format!("{} route show {vip}", family.flag()))?;
        let next_hops = testbed.directors().into_iter().map(|director| director.address.get(family));
        if !next_hops.map(|hop| format!("via {hop} ")).all(|words| routes.contains(&words)) {
            return Ok(false);
        }
    }
    Ok(true)
}
