//! The `brodmann` command.

fn main() {}
