//! `brodmann cluster`.

use brodmann::pipeline::embedding_clusters::{EmbeddingMethod, cluster_embedding};

use super::{Context, requests, summary};
use crate::args::{ClusterArgs, ClusterMethodArg};
use crate::failure::Failure;

pub fn run(context: &Context<'_>, args: &ClusterArgs) -> Result<(), Failure> {
    let method = match args.method {
        ClusterMethodArg::Kmeans => EmbeddingMethod::KMeans {
            n_clusters: args.n_clusters.ok_or_else(|| {
                Failure::input("k-means needs a number of clusters; give it with --n-clusters K")
            })?,
            n_init: args.n_init,
        },
        ClusterMethodArg::Leiden => EmbeddingMethod::Leiden {
            n_clusters: args.n_clusters,
            resolution: args.resolution,
            n_neighbors: args.n_neighbors,
        },
    };
    let report = cluster_embedding(
        &args.input,
        &requests::destination(&args.output),
        &args.use_rep,
        &method,
        args.truth.as_deref(),
        args.key_added.as_deref(),
        context.seed,
        context.terminal,
    )?;
    context.print(&report, || {
        let mut lines = vec![format!(
            "{} clusters of {} observations in obs[{:?}] ({} on obsm[{:?}])",
            report.n_clusters, report.n_obs, report.key_added, report.method, report.use_rep
        )];
        lines.extend(report.metrics.as_ref().map(summary::scores));
        lines.push(summary::seconds(&report.seconds));
        lines
    })
}
