//! Progress out of a long computation, interruption into it.

/// The caller asked a running computation to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// What a long computation reports to and asks. The command line draws bars from it, Python checks signals.
pub trait Monitor: Sync {
    /// A stage begins; `total` steps are expected (0: unknown).
    fn stage(&self, _name: &str, _total: u64) {}
    /// `steps` more steps of the current stage are done.
    fn advance(&self, _steps: u64) {}
    /// One line worth keeping in a log: a choice made, a fallback taken.
    fn note(&self, _message: &str) {}
    /// One line the reader should act on: a result that may be wrong, a guess to be confirmed.
    fn warn(&self, message: &str) {
        self.note(message);
    }
    /// Has the caller asked to stop? Polled at least once a second.
    fn is_interrupted(&self) -> bool {
        false
    }
    /// [`Interrupted`] when the caller asked to stop.
    fn check(&self) -> Result<(), Interrupted> {
        if self.is_interrupted() { Err(Interrupted) } else { Ok(()) }
    }
}

/// Reports nothing, never interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {}
