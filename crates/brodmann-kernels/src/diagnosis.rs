//! Errors as data: what was found and expected, what to do next, and who is to spell the names in it.
//!
//! The library calls an option by its own name (`n_clusters`) and a step by its own (`preprocess`). How a reader
//! types them (`--n-clusters 5`, `n_clusters=5`) is known to the front end alone, which lends its [`Spelling`] to
//! every message, advice and note: for the whole process with [`speak`], which also reaches the threads of a pool,
//! or for one thread with [`speaking`]. Otherwise names are written as they are.
//!
//! A message reads `what was found; expected what`, the advice is a request without a full stop, and [`Told`] writes
//! both.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::sync::OnceLock;

/// How one front end writes the names of the library.
pub trait Spelling: Sync {
    /// An option: `--n-clusters`.
    fn option(&self, name: &str) -> String;
    /// An option set to a value: `--n-clusters 5`.
    fn setting(&self, name: &str, value: &str) -> String;
    /// A step as something to run: `brodmann preprocess`.
    fn step(&self, name: &str) -> String;
}

/// Names as the library has them: what a Rust user reads.
struct OwnNames;

impl Spelling for OwnNames {
    fn option(&self, name: &str) -> String {
        format!("`{name}`")
    }

    fn setting(&self, name: &str, value: &str) -> String {
        format!("`{name} = {value}`")
    }

    fn step(&self, name: &str) -> String {
        format!("`{name}`")
    }
}

/// The spelling of the process, once a front end has lent it one.
static PROCESS: OnceLock<&'static dyn Spelling> = OnceLock::new();

thread_local! {
    static THREAD: Cell<Option<&'static dyn Spelling>> = const { Cell::new(None) };
}

fn spelling() -> &'static dyn Spelling {
    THREAD.get().or_else(|| PROCESS.get().copied()).unwrap_or(&OwnNames)
}

/// Names are spelled as `spelling` has them from now on, on every thread. A process has one front end, so the first
/// call decides.
pub fn speak(spelling: &'static dyn Spelling) {
    // Of two front ends in one process neither can know whom the other talks to.
    let _ = PROCESS.set(spelling);
}

/// Does `work` with names spelled as `spelling` has them, on this thread.
pub fn speaking<T>(spelling: &'static dyn Spelling, work: impl FnOnce() -> T) -> T {
    // Put back on the way out of a panic too.
    struct Restore(Option<&'static dyn Spelling>);
    impl Drop for Restore {
        fn drop(&mut self) {
            THREAD.set(self.0);
        }
    }
    let _restore = Restore(THREAD.replace(Some(spelling)));
    work()
}

/// The name of an option, spelled by whoever is [`speaking`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opt(pub &'static str);

impl Opt {
    /// The option set to `value`.
    pub fn set(self, value: impl Display) -> Setting {
        Setting { option: self, value: value.to_string() }
    }
}

impl Display for Opt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&spelling().option(self.0))
    }
}

/// An option with a value, as something to say: made by [`Opt::set`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The option.
    pub option: Opt,
    /// Its value.
    pub value: String,
}

impl Display for Setting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&spelling().setting(self.option.0, &self.value))
    }
}

/// A step of the library as something to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(pub &'static str);

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&spelling().step(self.0))
    }
}

/// Who can put an error right, and what kind of thing was wrong: exit codes and exceptions follow from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blame {
    /// A value or a shape.
    #[default]
    Value,
    /// A key that is not there.
    Key,
    /// A file that cannot be read or written, with the number of the operating system where there is one.
    File(Option<i32>),
    /// Less memory than the work needs.
    Memory,
    /// The program itself: nothing that was given is at fault.
    Program,
    /// Nobody: the caller asked to stop.
    Interruption,
}

/// What every error of the library can say beside its message, which tells what was found and what was expected.
pub trait Diagnosis: Error {
    /// The error this one only passes on, and whose advice and blame are its own.
    fn origin(&self) -> Option<&dyn Diagnosis> {
        None
    }

    /// What to do next.
    fn advice(&self) -> Option<String> {
        self.origin()?.advice()
    }

    /// Who can put it right.
    fn blame(&self) -> Blame {
        self.origin().map_or(Blame::Value, Diagnosis::blame)
    }

    /// The file it speaks of.
    fn path(&self) -> Option<&Path> {
        self.origin()?.path()
    }

