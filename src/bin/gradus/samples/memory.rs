//! How much memory the system leaves to the process. Linux alone tells: elsewhere nothing is known, and tables are read whole.

use std::fs::read_to_string;

/// Addresses that glibc's allocator reserves for a thread.
const ARENA: u64 = 64 << 20;

/// Bytes that may still be taken: what the machine, the group of processes and `ulimit` leave, whichever is least.
pub fn free() -> Option<u64> {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let left = |limit: &str, used: &str| {
        Some(limit_of(&limits, limit)?.saturating_sub(kilobytes(&status, used)?))
    };
    let machine = kilobytes(&read_to_string("/proc/meminfo").unwrap_or_default(), "MemAvailable:");
    // glibc reserves addresses for each thread that allocates.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64 + 1;
    let addresses =
        left("Max address space", "VmSize:").map(|left| left.saturating_sub(threads * ARENA));
    let limits = [addresses, left("Max data size", "VmData:"), of_group(), machine];
    limits.into_iter().flatten().min()
}

/// What the group of processes leaves (cgroup 2).
fn of_group() -> Option<u64> {
    let number = |path: &str| read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end_matches('/');
    // A group may do no more than those that it is in.
    let mut all = group.match_indices('/').map(|(at, _)| &group[..at]).chain([group]);
    let folder = |group: &str, file: &str| number(&format!("/sys/fs/cgroup{group}/{file}"));
    let left = |group: &str| {
        let held = folder(group, "memory.current")?;
        Some(folder(group, "memory.max")?.saturating_sub(held))
    };
    all.try_fold(u64::MAX, |least, group| Some(least.min(left(group).unwrap_or(u64::MAX))))
        .filter(|left| *left < u64::MAX)
}

/// A line such as `VmSize:   1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..]
        .split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kilobytes| 1024 * kilobytes)
}

/// The soft limit of a line such as `Max address space   unlimited   unlimited   bytes`.
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
        assert_eq!((kilobytes("", "VmSize:"), limit_of("", "x")), (None, None));
    }
}
