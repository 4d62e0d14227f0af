//! `trigon drain`

use std::{io::IsTerminal, process::ExitCode, thread, time::Duration};

use anyhow::anyhow;
use hyper::Method;

use super::{
    ask::{ask, request},
    outcome::{Failure, Outcome, print},
};
use crate::{agent::report::Drain, cli::args::Cli};

const PATH: &str = "/v1/drain";
const LOOK: Duration = Duration::from_millis(100);

pub fn run(cli: &Cli, undo: bool, no_wait: bool) -> Outcome {
    let method = if undo { Method::DELETE } else { Method::POST };
    let first: Drain = request(&cli.socket, method, PATH)?;
    let last = if undo || no_wait { first } else { wait(first, || look(cli))? };
    print(cli.output, &last, |step| format!("{}\n", sentence(*step)))?;
    Ok(ExitCode::SUCCESS)
}

fn look(cli: &Cli) -> Result<Drain, Failure> {
    thread::sleep(LOOK);
    ask(&cli.socket, PATH)
}

/// Until it is done, or undone by somebody else.
fn wait(first: Drain, mut next: impl FnMut() -> Result<Drain, Failure>) -> Result<Drain, Failure> {
    let (mut step, mut told) = (first, None);
    loop {
        match step {
            Drain::Drained => return Ok(step),
            Drain::No => return Err(anyhow!("somebody has undone it: {}", sentence(step)).into()),
            Drain::Draining | Drain::Withdrawn => {}
        }
        if told.replace(step) != Some(step) && std::io::stderr().is_terminal() {
            eprintln!("{}...", sentence(step));
        }
        step = next()?;
    }
}

fn sentence(step: Drain) -> &'static str {
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

    fn waited(steps: &[Drain]) -> Result<Drain, String> {
        let mut steps = steps.iter().copied();
        let first = steps.next().unwrap();
        let next = || steps.next().ok_or_else(|| anyhow!("the agent is gone").into());
        wait(first, next).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn waits_until_sessions_are_closed() {
        let steps = [Drain::Draining, Drain::Draining, Drain::Withdrawn, Drain::Drained];
        assert_eq!(waited(&steps), Ok(Drain::Drained));
        assert_eq!(waited(&steps[3..]), Ok(Drain::Drained));
    }

    #[test]
    fn ends_when_another_undoes_it() {
        let undone = waited(&[Drain::Draining, Drain::No, Drain::No]);
        assert_eq!(undone, Err("somebody has undone it: announcing as ever".to_owned()));
    }

    #[test]
    fn ends_with_the_agent() {
        assert_eq!(waited(&[Drain::Withdrawn]), Err("the agent is gone".to_owned()));
    }
}
