//! Limits that are set on a process's memory, as Linux tells them: those of `ulimit`, and those of the group of processes that a container is.

use std::fs;
use std::path::Path;

use super::kibibytes;

/// Bytes that the limits on this process leave it; `None` where there are none.
pub(super) fn left() -> Option<u64> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let own = own(&read("/proc/self/limits"), &read("/proc/self/status"));
    [own, group(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"))].into_iter().flatten().min()
}

/// What `ulimit -v` and `ulimit -d` leave, by the process's limits and its state.
fn own(limits: &str, status: &str) -> Option<u64> {
    let left = |limit: &str, used: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit))?;
        let most: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(most.saturating_sub(kibibytes(status, used)?))
    };
    [left("Max address space", "VmSize:"), left("Max data size", "VmData:")].into_iter().flatten().min()
}

/// What the process's group and the groups that it lies in leave. `membership`: the line of the second version of Linux's control groups; `root`: where they
/// are described.
fn group(membership: &str, root: &Path) -> Option<u64> {
    let path = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let left = |group: &Path| {
        let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
        // What is cached of files goes when memory is needed.
        let cached = fs::read_to_string(group.join("memory.stat")).ok().and_then(|stat| {
            stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?.trim().parse::<u64>().ok()
        });
        let used = number("memory.current")?.saturating_sub(cached.unwrap_or_default());
        Some(number("memory.max")?.saturating_sub(used))
    };
    let whole = root.join(path);
    whole.ancestors().take_while(|group| group.starts_with(root)).filter_map(left).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "VmPeak:\t  900 kB\nVmSize:\t  500 kB\nVmData:\t  100 kB\n";

    #[test]
    fn limits_of_the_shell_count() {
        let limits = |address_space: &str, data: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max data size             {data}            unlimited            bytes     \n\
                 Max address space         {address_space}            unlimited            bytes     \n"
            )
        };
        assert_eq!(own(&limits("unlimited", "unlimited"), STATUS), None);
        assert_eq!(own(&limits("1024000", "unlimited"), STATUS), Some(512_000));
        assert_eq!(own(&limits("1024000", "202400"), STATUS), Some(100_000));
        assert_eq!(own(&limits("1024", "unlimited"), STATUS), Some(0));
        assert_eq!(own("", ""), None);
    }

    #[test]
    fn limits_of_groups_count_up_to_the_outermost() {
        let root = std::env::temp_dir().join(format!("stir-groups-{}", std::process::id()));
        let inner = root.join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        let describe = |group: &Path, most: &str, used: &str, cached: &str| {
            fs::write(group.join("memory.max"), most).unwrap();
            fs::write(group.join("memory.current"), used).unwrap();
            fs::write(group.join("memory.stat"), format!("anon 1\ninactive_file {cached}\n")).unwrap();
        };
        describe(&inner, "max\n", "500\n", "0");
        assert_eq!(group("0::/outer/inner\n", &root), None);
        describe(&root.join("outer"), "1000\n", "600\n", "100");
        assert_eq!(group("0::/outer/inner\n", &root), Some(500));
        describe(&inner, "700\n", "500\n", "0");
        assert_eq!(group("1:cpu:/x\n0::/outer/inner\n", &root), Some(200));
        assert_eq!((group("0::/other\n", &root), group("", &root)), (None, None));
        fs::remove_dir_all(&root).unwrap();
    }
}
