//! The programs in the kernel, with maps of their own, and how to run them.

mod counts;
mod dry;
mod fill;
mod full_table;
mod pool;
mod setup;

use aya::{
    Ebpf, EbpfLoader, Pod, TestRun, TestRunOptions,
    maps::{HashMap, MapData, RingBuf},
    programs::{ProgramError, SchedClassifier, Xdp},
};
use lb_common::maps::{Dropped, names};
use lb_userspace::datapath::kernel::{ebpf_object, load_program};

pub use counts::Added;
pub use fill::{MSS, SLOTS, flow_entry, inside_flow_entry, inside_reply_entry, reply_entry, slot_of};
pub use pool::{LentMachine, lend_machine};
pub use setup::{
    AS_BOTH, AS_DIRECTOR, AS_NODE, Condition, DIRECTOR_AT_LIMIT, FLOWS_FULL, NODE_AT_LIMIT,
    NODE_WITHOUT_HEADROOM, REPLIES_FULL, SPREADING, Setup, WITH_FLOWS, WITH_FORMER_REPLIES,
    WITH_INSIDE_FLOWS, WITH_PORTS_TAKEN, WITH_SYNS, WITHOUT_HEADROOM, WITHOUT_STRAYS,
};

use crate::{
    packet::{ETH_LEN, SEQUENCE},
    services::NEW_FLOWS,
};

/// The programs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hook {
    /// `trigon_xdp`
    Xdp,
    /// `trigon_egress`
    Egress,
    /// The same, of packets with this mark.
    Marked(u32),
}

/// One run of a program.
pub struct RunResult {
    pub action: u32,
    pub output: Vec<u8>,
}

/// A machine with Trigon on it.
pub struct Machine {
    ebpf: Ebpf,
    /// Bytes of metadata in front of every frame, which take away headroom.
    metadata: usize,
}

/// The bits of sources that are the flow's, where they are spread: of IPv4, and of IPv6.
pub const SPREAD: [u32; 2] = [0xff, 0xffff];

/// Leaves 16 of the 216 bytes that `BPF_PROG_TEST_RUN` gives.
const LARGE_METADATA: usize = 200;
/// Room for the most that a program puts in front: IPv6, UDP, GUE with private data.
const GROWTH: usize = 40 + 8 + 20;

impl Machine {
    pub fn new(setup: Setup) -> Self {
        Self::load(setup, false)
    }

    /// The same with `DRY_RUN`: the programs only report what they would do.
    pub fn new_dry_run(setup: Setup) -> Self {
        Self::load(setup, true)
    }

    fn load(setup: Setup, dry_run: bool) -> Self {
        let mut loader = EbpfLoader::new();
        let log_drops = u32::from(setup.condition == Condition::ReportsDrops);
        // For the lists of all services of these tests.
        loader.map_max_entries(names::HISTORY, 2048);
        loader.map_max_entries(names::ENDPOINT_SLOTS, SLOTS);
        loader.override_global("ROLES", &setup.roles, true);
        loader.override_global("LOG_DROPS", &log_drops, true);
        let dry_run = u32::from(dry_run);
        loader.override_global("DRY_RUN", &dry_run, true);
        let spread = SPREAD.map(u32::to_be);
        if setup.condition == Condition::SpreadsSources {
            loader.override_global("SOURCE_MASK_V4", &spread[0], true);
            loader.override_global("SOURCE_MASK_V6", &spread[1], true);
        }
        let has_former_replies = u32::from(setup.condition == Condition::RepliesGrown);
        loader.override_global("HAS_FORMER_REPLIES", &has_former_replies, true);
        loader.map_max_entries(names::FORMER_REPLIES, 1024);
        if let Condition::Strays(limit) = &setup.condition {
            loader.override_global("STRAY_LIMIT", limit, true);
        }
        let object = ebpf_object().unwrap_or_else(|error| panic!("{error}"));
        let mut ebpf = match setup.condition {
            Condition::Full(table) => table.load(&mut loader, object),
            _ => loader.load(object).unwrap(),
        };
        fill::write_all_maps(&mut ebpf);
        match setup.condition {
            Condition::FlowsOpen => fill::open_flows(&mut ebpf, names::NODE_REPLIES, 0),
            Condition::SynsNoted => fill::open_flows(&mut ebpf, names::NODE_REPLIES, SEQUENCE),
            Condition::InsideFlowsOpen => fill::open_inside_flows(&mut ebpf),
            Condition::RepliesGrown => fill::open_flows(&mut ebpf, names::FORMER_REPLIES, SEQUENCE),
            Condition::AtLimit => fill::set_flows_begun(&mut ebpf, NEW_FLOWS),
            Condition::PortsTaken => fill::take_all_ports(&mut ebpf),
            _ => {}
        }
        let xdp: &mut Xdp = ebpf.program_mut("trigon_xdp").unwrap().try_into().unwrap();
        load_program(|| xdp.load()).unwrap();
        let egress: &mut SchedClassifier = ebpf.program_mut("trigon_egress").unwrap().try_into().unwrap();
        load_program(|| egress.load()).unwrap();
        let metadata = if setup.condition == Condition::NoHeadroom { LARGE_METADATA } else { 0 };
        Self { ebpf, metadata }
    }

