//! System calls that the standard library does not offer. All unsafe code
//! of the crate is here.

use std::{
    ffi::CString,
    fs::File,
    io,
    net::TcpStream,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::Path,
    process::Command,
    ptr, thread,
};

use anyhow::{Context, Result, anyhow};
use nix::{
    libc,
    sched::{CloneFlags, setns},
    sys::signal::{Signal, killpg},
    unistd::{Pid, setsid},
};

/// Has `command` start in the network namespace that `file` refers to.
///
/// Only the network namespace: `ip netns exec` would mount a new /sys too, and
/// with it hide everything pinned under /sys/fs/bpf.
pub fn enter_on_start(command: &mut Command, file: File) {
    // SAFETY: between fork and exec only setns(2) is called, which is
    // async-signal-safe; the descriptor is owned by the closure.
    unsafe { command.pre_exec(move || Ok(setns(&file, CloneFlags::CLONE_NEWNET)?)) };
}

/// Has `command` start in a session of its own, where the signals of our
/// terminal don't reach it.
pub fn new_session_on_start(command: &mut Command) {
    // SAFETY: between fork and exec only setsid(2) is called, which is
    // async-signal-safe.
    unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
}

/// Runs `work` on a thread of its own inside a network namespace. Sockets that
/// it opens, and /proc/sys/net as it sees it, belong to that namespace.
pub fn on_thread_in<T: Send>(namespace: &File, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let inside = || enter_namespace(namespace).and_then(|()| work());
    thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| anyhow!("the thread panicked"))?
}

/// Moves the calling thread into a network namespace.
pub fn enter_namespace(namespace: &File) -> Result<()> {
    setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).context("setns")
}

/// Makes the kernel assume that the peer of a connection, which has sent nothing
/// yet, offered this MSS (`TCP_REPAIR`). It takes effect when the route's MTU changes.
pub fn assume_peer_mss(stream: &TcpStream, mss: u16) -> Result<()> {
    // Not again when it is off: no window probe.
    const OFF: libc::c_int = -1;
    const MSS: u32 = 2;
    let option = [MSS, u32::from(mss)];
    set_tcp_option(stream, libc::TCP_REPAIR, &1 as &libc::c_int)?;
    set_tcp_option(stream, libc::TCP_REPAIR_OPTIONS, &option)?;
    set_tcp_option(stream, libc::TCP_REPAIR, &OFF)
}

fn set_tcp_option<T>(stream: &TcpStream, name: libc::c_int, value: &T) -> Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads as many bytes of `value` as it has.
    let result = unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, name, ptr::from_ref(value).cast(), len)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error()).with_context(|| format!("TCP option {name}"))
    }
}

/// Kills a process and what it started: nginx's workers outlive a killed master.
pub fn kill_group(leader: u32) -> Result<()> {
    signal_group(leader, Signal::SIGKILL)
}

/// Asks a process and what it started to end.
pub fn terminate_group(leader: u32) -> Result<()> {
    signal_group(leader, Signal::SIGTERM)
}

fn signal_group(leader: u32, signal: Signal) -> Result<()> {
    let group = Pid::from_raw(i32::try_from(leader)?);
    killpg(group, signal).with_context(|| format!("{signal} to process group {leader}"))
}

/// Loads an XDP program that passes everything, and pins it at `path`.
pub fn pin_xdp_pass(path: &Path) -> Result<()> {
    let program = load_xdp_pass().context("loading an XDP program (are you root?)")?;
    let name = CString::new(path.as_os_str().as_bytes())?;
    let pin = ObjectPin {
        path: ptr::from_ref(name.as_c_str()).cast::<u8>() as u64,
        program: program.as_raw_fd(),
        flags: 0,
    };
    bpf(BPF_OBJ_PIN, &pin).map(drop).with_context(|| format!("pinning {}", path.display()))
}

/// `return XDP_PASS;` needs no compiler.
fn load_xdp_pass() -> io::Result<OwnedFd> {
    const MOVE_TO_R0: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    const XDP_PASS: i32 = 2;
    const BPF_PROG_TYPE_XDP: u32 = 6;
    let program = [Instruction::new(MOVE_TO_R0, XDP_PASS), Instruction::new(EXIT, 0)];
    let license = c"GPL";
    let load = ProgramLoad {
        kind: BPF_PROG_TYPE_XDP,
        length: 2,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
    };
    let descriptor = bpf(BPF_PROG_LOAD, &load)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;

#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u8, immediate: i32) -> Self {
        Self { code, registers: 0, offset: 0, immediate }
    }
}

/// The beginning of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes the rest for zeros.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    length: u32,
    instructions: u64,
    license: u64,
}

/// The beginning of `union bpf_attr` for BPF_OBJ_PIN.
#[repr(C)]
struct ObjectPin {
    path: u64,
    program: i32,
    flags: u32,
}

/// bpf(2)
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is as long as we say, and the addresses in it belong
    // to values that live until the call returns; the kernel only reads them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
