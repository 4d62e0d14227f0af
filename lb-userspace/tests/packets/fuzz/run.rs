//! A machine, and what must be true of every packet it gets.

use std::collections::BTreeMap;

use lb_common::{Verdict, verdict::Fate};

use super::ours::is_ours;
use crate::{
    case::{TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_UNSPEC},
    machine::{Hook, Machine, RunResult, Setup},
};

const XDP_ABORTED: u32 = 0;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

pub struct FuzzRun {
    machine: Machine,
    setup: Setup,
    hook: Hook,
    verdicts: BTreeMap<u32, u64>,
}

/// Numbers of packets by their observable outcome.
#[derive(Default, PartialEq, Eq, Debug)]
struct Outcomes {
    dropped: u64,
    transmitted: u64,
    redirected: u64,
    /// As they came.
    passed: u64,
    /// Changed, and on their way to a Pod, or to a client.
    changed: u64,
}

impl FuzzRun {
    /// None where this kernel cannot have such a machine.
    pub fn new(setup: Setup, hook: Hook) -> Option<Self> {
        let machine = Machine::new(setup);
        let run = Self { machine, setup, hook, verdicts: BTreeMap::new() };
        run.machine.is_supported_by_kernel().then_some(run)
    }

    /// `BPF_PROG_TEST_RUN` refuses some frames.
    pub fn accepts_frame(&self, frame: &[u8]) -> bool {
        self.hook == Hook::Xdp || Machine::can_test_egress(frame)
    }

    /// Send all of them.
    pub fn check(&mut self, frames: &[Vec<u8>]) -> Result<(), String> {
        let result = self.check_batch(frames);
        if frames.len() > 1
            && let Err(why) = result
        {
            // One by one, to find the frame; it may fail only after those before it.
            frames.iter().try_for_each(|frame| self.check_batch(std::slice::from_ref(frame)))?;
            return Err(format!("{why}, but not again one by one"));
        }
        result
    }

    fn check_batch(&mut self, frames: &[Vec<u8>]) -> Result<(), String> {
        let before = self.machine.counts();
        let mut seen = Outcomes::default();
        for frame in frames {
            self.send(frame, &mut seen).map_err(|why| format!("{}: {why}: {frame:02x?}", self.setup))?;
        }
        let verdicts = self.machine.counts().since(&before).verdicts;
        for (verdict, count) in &verdicts {
            *self.verdicts.entry(*verdict as u32).or_default() += count;
        }
        let counted = self.expected_outcomes(&verdicts);
        if counted == seen {
            return Ok(());
        }
        let which = if let [frame] = frames { format!(" of {frame:02x?}") } else { String::new() };
        Err(format!("{}: counted {verdicts:?}, that is {counted:?}, but seen {seen:?}{which}", self.setup))
    }

    fn send(&self, frame: &[u8], seen: &mut Outcomes) -> Result<(), String> {
        let RunResult { action, output } = self.machine.run(self.hook, frame);
        let is_same = output == *frame;
        let place = match (self.hook, action) {
            (Hook::Xdp, XDP_ABORTED) => return Err("aborted".into()),
            (Hook::Xdp, XDP_DROP) | (Hook::Egress | Hook::Marked(_), TC_ACT_SHOT) => &mut seen.dropped,
            (Hook::Xdp, XDP_TX) => &mut seen.transmitted,
            (Hook::Xdp, XDP_REDIRECT) | (Hook::Egress | Hook::Marked(_), TC_ACT_REDIRECT) => {
                &mut seen.redirected
            }
            (Hook::Xdp, XDP_PASS) | (Hook::Egress | Hook::Marked(_), TC_ACT_UNSPEC) if is_same => {
                &mut seen.passed
            }
            (Hook::Xdp, XDP_PASS) | (Hook::Egress | Hook::Marked(_), TC_ACT_UNSPEC) => &mut seen.changed,
            _ => return Err(format!("action {action}")),
        };
        *place += 1;
        let is_touched = action != XDP_PASS || !is_same;
        if self.hook == Hook::Xdp && is_touched && !is_ours(frame, self.setup.roles) {
            return Err(format!("not ours, but action {action} and {output:02x?}"));
        }
        Ok(())
    }

    /// What must have been seen of packets with these verdicts.
    fn expected_outcomes(&self, verdicts: &[(Verdict, u64)]) -> Outcomes {
        let mut seen = Outcomes::default();
        for (verdict, count) in verdicts {
            let place = match verdict.fate() {
                Fate::Drop => &mut seen.dropped,
                Fate::Transmit => &mut seen.transmitted,
                Fate::Redirect => &mut seen.redirected,
                Fate::Pass if is_packet_changed(*verdict) => &mut seen.changed,
                Fate::Pass => &mut seen.passed,
            };
            *place += count;
        }
        seen
    }

    /// What it counted in all.
    pub fn verdicts(&self) -> impl Iterator<Item = (Verdict, u64)> {
        Verdict::all().filter_map(|verdict| Some((verdict, *self.verdicts.get(&(verdict as u32))?)))
    }
}

/// Does a packet that passes leave as another one?
fn is_packet_changed(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Deliver | Verdict::TellTooBigRouted | Verdict::EgressReply | Verdict::EgressCheck
    )
}