    /// Kernels before 6.8 take no more than 32 bytes of metadata, so that
    /// there is always headroom in a test.
    pub fn is_supported_by_kernel(&self) -> bool {
        self.metadata == 0 || self.try_run_xdp(&[0; ETH_LEN]).is_ok()
    }

    pub fn run(&self, hook: Hook, frame: &[u8]) -> RunResult {
        match hook {
            Hook::Xdp => self.run_xdp(frame),
            Hook::Egress => self.run_egress(frame, 0),
            Hook::Marked(mark) => self.run_egress(frame, mark),
        }
    }

    pub fn run_xdp(&self, frame: &[u8]) -> RunResult {
        self.try_run_xdp(frame).unwrap_or_else(|e| panic!("{} bytes: {e:?}", frame.len()))
    }

    fn try_run_xdp(&self, frame: &[u8]) -> Result<RunResult, ProgramError> {
        let program: &Xdp = self.ebpf.program("trigon_xdp").unwrap().try_into().unwrap();
        if self.metadata == 0 {
            return run(program, frame, None);
        }
        let data = [vec![0; self.metadata], frame.to_vec()].concat();
        let context = xdp_md(self.metadata, data.len());
        let ran = run(program, &data, Some(&context))?;
        Ok(RunResult { output: ran.output[self.metadata..].to_vec(), ..ran })
    }

    /// `BPF_PROG_TEST_RUN` refuses frames of IP without a whole header of it.
    pub fn can_test_egress(frame: &[u8]) -> bool {
        let header_len = match frame[12..ETH_LEN] {
            [0x08, 0x00] => 20,
            [0x86, 0xdd] => 40,
            _ => 1,
        };
        frame.len() >= ETH_LEN + header_len
    }

    fn run_egress(&self, frame: &[u8], mark: u32) -> RunResult {
        let program: &SchedClassifier = self.ebpf.program("trigon_egress").unwrap().try_into().unwrap();
        run(program, frame, Some(&sk_buff(mark))).unwrap_or_else(|e| panic!("{} bytes: {e:?}", frame.len()))
    }

    /// The reports of dropped packets since the last call.
    pub fn take_drop_reports(&mut self) -> Vec<Dropped> {
        let mut ring = RingBuf::try_from(self.ebpf.map_mut(names::DROPPED).unwrap()).unwrap();
        let mut told = Vec::new();
        while let Some(item) = ring.next() {
            assert_eq!(item.len(), size_of::<Dropped>());
            // SAFETY: that many bytes, and any of them are a `Dropped`.
            told.push(unsafe { item.as_ptr().cast::<Dropped>().read_unaligned() });
        }
        told
    }

    /// One of the hash maps, whatever the keys and values of it are.
    pub fn map<K: Pod, V: Pod>(&mut self, name: &str) -> HashMap<&mut MapData, K, V> {
        fill::hash_map(&mut self.ebpf, name)
    }
}

fn run<P>(program: &P, data: &[u8], context: Option<&[u8]>) -> Result<RunResult, ProgramError>
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
    let result = program.test_run(options)?;
    output.truncate(result.data_size_out as usize);
    Ok(RunResult { action: result.return_value, output })
}

/// `struct __sk_buff` as far as its mark, which is taken of it.
fn sk_buff(mark: u32) -> Vec<u8> {
    [0, 0, mark].into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `struct xdp_md`: of it, `data` and `data_end` are taken.
fn xdp_md(data: usize, data_end: usize) -> Vec<u8> {
    [data as u32, data_end as u32, 0, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect()
}
