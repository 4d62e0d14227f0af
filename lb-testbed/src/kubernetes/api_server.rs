//! etcd and kube-apiserver, and `kubectl` to talk to them.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    identity::{
        self, ADMIN, AUTHORITY, CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY, KEY, PORT, TOKENS, host_and_port,
    },
    objects::Applied,
    programs::Programs,
};
use crate::{
    namespace::Namespace,
    process::Process,
    run::{run, run_for_output},
    site::Site,
    testbed::Testbed,
};

/// Cold, on two cores, it takes some 5 s.
const PATIENCE: Duration = Duration::from_secs(60);
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";
/// What Services get addresses of.
pub const SERVICE_NETWORKS: &str = "10.96.0.0/16,fd00:96::/112";
/// Service accounts of the manifests, and their namespace.
const AGENT: &str = "trigon-agent";
const CONTROLLER: &str = "trigon-controller";
const NAMESPACE: &str = "trigon-system";

/// What others than those in the API server's namespace find where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    Up,
    /// Nobody answers, and no connection is closed.
    Cut,
    /// Nobody is there: connections are refused.
    Refused,
}

impl Link {
    /// Rules of nft.
    fn rules(self) -> String {
        const NONE: &str = "table inet cut_api { }\ndelete table inet cut_api\n";
        let chain = |hook, of_others, fate| {
            format!("chain {hook} {{ type filter hook {hook} priority 0; {of_others} {PORT} {fate}; }}\n")
        };
        let (to, from) = ("iifname != \"lo\" tcp dport", "oifname != \"lo\" tcp sport");
        let chains = match self {
            Self::Up => return NONE.to_owned(),
            Self::Cut => chain("input", to, "drop") + &chain("output", from, "drop"),
            Self::Refused => chain("input", to, "reject with tcp reset"),
        };
        format!("{NONE}table inet cut_api {{\n{chains}}}")
    }
}

/// Who runs the Pods that are on its Nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kubelets {
    /// Nobody, or `fakelet`.
    None,
    Real,
}

/// A running API server; killed, with its etcd, when dropped.
#[derive(Debug)]
pub struct ApiServer {
    // In the order in which they must go.
    server: Process,
    _etcd: Process,
    programs: Programs,
    kubelets: Kubelets,
    namespace: Namespace,
    site: Arc<Site>,
    address: IpAddr,
    /// Of a user who may do all.
    admin: PathBuf,
    pub(super) applied: Mutex<Applied>,
}

impl ApiServer {
    /// Starts both in the router's namespace, where every machine reaches them. The API server is ready, and has
    /// what agents need of it, when this returns.
    pub fn start(testbed: &Testbed, programs: Programs) -> Result<Self> {
        let this = Self::launch(testbed, programs, Kubelets::None)?;
        this.apply_manifests()?;
        this.write_kubeconfig(AGENT)?;
        this.write_kubeconfig(CONTROLLER)?;
        Ok(this)
    }

    /// The same for kubelets, and without objects.
    pub(crate) fn start_for_kubelets(testbed: &Testbed, programs: Programs) -> Result<Self> {
        Self::launch(testbed, programs, Kubelets::Real)
    }

    fn launch(testbed: &Testbed, programs: Programs, kubelets: Kubelets) -> Result<Self> {
        let (namespace, site) = (testbed.router().clone(), Arc::clone(testbed.site()));
        let address = testbed.router_address();
        let nodes: Vec<_> = testbed.nodes().into_iter().map(|node| node.name.as_str()).collect();
        identity::write_identity(&site, address, &nodes)?;
        let default_namespace = match kubelets {
            Kubelets::None => NAMESPACE,
            // Of people, who are not surprised by it.
            Kubelets::Real => "default",
        };
        let admin = identity::write_kubeconfig(&site, address, ADMIN, ADMIN, default_namespace)?;
        let etcd = start_etcd(&namespace, &programs, &site.dir)?;
        let server = start_server(&namespace, &programs, &site.dir, address, kubelets, &[])?;
        let applied = Mutex::default();
        let mut this =
            Self { server, _etcd: etcd, programs, kubelets, namespace, site, address, admin, applied };
        this.wait_ready()?;
        Ok(this)
    }

