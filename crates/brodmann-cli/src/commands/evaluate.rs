//! `brodmann evaluate`.

use brodmann::pipeline::evaluation::{EvaluationRequest, evaluate_file};

use super::Context;
use crate::args::EvaluateArgs;
use crate::failure::Failure;

/// A metric's name and value.
type Entry = (&'static str, Option<f64>);

pub fn run(context: &Context<'_>, args: &EvaluateArgs) -> Result<(), Failure> {
    let request = EvaluationRequest {
        pred: args.pred.clone(),
        truth: args.truth.clone(),
        use_rep: args.use_rep.clone(),
        batch_key: args.batch_key.clone(),
        spatial_key: args.spatial_key.clone(),
    };
    let report = evaluate_file(&args.input, &request, context.seed, context.terminal)?;
    context.print(&report, || {
        let m = &report.metrics;
        let mut lines = vec![format!(
            "obs[{:?}]: {} labels of {} observations",
            report.pred, report.n_clusters, report.n_obs
        )];
        let groups: [(String, &[Entry]); 4] = [
            (
                format!("against obs[{:?}]", report.truth.as_deref().unwrap_or("-")),
                &[
                    ("ARI", m.ari),
                    ("NMI", m.nmi),
                    ("AMI", m.ami),
                    ("homogeneity", m.homogeneity),
                    ("completeness", m.completeness),
                    ("V-measure", m.v_measure),
                ],
            ),
            (
                format!("in obsm[{:?}]", report.use_rep.as_deref().unwrap_or("-")),
                &[
                    ("silhouette", m.silhouette),
                    ("Davies–Bouldin", m.davies_bouldin),
                    ("Calinski–Harabasz", m.calinski_harabasz),
                ],
            ),
            ("in space".to_owned(), &[("Moran's I of labels", m.morans_i), ("PAS", m.pas)]),
            ("across batches".to_owned(), &[("iLISI (median)", m.ilisi_median), ("BatchKL", m.batch_kl)]),
        ];
        for (title, values) in &groups {
            let known: Vec<String> = values
                .iter()
                .filter_map(|(name, value)| value.map(|v| format!("  {name:<20} {v:.4}")))
                .collect();
            if !known.is_empty() {
                lines.push(title.clone());
                lines.extend(known);
            }
        }
        lines.extend(m.notes.iter().map(|n| format!("note: {n}")));
        lines
    })
}
