//! A testbed with everything running: servers in the Pods, agents on the
//! machines, objects in the directory that the agents read.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{
    config::{Config, ObjectSource},
    kubernetes::{ApiServer, Controllers, PodSpec, pod_object},
    manifest::{ServiceSpec, manifest_objects, render_manifest, write_manifest},
    plan::Pod,
    process::Process,
    servers::{TCP_ECHO_PORT, UDP_ECHO_PORT},
    testbed::Testbed,
};

/// The file with all objects, in the directory that the agents read.
const OBJECTS: &str = "cluster.yaml";

/// Directors, nodes and Pods at work.
#[derive(Debug)]
pub struct Triangle {
    // In the order in which they must go.
    agents: BTreeMap<String, Process>,
    /// By Pod or bare server.
    servers: BTreeMap<String, Vec<Process>>,
    source: PathBuf,
    /// Of agents that read another directory than the rest, by machine.
    own_sources: BTreeMap<String, PathBuf>,
    /// If they make the EndpointSlices.
    _controllers: Option<Controllers>,
    /// If that is where the objects are, and not in the directory.
    api_server: Option<ApiServer>,
    pub testbed: Testbed,
}

impl Triangle {
    /// Starts servers and agents; returns when every agent is ready.
    pub fn start(config: Config, services: &[ServiceSpec]) -> Result<Self> {
        let testbed = Testbed::new(config)?;
        let source = testbed.dir().join("source");
        std::fs::create_dir_all(&source).with_context(|| format!("creating {}", source.display()))?;
        let api_server = match &testbed.config().source {
            ObjectSource::Directory => None,
            ObjectSource::Kubernetes(programs) | ObjectSource::Controllers(programs) => {
                Some(ApiServer::start(&testbed, programs.clone())?)
            }
        };
        let controllers = match (&testbed.config().source, &api_server) {
            (ObjectSource::Controllers(_), Some(server)) => Some(Controllers::start(&testbed, server)?),
            _ => None,
        };
        let (agents, servers) = (BTreeMap::new(), BTreeMap::new());
        let own_sources = BTreeMap::new();
        let mut triangle =
            Self { agents, servers, source, own_sources, _controllers: controllers, api_server, testbed };
        triangle.write_objects(services)?;
        triangle.start_servers()?;
        let names = triangle.agent_names();
        for name in &names {
            triangle.start_agent(name, &[])?;
        }
        triangle.wait_all_ready()?;
        Ok(triangle)
    }

    /// The machines that have agents.
    pub fn agent_names(&self) -> Vec<String> {
        let machines = self.testbed.machines().iter().filter(|machine| machine.roles.is_some());
        machines.map(|machine| machine.name.clone()).collect()
    }

    /// Leaves it all standing, until `testbed-tool down`.
    pub fn keep(self) -> Result<()> {
        self.testbed.keep()
    }

    /// Replaces the objects that all agents read: a file at one stroke, those of an API server one after the other.
    pub fn write_objects(&self, services: &[ServiceSpec]) -> Result<()> {
        match &self.api_server {
            Some(server) => server.replace_objects(&manifest_objects(&self.testbed, services)?),
            None => {
                write_manifest(&self.source, OBJECTS, &render_manifest(&self.testbed, services)?).map(drop)
            }
        }
    }

    /// The same for a machine's agent alone, which from its next start on reads a directory of its own.
    pub fn write_objects_of(&mut self, machine: &str, services: &[ServiceSpec]) -> Result<()> {
        let dir = self.testbed.dir().join("sources").join(machine);
        write_manifest(&dir, OBJECTS, &render_manifest(&self.testbed, services)?)?;
        self.own_sources.insert(machine.to_owned(), dir);
        Ok(())
    }

    /// Creates Pods of Kubernetes, or changes what of them can be changed.
    pub fn apply_pods(&mut self, pods: &[PodSpec]) -> Result<()> {
        let objects = pods.iter().map(|spec| pod_object(&self.testbed, spec)).collect::<Result<Vec<_>>>()?;
        self.api_server()?.apply(&objects)
    }

    /// The one that the agents read.
    pub fn api_server(&mut self) -> Result<&mut ApiServer> {
        self.api_server.as_mut().context("the objects are in a directory")
    }

    /// The directory that the agents read.
    pub fn source_dir(&self) -> &Path {
        &self.source
    }

    /// The file in it with all objects.
    pub fn objects_path(&self) -> PathBuf {
        self.source.join(OBJECTS)
    }

