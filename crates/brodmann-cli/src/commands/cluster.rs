//! `brodmann cluster`.

use brodmann::cluster::{CovarianceModel, SelectionCriterion};
use brodmann::pipeline::embedding_clusters::{EmbeddingMethod, RefineRequest, cluster_embedding};

use super::{Context, requests, summary};
use crate::args::{ClusterArgs, ClusterMethodArg, ClusterNumber, GmmModelArg, SelectByArg};
use crate::failure::Failure;

/// Starts of k-means and of a mixture, where no number is given.
pub const KMEANS_STARTS: usize = 10;
/// See [`KMEANS_STARTS`].
pub const GMM_STARTS: usize = 5;

pub fn run(context: &Context<'_>, args: &ClusterArgs) -> Result<(), Failure> {
    let given = match args.n_clusters {
        Some(ClusterNumber::Given(k)) => Some(k),
        Some(ClusterNumber::Auto) if args.method != ClusterMethodArg::Gmm => {
            return Err(Failure::input(
                "`auto` chooses the number of clusters of a Gaussian mixture, another method was asked for; \
                 give a number with --n-clusters K or use --method gmm",
            ));
        }
        _ => None,
    };
    let method = match args.method {
        ClusterMethodArg::Kmeans => EmbeddingMethod::KMeans {
            n_clusters: given.ok_or_else(|| {
                Failure::input("k-means needs a number of clusters; give it with --n-clusters K")
            })?,
            n_init: args.n_init.unwrap_or(KMEANS_STARTS),
        },
        ClusterMethodArg::Leiden => EmbeddingMethod::Leiden {
            n_clusters: given,
            resolution: args.resolution,
            n_neighbors: args.n_neighbors,
        },
        ClusterMethodArg::Gmm => {
            if args.n_clusters.is_none() {
                return Err(Failure::input(
                    "a Gaussian mixture needs a number of clusters; give it with --n-clusters K or --n-clusters auto",
                ));
            }
            EmbeddingMethod::Gmm {
                n_clusters: given,
                model: model(args.gmm_model),
                n_init: args.n_init.unwrap_or(GMM_STARTS),
                criterion: match args.select_by {
                    SelectByArg::Stability => SelectionCriterion::Stability,
                    SelectByArg::Silhouette => SelectionCriterion::Silhouette,
                    SelectByArg::Bic => SelectionCriterion::Bic,
                },
                max_clusters: args.max_clusters,
            }
        }
    };
    let refine = args.refine.map(|n_neighbors| RefineRequest {
        n_neighbors,
        spatial_key: args.spatial_key.clone(),
        library_key: args.library_key.clone(),
    });
    let report = cluster_embedding(
        &args.input,
        &requests::destination(&args.output),
        &args.use_rep,
        &method,
        refine.as_ref(),
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
        if let Some(mixture) = &report.mixture {
            lines.push(format!("{} mixture, BIC {:.1}", mixture.model, mixture.bic));
            for tried in &mixture.tried {
                let score = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.3}"));
                lines.push(format!(
                    "  {:>3} clusters: stability {:.3}, silhouette {}, BIC {}",
                    tried.n_clusters,
                    tried.stability,
                    score(tried.silhouette),
                    tried.bic.map_or("–".to_owned(), |v| format!("{v:.0}")),
                ));
            }
        }
        lines.extend(report.n_refined.map(|n| format!("{n} labels changed by the vote of their neighbours")));
        lines.extend(report.metrics.as_ref().map(summary::scores));
        lines.push(summary::seconds(&report.seconds));
        lines
    })
}

fn model(arg: GmmModelArg) -> CovarianceModel {
    match arg {
        GmmModelArg::Eii => CovarianceModel::Eii,
        GmmModelArg::Vii => CovarianceModel::Vii,
        GmmModelArg::Eei => CovarianceModel::Eei,
        GmmModelArg::Vvi => CovarianceModel::Vvi,
        GmmModelArg::Eee => CovarianceModel::Eee,
        GmmModelArg::Vvv => CovarianceModel::Vvv,
    }
}
