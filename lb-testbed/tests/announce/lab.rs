//! A cluster whose VIPs the router learns from its directors, by whichever
//! router there is.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use lb_testbed::{Bird, Config, Frr, Route, ServiceSpec, Testbed, Triangle, VIP, run, write_manifest};
use serde_json::Value;

use super::common::within;

/// For what takes a few seconds at most.
pub const SOON: Duration = Duration::from_secs(20);

/// The VIPs of [`ServiceSpec::everything`], as prefixes.
pub fn prefixes() -> [String; 2] {
    [format!("{}/32", VIP.v4), format!("{}/128", VIP.v6)]
}

/// One director and one node: enough for whatever is about a session.
pub fn small() -> Config {
    Config { directors: 1, nodes: 1, pods_per_node: 1, clients: 1, ..Config::l3() }
}

/// Somebody else's router.
pub enum Router {
    Bird(Bird),
    Frr(Frr),
}

impl Router {
    /// All paths that it has to a prefix.
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

    /// The process that speaks BGP, for signals.
    pub fn id(&self) -> u32 {
        match self {
            Self::Bird(bird) => bird.id(),
            Self::Frr(frr) => frr.id(),
        }
    }

    /// `kill -9` for whoever speaks BGP.
    pub fn kill(&mut self) -> Result<()> {
        match self {
            Self::Bird(bird) => bird.kill(),
            Self::Frr(frr) => frr.kill(),
        }
    }

    /// Starts it again after that.
    pub fn revive(&mut self) -> Result<()> {
        match self {
            Self::Bird(bird) => bird.revive(),
            Self::Frr(frr) => frr.revive(),
        }
    }

    pub fn log(&self) -> String {
        match self {
            Self::Bird(bird) => bird.log(),
            Self::Frr(frr) => frr.log(),
        }
    }
}

/// `STOP` and `CONT`, for processes that are to hang.
pub fn signal(process: u32, name: &str) -> Result<()> {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &process.to_string()]);
    run(kill, "").map(drop)
}

/// A cluster, and a router that runs BGP.
pub struct Lab {
    // Goes before its namespaces do.
    pub router: Router,
    pub triangle: Triangle,
}

impl Lab {
    /// With BIRD, and these objects beside the cluster's own.
    pub fn bird(config: Config, bird: &str, objects: &str) -> Result<Self> {
        Self::start(config, objects, |testbed| {
            Ok(Router::Bird(Bird::start(testbed, testbed.router(), bird)?))
        })
    }

    /// The same with FRR.
    pub fn frr(config: Config, frr: &str, objects: &str) -> Result<Self> {
        Self::start(config, objects, |testbed| Ok(Router::Frr(Frr::start(testbed, testbed.router(), frr)?)))
    }

    /// With any router, wherever it is.
    pub fn start(
        config: Config,
        objects: &str,
        router: impl FnOnce(&Testbed) -> Result<Router>,
    ) -> Result<Self> {
        let triangle = cluster(config, objects)?;
        let router = router(&triangle.testbed)?;
        Ok(Self { router, triangle })
    }

    /// Replaces the objects that announcements are about.
    pub fn write(&self, objects: &str) -> Result<()> {
        write_manifest(self.triangle.source(), ANNOUNCEMENTS, objects).map(drop)
    }

    /// What `trigon bgp` says of a director's peer.
    pub fn peer(&self, director: &str, peer: &str) -> Result<Value> {
        let testbed = &self.triangle.testbed;
        let output = testbed.trigon(testbed.machine(director)?, &["bgp", "--output", "json"])?;
        let peers: Value = serde_json::from_slice(&output.stdout)?;
        let found = peers.as_array().into_iter().flatten().find(|one| one["name"] == peer);
        Ok(found.cloned().unwrap_or(Value::Null))
    }

    /// How often a director's session with a peer was established.
    pub fn established(&self, director: &str, peer: &str) -> Result<u64> {
        let told = self.peer(director, peer)?;
        told["established"].as_u64().with_context(|| format!("{director} knows no peer {peer}: {told}"))
    }

    /// Waits until a director tells of a peer what it should.
    pub fn wait_peer(
        &self,
        director: &str,
        peer: &str,
        what: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        within(SOON, &format!("{director} and {peer}: {what}"), || {
            last = self.peer(director, peer)?;
            ensure!(good(&last), "{last}");
            Ok(true)
        })?;
        Ok(last)
    }

    /// Waits until a director's session is established.
    pub fn wait_established(&self, director: &str, peer: &str) -> Result<()> {
        within(SOON, &format!("{director} and {peer}: Established"), || {
            let told = self.peer(director, peer)?;
            ensure!(told["state"] == "Established", "{told}\n{}", self.router.log());
            Ok(true)
        })
        .map(drop)
    }

    /// Waits until the router's paths to a prefix are as they should be.
    pub fn wait_routes(&self, prefix: &str, good: impl Fn(&[Route]) -> bool) -> Result<Vec<Route>> {
        let mut last = Vec::new();
        within(SOON, &format!("routes to {prefix}"), || {
            last = self.router.routes(prefix)?;
            ensure!(good(&last), "{last:?}\n{}", self.router.log());
            Ok(true)
        })?;
        Ok(last)
    }

    /// Waits until the router has exactly one path to each VIP.
    pub fn wait_announced(&self) -> Result<()> {
        prefixes()
            .iter()
            .try_for_each(|prefix| self.wait_routes(prefix, |routes| routes.len() == 1).map(drop))
    }

    /// Waits until the router's kernel sends packets for the VIPs somewhere.
    pub fn wait_forwarding(&self) -> Result<()> {
        let router = self.triangle.testbed.router();
        VIP.both().iter().try_for_each(|vip| {
            within(SOON, &format!("the router's kernel has a route to {vip}"), || {
                Ok(router.ip(&format!("route get {vip}")).is_ok_and(|told| told.contains(" via ")))
            })
            .map(drop)
        })
    }

    /// An error comes with what agents and router know.
    pub fn told<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        act(self).map_err(|error| {
            let mut story = self.triangle.story();
            let testbed = &self.triangle.testbed;
            for director in testbed.directors() {
                for words in [["bgp"], ["l2"]] {
                    let told = testbed.trigon(director, &words);
                    story += &told
                        .map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
                        .unwrap_or_default();
                }
            }
            error.context(format!("{story}\n{}", self.router.log()))
        })
    }
}

const ANNOUNCEMENTS: &str = "announcements.yaml";

fn cluster(config: Config, objects: &str) -> Result<Triangle> {
    let triangle = Triangle::start(config, &[ServiceSpec::everything("web")])?;
    // From now on the router knows of VIPs what it is told.
    triangle.testbed.route_vips_via(&[])?;
    write_manifest(triangle.source(), ANNOUNCEMENTS, objects)?;
    Ok(triangle)
}
