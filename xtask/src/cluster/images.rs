//! The images that a cluster runs.

use anyhow::Result;
use lb_testbed::cluster::images::{ClusterImage, PAUSE, SERVER, TRIGON};

use crate::image::{
    self,
    archive::{Archive, Image},
};

const TOOL: &str = "testbed-tool";

/// Makes all of them: release builds, which take minutes the first time.
pub fn make() -> Result<()> {
    let trigon = image::describe_trigon(TRIGON.name.to_owned())?;
    write(TRIGON, &trigon, &image::build_trigon()?)?;
    let tool = image::build_static("lb-testbed", TOOL)?;
    let of_tool = |chosen: ClusterImage, arguments| {
        let image = Image {
            program: TOOL,
            arguments,
            description: "Servers and clients of Trigon's testbeds",
            ..image::describe_trigon(chosen.name.to_owned())?
        };
        write(chosen, &image, &tool)
    };
    of_tool(SERVER, &[])?;
    of_tool(PAUSE, &["pause"])
}

fn write(chosen: ClusterImage, image: &Image, program: &[u8]) -> Result<()> {
    image::write(&chosen.archive(), &Archive::new(image, program)?.bytes)
}
