//! The threads Rust works on: `brodmann.settings.n_threads` of them.

use std::sync::{Arc, Mutex, PoisonError};

use brodmann_kernels::OptionError;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::Raise;

/// A pool and the process that made it.
struct Owned {
    process: u32,
    pool: Arc<ThreadPool>,
}

struct State {
    n_threads: usize,
    pool: Option<Owned>,
}

static STATE: Mutex<State> = Mutex::new(State { n_threads: 0, pool: None });

/// The pool of this process, made on first use.
///
/// Not rayon's global pool: its threads do not survive a `fork` (multiprocessing on Linux), and a child waiting for
/// them would wait forever.
pub fn pool() -> PyResult<Arc<ThreadPool>> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some(owned) = &state.pool
        && owned.process == process
    {
        return Ok(Arc::clone(&owned.pool));
    }
    // As on the command line: threads that find no work look for it all the same.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pool = ThreadPoolBuilder::new()
        .num_threads(state.n_threads.min((4 * cores).max(16)))
        .thread_name(|i| format!("brodmann-{i}"))
        .build()
        .map(Arc::new)
        .map_err(|e| {
            PyOSError::new_err(format!("no threads could be started ({e}). Hint: lower settings.n_threads"))
        })?;
    if let Some(inherited) = state.pool.replace(Owned { process, pool: Arc::clone(&pool) }) {
        // Its threads are not in this process; dropping it would talk to them.
        std::mem::forget(inherited);
    }
    Ok(pool)
}

/// Threads Rust works on; 0 stands for one per core (or `RAYON_NUM_THREADS`).
#[pyfunction]
fn set_n_threads(n_threads: i64) -> PyResult<()> {
    let n_threads = usize::try_from(n_threads).ok().filter(|n| *n <= 4096).ok_or_else(|| {
        OptionError::new("n_threads", n_threads, "1 to 4096, or None for one per core").raise()
    })?;
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if n_threads != state.n_threads {
        state.n_threads = n_threads;
        if let Some(owned) = state.pool.take()
            && owned.process != std::process::id()
        {
            std::mem::forget(owned);
        }
    }
    Ok(())
}

/// Bytes the process may hold; `None` for what is free.
#[pyfunction]
fn set_max_memory(bytes: Option<u64>) {
    brodmann_data::memory::set_max_memory(bytes);
}

/// What was set last.
#[pyfunction]
fn max_memory() -> Option<u64> {
    brodmann_data::memory::max_memory()
}

/// A number of bytes as people write it.
#[pyfunction]
fn parse_bytes(text: &str) -> Option<u64> {
    brodmann_data::memory::parse_bytes(text)
}

/// Whether arrays that a file keeps in other files are read.
#[pyfunction]
fn set_follow_external(follow: bool) {
    brodmann_data::set_follow_external(follow);
}

/// What was set last.
#[pyfunction]
fn follow_external() -> bool {
    brodmann_data::follow_external()
}

/// Threads in use.
#[pyfunction]
fn n_threads() -> PyResult<usize> {
    Ok(pool()?.current_num_threads())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_n_threads, module)?)?;
    module.add_function(wrap_pyfunction!(n_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_max_memory, module)?)?;
    module.add_function(wrap_pyfunction!(max_memory, module)?)?;
    module.add_function(wrap_pyfunction!(parse_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(set_follow_external, module)?)?;
    module.add_function(wrap_pyfunction!(follow_external, module)?)?;
    Ok(())
}
