//! Words to stderr and results to stdout: the first are never worth a run, the second always are.

use std::io::{self, ErrorKind, Write};

/// A line on stderr; nobody reads it where stderr is closed or full, and the work goes on.
pub fn line(text: &str) {
    // Not `eprintln`, which panics there.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Text on stdout.
///
/// # Errors
/// When it cannot be delivered. A reader that closed a pipe (`| head`) has what it wanted of text for people; the
/// reader of a `whole` document has not.
pub fn result(text: &str, whole: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if whole || e.kind() != ErrorKind::BrokenPipe => Err(e),
        _ => Ok(()),
    }
}
