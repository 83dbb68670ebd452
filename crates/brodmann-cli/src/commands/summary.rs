//! Reports as lines for a person.

use brodmann::pipeline::Seconds;
use brodmann::pipeline::domains::DomainReport;
use brodmann::pipeline::evaluation::TruthScores;
use brodmann::pipeline::spami::SpamiReport;
use brodmann::pipeline::staig::StaigReport;

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

pub fn staig(report: &StaigReport) -> Vec<String> {
    let shown: Vec<String> = report.sizes.iter().take(20).map(usize::to_string).collect();
    let more = if report.sizes.len() > 20 { ", …" } else { "" };
    let chosen = report.n_clusters_by.map_or(String::new(), |by| format!(" (chosen by {by})"));
    let features = &report.features;
    let mut lines = vec![
        format!(
            "{} domains{chosen} of {} spots in obs[{:?}] ({} on obsm[{:?}])",
            report.n_clusters, report.n_obs, report.key_added, report.cluster_method, report.use_rep
        ),
        format!("sizes: {}{more}", shown.join(", ")),
        format!(
            "{} of {} genes as {}, {} spatial edges",
            features.n_features,
            features.n_vars,
            features.values,
            report.n_edges / 2
        ),
    ];
    if let (Some(loss), Some(negatives)) = (report.loss, report.negatives) {
        let bound = report.moments_bound.map_or(String::new(), |b| format!(" (error below {b:.1e})"));
        lines.push(format!("loss {loss:.4} after {} epochs, negatives {negatives}{bound}", report.n_epochs));
    }
    if let Some(r) = &report.restarts {
        lines.push(format!(
            "{} networks: ARI of two of them {:.3}, stability of a spot {:.3}",
            r.n, r.agreement, r.mean_stability
        ));
    }
    if let Some(i) = &report.integration {
        let number = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.3}"));
        lines.push(format!(
            "{} slices: iLISI {} (before {}), BatchKL {} (before {})",
            report.n_slices,
            number(i.ilisi),
            number(i.ilisi_before),
            number(i.batch_kl),
            number(i.batch_kl_before)
        ));
    }
    for slice in &report.slices {
        let ari =
            slice.metrics.as_ref().map_or(String::new(), |m| format!("  ARI {:.3}  NMI {:.3}", m.ari, m.nmi));
        lines.push(format!(
            "slice {:<12} {} spots, {} domains{ari}",
            slice.name, slice.n_obs, slice.n_clusters
        ));
    }
    lines.extend(report.metrics.as_ref().map(scores));
    if let Some(m) = &report.metrics_unrefined {
        lines.push(format!(
            "before the vote of {} neighbours: ARI {:.3}  NMI {:.3}",
            report.refine, m.ari, m.nmi
        ));
    }
    lines.push(seconds(&report.seconds));
    lines
}
