//! What was found, for a person and as JSON.

use brodmann_kernels::{Opt, Slices};

use super::{Found, LOCAL_OUTLIER, METRICS, QcRequest, Spots};
use crate::pipeline::run::Seconds;
use crate::pipeline::tissue::Tissue;

/// The quality of the spots of a file. Spots off the tissue are counted in `n_obs` and `n_off_tissue` alone.
#[derive(Clone, Debug, serde::Serialize)]
pub struct QcReport {
    /// Observations.
    pub n_obs: usize,
    /// Slices.
    pub n_slices: usize,
    /// Spots whose `in_tissue` is 0; `None` where the file does not say.
    pub n_off_tissue: Option<usize>,
    /// The modalities looked at.
    pub modalities: Vec<ModalityReport>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// One modality.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ModalityReport {
    /// Its name.
    pub name: String,
    /// Features.
    pub n_vars: usize,
    /// Mitochondrial genes.
    pub n_mt_genes: usize,
    /// Where their names stand.
    pub mt_genes_by: Option<String>,
    /// Counts of a spot.
    pub total_counts: Summary,
    /// Genes of a spot.
    pub n_genes_by_counts: Summary,
    /// Percent of mitochondrial counts of a spot with any counts.
    pub pct_counts_mt: Option<Summary>,
    /// Spots without counts.
    pub n_empty: usize,
    /// Spots with fewer counts than asked for.
    pub n_below_min_counts: Option<usize>,
    /// Spots with fewer genes than asked for.
    pub n_below_min_genes: Option<usize>,
    /// Spots with a larger mitochondrial share than asked for.
    pub n_above_max_mt: Option<usize>,
    /// Spots that miss any threshold.
    pub n_beyond_thresholds: Option<usize>,
    /// Spots that differ from those around them; `None` without coordinates.
    pub local_outliers: Option<LocalReport>,
}

/// How a number is distributed: smallest, quantiles, largest; NaN of no spots.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Smallest.
    pub min: f64,
    /// A twentieth is below.
    pub q05: f64,
    /// A quarter is below.
    pub q25: f64,
    /// Half is below.
    pub median: f64,
    /// Three quarters are below.
    pub q75: f64,
    /// All but a twentieth is below.
    pub q95: f64,
    /// Largest.
    pub max: f64,
}

/// Spots that differ from those around them.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LocalReport {
    /// By any metric.
    pub n: usize,
    /// By few counts.
    pub n_by_total_counts: usize,
    /// By few genes.
    pub n_by_n_genes_by_counts: usize,
    /// By a large mitochondrial share, where it is known.
    pub n_by_pct_counts_mt: Option<usize>,
    /// Spots without any z-score.
    pub n_not_judged: usize,
}

impl QcReport {
    pub(super) fn new(tissue: &Tissue, spots: &Spots, found: &[Found<'_>], request: &QcRequest) -> Self {
        let off = |there: &Vec<bool>| there.iter().filter(|t| !**t).count();
        Self {
            n_obs: tissue.n_obs(),
            n_slices: spots.slices.as_ref().map_or(1, Slices::count),
            n_off_tissue: spots.in_tissue.as_ref().map(off),
            modalities: found.iter().map(|f| ModalityReport::new(f, spots, request)).collect(),
            seconds: Seconds::default(),
        }
    }

    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for m in &self.modalities {
            let mt = match (&m.mt_genes_by, m.n_mt_genes) {
                (Some(by), n) => format!(", {n} of them mitochondrial (by {by})"),
                _ => String::new(),
            };
            lines.push(format!("{}: {} spots, {} features{mt}", m.name, self.n_obs, m.n_vars));
            let mut line = |name: &str, s: &Summary, digits: usize| {
                lines.push(format!(
                    "  {name:<18} median {:.digits$}, 5 to 95 % from {:.digits$} to {:.digits$}, extremes {:.digits$} and {:.digits$}",
                    s.median, s.q05, s.q95, s.min, s.max
                ));
            };
            line(METRICS[0], &m.total_counts, 0);
            line(METRICS[1], &m.n_genes_by_counts, 0);
            if let Some(pct) = &m.pct_counts_mt {
                line(METRICS[2], pct, 2);
            }
            let misses = [
                (m.n_below_min_counts, "below", "min_counts"),
                (m.n_below_min_genes, "below", "min_genes"),
                (m.n_above_max_mt, "above", "max_mt"),
            ];
            let misses: Vec<String> = misses
                .into_iter()
                .filter_map(|(n, side, option)| Some(format!("{} {side} {}", n?, Opt(option))))
                .collect();
            lines.push(format!("  {} spot(s) without counts", m.n_empty));
            if let Some(n) = m.n_beyond_thresholds {
                lines.push(format!("  {n} spot(s) beyond a threshold: {}", misses.join(", ")));
            }
            if let Some(local) = &m.local_outliers {
                let mt = local
                    .n_by_pct_counts_mt
                    .map_or(String::new(), |n| format!(", {n} by mitochondrial share"));
                lines.push(format!(
                    "  {} local outlier(s): {} by counts, {} by genes{mt} ({LOCAL_OUTLIER})",
                    local.n, local.n_by_total_counts, local.n_by_n_genes_by_counts
                ));
            }
        }
        if let Some(n) = self.n_off_tissue.filter(|n| *n > 0) {
            lines.push(format!("{n} spot(s) lie off the tissue; they are left out of these numbers"));
        }
        lines.push(self.seconds.line());
        lines
    }
}

