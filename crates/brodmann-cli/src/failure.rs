//! How a command ends badly: message, hint, exit code.

use std::fmt::Display;

use brodmann_kernels::diagnosis::legible;
use brodmann_kernels::{Blame, Diagnosis};

/// Exit code for input, options or files the user can put right.
const BAD_INPUT: u8 = 2;
/// Exit code for a run that failed through no fault of the input.
const FAILED_RUN: u8 = 1;
/// Exit code of a run that warned where warnings are errors.
const WARNED: u8 = 3;
/// Exit code after Ctrl-C, as shells and workflow managers expect it (128 + SIGINT).
const INTERRUPTED: u8 = 130;

/// Why the program stops, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    pub code: u8,
}

impl Failure {
    /// Something the user can put right.
    pub fn input(message: impl Display) -> Self {
        Self { message: message.to_string(), hint: None, code: BAD_INPUT }
    }

    /// A run that failed.
    pub fn run(message: impl Display) -> Self {
        Self { message: message.to_string(), hint: None, code: FAILED_RUN }
    }

    /// A run that warned, with `--strict`.
    pub fn warned(warnings: &[String]) -> Self {
        let (n, noun) = (warnings.len(), if warnings.len() == 1 { "warning" } else { "warnings" });
        let message = format!("{n} {noun}, and --strict makes that an error: {}", warnings.join("; "));
        let hint = Some("the output is complete; mend what was warned of, or leave --strict out".to_owned());
        Self { message, hint, code: WARNED }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// What happened, without what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What happened and what to do, in one line.
    pub fn told(&self) -> String {
        self.hint.as_ref().map_or_else(|| self.message.clone(), |hint| format!("{}: {hint}", self.message))
    }

    /// As the end of one step of several.
    #[must_use]
    pub fn in_step(self, step: &str, and_then: &str) -> Self {
        let hint = self.hint.map_or_else(|| and_then.to_owned(), |hint| format!("{hint}; {and_then}"));
        Self { message: format!("{step}: {}", self.message), hint: Some(hint), code: self.code }
    }

    /// Prints `error: …` and, after a blank line, `hint: …`.
    pub fn print(&self) {
        let message = legible(&self.message);
        match &self.hint {
            Some(hint) => crate::say::line(&format!("error: {message}\n\nhint: {}", legible(hint))),
            None => crate::say::line(&format!("error: {message}")),
        }
    }
}

impl<E: Diagnosis> From<E> for Failure {
    fn from(error: E) -> Self {
        let code = match error.blame() {
            Blame::Interruption => INTERRUPTED,
            Blame::Program => FAILED_RUN,
            Blame::Value | Blame::Key | Blame::File(_) | Blame::Memory => BAD_INPUT,
        };
        Self { message: error.to_string(), hint: error.advice(), code }
    }
}
