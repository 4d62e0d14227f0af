//! Can programs run here at all? Checked before anything is changed, so that
//! the error is a sentence and not an errno.

use std::path::Path;

use aya::util::KernelVersion;
use rustix::{fs::statfs, mount::MountFlags};

use super::{
    attach::errno_of,
    error::{BPFFS, EnvironmentError, LoadError},
    pinned::{all_maps_dirs, links_dir, list, maps_dir},
    upgrade::former_maps,
};

/// Older kernels have no `bpf_link` for XDP with an atomic update (5.9), and
/// 5.10 is the first with long-term support after it.
const OLDEST_KERNEL: (u8, u8) = (5, 10);

/// `BPF_FS_MAGIC` of `include/uapi/linux/magic.h`.
const BPF_FS_MAGIC: u32 = 0xcafe_4a11;

/// The first release where maps do not count as locked memory.
const WITHOUT_LOCKED_MEMORY: KernelVersion = KernelVersion::new(5, 11, 0);
/// `CAP_SYS_RESOURCE` of `linux/capability.h`: to raise limits.
const SYS_RESOURCE: u64 = 1 << 24;
/// `CAP_SYS_ADMIN` of `linux/capability.h`, which stands for the two that were taken out of it (5.8).
const SYS_ADMIN: u64 = 1 << 21;
/// What programs and maps take, and the bits of which any will do.
const CAPABILITIES: [(&str, u64); 3] = [
    ("CAP_BPF", (1 << 39) | SYS_ADMIN),
    ("CAP_NET_ADMIN", 1 << 12),
    // Programs subtract pointers, which tells where a packet is in the kernel's memory.
    ("CAP_PERFMON", (1 << 38) | SYS_ADMIN),
];

/// Checks the kernel release and the privileges of the process.
pub fn check_environment() -> Result<(), EnvironmentError> {
    let version = KernelVersion::current().map_err(|e| EnvironmentError::UnknownKernel(e.to_string()))?;
    check_kernel(version.code())?;
    check_capabilities(effective_capabilities())
}

/// Make the pin directory if need be.
pub fn prepare_pin_dir(pin_dir: &Path) -> Result<(), EnvironmentError> {
    mount_bpffs();
    check_bpffs(pin_dir, nearest_existing(pin_dir))?;
    check_layout(pin_dir)?;
    let pin_error = |source| EnvironmentError::PinDir { path: pin_dir.into(), source };
    for dir in [maps_dir(pin_dir), links_dir(pin_dir)] {
        std::fs::create_dir_all(dir).map_err(pin_error)?;
    }
    Ok(())
}

/// Are there maps that another release has laid out? The programs that use them are attached, so that
/// maps beside them would be of no use.
fn check_layout(pin_dir: &Path) -> Result<(), EnvironmentError> {
    let known = [Some(maps_dir(pin_dir)), former_maps(pin_dir)];
    let mut others = all_maps_dirs(pin_dir).filter(|dir| !known.contains(&Some(dir.clone())));
    match others.find(|dir| list(dir).next().is_some()) {
        Some(path) => Err(EnvironmentError::OtherLayout { path }),
        None => Ok(()),
    }
}

/// Is `path`, the pin directory or a parent of it, on a BPF file system?
pub fn check_bpffs(pin_dir: &Path, path: &Path) -> Result<(), EnvironmentError> {
    if is_bpffs(path) { Ok(()) } else { Err(EnvironmentError::NotBpffs { path: pin_dir.into() }) }
}

/// `code` as `KERNEL_VERSION` of `linux/version.h` makes it.
fn check_kernel(code: u32) -> Result<(), EnvironmentError> {
    let [_, major, minor, _] = code.to_be_bytes();
    if (major, minor) < OLDEST_KERNEL { Err(EnvironmentError::OldKernel(major, minor)) } else { Ok(()) }
}

fn check_capabilities(effective: u64) -> Result<(), EnvironmentError> {
    let missing = CAPABILITIES.iter().filter(|(_, any)| effective & any == 0);
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(EnvironmentError::Privilege(missing.join(", "))) }
}

/// Of this process, by their numbers. Root in a container may lack some.
fn effective_capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or_default()
}

/// The kernel says only "not permitted" to maps for which there is not enough locked memory.
pub fn name_locked_memory(error: LoadError) -> LoadError {
    let is_counted = KernelVersion::current().is_ok_and(|version| version < WITHOUT_LOCKED_MEMORY);
    let is_limited = is_counted && effective_capabilities() & SYS_RESOURCE == 0;
    if is_limited && errno_of(&error) == Some(libc::EPERM) {
        return EnvironmentError::LockedMemory(error.to_string()).into();
    }
    error
}

/// Minimal systems do not mount it. If mounting fails, the check of the pin directory
/// that follows reports it.
fn mount_bpffs() {
    if !is_bpffs(Path::new(BPFFS)) {
        let _ = rustix::mount::mount("bpf", BPFFS, "bpf", MountFlags::empty(), None);
    }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.f_type as u32 == BPF_FS_MAGIC)
}

/// The path itself, or the nearest parent that is there.
fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use lb_common::maps::names::MAPS_DIR;

    use super::*;

    fn code(major: u8, minor: u8) -> u32 {
        u32::from_be_bytes([0, major, minor, 200])
    }

    #[test]
    fn an_old_kernel_is_named_with_a_remedy() {
        let error = check_kernel(code(4, 19)).unwrap_err().to_string();
        assert!(error.contains("4.19") && error.contains("boot a newer kernel"), "{error}");
        assert!(check_kernel(code(5, 9)).is_err());
        assert!(check_kernel(code(5, 10)).is_ok());
        assert!(check_kernel(code(6, 1)).is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |effective| match check_capabilities(effective) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        let (bpf, net_admin, perfmon) = (1 << 39, 1 << 12, 1 << 38);
        assert_eq!(missing(bpf | net_admin | perfmon), "");
        assert_eq!(missing(SYS_ADMIN | net_admin), "");
        assert!(missing(net_admin | perfmon).contains("give CAP_BPF;"));
        assert!(missing(bpf | perfmon).contains("give CAP_NET_ADMIN;"));
        assert!(missing(bpf | net_admin).contains("give CAP_PERFMON;"));
        assert!(missing(0).contains("give CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON;"));
    }

    #[test]
    fn maps_of_another_layout_are_named_with_a_remedy() {
        let pins = tempfile::tempdir().unwrap();
        let make = |path: &str| std::fs::create_dir_all(pins.path().join(path)).unwrap();
        make(&format!("{MAPS_DIR}/SERVICES"));
        // What an `unload` that was killed may leave.
        make("maps-7");
        assert!(check_layout(pins.path()).is_ok());
        for other in ["maps", "maps-7"] {
            make(&format!("{other}/SERVICES"));
            let error = check_layout(pins.path()).unwrap_err().to_string();
            for part in [&*format!("/{other}: "), MAPS_DIR, "`trigon unload`"] {
                assert!(error.contains(part), "{part}: {error}");
            }
            std::fs::remove_dir(pins.path().join(other).join("SERVICES")).unwrap();
        }
    }
}
