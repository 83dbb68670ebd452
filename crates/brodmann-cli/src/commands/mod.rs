//! Flags to a request, one call of the pipeline, the report out.

pub mod bench;
pub mod convert;
pub mod demo;
pub mod evaluate;
pub mod explain;
pub mod info;
pub mod methods;
pub mod neighbors;
pub mod plot;
pub mod preprocess;
pub mod qc;
pub mod simulate;

use brodmann::pipeline::Destination;
use brodmann_kernels::Seed;
use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, Global, OutputArgs};
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Where the result goes: clap asks for exactly one of the two.
pub fn destination(args: &OutputArgs) -> Destination {
    args.out.clone().map_or(Destination::InPlace, Destination::File)
}

/// What every command gets besides its own flags.
pub struct Context<'a> {
    pub seed: Seed,
    pub json: bool,
    pub terminal: &'a Terminal,
}

impl<'a> Context<'a> {
    pub fn new(global: &Global, terminal: &'a Terminal) -> Self {
        Self { seed: Seed(global.seed), json: global.json, terminal }
    }

    /// Prints the report: JSON with the peak memory added, or the lines a person reads.
    fn print<R: serde::Serialize>(
        &self,
        report: &R,
        lines: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        self.terminal.finish();
        let text = if self.json {
            let mut value = serde_json::to_value(report)
                .map_err(|e| Failure::run(format!("the report cannot be written as JSON ({e})")))?;
            if let Some(object) = value.as_object_mut() {
                object.insert("peak_rss_bytes".to_owned(), peak_rss_bytes().into());
                object.insert("warnings".to_owned(), self.terminal.warnings().into());
            }
            value.to_string() + "\n"
        } else {
            lines().into_iter().map(|l| l + "\n").collect()
        };
        crate::say::result(&text, self.json).map_err(|e| undelivered(&e))
    }
}

/// A report that nobody could be given.
fn undelivered(error: &std::io::Error) -> Failure {
    Failure::run(format!("the report cannot be written to stdout ({error})"))
        .hint("direct it to a file or a pipe that takes it; files named with --out are complete")
}

/// Largest resident set of this process so far, in bytes; `None` where the system does not say.
pub fn peak_rss_bytes() -> Option<u64> {
    // What Linux counts as usage starts from the size of the process that started this one.
    #[cfg(target_os = "linux")]
    if let Some(kib) = high_water_mark() {
        return Some(kib * 1024);
    }
    #[cfg(unix)]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        let max = u64::try_from(getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss()).ok()?;
        // Linux counts kibibytes, macOS bytes.
        Some(if cfg!(target_os = "macos") { max } else { max * 1024 })
    }
    #[cfg(not(unix))]
    None
}

/// `VmHWM` of `/proc/self/status`, in KiB.
#[cfg(target_os = "linux")]
fn high_water_mark() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Processor seconds of this process so far, all threads; `None` where the system does not say.
pub fn cpu_seconds() -> Option<f64> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
        Some(seconds(usage.user_time()) + seconds(usage.system_time()))
    }
    #[cfg(not(unix))]
    None
}

/// The completion script for a shell, on stdout.
pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "brodmann", &mut script);
    crate::say::result(&String::from_utf8_lossy(&script), false).map_err(|e| undelivered(&e))
}
