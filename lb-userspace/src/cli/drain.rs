//! `trigon drain`

use std::{io::IsTerminal, process::ExitCode, thread, time::Duration};

use anyhow::anyhow;
use hyper::Method;

use super::{
    ask::{ask_agent, call_agent},
    outcome::{Failure, Outcome, print_result},
};
use crate::{agent::report::Drain, cli::args::Cli};

const PATH: &str = "/v1/drain";
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub fn run(cli: &Cli, undo: bool, no_wait: bool) -> Outcome {
    let method = if undo { Method::DELETE } else { Method::POST };
    let first: Drain = call_agent(&cli.socket, method, PATH)?;
    let last = if undo || no_wait { first } else { wait_until_drained(first, || poll_drain(cli))? };
    print_result(cli.output, &last, |step| format!("{}\n", describe_step(*step)))?;
    Ok(ExitCode::SUCCESS)
}

fn poll_drain(cli: &Cli) -> Result<Drain, Failure> {
    thread::sleep(POLL_INTERVAL);
    ask_agent(&cli.socket, PATH)
}

/// Asks for the next step until the drain is done. Fails if somebody else undoes it.
fn wait_until_drained(
    first: Drain,
    mut next: impl FnMut() -> Result<Drain, Failure>,
) -> Result<Drain, Failure> {
    let (mut step, mut told) = (first, None);
    loop {
        match step {
            Drain::Drained => return Ok(step),
            Drain::No => return Err(anyhow!("somebody has undone it: {}", describe_step(step)).into()),
            Drain::Draining | Drain::Withdrawn => {}
        }
        if told.replace(step) != Some(step) && std::io::stderr().is_terminal() {
            eprintln!("{}...", describe_step(step));
        }
        step = next()?;
    }
}

fn describe_step(step: Drain) -> &'static str {
    match step {
        Drain::No => "announcing as ever",
        Drain::Draining => "routers are asked to choose others",
        Drain::Withdrawn => "nothing is announced any more",
        Drain::Drained => "drained: nothing is announced, and sessions are closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_through(steps: &[Drain]) -> Result<Drain, String> {
        let mut steps = steps.iter().copied();
        let first = steps.next().unwrap();
        let next = || steps.next().ok_or_else(|| anyhow!("the agent is gone").into());
        wait_until_drained(first, next).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn waits_until_sessions_are_closed() {
        let steps = [Drain::Draining, Drain::Draining, Drain::Withdrawn, Drain::Drained];
        assert_eq!(wait_through(&steps), Ok(Drain::Drained));
        assert_eq!(wait_through(&steps[3..]), Ok(Drain::Drained));
    }

    #[test]
    fn waiting_fails_when_another_undoes_it() {
        let undone = wait_through(&[Drain::Draining, Drain::No, Drain::No]);
        assert_eq!(undone, Err("somebody has undone it: announcing as ever".to_owned()));
    }

    #[test]
    fn waiting_fails_when_the_agent_is_gone() {
        assert_eq!(wait_through(&[Drain::Withdrawn]), Err("the agent is gone".to_owned()));
    }
}
