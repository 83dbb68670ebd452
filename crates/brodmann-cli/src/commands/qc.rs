//! `brodmann qc`.

use brodmann::pipeline::Destination;
use brodmann::pipeline::qc::{QcOutputs, QcRequest, qc_file};

use super::Context;
use crate::args::QcCommand;
use crate::args::said::said;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &QcCommand) -> Result<(), Failure> {
    let output = &args.output;
    let in_place = output.in_place.then_some(Destination::InPlace);
    let outputs = QcOutputs {
        destination: output.out.clone().map(Destination::File).or(in_place),
        table: output.table.clone(),
        plot: output.plot.clone(),
    };
    if outputs == QcOutputs::default() {
        return Err(Failure::input("no output is named; expected --out, --in-place, --table or --plot")
            .hint("name at least one, e.g. --plot qc.png"));
    }
    let request = QcRequest::from_said(&said(args))?;
    let report = qc_file((&args.input, &args.source.options()), &outputs, &request, context.terminal)?;
    context.print(&report, || report.lines())
}
