//! How a command ends badly: message, hint, exit code.

use std::fmt::Display;

/// Exit code for input, options or files the user can put right.
const BAD_INPUT: u8 = 2;
/// Exit code for a run that failed through no fault of the input.
const FAILED_RUN: u8 = 1;
/// Exit code after Ctrl-C, as shells and workflow managers expect it (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// Why the program stops, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    pub code: u8,
}

impl Failure {
    /// Something the user can put right.
    pub fn input(message: impl Display) -> Self {
        Self { message: message.to_string(), code: BAD_INPUT }
    }

    /// A run that failed.
    pub fn run(message: impl Display) -> Self {
        Self { message: message.to_string(), code: FAILED_RUN }
    }

    /// Prints `error: …` and, after a blank line, `hint: …`: the library's messages say what was found before the
    /// first `; ` and what to do after it.
    pub fn print(&self) {
        match self.message.split_once("; ") {
            Some((found, to_do)) => eprintln!("error: {found}\n\nhint: {to_do}"),
            None => eprintln!("error: {}", self.message),
        }
    }
}

impl From<brodmann::pipeline::PipelineError> for Failure {
    fn from(error: brodmann::pipeline::PipelineError) -> Self {
        if error.is_interruption() {
            return Self { message: error.to_string(), code: INTERRUPTED };
        }
        match error {
            brodmann::pipeline::PipelineError::Data(error) => error.into(),
            other => Self::input(other),
        }
    }
}

impl From<brodmann_data::DataError> for Failure {
    fn from(error: brodmann_data::DataError) -> Self {
        match error {
            // What was written does not read back: nothing the user gave is at fault.
            brodmann_data::DataError::ReadBack { .. } => Self::run(error),
            other => Self::input(other),
        }
    }
}
