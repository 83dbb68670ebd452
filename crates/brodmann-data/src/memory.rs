//! How much memory is there for this process, and is what a file claims to hold believable?
//!
//! A file of a few kilobytes can declare an array of gigabytes: chunks never written, one text referred to a thousand
//! times, a row repeated ten million times. What is declared is therefore compared with the size of the file and with
//! what is free before room is made for it. Whoever sets [`set_max_memory`] has said what a file may take: then that
//! number decides alone.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::DataError;

/// What any file may become in memory, however small it is.
pub(crate) const FREE_BYTES: u64 = 256 << 20;
/// What a stored byte may become: deflate gives 1032 at most, measurements ten.
pub(crate) const MAX_EXPANSION: u64 = 1100;
/// The same of text and pictures, which are never so empty.
pub(crate) const TEXT_EXPANSION: u64 = 500;
pub(crate) const PICTURE_EXPANSION: u64 = 200;
/// Amounts for which the system is not asked.
const SMALL_BYTES: u64 = 16 << 20;

/// Stands for no limit.
const NO_LIMIT: u64 = u64::MAX;
static LIMIT: AtomicU64 = AtomicU64::new(NO_LIMIT);

/// Lets this process hold so many bytes in all, and believe what files declare up to that; `None` for what is free.
///
/// Work that is forecast to need more, or a file that declares more, is refused before room is made for it.
pub fn set_max_memory(bytes: Option<u64>) {
    LIMIT.store(bytes.unwrap_or(NO_LIMIT), Ordering::Relaxed);
}

/// What [`set_max_memory`] was given last.
pub fn max_memory() -> Option<u64> {
    Some(LIMIT.load(Ordering::Relaxed)).filter(|limit| *limit != NO_LIMIT)
}

/// A number of bytes as people write it: `800000000`, `800M`, `4G`, `1.5 GB`, `2GiB`; `None` for what is none.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1048576.0,
        "gib" => 1073741824.0,
        "tib" => 1099511627776.0,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    // Above that a float is no whole number any more.
    (1.0..9e15).contains(&bytes).then_some(bytes as u64)
}

/// Bytes this process may still take: free memory of the machine, what is left of the control group's limit or of
/// [`set_max_memory`], whichever is least. `None` where the system does not say.
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_available(&text));
    let own = max_memory().map(|limit| limit.saturating_sub(resident_bytes()));
    [machine, group_bytes(), own].into_iter().flatten().min()
}

/// What this process holds now; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Refuses what a file of `stored` bytes cannot mean, or what is not there.
///
/// # Inputs
/// `weighed`: bytes as they count against the file; `taken`: as they are about to be taken. `expansion`: what a stored
/// byte may become.
/// # Errors
/// [`DataError::TooLarge`].
pub(crate) fn allow(
    path: &Path,
    element: &str,
    (weighed, taken): (u64, u64),
    expansion: u64,
    stored: impl FnOnce() -> u64,
) -> Result<(), DataError> {
    let refuse = |needed, most, stored| {
        let (path, element) = (path.to_path_buf(), element.to_owned());
        Err(DataError::TooLarge { path, element, needed, most, stored })
    };
    if weighed > FREE_BYTES && max_memory().is_none() {
        let stored = stored();
        let most = FREE_BYTES.saturating_add(stored.saturating_mul(expansion));
        if weighed > most {
            return refuse(weighed, most, Some(stored));
        }
    }
    if taken > SMALL_BYTES
        && let Some(available) = available_bytes()
        && taken > available
    {
        return refuse(taken, available, None);
    }
    Ok(())
}

/// What one reading of a file has been given so far.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    /// A reading begins: what was taken before is let go by now.
    pub(crate) fn begin(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Counts `len` elements of `width` bytes in, before room is made for them.
    ///
    /// # Errors
    /// As [`allow`].
    pub(crate) fn take(
        &self,
        path: &Path,
        element: &str,
        (len, width): (usize, usize),
        stored: impl FnOnce() -> u64,
    ) -> Result<(), DataError> {
        let bytes = |width: usize| (len as u64).saturating_mul(width as u64);
        // A column of small numbers becomes one of large ones.
        let weighed = bytes(width.max(8));
        let before =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |v| Some(v.saturating_add(weighed)));
        let all = before.unwrap_or_default().saturating_add(weighed);
        allow(path, element, (all, bytes(width)), MAX_EXPANSION, stored)
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
    fn bytes_as_people_write_them() {
        for (text, bytes) in
            [("4G", 4_000_000_000), ("1.5 GB", 1_500_000_000), ("2GiB", 2 << 30), ("800000", 800_000)]
        {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "G", "-1G", "0", "nan", "1e400", "4 Gigs", "99999999T"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_small_file_is_not_believed_and_a_large_one_is() {
        let of = |weighed, stored| allow(Path::new("a.h5ad"), "X", (weighed, 0), MAX_EXPANSION, || stored);
        assert!(of(FREE_BYTES, 0).is_ok());
        assert!(matches!(of(3 << 30, 200_000), Err(DataError::TooLarge { stored: Some(200_000), .. })));
        assert!(of(3 << 30, 3 << 20).is_ok());
    }

    #[test]
    fn what_is_read_in_pieces_counts_together() {
        let (budget, path) = (Budget::default(), Path::new("a.h5ad"));
        let quarter = (FREE_BYTES / 4) as usize;
        let take = || budget.take(path, "X", (quarter / 8, 4), || 0);
        assert!((0..4).all(|_| take().is_ok()) && take().is_err());
        budget.begin();
        assert!(take().is_ok());
    }

    #[test]
    fn sizes_in_words() {
        assert_eq!(in_words(1), "1 MB");
        assert_eq!(in_words(1_500_000_000), "1.5 GB");
    }
}
