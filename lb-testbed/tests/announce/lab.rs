//! A cluster that announces its VIPs to a router, BIRD or FRR.

use std::{process::Command, thread, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lb_testbed::{
    Bird, Config, Frr, Route, ServiceSpec, Testbed, Triangle, VIP, capabilities::agent_capabilities, run,
    write_manifest,
};
use serde_json::Value;

use super::common::wait_at_most;

/// The timeout for what takes a few seconds at most.
pub const SOON: Duration = Duration::from_secs(20);

/// The VIPs of [`ServiceSpec::with_all_ports`], as prefixes.
pub fn vip_prefixes() -> [String; 2] {
    [format!("{}/32", VIP.v4), format!("{}/128", VIP.v6)]
}

/// One director and one node: enough to test a session.
pub fn small_config() -> Config {
    Config { directors: 1, nodes: 1, pods_per_node: 1, clients: 1, ..Config::l3() }
}

/// A router that speaks BGP with the directors.
pub enum Router {
    Bird(Bird),
    Frr(Frr),
}

impl Router {
    /// All paths that the router has to a prefix.
    pub fn routes(&self, prefix: &str) -> Result<Vec<Route>> {
        match self {
            Self::Bird(bird) => bird.routes(prefix),
            Self::Frr(frr) => frr.routes(prefix),
        }
    }

    pub fn bird(&mut self) -> Result<&mut Bird> {
        match self {
            Self::Bird(bird) => Ok(bird),
            Self::Frr(_) => bail!("the router is FRR"),
        }
    }

    /// The process ID of the daemon that speaks BGP, to send it signals.
    pub fn process_id(&self) -> u32 {
        match self {
            Self::Bird(bird) => bird.id(),
            Self::Frr(frr) => frr.bgpd_pid(),
        }
    }

    /// Kills the daemon that speaks BGP with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        match self {
            Self::Bird(bird) => bird.kill(),
            Self::Frr(frr) => frr.kill_bgpd(),
        }
    }

    /// Starts that daemon again after [`Self::kill`].
    pub fn revive(&mut self) -> Result<()> {
        match self {
            Self::Bird(bird) => bird.restart(),
            Self::Frr(frr) => frr.restart_bgpd(),
        }
    }

    pub fn log(&self) -> String {
        match self {
            Self::Bird(bird) => bird.log(),
            Self::Frr(frr) => frr.log(),
        }
    }
}

/// Sends a signal by its name without `SIG`: `STOP` makes a process hang, `CONT` lets it go on.
pub fn send_signal(process: u32, name: &str) -> Result<()> {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &process.to_string()]);
    run(kill, "").map(drop)
}

/// A cluster, and a router that runs BGP.
pub struct Lab {
    // Declared first, to be dropped before the namespaces that it runs in.
    pub router: Router,
    pub triangle: Triangle,
}

impl Lab {
    /// Starts a cluster with these objects beside its own, and BIRD with this configuration.
    pub fn start_bird(config: Config, bird: &str, objects: &str) -> Result<Self> {
        Self::start(config, objects, |testbed| {
            Ok(Router::Bird(Bird::start(testbed, testbed.router(), bird)?))
        })
    }

    /// The same with FRR.
    pub fn start_frr(config: Config, frr: &str, objects: &str) -> Result<Self> {
        Self::start(config, objects, |testbed| Ok(Router::Frr(Frr::start(testbed, testbed.router(), frr)?)))
    }

    /// The same with any router, in whichever namespace `router` starts it.
    pub fn start(
        config: Config,
        objects: &str,
        router: impl FnOnce(&Testbed) -> Result<Router>,
    ) -> Result<Self> {
        let triangle = start_cluster(config, objects)?;
        let router = router(&triangle.testbed)?;
        Ok(Self { router, triangle })
    }

    /// Replaces the objects that configure announcements.
    pub fn write_objects(&self, objects: &str) -> Result<()> {
        write_manifest(self.triangle.source_dir(), ANNOUNCEMENTS, objects).map(drop)
    }

    /// What `trigon bgp` says of a director's peer; null if it does not list the peer.
    pub fn peer_status(&self, director: &str, peer: &str) -> Result<Value> {
        let testbed = &self.triangle.testbed;
        let output = testbed.run_trigon(testbed.machine(director)?, &["bgp", "--output", "json"])?;
        let peers: Value = serde_json::from_slice(&output.stdout)?;
        let found = peers.as_array().into_iter().flatten().find(|one| one["name"] == peer);
        Ok(found.cloned().unwrap_or(Value::Null))
    }

