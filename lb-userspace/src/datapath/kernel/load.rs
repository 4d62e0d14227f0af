//! Loading the object: maps that are pinned are taken over, programs are
//! always new, and pinned links get the new programs.

use std::path::{Path, PathBuf};

use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, Xdp},
};
use ipnet::IpNet;
use lb_common::{maps::names, ring::CHUNK_SLOTS};

use super::{
    KernelTables, Stats, Uplinks,
    attach::{self, Attachment, XdpMode},
    environment,
    error::LoadError,
    growth,
    interrupted::load_program,
    lock::{self, PinLock},
    map_specs::{MapSpec, map_specs},
    pinned::{map_capacity, map_pin},
    takeover,
    upgrade::{former_capacity, former_maps},
};
use crate::plan::mirror::Capacity;

/// The eBPF object, built by `cargo xtask build-ebpf`; empty if it was not there
/// when this program was built (`build.rs`).
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRIGON_EBPF_OBJECT"));

/// The eBPF object that this program was built with.
pub fn ebpf_object() -> Result<&'static [u8], LoadError> {
    Some(OBJECT).filter(|object| !object.is_empty()).ok_or(LoadError::NoObject)
}

/// What to load, and where.
#[derive(Clone, Debug)]
pub struct DatapathConfig {
    pub pin_dir: PathBuf,
    pub interfaces: Vec<String>,
    /// Bits of [`lb_common::roles`].
    pub roles: u32,
    pub mode: XdpMode,
    pub capacity: Capacity,
    /// Connections a node remembers, for each direction.
    pub node_flows: u32,
    /// Clients of services with affinity that a node remembers.
    pub affinities: u32,
    /// Connections to bare servers that a director remembers, and on a node
    /// those that were found on another one.
    pub bare_flows: u32,
    /// Packets of which fragments are on their way.
    pub fragments: u32,
    /// Log each dropped packet.
    pub log_drops: bool,
    /// From which addresses tunnels to bare servers come, by flow.
    pub bare_sources: Vec<IpNet>,
}

/// Programs attached, maps open.
pub struct Datapath {
    pub tables: KernelTables,
    pub uplinks: Uplinks,
    pub stats: Stats,
    pub attachments: Vec<Attachment>,
    /// What the maps have room for: of maps taken over, what they were made with.
    pub capacity: Capacity,
    /// Were there maps to take over?
    pub adopted: bool,
    /// To be kept as long as the rest is used.
    pub lock: PinLock,
}

/// Load and attach. What is pinned and fits is kept, traffic is not disturbed.
pub fn load(options: &DatapathConfig) -> Result<Datapath, LoadError> {
    ebpf_object()?;
    attach::check_interfaces(&options.interfaces)?;
    environment::check_environment()?;
    environment::prepare_pin_dir(&options.pin_dir)?;
    let lock = lock::lock_pin_dir(&options.pin_dir)?;
    let adopted =
        map_pin(&options.pin_dir, names::SERVICES).exists() || former_maps(&options.pin_dir).is_some();
    let loaded = load_pinned(options, lock, adopted).map_err(environment::name_locked_memory);
    if loaded.is_err() && !adopted {
        // A first start that fails leaves nothing pinned. The error of the start is returned, not of this.
        let _ = attach::unload(&options.pin_dir);
    }
    loaded
}

fn load_pinned(options: &DatapathConfig, lock: PinLock, adopted: bool) -> Result<Datapath, LoadError> {
    takeover::check_shapes(options)?;
    growth::finish(options)?;
    takeover::unpin_placeholders(options)?;
    growth::grow_maps(options)?;
    let mut programs = load_programs(options, &Purpose::Packets)?;
    let attachments = attach_programs(&mut programs, options)?;
    let capacity = actual_capacity(&options.pin_dir)?;
    let stats = Stats::open(&options.pin_dir)?;
    let tables = KernelTables::open(&options.pin_dir)?;
    let uplinks = Uplinks::open(&options.pin_dir)?;
    Ok(Datapath { tables, uplinks, stats, attachments, capacity, adopted, lock })
}

/// Remove everything that is pinned, if no agent is at work there. True if
/// there was anything.
pub fn unload(pin_dir: &Path) -> Result<bool, LoadError> {
    environment::check_environment()?;
    if !pin_dir.exists() {
        return Ok(false);
    }
    environment::check_bpffs(pin_dir, pin_dir)?;
    let _lock = lock::lock_pin_dir(pin_dir)?;
    Ok(attach::unload(pin_dir)?)
}

/// What programs are loaded for.
pub(super) enum Purpose {
    Packets,
    /// They report what they would do, and change nothing.
    DryRun,
    /// For packets, while these maps give way to larger ones: see `growth`.
    Growth(Growing),
}

/// Maps that give way.
#[derive(Clone)]
pub(super) struct Growing {
    /// The directory where they are.
    pub from: PathBuf,
    /// Where the new ones are.
    pub dir: PathBuf,
    pub names: Vec<&'static str>,
}

