//! The programs in the kernel: Trigon as a director, and the wrapper around
//! whatever is measured.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun, TestRunOptions,
    maps::{PerCpuArray, ProgramArray},
    programs::{ProgramFd, Xdp},
};
use lb_common::{Verdict, roles};

use super::{
    cases::{Case, Output, Program},
    frame, measure, tables,
};

/// The compiled objects.
pub struct Objects {
    trigon: Vec<u8>,
    bench: Vec<u8>,
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

/// Trigon in the director's role, its maps filled.
pub struct Director(Ebpf);

/// How often each verdict was counted, by its discriminant.
pub type Counters = [u64; Verdict::COUNT];

impl Director {
    pub fn load(objects: &Objects) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .override_global("ROLES", &roles::DIRECTOR, true)
            .map_max_entries("RINGS", tables::chunks())
            .load(&objects.trigon)
            .context("object trigon")?;
        tables::fill(&mut ebpf)?;
        load(&mut ebpf, "trigon_xdp")?;
        Ok(Self(ebpf))
    }

    pub fn counters(&self) -> Result<Counters> {
        let map = self.0.map("COUNTERS").context("the object has no map COUNTERS")?;
        let map = PerCpuArray::<_, u64>::try_from(map)?;
        let mut sums = [0; Verdict::COUNT];
        for (index, sum) in (0..).zip(&mut sums) {
            *sum = map.get(&index, 0)?.iter().sum();
        }
        Ok(sums)
    }
}

/// The wrapper, with the program it runs.
pub struct Wrapper {
    ebpf: Ebpf,
    input: Vec<u8>,
    /// What the program is to return.
    action: u32,
}

impl Wrapper {
    /// With a program that makes `output` of the case's packets.
    pub fn load(
        objects: &Objects,
        case: &Case,
        output: Output,
        program: Program,
        director: &Director,
    ) -> Result<Self> {
        let frame = case.traffic.frame();
        let (proof_at, proof) = output.proof(&case.traffic);
        let words: [u64; frame::LEN / 8] = words(&frame);
        let growth = output.growth();
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("FRAME", &words, true)
            .override_global("GROWTH", &growth, true)
            .override_global("MOVE", &growth, true)
            .override_global("FLOWS", &case.traffic.flows, true)
            .override_global("ADDRESS_AT", &case.traffic.address_at(), true)
            .override_global("PORT_AT", &case.traffic.port_at(), true)
            .override_global("PROOF_AT", &proof_at, true)
            .override_global("PROOF", &proof, true)
            .load(&objects.bench)
            .context("object bench")?;
        tables::fill_baselines(&mut ebpf)?;
        load(&mut ebpf, "repeat")?;
        let fd = match program {
            Program::Trigon(_) => fd(&director.0, "trigon_xdp")?,
            Program::Baseline(name) => load(&mut ebpf, name)?,
        };
        let map = ebpf.map_mut("PROGRAM").context("the object has no map PROGRAM")?;
        ProgramArray::try_from(map)?.set(0, &fd, 0)?;
        // The first repetition, too, is to find what the program leaves.
        let mut input = vec![0; growth as usize];
        input.extend(frame);
        input[proof_at as usize] = proof as u8;
        Ok(Self { ebpf, input, action: program.action() })
    }

    /// Nanoseconds per packet over so many packets.
    pub fn run(&mut self, packets: u32) -> Result<f64> {
        let before = self.progress()?;
        let program = self.ebpf.program("repeat").context("the object has no program repeat")?;
        let program: &Xdp = program.try_into()?;
        let start = measure::cpu_time()?;
        let options = TestRunOptions { data_in: Some(&self.input), repeat: packets, ..Default::default() };
        let action = program.test_run(options).context("BPF_PROG_TEST_RUN")?.return_value;
        let spent = measure::cpu_time()? - start;
        let [runs, errors] = self.progress()?;
        ensure!(errors == 0, "the program's output was not what the case expects, {errors} times");
        ensure!(action == self.action, "XDP action {action} instead of {}", self.action);
        let done = runs - before[0];
        ensure!(done == u64::from(packets), "{done} repetitions instead of {packets}");
        Ok(spent / f64::from(packets))
    }

    /// Repetitions and errors.
    fn progress(&mut self) -> Result<[u64; 2]> {
        Ok(tables::array(&mut self.ebpf, "PROGRESS")?.get(&0, 0)?)
    }
}

fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    words
}

fn load(ebpf: &mut Ebpf, name: &str) -> Result<ProgramFd> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the object has no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    program.load().with_context(|| format!("program {name}"))?;
    fd(ebpf, name)
}

fn fd(ebpf: &Ebpf, name: &str) -> Result<ProgramFd> {
    let program = ebpf.program(name).ok_or_else(|| anyhow!("the object has no program {name}"))?;
    let program: &Xdp = program.try_into()?;
    Ok(program.fd()?.try_clone()?)
}

impl Program {
    /// The XDP action it ends with.
    fn action(self) -> u32 {
        const XDP_TX: u32 = 3;
        match self {
            Program::Trigon(verdict) => verdict.xdp_action(),
            Program::Baseline(_) => XDP_TX,
        }
    }
}
