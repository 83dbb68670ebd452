//! What varies over space.