impl Growing {
    /// Have they another layout?
    pub fn is_former(&self) -> bool {
        !self.dir.starts_with(&self.from)
    }
}

impl Purpose {
    /// Where a map is pinned.
    fn map_pin(&self, pin_dir: &Path, name: &str) -> PathBuf {
        match self {
            Self::Growth(growing) if growing.names.contains(&name) => growing.dir.join(name),
            _ => map_pin(pin_dir, name),
        }
    }

    fn former_replies(&self) -> Option<PathBuf> {
        let Self::Growth(growing) = self else { return None };
        let path = growing.from.join(names::NODE_REPLIES);
        (growing.names.contains(&names::NODE_REPLIES) && path.exists()).then_some(path)
    }

    /// How many entries a map is to have: no fewer than in the former layout.
    fn entries(&self, spec: &MapSpec) -> Result<u32, LoadError> {
        match self {
            Self::Growth(growing) if growing.is_former() => {
                Ok(spec.entries.max(former_capacity(&growing.from, spec.name)?))
            }
            _ => Ok(spec.entries),
        }
    }
}

pub(super) fn open_object(options: &DatapathConfig, purpose: &Purpose) -> Result<Ebpf, LoadError> {
    let mut loader = EbpfLoader::new();
    let log_drops = u32::from(options.log_drops);
    loader.override_global("ROLES", &options.roles, true);
    loader.override_global("LOG_DROPS", &log_drops, true);
    let masks = [true, false].map(|is_v4| source_mask(&options.bare_sources, is_v4));
    loader.override_global("SOURCE_MASK_V4", &masks[0], true);
    loader.override_global("SOURCE_MASK_V6", &masks[1], true);
    let dry_run = u32::from(matches!(purpose, Purpose::DryRun));
    loader.override_global("DRY_RUN", &dry_run, true);
    let has_former_replies = u32::from(purpose.former_replies().is_some());
    loader.override_global("HAS_FORMER_REPLIES", &has_former_replies, true);
    if let Some(former) = purpose.former_replies() {
        loader.map_pin_path(names::FORMER_REPLIES, former);
    }
    for spec in map_specs(options) {
        loader.map_max_entries(spec.name, purpose.entries(&spec)?);
        loader.map_pin_path(spec.name, purpose.map_pin(&options.pin_dir, spec.name));
    }
    loader.load(ebpf_object()?).map_err(LoadError::Object)
}

/// The bits of a source address (of IPv6, of its last word) that are the
/// flow's, in memory order.
fn source_mask(prefixes: &[IpNet], is_v4: bool) -> u32 {
    let prefix = prefixes.iter().find(|prefix| prefix.addr().is_ipv4() == is_v4);
    let bits = prefix.map_or(0, |prefix| u32::from(prefix.max_prefix_len() - prefix.prefix_len()));
    u32::MAX.checked_shr(32 - bits).unwrap_or(0).to_be()
}

/// Makes the maps that are missing, and has the verifier read both programs.
pub(super) fn load_programs(options: &DatapathConfig, purpose: &Purpose) -> Result<Ebpf, LoadError> {
    let mut ebpf = open_object(options, purpose)?;
    let xdp: &mut Xdp = find_program(&mut ebpf, "trigon_xdp")?;
    load_program(|| xdp.load()).map_err(|e| LoadError::Program("trigon_xdp", e))?;
    let egress: &mut SchedClassifier = find_program(&mut ebpf, "trigon_egress")?;
    load_program(|| egress.load()).map_err(|e| LoadError::Program("trigon_egress", e))?;
    Ok(ebpf)
}

/// Egress of all interfaces first: replies must be translated as soon as requests come in, by
/// whichever they leave.
pub(super) fn attach_programs(
    programs: &mut Ebpf,
    options: &DatapathConfig,
) -> Result<Vec<Attachment>, LoadError> {
    let DatapathConfig { pin_dir, interfaces, mode, .. } = options;
    attach::detach_others(pin_dir, interfaces, *mode)?;
    for interface in interfaces {
        attach::egress(find_program(programs, "trigon_egress")?, pin_dir, interface)?;
    }
    let xdp: &mut Xdp = find_program(programs, "trigon_xdp")?;
    interfaces.iter().map(|interface| Ok(attach::xdp(xdp, pin_dir, interface, *mode)?)).collect()
}

pub(super) fn find_program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program>,
{
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    program.try_into().map_err(|_| LoadError::Missing(name))
}

/// Maps that were larger keep their size.
fn actual_capacity(pin_dir: &Path) -> Result<Capacity, LoadError> {
    let size = |name| map_capacity(&map_pin(pin_dir, name));
    Ok(Capacity {
        services: size(names::SERVICES)?,
        backends: size(names::BACKENDS)?,
        endpoints: size(names::ENDPOINTS)?,
        ring_slots: size(names::RINGS)?.saturating_mul(CHUNK_SLOTS),
        history_slots: size(names::HISTORY)?,
        ranges: size(names::RANGES)?,
        vips: size(names::VIPS)?,
        peers: size(names::PEERS)?,
    })
}
