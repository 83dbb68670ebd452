//! Signals that ask the program to stop, and the exit code each of them has in a shell.

/// Calls `stop` with 128 and the number of the signal when the program is asked to stop: 130 for Ctrl-C, 143 for the
/// request that schedulers send, 129 when the terminal is gone. `stop` ends the process.
///
/// # Errors
/// In words, where the system does not let it.
#[cfg(unix)]
pub fn heed(stop: impl Fn(i32) + Send + 'static) -> Result<(), String> {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    // A file that may not grow is an error to be told, not the end of the program.
    let mut too_large = SigSet::empty();
    too_large.add(Signal::SIGXFSZ);
    too_large.thread_block().map_err(|e| e.to_string())?;
    // Threads made later are as deaf as this one: the signals wait for the one thread that asks for them, which may do
    // anything then, unlike a handler.
    signals.thread_block().map_err(|e| e.to_string())?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            // It cannot fail for a set of signals that there are.
            if let Ok(signal) = signals.wait() {
                stop(128 + signal as i32);
            }
        })
        .map(drop)
        .map_err(|e| e.to_string())
}

#[cfg(not(unix))]
pub fn heed(stop: impl Fn(i32) + Send + 'static) -> Result<(), String> {
    ctrlc::set_handler(move || stop(130)).map_err(|e| e.to_string())
}
