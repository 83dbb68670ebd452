//! Reports as lines for a person.

use brodmann::pipeline::Seconds;
use brodmann::pipeline::domains::DomainReport;
use brodmann::pipeline::evaluation::TruthScores;
use brodmann::pipeline::spami::SpamiReport;

pub fn scores(scores: &TruthScores) -> String {
    format!(
        "against obs[{:?}] ({} spots): ARI {:.3}  NMI {:.3}  AMI {:.3}  homogeneity {:.3}  completeness {:.3}",
        scores.truth,
        scores.n_labelled,
        scores.ari,
        scores.nmi,
        scores.ami,
        scores.homogeneity,
        scores.completeness
    )
}

pub fn seconds(s: &Seconds) -> String {
    format!(
        "seconds: read {:.2}, preprocess {:.2}, graph {:.2}, {}cluster {:.2}, write {:.2}",
        s.read,
        s.preprocess,
        s.graph,
        if s.train > 0.0 { format!("train {:.2}, ", s.train) } else { String::new() },
        s.cluster,
        s.write
    )
}

pub fn domains(report: &DomainReport) -> Vec<String> {
    let wanted = match report.n_clusters_requested {
        Some(k) if !report.n_clusters_reached => format!(" ({k} were asked for and not reached)"),
        _ => String::new(),
    };
    let shown: Vec<String> = report.sizes.iter().take(20).map(usize::to_string).collect();
    let more = if report.sizes.len() > 20 { ", …" } else { "" };
    let mut lines = vec![
        format!(
            "{} domains{wanted} of {} spots in obs[{:?}]",
            report.n_clusters, report.n_obs, report.key_added
        ),
        format!("sizes: {}{more}", shown.join(", ")),
    ];
    for layer in &report.layers {
        lines.push(format!(
            "layer {:<10} weight {:<6} resolution {:<8.4} {} edges",
            layer.name, layer.weight, layer.resolution, layer.n_edges
        ));
    }
    lines.push(format!("quality: {:.4}", report.quality));
    lines.extend(report.metrics.as_ref().map(scores));
    lines.push(seconds(&report.seconds));
    lines
}

pub fn spami(report: &SpamiReport) -> Vec<String> {
    let shown: Vec<String> = report.sizes.iter().take(20).map(usize::to_string).collect();
    let more = if report.sizes.len() > 20 { ", …" } else { "" };
    let mut lines = vec![
        format!(
            "{} domains of {} spots in obs[{:?}] ({} on obsm[{:?}])",
            report.n_clusters, report.n_obs, report.key_added, report.cluster_method, report.use_rep
        ),
        format!("sizes: {}{more}", shown.join(", ")),
    ];
    for m in &report.modalities {
        let attention = m.mean_attention.map_or(String::new(), |a| format!("  mean attention {a:.3}"));
        let denoised = if m.denoised { "  denoised" } else { "" };
        lines.push(format!(
            "modality {:<8} {:<4} {} features by {}{attention}{denoised}",
            m.name, m.kind, m.n_features, m.features
        ));
    }
    if let Some(l) = &report.losses {
        let named = |values: &std::collections::BTreeMap<String, f64>| {
            values.iter().map(|(name, v)| format!("{name} {v:.4}")).collect::<Vec<_>>().join(", ")
        };
        lines.push(format!(
            "loss {:.4} after {} epochs: contrast {}  reconstruction {}  cosine {:.4}",
            l.loss,
            report.n_epochs,
            named(&l.contrast),
            named(&l.reconstruction),
            l.cosine
        ));
    }
    lines.extend(report.metrics.as_ref().map(scores));
    lines.push(seconds(&report.seconds));
    lines
}
