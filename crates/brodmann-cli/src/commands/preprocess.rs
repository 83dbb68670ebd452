//! `brodmann preprocess`.

use brodmann::pipeline::preprocess_file::preprocess_file;
use brodmann::pipeline::request::FeatureRequest;

use super::{Context, destination};
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
