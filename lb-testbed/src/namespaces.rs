//! Namespaces without a topology, for tests that join them up themselves.

use std::{process::Command, sync::Arc};

use anyhow::{Context, Result};

use crate::{
    namespace::Namespace,
    reaper::{Reaper, reap_stale},
    run::run,
    site::Site,
};

/// Addresses are usable at once: no duplicate address detection, no wait for routers.
const ADDRESSES_AT_ONCE: &[(&str, &str)] = &[
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
];

/// Torn down with all that runs in them when dropped, or when this process ends in
/// whatever way.
#[derive(Debug)]
pub struct Namespaces {
    site: Arc<Site>,
    _reaper: Reaper,
}

impl Namespaces {
    /// None yet, after clearing away what dead processes left.
    pub fn new() -> Result<Self> {
        reap_stale().context("clearing away stale testbeds")?;
        let site = Site::new(false)?;
        let reaper = Reaper::start(&site.prefix)?;
        Ok(Self { site, _reaper: reaper })
    }

    /// One more, `short` being unique among them.
    pub fn add(&self, short: &str) -> Result<Namespace> {
        let namespace = Namespace::new(&self.site, short);
        create_namespaces([&namespace])?;
        Ok(namespace)
    }
}

/// Makes the namespaces themselves, each with its loopback interface up.
pub fn create_namespaces<'a>(namespaces: impl IntoIterator<Item = &'a Namespace> + Clone) -> Result<()> {
    let lines = namespaces.clone().into_iter().map(|namespace| format!("netns add {}\n", namespace.name));
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]);
    run(command, &lines.collect::<String>()).context("creating namespaces (are you root?)")?;
    namespaces.into_iter().try_for_each(|namespace| {
        namespace.write_sysctls(ADDRESSES_AT_ONCE)?;
        namespace.ip("link set lo up").map(drop)
    })
}
