//! Running the programs' code on a packet of our own: a second copy of the object,
//! on the same maps, that reports what it would do and changes nothing.

use aya::{
    TestRun, TestRunOptions,
    maps::Array,
    programs::{ProgramError, Xdp},
};
use lb_common::maps::{Story, names};

use super::{
    error::LoadError,
    interrupted::load_program,
    load::{DatapathConfig, Purpose, find_program, open_object},
};

/// What became of a packet.
pub struct DryRunResult {
    pub story: Story,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// A copy of the programs for dry runs. Nothing of it stays when it is dropped.
pub struct DryRun(aya::Ebpf);

/// Bytes of room for all that a program puts in front of a frame.
const HEADER_ROOM: usize = 128;

impl DryRun {
    /// `options` are those of the running agent.
    pub fn load(options: &DatapathConfig) -> Result<Self, LoadError> {
        let mut ebpf = open_object(options, &Purpose::DryRun)?;
        let xdp: &mut Xdp = find_program(&mut ebpf, "trigon_xdp")?;
        load_program(|| xdp.load()).map_err(|e| LoadError::Program("trigon_xdp", e))?;
        Ok(Self(ebpf))
    }

    /// Run `trigon_xdp` on a frame that comes in by the interface `ingress`.
    pub fn run(&mut self, ingress: u32, frame: &[u8]) -> Result<DryRunResult, LoadError> {
        let mut story = self.story_map()?;
        story.set(0, Story::of_packet_from(ingress), 0).map_err(story_error)?;
        let mut output = vec![0; frame.len() + HEADER_ROOM];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut output), ..TestRunOptions::default() };
        let xdp: &mut Xdp = find_program(&mut self.0, "trigon_xdp")?;
        let result = xdp.test_run(options).map_err(|e| LoadError::Program("trigon_xdp", e))?;
        output.truncate(result.data_size_out as usize);
        let story = self.story_map()?.get(&0, 0).map_err(story_error)?;
        Ok(DryRunResult { story, frame: output })
    }

    fn story_map(&mut self) -> Result<Array<&mut aya::maps::MapData, Story>, LoadError> {
        let map = self.0.map_mut(names::STORY).ok_or(LoadError::Missing(names::STORY))?;
        Array::try_from(map).map_err(story_error)
    }
}

fn story_error(error: aya::maps::MapError) -> LoadError {
    LoadError::Program("trigon_xdp", ProgramError::MapError(error))
}
