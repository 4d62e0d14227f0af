//! The wrapper around whatever is measured: `lb-ebpf/src/bench/restore.rs`.

use anyhow::{Context, Result, ensure};
use aya::{Ebpf, EbpfLoader, TestRunOptions, maps::ProgramArray};

use super::{
    cases::{Case, Output, Program, Side},
    clock, frame,
    kernel::{Loaded, Machines, Objects, load},
    tables,
};

/// The wrapper, with the program it runs.
pub struct Wrapper {
    ebpf: Ebpf,
    name: &'static str,
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
        machines: &Machines,
    ) -> Result<Self> {
        let traffic = &case.traffic;
        let frame = traffic.frame();
        let (proof_at, proof) = output.proof(traffic);
        let words: [u64; frame::MAX_LEN / 8] = to_words(&frame);
        let growth = output.growth(traffic);
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("FRAME", &words, true)
            .override_global("LENGTH", &(frame.len() as u32 / 8), true)
            .override_global("GROWTH", &growth, true)
            .override_global("MOVE", &growth, true)
            .override_global("FLOWS", &traffic.flows, true)
            .override_global("ADDRESS_AT", &traffic.address_at(), true)
            .override_global("PORT_AT", &traffic.port_at(), true)
            .override_global("PROOF_AT", &proof_at, true)
            .override_global("PROOF", &proof, true)
            .load(&objects.bench)
            .context("object bench")?;
        tables::fill_baselines(&mut ebpf, machines.scale)?;
        let name = if case.side == Side::Egress { "repeat_egress" } else { "repeat" };
        load(&mut ebpf, name)?;
        let fd = match program {
            Program::Trigon(_) => machines.program(case.side)?,
            Program::Baseline(name) => load(&mut ebpf, name)?,
        };
        let map = ebpf.map_mut("PROGRAM").context("the object has no map PROGRAM")?;
        ProgramArray::try_from(map)?.set(0, &fd, 0)?;
        let action = program.expected_action(case.side);
        Ok(Self { ebpf, name, input: first_input(&frame, growth, proof_at, proof), action })
    }

    /// The cost of each of so many packets.
    pub fn run(&mut self, packets: u32) -> Result<f64> {
        let before = self.read_progress()?;
        let start = clock::cpu_time()?;
        let options = TestRunOptions { data_in: Some(&self.input), repeat: packets, ..Default::default() };
        let action = Loaded::find(&self.ebpf, self.name)?.run(options)?.return_value;
        let spent = clock::cpu_time()? - start;
        let [runs, errors] = self.read_progress()?;
        ensure!(errors == 0, "the program's output was not what the case expects, {errors} times");
        ensure!(action == self.action, "action {action} instead of {}", self.action);
        let done = runs - before[0];
        ensure!(done == u64::from(packets), "{done} repetitions instead of {packets}");
        Ok(spent / f64::from(packets))
    }

    /// Repetitions and errors.
    fn read_progress(&mut self) -> Result<[u64; 2]> {
        Ok(tables::array(&mut self.ebpf, "PROGRESS")?.get(&0, 0)?)
    }
}

/// The packet that the first repetition finds: it has to look like the program's
/// output, as the wrapper checks what a repetition before has left.
fn first_input(frame: &[u8], growth: i32, proof_at: u32, proof: u32) -> Vec<u8> {
    let mut input = match usize::try_from(growth) {
        Ok(more) => [vec![0; more], frame.to_vec()].concat(),
        Err(_) => frame[growth.unsigned_abs() as usize..].to_vec(),
    };
    input[proof_at as usize] = proof as u8;
    input
}

fn to_words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    words
}

impl Program {
    /// The action it ends with.
    fn expected_action(self, side: Side) -> u32 {
        const XDP_PASS: u32 = 2;
        const XDP_TX: u32 = 3;
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        match (self, side) {
            (_, Side::Egress) => TC_ACT_UNSPEC,
            (Program::Trigon(verdict), _) => verdict.xdp_action(),
            (Program::Baseline("decap"), _) => XDP_PASS,
            (Program::Baseline(_), _) => XDP_TX,
        }
    }
}
