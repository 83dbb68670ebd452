//! `brodmann neighbors`.

use brodmann::pipeline::neighbors_file::build_graphs;
use brodmann::pipeline::request::{FeatureRequest, GraphRequest, Place};

use super::{Context, destination};
use crate::args::NeighborsCommand;
use crate::args::said::said;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &NeighborsCommand) -> Result<(), Failure> {
    let report = build_graphs(
        (&args.input, &args.source.options()),
        &destination(&args.output),
        &said(&args.features).sections().take(&FeatureRequest::default())?,
        &said(&args.graphs).sections().take(&GraphRequest::default())?,
        &said(&args.place).sections().take(&Place::default())?,
        context.seed,
        context.terminal,
    )?;
    context.print(&report, || {
        let mut lines: Vec<String> = report
            .graphs
            .iter()
            .map(|g| {
                format!(
                    "{:<10} {} spots, {} edges, {:.1} neighbours each, {} component(s)",
                    g.name, report.n_obs, g.n_edges, g.mean_neighbors, g.n_components
                )
            })
            .collect();
        lines.push(report.seconds.line());
        lines
    })
}
