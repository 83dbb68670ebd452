//! `brodmann convert`.

use super::Context;
use crate::args::ConvertArgs;
use crate::failure::Failure;

pub fn run(_context: &Context<'_>, _args: &ConvertArgs) -> Result<(), Failure> {
    Err(Failure::run("pending"))
}
