//! `trigon unload`

use std::{os::unix::net::UnixStream, process::ExitCode};

use anyhow::anyhow;
use serde::Serialize;

use super::{Outcome, print};
use crate::{
    cli::{Cli, PinArgs},
    datapath::kernel,
};

#[derive(Serialize)]
struct Unloaded {
    /// False: there was nothing.
    removed: bool,
}

pub fn run(cli: &Cli, pin: &PinArgs) -> Outcome {
    // An agent does not notice that its programs are gone.
    if UnixStream::connect(&cli.socket).is_ok() {
        let socket = cli.socket.display();
        return Err(anyhow!(
            "--socket {socket}: an agent answers there; stop it first, or, if it has another --pin-dir, \
             name the socket of the one that had {}",
            pin.pin_dir.display()
        )
        .into());
    }
    let removed = kernel::unload(&pin.pin_dir).map_err(anyhow::Error::from)?;
    let text = |unloaded: &Unloaded| {
        let what =
            if unloaded.removed { "removed all programs and maps below" } else { "nothing is pinned below" };
        format!("{what} {}\n", pin.pin_dir.display())
    };
    print(cli.output, &Unloaded { removed }, text)?;
    Ok(ExitCode::SUCCESS)
}
