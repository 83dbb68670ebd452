//! `brodmann info`.

use brodmann::pipeline::describe::{Description, describe};

use super::Context;
use crate::args::InfoArgs;
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &InfoArgs) -> Result<(), Failure> {
    let (options, monitor) = (args.source.options(), context.terminal);
    let like = args.features.as_deref();
    let samples = brodmann_data::samples(&args.input);
    if samples.is_empty() {
        let description = describe(&args.input, &options, like, monitor)?;
        return context.print(&description, || description.lines());
    }
    let mut descriptions = Vec::with_capacity(samples.len());
    for sample in &samples {
        descriptions.push(describe(sample, &options, like, monitor)?);
    }
    let project = Project { path: args.input.display().to_string(), samples: descriptions };
    context.print(&project, || {
        let mut lines = vec![format!("{}: a project of {} samples", project.path, project.samples.len())];
        lines.extend(project.samples.iter().flat_map(Description::lines));
        lines
    })
}

/// A folder of samples.
#[derive(serde::Serialize)]
struct Project {
    path: String,
    samples: Vec<Description>,
}
