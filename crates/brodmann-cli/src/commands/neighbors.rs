//! `brodmann neighbors`.

use brodmann::pipeline::graphs::build_graphs;

use super::{Context, requests, summary};
use crate::args::NeighborsCommand;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &NeighborsCommand) -> Result<(), Failure> {
    let report = build_graphs(
        &args.input,
        &requests::destination(&args.output),
        &requests::features(&args.preprocess),
        &requests::graphs(&args.graphs),
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
        lines.push(summary::seconds(&report.seconds));
        lines
    })
}
