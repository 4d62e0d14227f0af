//! Tearing testbeds down, whatever happened to the process that built them.
//!
//! One shell script does it, in all cases: as the reaper, a child that waits
//! for the other end of its stdin to close, which the kernel sees to when we
//! die, `kill -9` included; and when asked.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

use crate::{
    run::run,
    site::{NAMESPACES, Prefix},
    sys,
};

/// Arguments: prefix, directory of files, directory of pinned objects.
///
/// After an unexpected death it looks a second time: a command that we had
/// started may still have been making namespaces during the first.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
passes=2
while read -r word; do
    case $word in keep) exit 0 ;; down) passes=1 ;; esac
done
each() { for path in /run/netns/"$prefix"-*; do [ ! -e "$path" ] || "$1" "${path##*/}"; done; }
empty() {
    for try in 1 2 3 4 5 6 7 8 9 10; do
        pids=$(ip netns pids "$1") && [ -n "$pids" ] || return 0
        kill -9 $pids
        [ "$try" = 1 ] || sleep 0.05
    done
}
delete() { ip netns delete "$1"; }
cgroups() {
    for group in /sys/fs/cgroup/"$prefix"-* /sys/fs/cgroup/*/"$prefix"-*; do
        for try in 1 2 3 4 5 6 7 8 9 10; do
            [ -d "$group" ] || break
            [ "$try" = 1 ] || sleep 0.1
            find "$group" -depth -type d -exec rmdir {} \;
        done
    done
}
prefix=$1
while :; do
    each empty
    cgroups
    rm -rf "$3"
    each delete
    rm -rf "$2"
    passes=$((passes - 1))
    [ "$passes" -gt 0 ] || exit 0
    sleep 0.3
done
"#;

/// Tears a testbed down when dropped, or when this process is gone.
#[derive(Debug)]
pub struct Reaper {
    prefix: Prefix,
    child: Child,
}

impl Reaper {
    pub fn start(prefix: &Prefix) -> Result<Self> {
        let mut command = teardown_script(prefix);
        sys::new_session_on_start(&mut command);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the reaper (sh)")?;
        Ok(Self { prefix: prefix.clone(), child })
    }

    /// Leaves the testbed standing.
    pub fn disarm(mut self) -> Result<()> {
        self.send_word_and_wait("keep")
    }

    fn send_word_and_wait(&mut self, word: &str) -> Result<()> {
        // The end of its stdin is what it waits for.
        if let Some(mut stdin) = self.child.stdin.take() {
            writeln!(stdin, "{word}").context("the reaper is gone")?;
        }
        self.child.wait().context("waiting for the reaper").map(drop)
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Err(error) = self.send_word_and_wait("down") {
            eprintln!("testbed {}: {error:#}; tearing it down without", self.prefix.as_str());
            if let Err(error) = teardown_one(&self.prefix) {
                eprintln!("testbed {}: {error:#}", self.prefix.as_str());
            }
        }
    }
}

fn teardown_script(prefix: &Prefix) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "reaper", prefix.as_str()]).arg(prefix.dir()).arg(prefix.bpffs());
    command
}

/// Tears one testbed down now.
fn teardown_one(prefix: &Prefix) -> Result<()> {
    run(teardown_script(prefix), "down\n")?;
    let left = Prefix::all().contains(prefix);
    ensure!(!left, "something of {} is still in {NAMESPACES} or {}", prefix.as_str(), prefix.dir().display());
    Ok(())
}

/// Tears down all testbeds that process `pid` built.
pub fn teardown_of_process(pid: u32) -> Result<()> {
    teardown_matching(|prefix| prefix.pid() == Some(pid)).map(drop)
}

/// Tears down all testbeds of this machine, also those in use; their prefixes.
pub fn teardown_all() -> Result<Vec<String>> {
    teardown_matching(|_| true)
}

/// Tears down those whose builder is dead, also if it left them standing on purpose.
pub fn teardown_abandoned() -> Result<Vec<String>> {
    teardown_matching(Prefix::is_abandoned)
}

/// Tears down those whose builder died without its reaper.
pub fn reap_stale() -> Result<Vec<String>> {
    // Of two that do it at once, each would find what the other has not removed yet.
    static REAPING: Mutex<()> = Mutex::new(());
    let _reaping = REAPING.lock().unwrap_or_else(PoisonError::into_inner);
    teardown_matching(Prefix::is_stale)
}

/// The prefixes of all testbeds there are.
pub fn list_testbeds() -> Vec<String> {
    Prefix::all().into_iter().map(|prefix| prefix.as_str().to_owned()).collect()
}

fn teardown_matching(chosen: impl Fn(&Prefix) -> bool) -> Result<Vec<String>> {
    let mut torn = Vec::new();
    for prefix in Prefix::all().into_iter().filter(chosen) {
        teardown_one(&prefix)?;
        torn.push(prefix.as_str().to_owned());
    }
    Ok(torn)
}