    /// With which an agent reaches it, as the manifests' service account.
    pub fn agents_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of(AGENT)
    }

    /// With which a controller does.
    pub fn controllers_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of(CONTROLLER)
    }

    fn kubeconfig_of(&self, user: &str) -> PathBuf {
        identity::kubeconfig_path(&self.site, user)
    }

    /// Of a service account.
    fn write_kubeconfig(&self, account: &str) -> Result<()> {
        let namespace = format!("--namespace={NAMESPACE}");
        let token = self.kubectl(&["create", "token", account, &namespace, "--duration=1h"], "")?;
        identity::write_kubeconfig(&self.site, self.address, account, token.trim(), NAMESPACE).map(drop)
    }

    /// Of a user with a token of the same name.
    pub(crate) fn write_user_kubeconfig(&self, user: &str) -> Result<PathBuf> {
        identity::write_kubeconfig(&self.site, self.address, user, user, "default")
    }

    /// Of a user who may do all.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// Runs `kubectl` to its end: its stdout, or an error with its stderr.
    pub fn kubectl(&self, words: &[&str], input: &str) -> Result<String> {
        let (program, name) = self.programs.command("kubectl");
        let mut command = self.namespace.command(program)?;
        command.args(name).arg("--kubeconfig").arg(&self.admin).args(words);
        // Without a home it would look for a cache of the API below `/`.
        command.env("HOME", &self.site.dir);
        run(command, input)
    }

    /// `kill -9`
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// Starts it again after [`Self::kill`]; it is ready when this returns.
    pub fn restart(&mut self) -> Result<()> {
        self.restart_with(&[])
    }

    /// The same with other arguments beside those that it always has.
    pub fn restart_with(&mut self, extra: &[&str]) -> Result<()> {
        self.server = start_server(
            &self.namespace,
            &self.programs,
            &self.site.dir,
            self.address,
            self.kubelets,
            extra,
        )?;
        self.wait_ready()
    }

    /// Cuts the agents off, or lets them reach it again.
    pub fn set_link(&self, link: Link) -> Result<()> {
        self.namespace.load_nft_rules(&link.rules())
    }

    /// Has etcd forget all versions of objects but the present ones.
    pub fn compact(&self) -> Result<()> {
        let ask = |path: &str, body: &str| {
            self.namespace.run(&["curl", "-sSf", "-d", body, &format!("{ETCD}/v3/kv/{path}")])
        };
        let told = ask("range", r#"{"key": "AA=="}"#)?;
        let told: serde_json::Value = serde_json::from_str(&told).context("what etcd answers")?;
        let revision = told["header"]["revision"].as_str().context("etcd names no revision")?;
        ask("compaction", &format!(r#"{{"revision": "{revision}", "physical": true}}"#)).map(drop)
    }

    pub(crate) const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Starts another program of Kubernetes beside it.
    pub(super) fn spawn_beside(&self, name: &'static str, words: &[&str]) -> Result<Process> {
        spawn(&self.namespace, &self.programs, name, words)
    }

    /// Waits until a program beside it answers what `curl` asks for.
    pub(super) fn wait_beside(&self, program: &mut Process, curl: &[&str]) -> Result<()> {
        wait_until_ready(&self.namespace, program, curl)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let url = format!("https://{}/readyz", host_and_port(self.address));
        let ca = self.site.dir.join(AUTHORITY).display().to_string();
        let user = format!("Authorization: Bearer {ADMIN}");
        wait_until_ready(&self.namespace, &mut self.server, &["--cacert", &ca, "-H", &user, &url])
    }

    /// `manifests/base`: CRDs, policies, the rights of agents and controllers, and what runs them where there are kubelets.
    pub fn apply_manifests(&self) -> Result<()> {
        let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/base");
        self.kubectl(&["apply", "--server-side", "-k", base], "")?;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=20s"], "").map(drop)
    }

    /// Has it take wrong Services and Nodes, some time later: as one that has no policies of the manifests, or where they
    /// fail. [`Self::apply_manifests`] brings them back.
    pub fn remove_policies(&self) -> Result<()> {
        self.kubectl(&["delete", "validatingadmissionpolicybindings", "--all"], "").map(drop)
    }
}

fn start_etcd(namespace: &Namespace, programs: &Programs, dir: &Path) -> Result<Process> {
    let data = dir.join("etcd");
    fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
    let peers = format!("default={ETCD_PEERS}");
    let data = data.display().to_string();
    let words = [
        &["--data-dir", &data, "--log-level=error", "--unsafe-no-fsync"][..],
        &["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD],
        &["--listen-peer-urls", ETCD_PEERS, "--initial-advertise-peer-urls", ETCD_PEERS],
        &["--initial-cluster", &peers],
    ];
    spawn(namespace, programs, "etcd", &words.concat())
}

fn start_server(
    namespace: &Namespace,
    programs: &Programs,
    dir: &Path,
    address: IpAddr,
    kubelets: Kubelets,
    extra: &[&str],
) -> Result<Process> {
    let file = |name: &str| dir.join(name).display().to_string();
    let (authority, certificate, key, tokens) = (file(AUTHORITY), file(CERTIFICATE), file(KEY), file(TOKENS));
    let (client, client_key) = (file(CLIENT_CERTIFICATE), file(CLIENT_KEY));
    let (address, port) = (address.to_string(), PORT.to_string());
    let common = [
        &["--etcd-servers", ETCD, "--bind-address", &address, "--advertise-address", &address][..],
        &["--secure-port", &port, "--tls-cert-file", &certificate, "--tls-private-key-file", &key],
        &["--token-auth-file", &tokens, "--service-cluster-ip-range", SERVICE_NETWORKS],
        &["--service-account-issuer=https://kubernetes.default.svc.cluster.local"],
        &["--service-account-key-file", &certificate, "--service-account-signing-key-file", &key],
        // Tests say when.
        &["--etcd-compaction-interval=0", "--profiling=false"],
    ];
    let special = match kubelets {
        Kubelets::None => vec![
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            // There is nobody to make service accounts, and nobody to take the taint of a new Node away.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        ],
        Kubelets::Real => vec![
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--client-ca-file",
            &authority,
            "--kubelet-client-certificate",
            &client,
            "--kubelet-client-key",
            &client_key,
            // Nobody can look their names up.
            "--kubelet-preferred-address-types=InternalIP",
        ],
    };
    spawn(namespace, programs, "kube-apiserver", &[&common.concat()[..], &special, extra].concat())
}

fn spawn(namespace: &Namespace, programs: &Programs, name: &'static str, words: &[&str]) -> Result<Process> {
    let (program, first) = programs.command(name);
    let words: Vec<_> = first.into_iter().chain(words.iter().copied()).collect();
    namespace.spawn(name, program, &words)
}

fn wait_until_ready(namespace: &Namespace, program: &mut Process, curl: &[&str]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut command = namespace.command("curl")?;
        command.args(["-sf", "--max-time", "2"]).args(curl);
        if run_for_output(&mut command, "")?.status.success() {
            return Ok(());
        }
        if !program.is_running() || Instant::now() > deadline {
            bail!("{} is not ready; it wrote:\n{}", program.label(), last_lines(&program.log()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
