//! What links were found, for a person and as JSON.

use serde::Serialize;

use super::{Found, LinksRequest};
use crate::pipeline::run::Seconds;
use crate::pipeline::tissue::Tissue;

/// Adjusted p-values below this are counted.
const SIGNIFICANT: f64 = 0.05;

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinksReport {
    /// Cells.
    pub n_obs: usize,
    /// The embedding.
    pub use_rep: String,
    /// The labels.
    pub groupby: String,
    /// Genes, and those with a position.
    pub n_genes: [usize; 2],
    /// Peaks, and those with a position.
    pub n_peaks: [usize; 2],
    /// Pairs of a peak and a gene within reach.
    pub n_pairs: usize,
    /// Parts of the genome that share no peak and no gene, and those whose plan settled.
    pub n_components: [usize; 2],
    /// Share of the accessibility, and of the expression, that found no partner.
    pub unmatched: [f64; 2],
    /// Of each domain.
    pub domains: Vec<DomainLinks>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// Links of one domain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DomainLinks {
    /// The domain.
    pub domain: String,
    /// Its cells.
    pub n_obs: usize,
    /// Links stronger there than elsewhere, by their adjusted p-value.
    pub n_specific: usize,
    /// Of these the ones whose domain contributes most to the correlation of peak and gene.
    pub top: Vec<Link>,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// The gene.
    pub gene: String,
    /// The peak.
    pub peak: String,
    /// Bases from where transcription starts to the peak, along it.
    pub distance: i64,
    /// What the domain contributes to the correlation of peak and gene.
    pub pearson: f64,
    /// Standard deviations that the strength is above what chance gives.
    pub z: f64,
    /// Adjusted p-value.
    pub p_adjusted: f64,
}

impl LinksReport {
    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} links of {} of {} genes with {} of {} peaks ({} cells, by {})",
            self.n_pairs,
            self.n_genes[1],
            self.n_genes[0],
            self.n_peaks[1],
            self.n_peaks[0],
            self.n_obs,
            self.use_rep
        )];
        for of in &self.domains {
            let link = |l: &Link| {
                format!("{} – {} ({:+} bases, r {:+.2}, z {:.1})", l.gene, l.peak, l.distance, l.pearson, l.z)
            };
            let top: Vec<String> = of.top.iter().map(link).collect();
            let top = if top.is_empty() { String::new() } else { format!(": {}", top.join("; ")) };
            lines
                .push(format!("  {} ({} cells): {} specific links{top}", of.domain, of.n_obs, of.n_specific));
        }
        lines
    }
}

/// What has no correlation comes after what has the least.
pub(super) fn sortable(r: f64) -> f64 {
    if r.is_nan() { f64::NEG_INFINITY } else { r }
}

pub(super) fn report(tissue: &Tissue, found: &Found, request: &LinksRequest) -> LinksReport {
    let pairs = &found.pairs;
    let domain = |(d, name): (usize, &String)| {
        let (p, z) = (found.specific.p_adjusted.column(d), found.specific.z_score.column(d));
        let r = found.correlations.by_domain.column(d);
        let mut specific: Vec<usize> = (0..pairs.len()).filter(|&k| p[k] < SIGNIFICANT).collect();
        let n_specific = specific.len();
        // By the correlation, not by z, which is as large for any open peak of an expressed gene: on simulated links 7 of the
        // first 25 by z were true, and 24 of these. NaN comes last.
        specific.sort_by(|&a, &b| sortable(r[b]).total_cmp(&sortable(r[a])));
        specific.truncate(request.options.n_top);
        let link = |k: usize| Link {
            gene: found.genes.names[pairs.genes()[k] as usize].clone(),
            peak: found.peaks.names[pairs.peaks()[k] as usize].clone(),
            distance: pairs.distances()[k],
            pearson: r[k],
            z: z[k],
            p_adjusted: p[k],
        };
        DomainLinks {
            domain: name.clone(),
            n_obs: found.strengths.sizes[d],
            n_specific,
            top: specific.into_iter().map(link).collect(),
        }
    };
    LinksReport {
        n_obs: tissue.n_obs(),
        use_rep: found.embedding.clone(),
        groupby: found.groups.key.clone(),
        n_genes: [found.genes.names.len(), found.genes.n_placed],
        n_peaks: [found.peaks.names.len(), found.peaks.n_placed],
        n_pairs: pairs.len(),
        n_components: [found.components.len(), found.components.iter().filter(|fate| fate.converged).count()],
        unmatched: found.unmatched,
        domains: found.groups.names.iter().enumerate().map(domain).collect(),
        seconds: Seconds::default(),
    }
}
