//! Memory of the machine and of the process, known on Linux only: elsewhere nothing is refused for
//! its size, and tables are read whole.

use std::fs::read_to_string;

/// Address space that glibc's allocator reserves per thread.
const ARENA: u64 = 64 << 20;

/// Available bytes: the minimum over the machine, the cgroup and `ulimit`.
pub fn free() -> Option<u64> {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let left = |limit: &str, used: &str| {
        Some(limit_of(&limits, limit)?.saturating_sub(kilobytes(&status, used)?))
    };
    let machine = kilobytes(&read_to_string("/proc/meminfo").unwrap_or_default(), "MemAvailable:");
    // glibc reserves address space for each thread that allocates.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64 + 1;
    let addresses =
        left("Max address space", "VmSize:").map(|left| left.saturating_sub(threads * ARENA));
    let left_to_group = of_group(u64::saturating_sub);
    let limits = [addresses, left("Max data size", "VmData:"), left_to_group, machine];
    limits.into_iter().flatten().min()
}

/// Bytes that the process can have at most, however much of it others use now: the minimum over the
/// machine's physical memory, the cgroup and `ulimit`.
pub(crate) fn physical() -> Option<u64> {
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let machine = kilobytes(&read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:");
    let addresses = limit_of(&limits, "Max address space");
    let limits = [machine, addresses, limit_of(&limits, "Max data size"), of_group(|max, _| max)];
    limits.into_iter().flatten().min()
}

/// The least over the cgroup (version 2) and its ancestors, which limit it too, of a function of
/// `memory.max` and `memory.current`.
fn of_group(bytes: impl Fn(u64, u64) -> u64) -> Option<u64> {
    let number = |path: &str| read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end_matches('/');
    let all = group.match_indices('/').map(|(at, _)| &group[..at]).chain([group]);
    let folder = |group: &str, file: &str| number(&format!("/sys/fs/cgroup{group}/{file}"));
    let of = |group: &str| {
        let held = folder(group, "memory.current")?;
        Some(bytes(folder(group, "memory.max")?, held))
    };
    all.filter_map(of).min()
}

/// Value of a line like `VmSize:   1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..]
        .split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kilobytes| 1024 * kilobytes)
}

/// The soft limit in a line like `Max address space   unlimited   unlimited   bytes`.
fn limit_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_linux_writes_them() {
        assert_eq!(kilobytes("VmPeak:\t 10 kB\nVmSize:\t    2048 kB\n", "VmSize:"), Some(2 << 20));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax data size  unlimited  unlimited  bytes\nMax address space  4096  unlimited  bytes\n";
        assert_eq!(limit_of(limits, "Max address space"), Some(4096));
        assert_eq!(limit_of(limits, "Max data size"), None);
        if cfg!(target_os = "linux") {
            assert!(physical() >= free() && free() > Some(0));
        }
        assert_eq!((kilobytes("", "VmSize:"), limit_of("", "x")), (None, None));
    }
}
