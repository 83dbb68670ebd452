//! How much memory is there for this process? Asked before work that may need more.

pub use brodmann_data::memory::{available_bytes, in_words};