    /// How often a director's session with a peer was established.
    pub fn times_established(&self, director: &str, peer: &str) -> Result<u64> {
        let told = self.peer_status(director, peer)?;
        told["established"].as_u64().with_context(|| format!("{director} knows no peer {peer}: {told}"))
    }

    /// Waits until what a director says of a peer is `good`, and returns it.
    pub fn wait_peer(
        &self,
        director: &str,
        peer: &str,
        what: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        wait_at_most(SOON, &format!("{director} and {peer}: {what}"), || {
            last = self.peer_status(director, peer)?;
            ensure!(good(&last), "{last}");
            Ok(true)
        })?;
        Ok(last)
    }

    /// Waits until a director's session is established.
    pub fn wait_established(&self, director: &str, peer: &str) -> Result<()> {
        wait_at_most(SOON, &format!("{director} and {peer}: Established"), || {
            let told = self.peer_status(director, peer)?;
            ensure!(told["state"] == "Established", "{told}\n{}", self.router.log());
            Ok(true)
        })
        .map(drop)
    }

    /// Waits until the router's paths to a prefix are `good`, and returns them.
    pub fn wait_routes(&self, prefix: &str, good: impl Fn(&[Route]) -> bool) -> Result<Vec<Route>> {
        let mut last = Vec::new();
        wait_at_most(SOON, &format!("routes to {prefix}"), || {
            last = self.router.routes(prefix)?;
            ensure!(good(&last), "{last:?}\n{}", self.router.log());
            Ok(true)
        })?;
        Ok(last)
    }

    /// Waits until the router has exactly one path to each VIP.
    pub fn wait_announced(&self) -> Result<()> {
        vip_prefixes()
            .iter()
            .try_for_each(|prefix| self.wait_routes(prefix, |routes| routes.len() == 1).map(drop))
    }

    /// Waits until the router's kernel has a route to each VIP.
    pub fn wait_forwarding(&self) -> Result<()> {
        let router = self.triangle.testbed.router();
        VIP.both().iter().try_for_each(|vip| {
            wait_at_most(SOON, &format!("the router's kernel has a route to {vip}"), || {
                Ok(router.ip(&format!("route get {vip}")).is_ok_and(|told| told.contains(" via ")))
            })
            .map(drop)
        })
    }

    /// Runs a test; to its error is added what the agents know and the router's log.
    pub fn run_with_diagnostics<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        act(self).map_err(|error| {
            let mut story = self.triangle.describe_agents();
            let testbed = &self.triangle.testbed;
            for director in testbed.directors() {
                for words in [["bgp"], ["l2"]] {
                    let told = testbed.run_trigon(director, &words);
                    story += &told
                        .map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
                        .unwrap_or_default();
                }
            }
            error.context(format!("{story}\n{}", self.router.log()))
        })
    }
}

/// Runs a test with BIRD and with FRR, each with its configuration, side by side.
pub fn run_with_both(
    bird: &str,
    frr: &str,
    objects: &str,
    test: impl Fn(&mut Lab) -> Result<()> + Sync,
) -> Result<()> {
    side_by_side(
        || Lab::start_bird(small_config(), bird, objects)?.run_with_diagnostics(&test).context("with BIRD"),
        || Lab::start_frr(small_config(), frr, objects)?.run_with_diagnostics(&test).context("with FRR"),
    )
}

/// Runs a test with BIRD and the same with FRR, in two labs at once: both mostly wait. Not where times are
/// measured, or lost packets counted.
pub fn side_by_side(
    with_bird: impl FnOnce() -> Result<()> + Send,
    with_frr: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let (bird, frr) = thread::scope(|scope| {
        let bird = scope.spawn(with_bird);
        let frr = with_frr();
        (bird.join().unwrap_or_else(|_| Err(anyhow!("the test with BIRD panicked"))), frr)
    });
    match (bird, frr) {
        (Err(bird), Err(frr)) => bail!("{bird:?}\n{frr:?}"),
        (bird, frr) => bird.and(frr),
    }
}

const ANNOUNCEMENTS: &str = "announcements.yaml";

fn start_cluster(config: Config, objects: &str) -> Result<Triangle> {
    // Sessions and their passwords, BFD and its port: all of it is to go with these.
    let config = Config { agent_capabilities: Some(agent_capabilities()?), ..config };
    let triangle = Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?;
    // Without static routes, the router knows only the VIPs that are announced to it.
    triangle.testbed.route_vips_via(&[])?;
    write_manifest(triangle.source_dir(), ANNOUNCEMENTS, objects)?;
    Ok(triangle)
}
