//! Long work beside a Python that stays awake: the GIL released, Ctrl-C heard, progress shown.
//!
//! [`run`] does the work on a thread of its own while the calling thread, the only one on which Python handles
//! signals, wakes every [`TICK`] to ask for them and to move the bar. An interrupted call returns nothing, so the
//! caller's object stays as it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use brodmann_kernels::{Interrupted, Monitor};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::errors::Raise;
use crate::threads;

/// How often Python is asked for signals.
const TICK: Duration = Duration::from_millis(100);
/// Work shorter than this shows no progress.
const SHOW_AFTER: Duration = Duration::from_secs(2);
/// Stack of the working thread: that of a main thread.
const STACK_BYTES: usize = 8 << 20;

/// What the worker reports and the calling thread reads.
#[derive(Default)]
struct Report {
    interrupted: AtomicBool,
    stage: Mutex<Stage>,
    lines: Mutex<Vec<Line>>,
}

/// What is said on the way, in the order it was said.
enum Line {
    Note(String),
    Warning(String),
}

#[derive(Clone, Default)]
struct Stage {
    number: u64,
    name: String,
    done: u64,
    total: u64,
}

impl Report {
    fn with_stage<T>(&self, f: impl FnOnce(&mut Stage) -> T) -> T {
        f(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn say(&self, line: Line) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Monitor for Report {
    fn stage(&self, name: &str, total: u64) {
        self.with_stage(|s| *s = Stage { number: s.number + 1, name: name.to_owned(), done: 0, total });
    }

    fn advance(&self, steps: u64) {
        self.with_stage(|s| s.done += steps);
    }

    fn note(&self, message: &str) {
        self.say(Line::Note(message.to_owned()));
    }

    fn warn(&self, message: &str) {
        self.say(Line::Warning(message.to_owned()));
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Does `work` with the GIL released, on the threads that `settings.n_threads` allows.
///
/// Signals are handled while it runs: an exception raised by a handler (`KeyboardInterrupt` by default) interrupts
/// the work and is what the call raises. After two seconds `brodmann._progress` is asked for a bar.
pub fn run<T, E>(py: Python<'_>, work: impl FnOnce(&dyn Monitor) -> Result<T, E> + Send) -> PyResult<T>
where
    T: Send,
    E: Raise + Send,
{
    let pool = threads::pool()?;
    run_beside(py, move |monitor| pool.install(|| work(monitor)))
}

/// [`run`] for work that waits for others, which may need those threads themselves.
pub fn run_beside<T, E>(py: Python<'_>, work: impl FnOnce(&dyn Monitor) -> Result<T, E> + Send) -> PyResult<T>
where
    T: Send,
    E: Raise + Send,
{
    let report = Report::default();
    let (outcome, raised) = py.detach(|| {
        std::thread::scope(|scope| {
            let (finished, wait) = channel::<()>();
            let report = &report;
            let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, move || {
                // Dropped when the work is done, or has panicked: the caller wakes at once.
                let _finished = finished;
                work(report)
            });
            let worker = match worker {
                Ok(worker) => worker,
                Err(error) => {
                    return (Err(PyOSError::new_err(format!("no thread could be started: {error}"))), None);
                }
            };
            let mut raised = None;
            let mut bar = Bar::new();
            while let Err(RecvTimeoutError::Timeout) = wait.recv_timeout(TICK) {
                Python::attach(|py| {
                    let asked = py.check_signals().and_then(|()| bar.show(py, report));
                    if let Err(error) = asked
                        && raised.is_none()
                    {
                        report.interrupted.store(true, Ordering::Relaxed);
                        raised = Some(error);
                    }
                });
            }
            bar.close();
            match worker.join() {
                Ok(outcome) => (Ok(outcome), raised),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    });
    if let Some(error) = raised {
        return Err(error);
    }
    let lines = report.lines.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !lines.is_empty() {
        let progress = py.import("brodmann._progress")?;
        for line in lines {
            match line {
                Line::Note(text) => progress.call_method1("note", (text,))?,
                Line::Warning(text) => progress.call_method1("warn", (text,))?,
            };
        }
    }
    outcome?.map_err(Raise::raise)
}

/// [`run`] for work that cannot fail.
pub fn run_infallible<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    run(py, |_| Ok::<T, Interrupted>(work()))
}

/// The bar: made when the work turns out to be long, if one is wanted.
struct Bar {
    started: Instant,
    state: BarState,
}

enum BarState {
    TooEarly,
    Unwanted,
    Shown(Py<PyAny>),
}

impl Bar {
    fn new() -> Self {
        Self { started: Instant::now(), state: BarState::TooEarly }
    }

    /// Errors are those of drawing, and of a `progress` function the user gave.
    fn show(&mut self, py: Python<'_>, report: &Report) -> PyResult<()> {
        if matches!(self.state, BarState::TooEarly) && self.started.elapsed() >= SHOW_AFTER {
            let bar = py.import("brodmann._progress")?.call_method0("start")?;
            self.state = if bar.is_none() { BarState::Unwanted } else { BarState::Shown(bar.unbind()) };
        }
        if let BarState::Shown(bar) = &self.state {
            let stage = report.with_stage(|s| s.clone());
            bar.call_method1(py, "show", (stage.number, stage.name, stage.done, stage.total))?;
        }
        Ok(())
    }

    fn close(self) {
        if let BarState::Shown(bar) = self.state {
            Python::attach(|py| {
                // The work is done; a bar that cannot be closed must not lose its result.
                if let Err(error) = bar.call_method0(py, "close") {
                    error.write_unraisable(py, None);
                }
            });
        }
    }
}
