//! Two sessions of a director with its router, by IPv4 and by IPv6, each with routes of both
//! families: what most tests begin with. Each adds its settings to the three texts.

use anyhow::{Context, Result};

use super::lab::{Lab, prefixes, small};

/// As our objects call the sessions, and BIRD does.
pub const PEERS: [&str; 2] = ["v4", "v6"];
/// As FRR calls them.
pub const DIRECTOR: [&str; 2] = ["10.77.1.2", "fd77:1::2"];

/// Where settings go; it stays, for more of them.
const MARK: &str = "# SETTINGS\n";
const FRR_MARK: &str = "! SETTINGS\n";

#[derive(Clone, Debug)]
pub struct Pair {
    pub bird: String,
    pub frr: String,
    pub objects: String,
}

impl Pair {
    pub fn new() -> Self {
        Self {
            bird: include_str!("bird.conf").into(),
            frr: include_str!("frr.conf").into(),
            objects: include_str!("objects.yaml").into(),
        }
    }

    /// A line for each of BIRD's sessions.
    pub fn bird(self, line: &str) -> Self {
        Self { bird: self.bird.replace(MARK, &format!("{line}\n  {MARK}")), ..self }
    }

    /// A line for each of FRR's neighbours: `neighbor ... {words}`.
    pub fn frr(self, words: &str) -> Self {
        let lines = DIRECTOR.map(|director| format!("neighbor {director} {words}\n "));
        Self { frr: self.frr.replace(FRR_MARK, &format!("{}{FRR_MARK}", lines.concat())), ..self }
    }

    /// A field for each `BgpPeer`.
    pub fn field(self, field: &str) -> Self {
        Self { objects: self.objects.replace(MARK, &format!("{field}\n  {MARK}")), ..self }
    }

    /// Another word in all texts.
    pub fn replace(self, from: &str, to: &str) -> Self {
        let other = |text: String| text.replace(from, to);
        Self { bird: other(self.bird), frr: other(self.frr), objects: other(self.objects) }
    }

    pub fn with_bird(&self, test: impl FnOnce(&mut Lab) -> Result<()>) -> Result<()> {
        Lab::bird(small(), &self.bird, &self.objects)?.told(test).context("with BIRD")
    }

    pub fn with_frr(&self, test: impl FnOnce(&mut Lab) -> Result<()>) -> Result<()> {
        Lab::frr(small(), &self.frr, &self.objects)?.told(test).context("with FRR")
    }

    /// The same with both routers.
    pub fn with_both(&self, test: impl Fn(&mut Lab) -> Result<()>) -> Result<()> {
        self.with_bird(&test)?;
        self.with_frr(&test)
    }
}

/// Each session was established so often, or once more than needed, as FRR has it
/// when both call at once; and each VIP is there by both of them.
pub fn stand(lab: &Lab, times: u64) -> Result<()> {
    for peer in PEERS {
        lab.wait_peer("director1", peer, &format!("Established, for at least the {times}. time"), |told| {
            told["state"] == "Established"
                && told["established"].as_u64().is_some_and(|so_far| so_far >= times)
        })?;
    }
    prefixes()
        .iter()
        .try_for_each(|prefix| lab.wait_routes(prefix, |routes| routes.len() == PEERS.len()).map(drop))
}
