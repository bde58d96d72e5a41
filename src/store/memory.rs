//! How much memory this machine can still give, as the operating system tells.
//!
//! Three things bound it: what is free, what the control groups of this process allow (containers
//! and job schedulers set them), and the address space of one process (`ulimit -v`).

use std::fs;
use std::path::{Path, PathBuf};

/// What memory there is. Whatever the system does not tell is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that all processes of a command may take together.
    pub available_bytes: Option<u64>,
    /// Bytes that one process may take.
    pub process_bytes: Option<u64>,
}

impl Memory {
    /// The memory of this machine, now.
    #[must_use]
    pub fn here() -> Self {
        Self::below(Path::new("/"))
    }

    /// As the files below a root tell it; another root is for tests.
    fn below(root: &Path) -> Self {
        let free = number_after(&root.join("proc/meminfo"), "MemAvailable:").map(|kib| kib << 10);
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let of_groups = groups.lines().filter_map(|line| group_bytes(root, line)).min();
        let limit = number_after(&root.join("proc/self/limits"), "Max address space");
        let taken = number_after(&root.join("proc/self/status"), "VmSize:").map(|kib| kib << 10);
        Self {
            available_bytes: free.into_iter().chain(of_groups).min(),
            process_bytes: limit.map(|limit| limit.saturating_sub(taken.unwrap_or(0))),
        }
    }
}

/// What a control group and those around it leave; `line` is `number:controllers:path`. Of version
/// 2 the list of controllers is empty. Inside of a container the path may be that of the host, so
/// that every folder above it is looked at, down to where they are mounted.
fn group_bytes(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (mount, limit, taken, cached) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        list if list.split(',').any(|name| name == "memory") => (
            "sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
        _ => return None,
    };
    let mount = root.join(mount);
    let left = |folder: PathBuf| {
        let limit = number(&folder.join(limit))?;
        let taken = number(&folder.join(taken)).unwrap_or(0);
        // Pages of files that nobody uses count as taken, but are given back when needed.
        let cached = number_after(&folder.join("memory.stat"), cached).unwrap_or(0);
        Some(limit.saturating_sub(taken.saturating_sub(cached)))
    };
    let inner = Path::new(path.trim_start_matches('/'));
    inner.ancestors().filter_map(|folder| left(mount.join(folder))).min()
}

/// The number that a file holds; none for `max`.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number after a label at the beginning of a line.
pub(super) fn number_after(file: &Path, label: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> Memory {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Memory::below(folder.path())
    }

    const FREE: (&str, &str) = ("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   2048 kB\n");

    #[test]
    fn what_the_system_does_not_tell_is_no_bound() {
        assert_eq!(system(&[]), Memory::default());
        let limits = "Max cpu time unlimited\nMax address space         unlimited  unlimited\n";
        let found = system(&[FREE, ("proc/self/limits", limits), ("proc/self/cgroup", "0::/\n")]);
        assert_eq!(found, Memory { available_bytes: Some(2048 << 10), process_bytes: None });
    }

    #[test]
    fn control_groups_of_both_versions_and_those_around_them_are_bounds() {
        let groups = ("proc/self/cgroup", "0::/a/b\n");
        let found = system(&[
            FREE,
            groups,
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "1000000\n"),
            ("sys/fs/cgroup/a/memory.current", "600000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 100000\n"),
        ]);
        assert_eq!(found.available_bytes, Some(500_000));
        let groups = ("proc/self/cgroup", "8:pids:/\n4:cpu,memory:/job\n0::/\n");
        let found = system(&[
            FREE,
            groups,
            // The path of the host is not seen: the mount itself is the group.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "300000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "100000\n"),
        ]);
        assert_eq!(found.available_bytes, Some(200_000));
    }

    #[test]
    fn the_address_space_bounds_a_process() {
        let limits = "Max address space         4194304              unlimited            bytes\n";
        let found =
            system(&[("proc/self/limits", limits), ("proc/self/status", "VmSize:\t 1024 kB\n")]);
        let process_bytes = Some(3 << 20);
        assert_eq!(found, Memory { available_bytes: None, process_bytes });
    }
}
