//! Network namespaces for tests that need the kernel. Need root.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering},
    thread::{self, JoinHandle},
};

pub fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Gone when dropped.
pub struct Namespace(pub String);

impl Namespace {
    /// With the loopback interface up; link-local addresses are usable at once.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // SAFETY: geteuid has no preconditions.
        assert_eq!(unsafe { libc::geteuid() }, 0, "this test makes network namespaces: run it as root");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self(format!("tg{}-{number}-{name}", id()));
        run("ip", &format!("netns add {}", namespace.0));
        namespace.exec("sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0");
        namespace.ip("link set lo up");
        namespace
    }

    pub fn ip(&self, arguments: &str) {
        run("ip", &format!("-n {} {arguments}", self.0));
    }

    pub fn exec(&self, command: &str) -> String {
        run("ip", &format!("netns exec {} {command}", self.0))
    }

    /// A thread in it.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
        thread::spawn(move || {
            // SAFETY: the descriptor is open, and setns changes the calling thread only.
            let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", io::Error::last_os_error());
            work()
        })
    }

    /// A future on a runtime of its own.
    pub fn block_on<F: Future>(&self, work: impl FnOnce() -> F + Send + 'static) -> JoinHandle<F::Output>
    where
        F::Output: Send + 'static,
    {
        self.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}
