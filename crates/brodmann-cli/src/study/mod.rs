//! A study as a file: `brodmann run pipeline.toml`.
//!
//! ```text
//! text → Document (keys with their lines) → Study (steps as argument vectors, checked whole) → run, step by step
//!                                                ↕
//!                                            State (what is finished, by content)
//! ```
//!
//! * [`document`]: the file as keys, values and lines, with what `--set` says laid over it.
//! * [`flags`]: what the command line knows of a command: which key is which flag, which flag names a file. Nothing here is
//!   written for one command.
//! * [`plan`]: names to files, steps to argument vectors, and everything that can be wrong, said at once.
//! * [`problems`]: the list of what is wrong. [`words`]: what the parser of flags refuses, in our words.
//! * [`content`]: are these the same files? [`state`]: which steps are finished, and why one is not.
//! * [`init`]: a study written for a file.

pub mod content;
pub mod document;
pub mod existing;
pub mod flags;
pub mod init;
pub mod plan;
pub mod problems;
pub mod state;
pub mod words;

#[cfg(test)]
mod tests;