impl ModalityReport {
    fn new(found: &Found<'_>, spots: &Spots, request: &QcRequest) -> Self {
        let there: Vec<usize> = (0..found.spots.total.len()).filter(|&i| spots.counts(i)).collect();
        let count = |is: &dyn Fn(usize) -> bool| there.iter().filter(|&&i| is(i)).count();
        let options = &request.options;
        let metrics = &found.spots;
        // How many miss one threshold, where it is given and meant for this modality.
        let misses = |min_counts, min_genes, max_mt| {
            let kept = metrics.kept(min_counts, min_genes, max_mt);
            count(&|i| !kept[i])
        };
        let given = |is: bool| is.then_some(()).filter(|()| found.thresholds);
        let max_mt = options.max_mt.filter(|_| metrics.pct_mt.is_some());
        let any = options.min_counts.is_some() || options.min_genes.is_some() || max_mt.is_some();
        let local = found.local.as_ref().map(|local| {
            let by = |k: usize| local.outliers.get(k).map(|column| count(&|i| column[i]));
            let all = local.any();
            LocalReport {
                n: count(&|i| all[i]),
                n_by_total_counts: by(0).unwrap_or(0),
                n_by_n_genes_by_counts: by(1).unwrap_or(0),
                n_by_pct_counts_mt: by(2),
                n_not_judged: count(&|i| local.z_scores.iter().all(|z| z[i].is_nan())),
            }
        });
        Self {
            name: found.modality.name.clone(),
            n_vars: found.n_vars,
            n_mt_genes: found.mt.0,
            mt_genes_by: found.mt.1.clone(),
            total_counts: Summary::of(there.iter().map(|&i| metrics.total[i])),
            n_genes_by_counts: Summary::of(there.iter().map(|&i| f64::from(metrics.n_genes[i]))),
            pct_counts_mt: metrics.pct_mt.as_ref().map(|pct| Summary::of(there.iter().map(|&i| pct[i]))),
            n_empty: count(&|i| metrics.total[i] == 0.0),
            n_below_min_counts: given(options.min_counts.is_some())
                .map(|()| misses(options.min_counts, None, None)),
            n_below_min_genes: given(options.min_genes.is_some())
                .map(|()| misses(None, options.min_genes, None)),
            n_above_max_mt: given(max_mt.is_some()).map(|()| misses(None, None, max_mt)),
            n_beyond_thresholds: given(any).map(|()| misses(options.min_counts, options.min_genes, max_mt)),
            local_outliers: local,
        }
    }
}

impl Summary {
    /// Of numbers, those left out that are not finite. Between two of them quantiles are interpolated, as numpy does.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let sorted = sorted(values);
        let at = |share: f64| quantile(&sorted, share);
        Self {
            min: at(0.0),
            q05: at(0.05),
            q25: at(0.25),
            median: at(0.5),
            q75: at(0.75),
            q95: at(0.95),
            max: at(1.0),
        }
    }
}

/// The finite ones of some numbers, in order.
pub(super) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The number below which a share of sorted ones lies; NaN of none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}
