//! Trigon in the kernel, as a director and as a node.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow};
use aya::{
    Ebpf, EbpfLoader, TestRun, TestRunOptions, TestRunResult,
    programs::{ProgramFd, SchedClassifier, Xdp},
};
use lb_common::{Verdict, maps::names, roles};
use lb_testbed::counts::read_verdicts;

use super::{
    cases::Side,
    tables::{self, Scale},
};

/// The compiled objects.
pub struct Objects {
    pub trigon: Vec<u8>,
    pub bench: Vec<u8>,
}

impl Objects {
    pub fn read(directory: &Path) -> Result<Self> {
        let read = |name| {
            let path = directory.join(name);
            fs::read(&path).with_context(|| format!("{}: run `cargo xtask build-ebpf` first", path.display()))
        };
        Ok(Self { trigon: read("trigon")?, bench: read("bench")? })
    }
}

/// Trigon for each side, its maps filled. The way out has maps of its own, from
/// which no new flow on the way in drives known ones.
pub struct Machines {
    director: Ebpf,
    node: Ebpf,
    egress: Ebpf,
    pub scale: Scale,
}

/// How often each verdict was counted, by its number.
pub type Counters = [u64; Verdict::LIMIT as usize];

impl Machines {
    pub fn load(objects: &Objects, scale: Scale) -> Result<Self> {
        let machine = |roles: u32, program| {
            let mut ebpf = EbpfLoader::new()
                .override_global("ROLES", &roles, true)
                .map_max_entries(names::RINGS, tables::director::ring_chunks())
                .map_max_entries(names::BARE_FLOWS, tables::FLOWS)
                .map_max_entries(names::NODE_FLOWS, tables::FLOWS)
                .map_max_entries(names::NODE_REPLIES, tables::FLOWS)
                .load(&objects.trigon)
                .context("object trigon")?;
            load(&mut ebpf, program)?;
            anyhow::Ok(ebpf)
        };
        let mut director = machine(roles::DIRECTOR, "trigon_xdp")?;
        tables::director::fill(&mut director, scale)?;
        let mut node = machine(roles::NODE, "trigon_xdp")?;
        tables::node::fill(&mut node, scale)?;
        let mut egress = machine(roles::NODE, "trigon_egress")?;
        tables::node::fill_replies(&mut egress, scale)?;
        Ok(Self { director, node, egress, scale })
    }

    fn of(&self, side: Side) -> &Ebpf {
        match side {
            Side::Director => &self.director,
            Side::Node => &self.node,
            Side::Egress => &self.egress,
        }
    }

    /// Trigon's program for this side.
    pub fn program(&self, side: Side) -> Result<ProgramFd> {
        let name = if side == Side::Egress { "trigon_egress" } else { "trigon_xdp" };
        Loaded::find(self.of(side), name)?.fd()
    }

    pub fn counters(&self, side: Side) -> Result<Counters> {
        read_verdicts(self.of(side))
    }
}

/// A program of either kind.
pub enum Loaded<'a> {
    Xdp(&'a Xdp),
    Egress(&'a SchedClassifier),
}

impl<'a> Loaded<'a> {
    pub fn find(ebpf: &'a Ebpf, name: &str) -> Result<Self> {
        let program = ebpf.program(name).ok_or_else(|| anyhow!("the object has no program {name}"))?;
        Ok(match program {
            aya::programs::Program::Xdp(xdp) => Self::Xdp(xdp),
            other => Self::Egress(other.try_into()?),
        })
    }

    pub fn fd(&self) -> Result<ProgramFd> {
        Ok(match self {
            Self::Xdp(program) => program.fd()?.try_clone()?,
            Self::Egress(program) => program.fd()?.try_clone()?,
        })
    }

    pub fn run(&self, options: TestRunOptions<'_>) -> Result<TestRunResult> {
        let result = match self {
            Self::Xdp(program) => program.test_run(options),
            Self::Egress(program) => program.test_run(options),
        };
        result.context("BPF_PROG_TEST_RUN")
    }
}

pub fn load(ebpf: &mut Ebpf, name: &str) -> Result<ProgramFd> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the object has no program {name}"))?;
    match program {
        aya::programs::Program::Xdp(xdp) => xdp.load(),
        other => <&mut SchedClassifier>::try_from(other)?.load(),
    }
    .with_context(|| format!("program {name}"))?;
    Loaded::find(ebpf, name)?.fd()
}
