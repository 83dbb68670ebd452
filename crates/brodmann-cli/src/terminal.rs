//! What a person sees while the work runs: bars with an ETA on a terminal, plain lines in a log.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use brodmann_kernels::Monitor;
use brodmann_kernels::diagnosis::legible;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;
use crate::say;

/// How often a stage without a terminal says how far it is.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Progress and notes on stderr and in the log file. Stdout stays free for results.
pub struct Terminal {
    started: Instant,
    quiet: bool,
    bars: bool,
    log: Option<Mutex<File>>,
    warnings: Mutex<Vec<String>>,
    stage: Mutex<Stage>,
}

struct Stage {
    name: String,
    total: u64,
    done: u64,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl Terminal {
    /// Opens the log, if any, for appending.
    pub fn new(quiet: bool, log: Option<&Path>) -> Result<Self, Failure> {
        let log = log
            .map(|path| {
                // A slip of the hand must not add lines to a data file.
                if holds_data(path) {
                    return Err(Failure::input(format!(
                        "the log file {} is a data file or is named like one; expected a log",
                        path.display()
                    ))
                    .hint("name another with --log, e.g. run.log"));
                }
                if is_pipe(path) {
                    return Err(Failure::input(format!(
                        "the log file {} is a pipe; expected a file",
                        path.display()
                    ))
                    .hint("name a file with --log"));
                }
                File::options().create(true).append(true).open(path).map(Mutex::new).map_err(|e| {
                    Failure::input(format!("the log file {} cannot be opened ({e})", path.display()))
                        .hint("name a file in a folder you may write to")
                })
            })
            .transpose()?;
        let now = Instant::now();
        Ok(Self {
            started: now,
            quiet,
            bars: !quiet && std::io::stderr().is_terminal(),
            log,
            warnings: Mutex::default(),
            stage: Mutex::new(Stage {
                name: String::new(),
                total: 0,
                done: 0,
                started: now,
                last_line: now,
                bar: None,
            }),
        })
    }

    /// One line on the terminal (unless quiet) and in the log.
    pub fn say(&self, line: &str) {
        let stamped = format!("[{:>7.2}s] {}", self.started.elapsed().as_secs_f64(), legible(line));
        if let Some(log) = &self.log
            && let Ok(mut file) = log.lock()
        {
            // A log that cannot be written must not stop the work it describes.
            let _ = writeln!(file, "{stamped}");
        }
        if self.quiet {
            return;
        }
        match self.stage.lock() {
            Ok(stage) => match &stage.bar {
                Some(bar) => bar.suspend(|| say::line(&stamped)),
                None => say::line(&stamped),
            },
            Err(_) => say::line(&stamped),
        }
    }

    /// What was warned of so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().map(|list| list.clone()).unwrap_or_default()
    }

    /// Clears the bar of the last stage.
    pub fn finish(&self) {
        if let Ok(mut stage) = self.stage.lock()
            && let Some(bar) = stage.bar.take()
        {
            bar.finish_and_clear();
        }
    }

    fn bar(total: u64, name: &str) -> ProgressBar {
        let bar = if total > 0 { ProgressBar::new(total) } else { ProgressBar::new_spinner() };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let template = if total > 0 {
            "{msg:<28} [{bar:30}] {percent:>3}%  {elapsed} (ETA {eta})"
        } else {
            "{msg:<28} {spinner} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(legible(name));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Whether opening `path` would wait for somebody who reads it.
fn is_pipe(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        // What another program was started with (`/dev/stderr`) is read already.
        !path.starts_with("/dev") && std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Endings of what this program reads or draws.
const DATA_ENDINGS: [&str; 12] =
    ["h5ad", "h5mu", "h5", "csv", "tsv", "parquet", "mtx", "gz", "png", "svg", "jpg", "json"];

/// Whether `path` has the ending of a data file, or is another file named on the command line.
fn holds_data(path: &Path) -> bool {
    let named = |e: &std::ffi::OsStr| DATA_ENDINGS.iter().any(|d| e.eq_ignore_ascii_case(d));
    if path.extension().is_some_and(named) {
        return true;
    }
    let Ok(log) = path.canonicalize() else { return false };
    let same = |argument: &std::ffi::OsString| Path::new(argument).canonicalize().is_ok_and(|p| p == log);
    // The log itself is named once.
    std::env::args_os().skip(1).filter(same).count() > 1
}

impl Monitor for Terminal {
    fn stage(&self, name: &str, total: u64) {
        self.finish();
        if !self.bars {
            self.say(name);
        } else if let Some(log) = &self.log
            && let Ok(mut file) = log.lock()
        {
            let _ = writeln!(file, "[{:>7.2}s] {}", self.started.elapsed().as_secs_f64(), legible(name));
        }
        let Ok(mut stage) = self.stage.lock() else { return };
        let now = Instant::now();
        stage.bar = self.bars.then(|| Self::bar(total, name));
        name.clone_into(&mut stage.name);
        (stage.total, stage.done, stage.started, stage.last_line) = (total, 0, now, now);
    }

    fn advance(&self, steps: u64) {
        let Ok(mut stage) = self.stage.lock() else { return };
        stage.done += steps;
        if let Some(bar) = &stage.bar {
            bar.inc(steps);
            return;
        }
        if stage.total == 0 || stage.done == 0 || stage.last_line.elapsed() < LINE_EVERY {
            return;
        }
        stage.last_line = Instant::now();
        let fraction = (stage.done as f64 / stage.total as f64).min(1.0);
        let left = stage.started.elapsed().as_secs_f64() * (1.0 - fraction) / fraction;
        let line = format!("{}: {:.0} %, about {left:.0} s left", stage.name, 100.0 * fraction);
        drop(stage);
        self.say(&line);
    }

    fn note(&self, message: &str) {
        self.say(message);
    }

    fn warn(&self, message: &str) {
        if let Ok(mut list) = self.warnings.lock() {
            list.push(message.to_owned());
        }
        self.say(&format!("warning: {message}"));
    }
}
