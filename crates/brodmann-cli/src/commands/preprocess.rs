//! `brodmann preprocess`.

use brodmann::pipeline::forecast::Forecast;
use brodmann::pipeline::preprocess_file::{forecast_preprocessing, preprocess_file};
use brodmann::pipeline::request::FeatureRequest;

use brodmann_kernels::Silent;

use super::{Context, Foresight, destination};
use crate::args::PreprocessCommand;
use crate::args::said::said;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &PreprocessCommand) -> Result<(), Failure> {
    let features = said(&args.features).sections().take(&FeatureRequest::default())?;
    let report = preprocess_file(
        (&args.input, &args.source.options()),
        &destination(&args.output),
        &features,
        args.library_key.as_deref(),
        context.seed,
        context.terminal,
    )?;
    context.print(&report, || {
        report
            .modalities
            .iter()
            .map(|m| {
                format!(
                    "{}: {} spots, {} of {} features, {} components in obsm[{:?}]",
                    m.name, report.n_obs, m.n_selected, m.n_vars, m.n_components, m.key_added
                )
            })
            .collect()
    })
}

pub fn foresee(foresight: &Foresight, args: &PreprocessCommand) -> Result<Option<Forecast>, Failure> {
    let features = said(&args.features).sections().take(&FeatureRequest::default())?;
    if !foresight.open {
        return Ok(None);
    }
    let input = (args.input.as_path(), &args.source.options());
    Ok(Some(forecast_preprocessing(input, &features, args.library_key.as_deref(), &Silent)?))
}
