//! `brodmann info`.

use brodmann::pipeline::describe::describe;

use super::Context;
use crate::args::InfoArgs;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &InfoArgs) -> Result<(), Failure> {
    let description = describe(&args.input)?;
    context.print(&description, || description.lines())
}
