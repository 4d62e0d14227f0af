//! Two sessions of a director with its router, by IPv4 and by IPv6, each with routes of both
//! families: what most tests begin with. A test adds its settings to the three texts.

use anyhow::{Context, Result};

use super::lab::{Lab, run_with_both, small_config, vip_prefixes};

/// The names of the sessions in our objects and in BIRD.
pub const PEERS: [&str; 2] = ["v4", "v6"];
/// Their names in FRR: the director's addresses.
pub const DIRECTOR_ADDRESSES: [&str; 2] = ["10.77.1.2", "fd77:1::2"];

/// Settings are inserted before this; it stays, for more of them.
const MARK: &str = "# SETTINGS\n";
const FRR_MARK: &str = "! SETTINGS\n";

#[derive(Clone, Debug)]
pub struct SessionPair {
    pub bird: String,
    pub frr: String,
    pub objects: String,
}

impl SessionPair {
    pub fn new() -> Self {
        Self {
            bird: include_str!("bird.conf").into(),
            frr: include_str!("frr.conf").into(),
            objects: include_str!("objects.yaml").into(),
        }
    }

    /// Adds a line to each of BIRD's sessions.
    pub fn bird_setting(self, line: &str) -> Self {
        Self { bird: self.bird.replace(MARK, &format!("{line}\n  {MARK}")), ..self }
    }

    /// Adds a line for each of FRR's neighbours: `neighbor ... {words}`.
    pub fn frr_setting(self, words: &str) -> Self {
        let lines = DIRECTOR_ADDRESSES.map(|director| format!("neighbor {director} {words}\n "));
        Self { frr: self.frr.replace(FRR_MARK, &format!("{}{FRR_MARK}", lines.concat())), ..self }
    }

    /// Adds a field to each `BgpPeer`.
    pub fn peer_field(self, field: &str) -> Self {
        Self { objects: self.objects.replace(MARK, &format!("{field}\n  {MARK}")), ..self }
    }

    /// Replaces `from` by `to` in all three texts.
    pub fn replace(self, from: &str, to: &str) -> Self {
        let other = |text: String| text.replace(from, to);
        Self { bird: other(self.bird), frr: other(self.frr), objects: other(self.objects) }
    }

    pub fn run_with_bird(&self, test: impl FnOnce(&mut Lab) -> Result<()>) -> Result<()> {
        Lab::start_bird(small_config(), &self.bird, &self.objects)?
            .run_with_diagnostics(test)
            .context("with BIRD")
    }

    pub fn run_with_frr(&self, test: impl FnOnce(&mut Lab) -> Result<()>) -> Result<()> {
        Lab::start_frr(small_config(), &self.frr, &self.objects)?
            .run_with_diagnostics(test)
            .context("with FRR")
    }

    /// The same with both routers, side by side.
    pub fn run_with_both(&self, test: impl Fn(&mut Lab) -> Result<()> + Sync) -> Result<()> {
        run_with_both(&self.bird, &self.frr, &self.objects, test)
    }
}

/// Waits until each session is established for at least the `times`-th time, and the router has a
/// path to each VIP by both. FRR may establish one once more, when both sides connect at once.
pub fn wait_sessions(lab: &Lab, times: u64) -> Result<()> {
    for peer in PEERS {
        lab.wait_peer("director1", peer, &format!("Established, for at least the {times}. time"), |told| {
            told["state"] == "Established"
                && told["established"].as_u64().is_some_and(|so_far| so_far >= times)
        })?;
    }
    vip_prefixes()
        .iter()
        .try_for_each(|prefix| lab.wait_routes(prefix, |routes| routes.len() == PEERS.len()).map(drop))
}
