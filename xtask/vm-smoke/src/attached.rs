//! What hangs on a machine's uplink, by whatever way this kernel has.

use anyhow::{Context, Result};
use aya::programs::{SchedClassifier, TcAttachType};
use lb_testbed::Machine;
use serde_json::Value;

#[derive(PartialEq, Eq, Debug)]
pub struct Attached {
    pub xdp: bool,
    /// Programs at egress: tcx links and filters.
    pub egress: usize,
}

impl Attached {
    pub fn to(machine: &Machine) -> Result<Self> {
        let link = machine.namespace.ip(&format!("link show {}", machine.interface))?;
        Ok(Self { xdp: link.contains("prog/xdp"), egress: links(machine)? + filters(machine)? })
    }
}

fn links(machine: &Machine) -> Result<usize> {
    // Kernels without tcx refuse the question.
    let query = || Ok(SchedClassifier::query_tcx(machine.interface, TcAttachType::Egress));
    Ok(machine.namespace.within(query)?.map_or(0, |(_, programs)| programs.len()))
}

fn filters(machine: &Machine) -> Result<usize> {
    let said = machine.namespace.run(&["tc", "-j", "filter", "show", "dev", machine.interface, "egress"])?;
    if said.trim().is_empty() {
        return Ok(0);
    }
    let rows: Value = serde_json::from_str(&said).with_context(|| format!("tc printed `{said}`"))?;
    // A row without options only says that there is a chain.
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(rows.iter().filter(|row| row.get("options").is_some()).count())
}
