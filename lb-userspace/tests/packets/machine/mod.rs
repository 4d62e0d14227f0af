//! The programs in the kernel, with maps of their own, and how to run them.

mod counts;
mod fill;
mod full_table;

use aya::{
    Ebpf, EbpfLoader, Pod, TestRun, TestRunOptions,
    maps::{HashMap, MapData},
    programs::{SchedClassifier, Xdp},
};
use lb_common::roles;

pub use counts::Added;
pub use fill::{endpoint, reply_entry};
use full_table::FullTable;

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRIGON_EBPF_OBJECT"));

/// What a machine is to be, and the condition it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Setup {
    /// Bits of [`roles`].
    pub roles: u32,
    pub condition: Condition,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    Ordinary,
    /// A client has opened a flow of each kind, all to the same endpoint.
    FlowsOpen,
    /// The driver leaves too little room in front of a frame.
    NoHeadroom,
    /// This table takes no new entries.
    Full(FullTable),
}

const fn ordinary(roles: u32) -> Setup {
    Setup { roles, condition: Condition::Ordinary }
}

pub const AS_DIRECTOR: Setup = ordinary(roles::DIRECTOR);
pub const AS_NODE: Setup = ordinary(roles::NODE);
pub const AS_BOTH: Setup = ordinary(roles::DIRECTOR | roles::NODE);
pub const WITH_FLOWS: Setup = Setup { roles: roles::NODE, condition: Condition::FlowsOpen };
pub const WITHOUT_HEADROOM: Setup = Setup { roles: roles::DIRECTOR, condition: Condition::NoHeadroom };
pub const REPLIES_FULL: Setup =
    Setup { roles: roles::NODE, condition: Condition::Full(full_table::NODE_REPLIES) };
pub const FLOWS_FULL: Setup =
    Setup { roles: roles::NODE, condition: Condition::Full(full_table::NODE_FLOWS) };

/// The programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    /// `trigon_xdp`
    Xdp,
    /// `trigon_egress`
    Egress,
}

/// One run of a program.
pub struct Ran {
    pub action: u32,
    pub output: Vec<u8>,
}

/// A machine with Trigon on it.
pub struct Machine {
    ebpf: Ebpf,
    /// Bytes of metadata in front of every frame, which take away headroom.
    metadata: usize,
}

/// Leaves 16 of the 216 bytes that `BPF_PROG_TEST_RUN` gives. Needs Linux 6.8.
const MUCH_METADATA: usize = 200;
/// Room for whatever a program puts in front.
const GROWTH: usize = 64;

impl Machine {
    pub fn new(setup: Setup) -> Self {
        let mut loader = EbpfLoader::new();
        loader.override_global("ROLES", &setup.roles, true);
        let mut ebpf = match setup.condition {
            Condition::Full(table) => table.load(&mut loader, OBJECT),
            _ => loader.load(OBJECT).unwrap(),
        };
        fill::all(&mut ebpf);
        if setup.condition == Condition::FlowsOpen {
            fill::replies(&mut ebpf);
        }
        let xdp: &mut Xdp = ebpf.program_mut("trigon_xdp").unwrap().try_into().unwrap();
        xdp.load().unwrap();
        let egress: &mut SchedClassifier = ebpf.program_mut("trigon_egress").unwrap().try_into().unwrap();
        egress.load().unwrap();
        let metadata = if setup.condition == Condition::NoHeadroom { MUCH_METADATA } else { 0 };
        Self { ebpf, metadata }
    }

    pub fn run(&self, hook: Hook, frame: &[u8]) -> Ran {
        match hook {
            Hook::Xdp => self.xdp(frame),
            Hook::Egress => self.egress(frame),
        }
    }

    pub fn xdp(&self, frame: &[u8]) -> Ran {
        let program: &Xdp = self.ebpf.program("trigon_xdp").unwrap().try_into().unwrap();
        if self.metadata == 0 {
            return run(program, frame, None);
        }
        let data = [vec![0; self.metadata], frame.to_vec()].concat();
        let context = xdp_md(self.metadata, data.len());
        let ran = run(program, &data, Some(&context));
        Ran { output: ran.output[self.metadata..].to_vec(), ..ran }
    }

    pub fn egress(&self, frame: &[u8]) -> Ran {
        let program: &SchedClassifier = self.ebpf.program("trigon_egress").unwrap().try_into().unwrap();
        run(program, frame, None)
    }

    /// One of the hash maps, whatever the keys and values of it are.
    pub fn map<K: Pod, V: Pod>(&mut self, name: &str) -> HashMap<&mut MapData, K, V> {
        fill::hash_map(&mut self.ebpf, name)
    }
}

fn run<P>(program: &P, data: &[u8], context: Option<&[u8]>) -> Ran
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = aya::TestRunResult>,
{
    let mut output = vec![0; data.len() + GROWTH];
    let options = TestRunOptions {
        data_in: Some(data),
        data_out: Some(&mut output),
        ctx_in: context,
        ..TestRunOptions::default()
    };
    let result = program.test_run(options).unwrap_or_else(|e| panic!("{} bytes: {e:?}", data.len()));
    output.truncate(result.data_size_out as usize);
    Ran { action: result.return_value, output }
}

/// `struct xdp_md`: of it, `data` and `data_end` are taken.
fn xdp_md(data: usize, data_end: usize) -> Vec<u8> {
    [data as u32, data_end as u32, 0, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect()
}
