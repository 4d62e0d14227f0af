//! The release whose maps had the layout before this one, as far as packets see it: its programs, and the maps as its
//! agent left them.
//!
//! `trigon.o` is what `cargo xtask build-ebpf` made of commit 4a2d113, without debug information (`llvm-strip -g`).
//! With the next layout, the object of the release before it comes here.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapInfo, PerCpuArray},
    programs::{
        SchedClassifier, Xdp,
        links::{FdLink, PinnedLink},
        tc::SchedClassifierLink,
        xdp::XdpLink,
    },
};
use lb_common::{maps::names, roles};
use lb_testbed::{Machine, Testbed};

static OBJECT: &[u8] = aya::include_bytes_aligned!("trigon.o");

const MAPS_DIR: &str = "maps-1";

/// Slot, epoch, the client's port, and when it was seen.
type Flow = [u8; 12];
/// The endpoint's address and port, and the client's port.
type FormerFlow = [u8; 20];
/// Slot, epoch, 2 bytes, and the time.
type Affinity = [u8; 12];
/// Address and port of the endpoint, 2 bytes, the time, and the service's generation.
type FormerAffinity = [u8; 28];
/// Address and port of the endpoint, 2 bytes, service, when it was drained, epoch, 2 bytes.
type Slot = [u8; 32];

/// Where its maps are pinned.
pub fn maps_dir(testbed: &Testbed, machine: &Machine) -> PathBuf {
    testbed.pin_dir(machine).join(MAPS_DIR)
}

/// Puts it in the place of a machine's agent, which must not run. Flows must not begin meanwhile.
pub fn install(testbed: &Testbed, machine: &Machine) -> Result<()> {
    let maps = Maps { now: testbed.maps_dir(machine), former: maps_dir(testbed, machine) };
    let mut programs = maps.load_programs(role_bits(machine))?;
    maps.fill()?;
    attach_programs(&mut programs, &testbed.pin_dir(machine).join("links"))?;
    fs::remove_dir_all(&maps.now).context("removing the maps of this release")
}

/// Packets that its programs have counted.
pub fn count_packets(testbed: &Testbed, machine: &Machine) -> Result<u64> {
    let map = MapData::from_pin(maps_dir(testbed, machine).join(names::VERDICTS))?;
    let verdicts = PerCpuArray::<_, u64>::try_from(Map::PerCpuArray(map))?;
    verdicts.iter().map(|counts| Ok(counts?.iter().sum::<u64>())).sum()
}

fn role_bits(machine: &Machine) -> u32 {
    let roles = machine.roles.unwrap_or_default();
    let bits = [("director", roles::DIRECTOR), ("node", roles::NODE)];
    bits.iter().filter(|(name, _)| roles.contains(name)).map(|(_, bit)| bit).sum()
}

struct Maps {
    now: PathBuf,
    former: PathBuf,
}

impl Maps {
    /// Makes its maps, of the sizes of today's.
    fn load_programs(&self, roles: u32) -> Result<Ebpf> {
        fs::create_dir(&self.former)?;
        let mut sizes = Vec::new();
        for pin in list(&self.now)? {
            let name =
                pin.file_name().and_then(|name| name.to_str()).context("the name of a map")?.to_owned();
            // What it did not have.
            if ![names::ENDPOINT_SLOTS, names::UPLINKS].contains(&name.as_str()) {
                sizes.push((name, MapInfo::from_pin(&pin)?.max_entries()));
            }
        }
        let mut loader = EbpfLoader::new();
        loader.override_global("ROLES", &roles, true);
        for (name, entries) in &sizes {
            loader.map_max_entries(name, *entries).map_pin_path(name, self.former.join(name));
        }
        let mut programs = loader.load(OBJECT)?;
        program::<Xdp>(&mut programs, "trigon_xdp")?.load()?;
        program::<SchedClassifier>(&mut programs, "trigon_egress")?.load()?;
        Ok(programs)
    }

