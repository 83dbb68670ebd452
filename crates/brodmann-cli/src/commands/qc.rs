//! `brodmann qc`.

use brodmann::pipeline::Outputs;
use brodmann::pipeline::qc::{QcRequest, qc_file};

use super::Context;
use crate::args::QcCommand;
use crate::args::said::said;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &QcCommand) -> Result<(), Failure> {
    let outputs = args.output.outputs();
    if outputs == Outputs::default() {
        return Err(Failure::input("no output is named; expected --out, --in-place, --table or --plot")
            .hint("name at least one, e.g. --plot qc.png"));
    }
    let request = QcRequest::from_said(&said(args))?;
    let report = qc_file((&args.input, &args.source.options()), &outputs, &request, context.terminal)?;
    context.print(&report, || report.lines())
}
