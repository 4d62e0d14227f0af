//! Format, lints, and the rules for dependencies (`deny.toml`).

use anyhow::{Result, bail};

use crate::shell::{self, cargo, say};

/// A subcommand of cargo that not every installation has.
struct Tool {
    subcommand: &'static str,
    /// What brings it.
    remedy: &'static str,
    arguments: &'static [&'static str],
    /// CI fails without it, rather than pass what it has not looked at.
    ci_needs_it: bool,
}

/// A workspace of its own.
const EBPF: &str = "lb-ebpf/Cargo.toml";

const TOOLS: &[Tool] = &[
    Tool {
        subcommand: "fmt",
        remedy: "rustup component add rustfmt",
        arguments: &["--all", "--check"],
        ci_needs_it: true,
    },
    Tool {
        subcommand: "fmt",
        remedy: "rustup component add rustfmt",
        arguments: &["--manifest-path", EBPF, "--check"],
        ci_needs_it: true,
    },
    Tool {
        subcommand: "clippy",
        remedy: "rustup component add clippy",
        arguments: &["--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        ci_needs_it: true,
    },
    // The part of lb-ebpf that builds on the host.
    Tool {
        subcommand: "clippy",
        remedy: "rustup component add clippy",
        arguments: &["--quiet", "--manifest-path", EBPF, "--lib", "--tests", "--", "-D", "warnings"],
        ci_needs_it: true,
    },
    Tool {
        subcommand: "deny",
        remedy: "cargo install cargo-deny --locked",
        arguments: &["check", "licenses", "bans", "sources"],
        ci_needs_it: false,
    },
];

pub fn run() -> Result<()> {
    TOOLS.iter().try_for_each(Tool::run)
}

impl Tool {
    fn run(&self) -> Result<()> {
        let Self { subcommand, remedy, arguments, ci_needs_it } = self;
        if self.is_there() {
            say(format!("cargo {subcommand} {}", arguments.join(" ")));
            return shell::run(cargo().arg(subcommand).args(*arguments));
        }
        if *ci_needs_it && std::env::var_os("CI").is_some() {
            bail!("cargo {subcommand} is missing: `{remedy}`");
        }
        say(format!("skipped: cargo {subcommand} is missing (`{remedy}`)"));
        Ok(())
    }

    fn is_there(&self) -> bool {
        shell::output(cargo().args([self.subcommand, "--version"])).is_ok_and(|o| o.status.success())
    }
}
