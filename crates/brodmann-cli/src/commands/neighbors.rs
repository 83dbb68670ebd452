//! `brodmann neighbors`.

use brodmann::pipeline::forecast::Forecast;
use brodmann::pipeline::neighbors_file::{build_graphs, forecast_graphs};
use brodmann::pipeline::request::{FeatureRequest, GraphRequest, Place};

use brodmann_kernels::Silent;

use super::{Context, Foresight, destination};
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

pub fn foresee(foresight: &Foresight, args: &NeighborsCommand) -> Result<Option<Forecast>, Failure> {
    let features = said(&args.features).sections().take(&FeatureRequest::default())?;
    let graphs = said(&args.graphs).sections().take(&GraphRequest::default())?;
    let place = said(&args.place).sections().take(&Place::default())?;
    if !foresight.open {
        return Ok(None);
    }
    let input = (args.input.as_path(), &args.source.options());
    Ok(Some(forecast_graphs(input, &features, &graphs, &place, &Silent)?))
}
