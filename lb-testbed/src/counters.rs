//! What passes over the directors' links.

use std::{collections::BTreeMap, fmt::Write, ops::AddAssign};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    address::{Cidr, Family, POD_NETWORKS, VIP_NETWORKS},
    namespace::Namespace,
    plan::Machine,
    testbed::Testbed,
};

/// nftables hands an ingress hook packets without their Ethernet header, and an
/// egress hook with it.
const ETHERNET_HEADER: u64 = 14;

/// What went over a director's link, both ways together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LinkCount {
    /// With Ethernet headers.
    pub bytes: u64,
    pub packets: u64,
    /// Packets from a VIP or a Pod: with Direct Server Return there are none here.
    pub reply_packets: u64,
    /// Those of them that went to the director, not from Pods of its own.
    pub reply_packets_in: u64,
}

impl AddAssign for LinkCount {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
        self.reply_packets += other.reply_packets;
        self.reply_packets_in += other.reply_packets_in;
    }
}

/// Counters at the far ends of the directors' links, where no program of the
/// directors can keep a packet from being seen.
#[derive(Debug)]
pub struct DirectorCounters {
    upstream: Namespace,
    directors: Vec<String>,
    /// Of nftables, for these counters alone.
    table: String,
}

impl DirectorCounters {
    /// Starts to count, from zero.
    pub fn attach(testbed: &Testbed) -> Result<Self> {
        Self::attach_to(&testbed.directors())
    }

    /// Counts for any machines of a testbed; replies leave by the links of nodes.
    pub fn attach_to(machines: &[&Machine]) -> Result<Self> {
        let first = machines.first().context("no machine to count for")?;
        let directors: Vec<_> = machines.iter().map(|machine| machine.name.clone()).collect();
        let (upstream, table) = (first.upstream.clone(), format!("from_{}", first.name));
        upstream
            .load_nft_rules(&counting_rules(&table, &directors)?)
            .context("counting at the directors' links")?;
        Ok(Self { upstream, directors, table })
    }

    pub fn reset(&self) -> Result<()> {
        self.run_nft("reset").map(drop)
    }

    /// Of all directors together.
    pub fn read(&self) -> Result<LinkCount> {
        let mut sum = LinkCount::default();
        for count in self.read_each()?.into_values() {
            sum += count;
        }
        Ok(sum)
    }

    /// Of each director, by name.
    pub fn read_each(&self) -> Result<BTreeMap<String, LinkCount>> {
        let counters = parse_counters(&self.run_nft("list")?)?;
        let one =
            |name: &str, what: &str| counters.get(&format!("{name}_{what}")).copied().unwrap_or_default();
        let count = |name: &str| {
            let (entering, leaving) = (one(name, "ingress"), one(name, "egress"));
            let [from, to] = ["ingress_reply", "egress_reply"].map(|what| one(name, what).packets);
            LinkCount {
                bytes: entering.bytes + ETHERNET_HEADER * entering.packets + leaving.bytes,
                packets: entering.packets + leaving.packets,
                reply_packets: from + to,
                reply_packets_in: to,
            }
        };
        Ok(self.directors.iter().map(|name| (name.clone(), count(name))).collect())
    }

    fn run_nft(&self, verb: &str) -> Result<String> {
        self.upstream.run(&["nft", "-j", verb, "counters", "table", "netdev", &self.table])
    }
}

fn counting_rules(table: &str, directors: &[String]) -> Result<String> {
    let mut text =
        format!("table netdev {table} {{ }}\ndelete table netdev {table}\ntable netdev {table} {{\n");
    for name in directors {
        for hook in ["ingress", "egress"] {
            writeln!(text, "counter {name}_{hook}_reply {{ }}\ncounter {name}_{hook} {{ }}")?;
            writeln!(text, "chain {name}_{hook} {{")?;
            writeln!(text, "type filter hook {hook} device \"{name}\" priority 0")?;
            for family in Family::ALL {
                let (header, sources) = (family.nft_header(), reply_sources(family));
                writeln!(text, "{header} saddr {{ {sources} }} counter name {name}_{hook}_reply")?;
            }
            writeln!(text, "counter name {name}_{hook}\n}}")?;
        }
    }
    text += "}\n";
    Ok(text)
}

fn reply_sources(family: Family) -> String {
    let of_family = VIP_NETWORKS.into_iter().chain(POD_NETWORKS).filter(|network| network.family() == family);
    of_family.map(|network: Cidr| network.to_string()).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Counter {
    packets: u64,
    bytes: u64,
}

fn parse_counters(json: &str) -> Result<BTreeMap<String, Counter>> {
    #[derive(Deserialize)]
    struct Listing {
        nftables: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        counter: Option<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
        #[serde(flatten)]
        counter: Counter,
    }
    let listing: Listing = serde_json::from_str(json).context("reading what nft printed")?;
    let named = listing.nftables.into_iter().filter_map(|entry| entry.counter);
    Ok(named.map(|named| (named.name, named.counter)).collect())
}
