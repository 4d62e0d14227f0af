//! `trigon drain`

use std::{io::IsTerminal, process::ExitCode, thread, time::Duration};

use anyhow::anyhow;
use hyper::Method;

use super::{
    ask::{ask_agent, call_agent},
    outcome::{Failure, Outcome, print_result},
};
use crate::{agent::report::DrainState, cli::args::Cli};

const PATH: &str = "/v1/drain";
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub fn run(cli: &Cli, undo: bool, no_wait: bool) -> Outcome {
    let method = if undo { Method::DELETE } else { Method::POST };
    let first: DrainState = call_agent(&cli.socket, method, PATH)?;
    let last = if undo || no_wait { first } else { wait_until_drained(first, || poll_drain(cli))? };
    print_result(cli.output, &last, |step| format!("{}\n", describe_step(*step)))?;
    Ok(ExitCode::SUCCESS)
}

fn poll_drain(cli: &Cli) -> Result<DrainState, Failure> {
    thread::sleep(POLL_INTERVAL);
    ask_agent(&cli.socket, PATH)
}

/// Asks for the next step until the drain is done. Fails if somebody else undoes it.
fn wait_until_drained(
    first: DrainState,
    mut next: impl FnMut() -> Result<DrainState, Failure>,
) -> Result<DrainState, Failure> {
    let (mut step, mut told) = (first, None);
    loop {
        match step {
            DrainState::Drained => return Ok(step),
            DrainState::No => return Err(anyhow!("somebody has undone it: {}", describe_step(step)).into()),
            DrainState::Draining | DrainState::Withdrawn => {}
        }
        if told.replace(step) != Some(step) && std::io::stderr().is_terminal() {
            eprintln!("{}...", describe_step(step));
        }
        step = next()?;
    }
}

fn describe_step(step: DrainState) -> &'static str {
    match step {
        DrainState::No => "announcing as ever",
        DrainState::Draining => "routers are asked to choose others",
        DrainState::Withdrawn => "nothing is announced any more",
        DrainState::Drained => "drained: nothing is announced, and sessions are closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_through(steps: &[DrainState]) -> Result<DrainState, String> {
        let mut steps = steps.iter().copied();
        let first = steps.next().unwrap();
        let next = || steps.next().ok_or_else(|| anyhow!("the agent is gone").into());
        wait_until_drained(first, next).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn waits_until_sessions_are_closed() {
        let steps = [DrainState::Draining, DrainState::Draining, DrainState::Withdrawn, DrainState::Drained];
        assert_eq!(wait_through(&steps), Ok(DrainState::Drained));
        assert_eq!(wait_through(&steps[3..]), Ok(DrainState::Drained));
    }

    #[test]
    fn waiting_fails_when_another_undoes_it() {
        let undone = wait_through(&[DrainState::Draining, DrainState::No, DrainState::No]);
        assert_eq!(undone, Err("somebody has undone it: announcing as ever".to_owned()));
    }

    #[test]
    fn waiting_fails_when_the_agent_is_gone() {
        assert_eq!(wait_through(&[DrainState::Withdrawn]), Err("the agent is gone".to_owned()));
    }
}
