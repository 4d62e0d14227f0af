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

use super::{objects::Applied, programs::Programs};
use crate::{
    namespace::Namespace,
    process::Process,
    run::{run, run_for_output},
    site::Site,
    testbed::Testbed,
};

/// Cold, on two cores, it takes some 5 s.
const PATIENCE: Duration = Duration::from_secs(60);
const PORT: u16 = 6443;
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";
/// Of a user who may do all.
const ADMIN_TOKEN: &str = "admin";
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

/// A running API server; killed, with its etcd, when dropped.
#[derive(Debug)]
pub struct ApiServer {
    // In the order in which they must go.
    server: Process,
    _etcd: Process,
    programs: Programs,
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
        let (namespace, site) = (testbed.router().clone(), Arc::clone(testbed.site()));
        let address = testbed.router_address();
        write_identity(&site, address)?;
        let admin = site.write("admin.kubeconfig", &kubeconfig(&site.dir, address, ADMIN_TOKEN))?;
        let etcd = start_etcd(&namespace, &programs, &site.dir)?;
        let server = start_server(&namespace, &programs, &site.dir, address, &[])?;
        let applied = Mutex::default();
        let mut this = Self { server, _etcd: etcd, programs, namespace, site, address, admin, applied };
        this.wait_ready()?;
        this.apply_manifests()?;
        this.write_kubeconfig(AGENT)?;
        this.write_kubeconfig(CONTROLLER)?;
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

    fn kubeconfig_of(&self, account: &str) -> PathBuf {
        self.site.dir.join(format!("{account}.kubeconfig"))
    }

    fn write_kubeconfig(&self, account: &str) -> Result<()> {
        let token =
            self.kubectl(&["create", "token", account, "--namespace=trigon-system", "--duration=1h"], "")?;
        let text = kubeconfig(&self.site.dir, self.address, token.trim());
        let path = self.kubeconfig_of(account);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
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
        self.server = start_server(&self.namespace, &self.programs, &self.site.dir, self.address, extra)?;
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

    pub(super) const fn programs(&self) -> &Programs {
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
        let url = format!("https://{}/readyz", authority(self.address));
        let ca = self.site.dir.join(CERTIFICATE).display().to_string();
        let user = format!("Authorization: Bearer {ADMIN_TOKEN}");
        wait_until_ready(&self.namespace, &mut self.server, &["--cacert", &ca, "-H", &user, &url])
    }

    /// CRDs, policies, and the rights of agents and controllers. Nobody here makes Pods of the DaemonSets.
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

const CERTIFICATE: &str = "apiserver.crt";
const KEY: &str = "apiserver.key";
const TOKENS: &str = "tokens.csv";
/// Service accounts of the manifests.
const AGENT: &str = "trigon-agent";
const CONTROLLER: &str = "trigon-controller";

/// A certificate that is its own authority, and the users' tokens.
fn write_identity(site: &Site, address: IpAddr) -> Result<()> {
    let names = vec![address.to_string(), "127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    site.write(CERTIFICATE, &made.cert.pem())?;
    site.write(KEY, &made.signing_key.serialize_pem())?;
    site.write(TOKENS, &format!("{ADMIN_TOKEN},admin,1,system:masters\n")).map(drop)
}

fn kubeconfig(dir: &Path, address: IpAddr, token: &str) -> String {
    let (ca, server) = (dir.join(CERTIFICATE), authority(address));
    format!(
        "apiVersion: v1
kind: Config
current-context: testbed
clusters:
- name: testbed
  cluster: {{server: 'https://{server}', certificate-authority: '{}'}}
users:
- name: testbed
  user: {{token: {token}}}
contexts:
- name: testbed
  context: {{cluster: testbed, user: testbed, namespace: trigon-system}}
",
        ca.display()
    )
}

fn authority(address: IpAddr) -> String {
    std::net::SocketAddr::new(address, PORT).to_string()
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
    extra: &[&str],
) -> Result<Process> {
    let file = |name: &str| dir.join(name).display().to_string();
    let (certificate, key, tokens) = (file(CERTIFICATE), file(KEY), file(TOKENS));
    let (address, port) = (address.to_string(), PORT.to_string());
    let words = [
        &["--etcd-servers", ETCD, "--bind-address", &address, "--advertise-address", &address][..],
        &["--secure-port", &port, "--tls-cert-file", &certificate, "--tls-private-key-file", &key],
        &["--token-auth-file", &tokens, "--authorization-mode=RBAC", "--anonymous-auth=false"],
        &["--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112"],
        &["--service-account-issuer=https://kubernetes.default.svc.cluster.local"],
        &["--service-account-key-file", &certificate, "--service-account-signing-key-file", &key],
        // Tests say when.
        &["--etcd-compaction-interval=0", "--profiling=false"],
        // There is nobody to make service accounts, and nobody to take the taint of a new Node away.
        &["--disable-admission-plugins=ServiceAccount,TaintNodesByCondition"],
        extra,
    ];
    spawn(namespace, programs, "kube-apiserver", &words.concat())
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
