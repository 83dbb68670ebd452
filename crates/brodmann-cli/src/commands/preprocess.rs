//! `brodmann preprocess`.

use brodmann::pipeline::features::preprocess_file;

use super::{Context, requests};
use crate::args::PreprocessCommand;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &PreprocessCommand) -> Result<(), Failure> {
    let report = preprocess_file(
        &args.input,
        &requests::destination(&args.output),
        &requests::features(&args.preprocess),
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