    /// Whether the caller asked for the stop.
    fn is_interruption(&self) -> bool {
        self.blame() == Blame::Interruption
    }
}

/// An error with its advice: what is shown where one text must hold both.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a>(pub &'a dyn Diagnosis);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.advice() {
            Some(advice) => write!(f, ". Hint: {advice}"),
            None => Ok(()),
        }
    }
}

/// Digits in a row that are shown; a number of 300 digits says no more than its first.
const MOST_DIGITS: usize = 40;
const SHOWN_DIGITS: usize = 12;

/// `text` as a terminal shows it without harm: names come from files, and files from anywhere.
///
/// Control characters (with them the sequences that move a cursor or change a title) and those that turn the direction
/// of writing are escaped; a line end stays where an indented line follows, as in a list. Of more than 40 digits in a row
/// the first are shown and the rest counted.
pub fn legible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = 0;
    let close = |digits: &mut usize, out: &mut String| {
        if *digits > MOST_DIGITS {
            let shown = out.len() - *digits + SHOWN_DIGITS;
            out.truncate(shown);
            out.extend(["… (", &digits.to_string(), " digits)"]);
        }
        *digits = 0;
    };
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c.is_ascii_digit() {
            digits += 1;
            out.push(c);
            continue;
        }
        close(&mut digits, &mut out);
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || (c.is_control() && !(c == '\n' && rest.as_str().starts_with("  "))) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    close(&mut digits, &mut out);
    out
}

/// The ways out of an error as one request: `a`, `a, or b`, `a, b, or c`.
pub fn alternatives(ways: &[String]) -> Option<String> {
    match ways {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., last] => Some(format!("{}, or {last}", first.join(", "))),
    }
}

impl Diagnosis for crate::Interrupted {
    fn blame(&self) -> Blame {
        Blame::Interruption
    }
}

/// A value that an option cannot have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{option} is {found}; expected {expected}")]
pub struct OptionError {
    /// The option.
    pub option: Opt,
    /// What was given, in words.
    pub found: String,
    /// What is allowed, in words.
    pub expected: String,
    /// What to do, where that is more than to give what was expected.
    pub advice: Option<String>,
}

impl OptionError {
    /// A value found where another was expected.
    pub fn new(option: &'static str, found: impl Display, expected: impl Into<String>) -> Self {
        Self { option: Opt(option), found: found.to_string(), expected: expected.into(), advice: None }
    }

    /// With what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl Diagnosis for OptionError {
    fn advice(&self) -> Option<String> {
        Some(self.advice.clone().unwrap_or_else(|| format!("choose another value for {}", self.option)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Flags;

    impl Spelling for Flags {
        fn option(&self, name: &str) -> String {
            format!("--{}", name.replace('_', "-"))
        }

        fn setting(&self, name: &str, value: &str) -> String {
            format!("{} {value}", self.option(name))
        }

        fn step(&self, name: &str) -> String {
            format!("`program {name}`")
        }
    }

    #[test]
    fn the_same_error_is_spelled_by_whoever_speaks() {
        let error = OptionError::new("n_clusters", 0, "at least 1");
        assert_eq!(error.to_string(), "`n_clusters` is 0; expected at least 1");
        let said = speaking(&Flags, || (error.to_string(), Opt("n_clusters").set(5).to_string()));
        assert_eq!(said, ("--n-clusters is 0; expected at least 1".to_owned(), "--n-clusters 5".to_owned()));
        assert_eq!(speaking(&Flags, || Step("leiden").to_string()), "`program leiden`");
        assert_eq!(Opt("n_clusters").to_string(), "`n_clusters`");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(legible("a \u{1b}[31mred\u{7}\nerror: no"), "a \\u{1b}[31mred\\u{7}\\nerror: no");
        assert_eq!(
            legible("two mistakes\n  line 1: β\n  line 2: 腫瘍"),
            "two mistakes\n  line 1: β\n  line 2: 腫瘍"
        );
        assert_eq!(legible("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        let long = "1".to_owned() + &"0".repeat(299);
        assert_eq!(legible(&format!("is {long}; x")), "is 100000000000… (300 digits); x");
        assert_eq!(legible(&"7".repeat(40)), "7".repeat(40));
    }

    #[test]
    fn a_panic_gives_the_spelling_back() {
        let panicked = std::panic::catch_unwind(|| speaking(&Flags, || panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(Opt("seed").to_string(), "`seed`");
    }
}