    /// Statistics stay empty, and what this testbed has none of: ranges of clients, and bare servers.
    fn fill(&self) -> Result<()> {
        let slots = Array::<_, Slot>::try_from(Map::Array(open(&self.now, names::ENDPOINT_SLOTS)?))?;
        let slots = slots.iter().collect::<Result<Vec<_>, _>>()?;
        let held = |slot: &[u8], epoch: &[u8]| -> Result<Option<Slot>> {
            // None: a mark in the number says that the flow has ended, and nobody needs it.
            let slot = slots.get(u32::from_ne_bytes(slot.try_into()?) as usize).copied();
            Ok(slot.filter(|slot| slot[28..30] == *epoch))
        };
        self.copy::<20, 44>(names::SERVICES)?;
        self.copy::<16, 4>(names::VIPS)?;
        self.copy_array::<64>(names::RINGS)?;
        self.copy_array::<16>(names::HISTORY)?;
        self.copy_array::<64>(names::BACKENDS)?;
        self.copy::<16, 8>(names::PEERS)?;
        self.copy::<40, 28>(names::NODE_REPLIES)?;
        self.copy::<40, 12>(names::FRAGMENTS)?;
        self.convert::<8, 4, 20>(names::ENDPOINTS, |slot| {
            Ok(slots[u32::from_ne_bytes(slot) as usize].first_chunk().copied())
        })?;
        self.convert::<24, 12, 20>(names::NODE_FLOWS, |flow: Flow| {
            let slot = held(&flow[..4], &flow[4..6])?;
            Ok(slot.map(|slot| join::<{ size_of::<FormerFlow>() }>(&[&slot[..18], &flow[6..8]])))
        })?;
        self.convert::<24, 12, 28>(names::AFFINITIES, |affinity: Affinity| {
            let slot = held(&affinity[..4], &affinity[4..6])?;
            let former =
                |slot: Slot| join::<{ size_of::<FormerAffinity>() }>(&[&slot[..20], &affinity[8..], &[0; 4]]);
            Ok(slot.map(former))
        })
    }

    fn copy<const K: usize, const V: usize>(&self, name: &str) -> Result<()> {
        self.convert::<K, V, V>(name, |value| Ok(Some(value)))
    }

    fn convert<const K: usize, const V: usize, const W: usize>(
        &self,
        name: &str,
        convert: impl Fn([u8; V]) -> Result<Option<[u8; W]>>,
    ) -> Result<()> {
        let now = HashMap::<_, [u8; K], [u8; V]>::try_from(Map::HashMap(open(&self.now, name)?))?;
        let mut former = HashMap::<_, [u8; K], [u8; W]>::try_from(Map::HashMap(open(&self.former, name)?))?;
        for entry in now.iter() {
            let (key, value) = entry.context(name.to_owned())?;
            if let Some(value) = convert(value)? {
                former.insert(key, value, 0).context(name.to_owned())?;
            }
        }
        Ok(())
    }

    fn copy_array<const V: usize>(&self, name: &str) -> Result<()> {
        let now = Array::<_, [u8; V]>::try_from(Map::Array(open(&self.now, name)?))?;
        let mut former = Array::<_, [u8; V]>::try_from(Map::Array(open(&self.former, name)?))?;
        for (index, value) in (0..).zip(now.iter()) {
            let value = value.context(name.to_owned())?;
            if value != [0; V] {
                former.set(index, value, 0).context(name.to_owned())?;
            }
        }
        Ok(())
    }
}

/// In the place of those that are attached: replies first.
fn attach_programs(programs: &mut Ebpf, links: &Path) -> Result<()> {
    let mut pins = list(links)?;
    pins.sort();
    ensure!(pins.len() == 2, "links of one interface: {pins:?}");
    let [egress, xdp] = [&pins[0], &pins[1]].map(PinnedLink::from_pin);
    let (egress, xdp) = (FdLink::from(egress?), FdLink::from(xdp?));
    program::<SchedClassifier>(programs, "trigon_egress")?
        .attach_to_link(SchedClassifierLink::try_from(egress)?)?;
    program::<Xdp>(programs, "trigon_xdp")?.attach_to_link(XdpLink::try_from(xdp)?)?;
    Ok(())
}

fn program<'a, P>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    Ok(programs.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?)
}

fn open(dir: &Path, name: &str) -> Result<MapData> {
    MapData::from_pin(dir.join(name)).with_context(|| format!("{}/{name}", dir.display()))
}

fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = parts.iter().copied().flatten();
    std::array::from_fn(|_| bytes.next().copied().unwrap_or_default())
}
