//! Flags to a request, one call of the pipeline, the report out.

pub mod bench;
pub mod convert;
pub mod demo;
pub mod evaluate;
pub mod explain;
pub mod histology;
pub mod info;
pub mod methods;
pub mod neighbors;
pub mod plot;
pub mod preprocess;
pub mod qc;
pub mod run;
pub mod simulate;

use std::cell::RefCell;

use brodmann::pipeline::Destination;
use brodmann::pipeline::forecast::Forecast;
use brodmann_kernels::diagnosis::legible;
use brodmann_kernels::{OptionError, Seed};
use clap::CommandFactory;

use crate::args::{Cli, Command, CompletionsArgs, Global, OutputArgs};
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
    /// What was said for every command.
    global: &'a Global,
    /// Where the report goes instead of to stdout.
    kept: Option<&'a Kept>,
    /// Warnings that were there before.
    n_warned: usize,
}

/// A report that is kept rather than printed.
#[derive(Default)]
pub struct Kept(RefCell<Option<Report>>);

/// A report, for machines and for people.
#[derive(Debug, Default)]
pub struct Report {
    pub json: serde_json::Value,
    pub lines: Vec<String>,
}

impl Kept {
    /// What was kept; nothing where the command had nothing to report.
    pub fn take(&self) -> Report {
        self.0.take().unwrap_or_default()
    }
}

impl<'a> Context<'a> {
    pub fn new(global: &'a Global, terminal: &'a Terminal) -> Self {
        Self { seed: global.seed(), json: global.json, terminal, global, kept: None, n_warned: 0 }
    }

    /// For one step of several: its own seed, its own warnings, its report kept.
    pub fn of_step(&self, seed: Seed, kept: &'a Kept) -> Self {
        let n_warned = self.terminal.warnings().len();
        Self { seed, n_warned, kept: Some(kept), ..*self }
    }

    /// What was warned of since this context was made.
    pub fn warnings(&self) -> Vec<String> {
        self.terminal.warnings().split_off(self.n_warned)
    }

    /// Prints the report: JSON with the peak memory added, or the lines a person reads.
    fn print<R: serde::Serialize>(
        &self,
        report: &R,
        lines: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        self.terminal.finish();
        if let Some(Kept(kept)) = self.kept {
            kept.replace(Some(Report { json: self.value(report)?, lines: lines() }));
            return Ok(());
        }
        let text = if self.json {
            self.value(report)?.to_string() + "\n"
        } else {
            lines().iter().map(|l| legible(l) + "\n").collect()
        };
        crate::say::result(&text, self.json).map_err(|e| undelivered(&e))
    }

    fn value<R: serde::Serialize>(&self, report: &R) -> Result<serde_json::Value, Failure> {
        let mut value = serde_json::to_value(report)
            .map_err(|e| Failure::run(format!("the report cannot be written as JSON ({e})")))?;
        if let Some(object) = value.as_object_mut() {
            object.insert("peak_rss_bytes".to_owned(), peak_rss_bytes().into());
            object.insert("warnings".to_owned(), self.warnings().into());
        }
        Ok(value)
    }
}

/// Runs a command.
pub fn dispatch(context: &Context<'_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(a) => demo::run(context, &a),
        Command::Simulate(a) => simulate::run(context, &a),
        Command::Convert(a) => convert::run(context, &a),
        Command::Info(a) => info::run(context, &a),
        Command::Qc(a) => qc::run(context, &a),
        Command::Preprocess(a) => preprocess::run(context, &a),
        Command::Neighbors(a) => neighbors::run(context, &a),
        Command::Leiden(a) => methods::leiden(context, &a, false),
        Command::Spatialleiden(a) => methods::leiden(context, &a, true),
        Command::Spami(a) => methods::spami(context, &a),
        Command::Staig(a) => methods::staig(context, &a),
        Command::Domains(a) => methods::domains(context, &a),
        Command::Banksy(a) => methods::banksy(context, &a),
        Command::SmoothedPca(a) => methods::smoothed_pca(context, &a),
        Command::Mixture(a) => methods::mixture(context, &a),
        Command::Cluster(a) => methods::cluster(context, &a),
        Command::ImageFeatures(a) => histology::run(context, &a),
        Command::Markers(a) => explain::markers(context, &a),
        Command::Enrich(a) => explain::enrich(context, &a),
        Command::Svg(a) => explain::svg(context, &a),
        Command::GeneModules(a) => explain::gene_modules(context, &a),
        Command::Neighborhood(a) => explain::neighborhood(context, &a),
        Command::Links(a) => explain::links(context, &a),
        Command::Export(a) => explain::export(context, &a),
        Command::Report(a) => explain::report(context, &a),
        Command::Evaluate(a) => evaluate::run(context, &a),
        Command::Plot(a) => plot::run(context, &a),
        Command::Run(a) => run::run(context, &a),
        Command::Bench(a) => bench::run(context, &a),
        Command::Completions(a) => completions(&a),
    }
}

/// A look at a command before it runs.
pub struct Foresight {
    /// Whether its files are opened; else its options alone are looked at.
    pub open: bool,
}

/// What a command would take, where it can tell; refuses options that it could not run with.
pub fn foresee(command: &Command, foresight: &Foresight) -> Result<Option<Forecast>, Failure> {
    match command {
        Command::Preprocess(a) => preprocess::foresee(foresight, a),
        Command::Neighbors(a) => neighbors::foresee(foresight, a),
        Command::Leiden(a) => methods::leiden(foresight, a, false),
        Command::Spatialleiden(a) => methods::leiden(foresight, a, true),
        Command::Spami(a) => methods::spami(foresight, a),
        Command::Staig(a) => methods::staig(foresight, a),
        Command::Domains(a) => methods::domains(foresight, a),
        Command::Banksy(a) => methods::banksy(foresight, a),
        Command::SmoothedPca(a) => methods::smoothed_pca(foresight, a),
        Command::Mixture(a) => methods::mixture(foresight, a),
        Command::Cluster(a) => methods::cluster(foresight, a),
        _ => Ok(None),
    }
}

/// Threads that help nobody, however many cores there are: those that find no work look for it all the same.
const THREADS_PER_CORE: usize = 4;
const THREADS_ANYWHERE: usize = 16;

/// Has the work done by so many threads, or by as many as are of use here.
pub fn use_threads(n_threads: usize) -> Result<(), Failure> {
    if n_threads == 0 {
        let error = OptionError::new("threads", 0, "at least 1");
        return Err(error.advise("leave it out to use all cores").into());
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let of_use = (THREADS_PER_CORE * cores).max(THREADS_ANYWHERE);
    rayon::ThreadPoolBuilder::new()
        .num_threads(n_threads.min(of_use))
        .build_global()
        .map_err(|e| Failure::run(format!("{n_threads} threads cannot be started ({e})")))
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

/// Lets the largest resident set be that from here on; false where the system does not let it.
pub fn reset_peak_rss() -> bool {
    cfg!(target_os = "linux") && std::fs::write("/proc/self/clear_refs", "5").is_ok()
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
