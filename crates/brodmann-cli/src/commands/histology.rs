//! `brodmann image-features`.

use brodmann::pipeline::histology::{ImageFeaturesRequest, image_features_file};

use super::Context;
use crate::args::ImageFeaturesCommand;
use crate::args::said::said;
use crate::failure::Failure;
use crate::networks::networks;

pub fn run(context: &Context<'_>, args: &ImageFeaturesCommand) -> Result<(), Failure> {
    let request =
        ImageFeaturesRequest { networks: networks(), ..ImageFeaturesRequest::from_said(&said(args))? };
    let input = (args.input.as_path(), &args.source.options());
    let outputs = (&args.output.outputs(), args.patches.as_ref());
    let report = image_features_file(input, outputs, &request, context.seed, context.terminal)?;
    context.print(&report, || report.lines())
}
