//! `brodmann leiden` and `brodmann spatialleiden`.

use brodmann::pipeline::domains::find_domains;
use brodmann::pipeline::request::DomainRequest;

use super::{Context, requests, summary};
use crate::args::LeidenCommand;
use crate::failure::Failure;

/// The request a command line stands for.
fn request(args: &LeidenCommand, spatial: bool) -> Result<DomainRequest, Failure> {
    let n_iterations = match args.n_iterations {
        -1 => None,
        n => Some(u32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
            Failure::input(format!("--n-iterations is {n}, 1 or more was expected; -1 runs to convergence"))
        })?),
    };
    if let Some(ratio) = args.layer_ratio
        && (!ratio.is_finite() || ratio < 0.0)
    {
        return Err(Failure::input(format!(
            "--layer-ratio is {ratio}, a number of 0 or more was expected; 1 weighs space like the modality"
        )));
    }
    let name = if spatial { "spatialleiden" } else { "leiden" };
    Ok(DomainRequest {
        spatial,
        features: requests::features(&args.preprocess),
        graphs: requests::graphs(&args.graphs),
        n_clusters: args.n_clusters,
        resolution: requests::per_layer("--resolution", args.resolution.as_deref(), "1")?,
        weight: requests::per_layer("--layer-weight", args.layer_weight.as_deref(), "1")?,
        layer_ratio: args.layer_ratio,
        directed: requests::per_layer("--directed", args.directed.as_deref(), "true")?,
        use_weights: !args.unweighted,
        quality: requests::quality(args.quality),
        n_iterations,
        truth: args.truth.clone(),
        key_added: args.key_added.clone().unwrap_or_else(|| name.to_owned()),
    })
}

pub fn run(context: &Context<'_>, args: &LeidenCommand, spatial: bool) -> Result<(), Failure> {
    let request = request(args, spatial)?;
    let destination = requests::destination(&args.output);
    let report = find_domains(&args.input, &destination, &request, context.seed, context.terminal)?;
    context.print(&report, || summary::domains(&report))
}
