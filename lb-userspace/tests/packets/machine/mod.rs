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
use lb_userspace::datapath::kernel::ebpf_object;

pub use counts::Added;
pub use fill::{MSS, endpoint, flow_entry, reply_entry};
pub use pool::{Lent, lend};
pub use setup::{
    AS_BOTH, AS_DIRECTOR, AS_NODE, Condition, DIRECTOR_AT_LIMIT, FLOWS_FULL, NODE_AT_LIMIT,
    NODE_WITHOUT_HEADROOM, REPLIES_FULL, SPREADING, Setup, WITH_FLOWS, WITH_PORTS_TAKEN, WITHOUT_HEADROOM,
    WITHOUT_STRAYS,
};

use crate::{packet::ETH_LEN, services::NEW_FLOWS};

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

/// The bits of sources that are the flow's, where they are spread: of IPv4, and of IPv6.
pub const SPREAD: [u32; 2] = [0xff, 0xffff];

/// Leaves 16 of the 216 bytes that `BPF_PROG_TEST_RUN` gives.
const MUCH_METADATA: usize = 200;
/// Room for the most that a program puts in front: IPv6, UDP, GUE with private data.
const GROWTH: usize = 40 + 8 + 20;

impl Machine {
    pub fn new(setup: Setup) -> Self {
        Self::load(setup, false)
    }

    /// Its copy of the programs that only tells.
    pub fn of_dry_runs(setup: Setup) -> Self {
        Self::load(setup, true)
    }

    fn load(setup: Setup, dry_run: bool) -> Self {
        let mut loader = EbpfLoader::new();
        let log_drops = u32::from(setup.condition == Condition::TellsDrops);
        // For the lists of all services of these tests.
        loader.map_max_entries(names::HISTORY, 2048);
        loader.override_global("ROLES", &setup.roles, true);
        loader.override_global("LOG_DROPS", &log_drops, true);
        let dry_run = u32::from(dry_run);
        loader.override_global("DRY_RUN", &dry_run, true);
        let spread = SPREAD.map(u32::to_be);
        if setup.condition == Condition::SpreadsSources {
            loader.override_global("SOURCE_MASK_V4", &spread[0], true);
            loader.override_global("SOURCE_MASK_V6", &spread[1], true);
        }
        if let Condition::Strays(limit) = &setup.condition {
            loader.override_global("STRAY_LIMIT", limit, true);
        }
        let object = ebpf_object().unwrap_or_else(|error| panic!("{error}"));
        let mut ebpf = match setup.condition {
            Condition::Full(table) => table.load(&mut loader, object),
            _ => loader.load(object).unwrap(),
        };
        fill::all(&mut ebpf);
        match setup.condition {
            Condition::FlowsOpen => fill::flows(&mut ebpf),
            Condition::AtLimit => fill::set_begun(&mut ebpf, NEW_FLOWS),
            Condition::PortsTaken => fill::taken_ports(&mut ebpf),
            _ => {}
        }
        let xdp: &mut Xdp = ebpf.program_mut("trigon_xdp").unwrap().try_into().unwrap();
        xdp.load().unwrap();
        let egress: &mut SchedClassifier = ebpf.program_mut("trigon_egress").unwrap().try_into().unwrap();
        egress.load().unwrap();
        let metadata = if setup.condition == Condition::NoHeadroom { MUCH_METADATA } else { 0 };
        Self { ebpf, metadata }
    }

    /// Kernels before 6.8 take no more than 32 bytes of metadata, so that
    /// there is always headroom in a test.
    pub fn is_possible_here(&self) -> bool {
        self.metadata == 0 || self.try_xdp(&[0; ETH_LEN]).is_ok()
    }

    pub fn run(&self, hook: Hook, frame: &[u8]) -> Ran {
        match hook {
            Hook::Xdp => self.xdp(frame),
            Hook::Egress => self.egress(frame, 0),
            Hook::Marked(mark) => self.egress(frame, mark),
        }
    }

    pub fn xdp(&self, frame: &[u8]) -> Ran {
        self.try_xdp(frame).unwrap_or_else(|e| panic!("{} bytes: {e:?}", frame.len()))
    }

    fn try_xdp(&self, frame: &[u8]) -> Result<Ran, ProgramError> {
        let program: &Xdp = self.ebpf.program("trigon_xdp").unwrap().try_into().unwrap();
        if self.metadata == 0 {
            return run(program, frame, None);
        }
        let data = [vec![0; self.metadata], frame.to_vec()].concat();
        let context = xdp_md(self.metadata, data.len());
        let ran = run(program, &data, Some(&context))?;
        Ok(Ran { output: ran.output[self.metadata..].to_vec(), ..ran })
    }

    /// `BPF_PROG_TEST_RUN` refuses frames of IP without a whole header of it.
    pub fn takes_for_egress(frame: &[u8]) -> bool {
        let header_len = match frame[12..ETH_LEN] {
            [0x08, 0x00] => 20,
            [0x86, 0xdd] => 40,
            _ => 1,
        };
        frame.len() >= ETH_LEN + header_len
    }

    fn egress(&self, frame: &[u8], mark: u32) -> Ran {
        let program: &SchedClassifier = self.ebpf.program("trigon_egress").unwrap().try_into().unwrap();
        run(program, frame, Some(&sk_buff(mark))).unwrap_or_else(|e| panic!("{} bytes: {e:?}", frame.len()))
    }

    /// What it has told of dropped packets since the last time.
    pub fn told(&mut self) -> Vec<Dropped> {
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

fn run<P>(program: &P, data: &[u8], context: Option<&[u8]>) -> Result<Ran, ProgramError>
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
    Ok(Ran { action: result.return_value, output })
}

/// `struct __sk_buff` as far as its mark, which is taken of it.
fn sk_buff(mark: u32) -> Vec<u8> {
    [0, 0, mark].into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `struct xdp_md`: of it, `data` and `data_end` are taken.
fn xdp_md(data: usize, data_end: usize) -> Vec<u8> {
    [data as u32, data_end as u32, 0, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect()
}
