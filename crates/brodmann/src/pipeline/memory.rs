//! How much memory is there for this process? Asked before work that may need more.

use std::fs;

/// Bytes this process may still take: free memory of the machine or what is left of the control group's limit,
/// whichever is less. `None` where the system does not say.
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_available(&text));
    let group = group_bytes();
    match (machine, group) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// What is left of the limit of the control group, version 2 or 1.
fn group_bytes() -> Option<u64> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let left = |limit: &str, used: &str, stat: &str, cache: &str| {
        // Pages of files that nobody waits for are given back when memory is asked for.
        let cached = fs::read_to_string(stat).ok().and_then(|text| stat_of(&text, cache)).unwrap_or(0);
        Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(cached)))
    };
    let (v2, v1) = ("/sys/fs/cgroup", "/sys/fs/cgroup/memory");
    left(
        &format!("{v2}/memory.max"),
        &format!("{v2}/memory.current"),
        &format!("{v2}/memory.stat"),
        "inactive_file",
    )
    .or_else(|| {
        left(
            &format!("{v1}/memory.limit_in_bytes"),
            &format!("{v1}/memory.usage_in_bytes"),
            &format!("{v1}/memory.stat"),
            "total_inactive_file",
        )
    })
}

fn stat_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// `1.5 GB`, `320 MB`.
pub fn in_words(bytes: u64) -> String {
    if bytes >= 1_000_000_000 {
        format!("{:.1} GB", bytes as f64 / 1e9)
    } else {
        format!("{:.0} MB", (bytes as f64 / 1e6).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_kernel_is_read() {
        let text = "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:   2000 kB\n";
        assert_eq!(mem_available(text), Some(2_048_000));
        assert_eq!(mem_available("MemTotal: 1 kB\n"), None);
        assert_eq!(mem_available("MemAvailable: many kB\n"), None);
    }

    #[test]
    fn one_number_of_the_control_group_is_read() {
        let text = "anon 5\ninactive_file 4096\ninactive_file_other 7\n";
        assert_eq!(stat_of(text, "inactive_file"), Some(4096));
        assert_eq!(stat_of(text, "none"), None);
    }

    #[test]
    fn sizes_in_words() {
        assert_eq!(in_words(1), "1 MB");
        assert_eq!(in_words(1_500_000_000), "1.5 GB");
    }
}
