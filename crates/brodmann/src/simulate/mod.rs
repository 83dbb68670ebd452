//! Tissues whose truth is known.