    /// A machine's agent.
    pub fn agent(&mut self, machine: &str) -> Result<&mut Process> {
        self.agents.get_mut(machine).with_context(|| format!("no agent on {machine}"))
    }

    /// `kill -9`, and a new one; returns when it is ready.
    pub fn restart_agent(&mut self, machine: &str) -> Result<()> {
        self.agent(machine)?.kill()?;
        self.start_agent(machine, &[])?;
        self.wait_ready(machine)
    }

    /// Starts a machine's agent in the machine's roles.
    pub fn start_agent(&mut self, machine: &str, extra: &[&str]) -> Result<()> {
        let place = self.testbed.machine(machine)?;
        let roles = place.roles.with_context(|| format!("{machine} is to have no agent"))?;
        let agent = match &self.api_server {
            None => {
                let source = self.own_sources.get(machine).unwrap_or(&self.source);
                self.testbed.start_agent(place, roles, source, extra)?
            }
            Some(server) => {
                let kubeconfig = server.agents_kubeconfig().display().to_string();
                let extra = [&["--kubeconfig", &kubeconfig], extra].concat();
                self.testbed.start_agent(place, roles, Path::new("kube"), &extra)?
            }
        };
        self.agents.insert(machine.to_owned(), agent);
        Ok(())
    }

    /// Waits for all agents. Nodes come first, since directors find their backends dead
    /// until they are ready; and twice, since there may be nodes that are directors.
    pub fn wait_all_ready(&mut self) -> Result<()> {
        let names = self.agent_names();
        names.iter().rev().chain(&names).try_for_each(|name| self.wait_ready(name))
    }

    pub fn wait_ready(&mut self, machine: &str) -> Result<()> {
        let agent = self.agents.get_mut(machine).with_context(|| format!("no agent on {machine}"))?;
        self.testbed.wait_ready(self.testbed.machine(machine)?, agent)
    }

    /// An error unless a machine's agent is ready, with what it says is wrong.
    pub fn check_ready(&self, machine: &str) -> Result<()> {
        let status = self.testbed.agent_status(self.testbed.machine(machine)?)?;
        ensure!(status["ready"] == true, "{machine} is not ready: {}", status["problems"]);
        Ok(())
    }

    /// Status, services, backends and drops of every agent as text, for the report of a failed test.
    pub fn describe_agents(&self) -> String {
        let mut story = String::new();
        for machine in self.testbed.machines().iter().filter(|machine| machine.roles.is_some()) {
            for words in [&["status"][..], &["services"], &["backends"], &["drops", "--all"]] {
                let output = self.testbed.run_trigon(machine, words);
                let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
                let _ = writeln!(story, "--- {} {}", machine.name, words.join(" "));
                story += &text.unwrap_or_else(|error| format!("{error:#}\n"));
            }
        }
        story
    }

    fn start_servers(&mut self) -> Result<()> {
        let bare = self.make_bare_servers()?;
        let pods: Vec<_> = self.testbed.pods().iter().cloned().chain(bare).collect();
        pods.iter().try_for_each(|pod| self.start_servers_in(pod))
    }

    fn make_bare_servers(&self) -> Result<Vec<Pod>> {
        let bare = self.testbed.machines().iter().filter(|machine| machine.roles.is_none());
        bare.map(|machine| self.testbed.make_bare_server(machine)).collect()
    }

    fn start_servers_in(&mut self, pod: &Pod) -> Result<()> {
        let servers = vec![
            self.testbed.start_http(pod)?,
            self.testbed.start_tcp_echo(pod, TCP_ECHO_PORT)?,
            self.testbed.start_udp_echo(pod, UDP_ECHO_PORT)?,
        ];
        self.servers.insert(pod.name.clone(), servers);
        Ok(())
    }

    /// Starts again what was killed on a bare server.
    pub fn restart_bare_server(&mut self, name: &str) -> Result<()> {
        let server = self.make_bare_servers()?.into_iter().find(|server| server.name == name);
        self.start_servers_in(&server.with_context(|| format!("{name} is no bare server"))?)
    }

    /// Starts again what was killed in a Pod.
    pub fn restart_pod(&mut self, name: &str) -> Result<()> {
        let pod = self.testbed.pod(name)?.clone();
        self.start_servers_in(&pod)
    }

    /// Kills all that runs in a Pod.
    pub fn kill_pod(&mut self, pod: &str) -> Result<()> {
        let servers = self.servers.get_mut(pod).with_context(|| format!("no servers in {pod}"))?;
        servers.iter_mut().try_for_each(Process::kill)
    }
}
