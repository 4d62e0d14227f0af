//! What the manifests leave to agents of root's rights, and running a program with no more.

use anyhow::{Context, Result};
use aya::util::KernelVersion;
use serde_json::Value;

/// What both DaemonSets have in common.
const AGENT: &str = include_str!("../../manifests/agents/agent.yaml");
/// What older kernels take beside it.
const COMPONENT: &str = include_str!("../../manifests/components/linux-5.10/kustomization.yaml");
/// The first kernel that does without: maps do not count as locked memory any more.
const WITHOUT_COMPONENT: KernelVersion = KernelVersion::new(5, 11, 0);

/// The capabilities of agents' containers on the kernel that runs here, as Kubernetes calls them: `NET_ADMIN`.
pub fn agent_capabilities() -> Result<Vec<String>> {
    let agent: Value = serde_saphyr::from_str(AGENT).context("agent.yaml")?;
    let container = &agent["spec"]["template"]["spec"]["containers"][0];
    let given =
        container["securityContext"]["capabilities"]["add"].as_array().context("agent.yaml adds none")?;
    let mut names = given.iter().map(name).collect::<Result<Vec<_>>>()?;
    if KernelVersion::current().is_ok_and(|version| version < WITHOUT_COMPONENT) {
        names.push(added_by_component()?);
    }
    Ok(names)
}

fn added_by_component() -> Result<String> {
    let component: Value = serde_saphyr::from_str(COMPONENT).context("linux-5.10")?;
    let patch = component["patches"][0]["patch"].as_str().context("linux-5.10 has no patch")?;
    let patch: Value = serde_saphyr::from_str(patch).context("the patch of linux-5.10")?;
    name(&patch[0]["value"])
}

fn name(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no capability"))?.to_owned())
}

/// Words before a command that leave root these capabilities, as the DaemonSets' securityContext does (`drop: [ALL]`,
/// `allowPrivilegeEscalation: false`), and as little locked memory as a container may have.
pub fn words_to_limit<T: AsRef<str>>(capabilities: &[T]) -> Vec<String> {
    let kept = capabilities.iter().map(|name| format!(",+{}", name.as_ref().to_lowercase()));
    let bounding = format!("--bounding-set=-all{}", kept.collect::<String>());
    let words =
        ["prlimit", "--memlock=65536:65536", "setpriv", "--no-new-privs", "--inh-caps=-all", &bounding];
    words.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_those_of_the_manifests() {
        let names = agent_capabilities().unwrap();
        assert!(names.iter().any(|name| name == "BPF") && names.len() >= 3, "{names:?}");
        assert_eq!(added_by_component().unwrap(), "SYS_RESOURCE");
    }

    #[test]
    fn all_others_are_left_out_of_the_bounding_set() {
        let words = words_to_limit(&["BPF", "NET_ADMIN"]);
        assert_eq!(words.last().unwrap(), "--bounding-set=-all,+bpf,+net_admin");
    }
}
