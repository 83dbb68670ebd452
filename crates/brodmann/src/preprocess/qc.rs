//! Quality of spots before anything is made of them: counts, genes seen, share of mitochondrial counts.
//!
//! [`spot_metrics`] is one pass over the rows of any source, and all that a filter by thresholds needs.

use brodmann_kernels::Monitor;

use super::column_stats::row_total;
use super::detect::Scan;
use super::error::PreprocessError;
use super::rows::{Fold, RowSource, fold_rows};

/// What names of mitochondrial genes begin with where nothing else is said: as people, mice and some tables write it.
pub const MT_PREFIXES: [&str; 3] = ["MT-", "mt-", "Mt-"];

/// The quality of each spot.
#[derive(Clone, Debug, PartialEq)]
pub struct SpotMetrics {
    /// Counts (`total_counts`).
    pub total: Vec<f64>,
    /// Genes with any count (`n_genes_by_counts`).
    pub n_genes: Vec<u32>,
    /// Percent of the counts that are of mitochondrial genes (`pct_counts_mt`), NaN for spots without counts; `None`
    /// where no gene is known to be mitochondrial.
    pub pct_mt: Option<Vec<f64>>,
    /// Whether all values are whole numbers, as counts are.
    pub whole: bool,
}

impl SpotMetrics {
    /// Spots without any count.
    pub fn n_empty(&self) -> usize {
        self.total.iter().filter(|t| **t == 0.0).count()
    }

    /// Which spots a filter would keep: `min_counts` and `min_genes` or more, `max_mt` percent or less.
    ///
    /// What was not said keeps all. A spot without counts has no share of mitochondrial ones, so `max_mt` keeps it.
    pub fn kept(&self, min_counts: Option<f64>, min_genes: Option<usize>, max_mt: Option<f64>) -> Vec<bool> {
        let counts = |i: usize| min_counts.is_none_or(|least| self.total[i] >= least);
        let genes = |i: usize| min_genes.is_none_or(|least| self.n_genes[i] as usize >= least);
        let mt = |i: usize| match (max_mt, &self.pct_mt) {
            (Some(most), Some(pct)) => pct[i].is_nan() || pct[i] <= most,
            _ => true,
        };
        (0..self.total.len()).map(|i| counts(i) && genes(i) && mt(i)).collect()
    }
}

/// How often each gene was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneMetrics {
    /// Spots with any count of the gene (`n_cells_by_counts`).
    pub n_cells: Vec<u32>,
    /// Counts of the gene in all spots (`total_counts`).
    pub total: Vec<f64>,
}

/// Which genes are mitochondrial, by what their names begin with.
///
/// # Inputs
/// `prefix`: as it is written in the names; `None`: any of [`MT_PREFIXES`].
///
/// # Example
///
/// ```
/// use brodmann::preprocess::qc::mitochondrial;
///
/// assert_eq!(mitochondrial(&["MT-ND1", "mt-Co1", "MTOR"], None), [true, true, false]);
/// assert_eq!(mitochondrial(&["mt:ND1", "MT-ND1"], Some("mt:")), [true, false]);
/// ```
pub fn mitochondrial<S: AsRef<str>>(names: &[S], prefix: Option<&str>) -> Vec<bool> {
    let is_mt = |name: &str| match prefix {
        Some(prefix) => name.starts_with(prefix),
        None => MT_PREFIXES.iter().any(|p| name.starts_with(p)),
    };
    names.iter().map(|name| is_mt(name.as_ref())).collect()
}

/// Counts, genes seen and percent of mitochondrial counts of each spot.
///
/// # Inputs
/// `rows`: `(n_obs, n_vars)` counts of 0 or more, in memory or read block by block. `mito`: whether each gene is
/// mitochondrial ([`mitochondrial`]); where none is, there is no percentage.
/// # Returns
/// Sums in f64, in the order of the columns: the same bits on any number of threads.
/// # Errors
/// `ShapeMismatch` unless there is one flag per gene; `NonFinite` and `Negative` naming the first such entry; the
/// source's own.
/// # Cost
/// One pass over the stored entries, 20 bytes a spot.
/// # Source
/// The metrics and names of scanpy's `pp.calculate_qc_metrics`.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::qc::spot_metrics;
/// use brodmann_kernels::{CsrMatrix, Silent};
/// use ndarray::array;
///
/// let counts = CsrMatrix::from_dense(array![[1.0f32, 0.0, 3.0], [0.0, 0.0, 5.0]].view());
/// let found = spot_metrics(&counts.view(), &[true, false, false], &Silent)?;
/// assert_eq!((found.total, found.n_genes), (vec![4.0, 5.0], vec![2, 1]));
/// assert_eq!(found.pct_mt, Some(vec![25.0, 0.0]));
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn spot_metrics<S: RowSource>(
    rows: &S,
    mito: &[bool],
    monitor: &dyn Monitor,
) -> Result<SpotMetrics, S::Error> {
    Ok(metrics(rows, mito, false, monitor)?.0)
}

/// [`spot_metrics`], and how often each gene was seen, in the same pass.
///
/// # Errors
/// As [`spot_metrics`].
/// # Cost
/// As [`spot_metrics`]; 12 bytes a gene for each of up to 32 chunks of rows worked on at a time.
pub fn spot_and_gene_metrics<S: RowSource>(
    rows: &S,
    mito: &[bool],
    monitor: &dyn Monitor,
) -> Result<(SpotMetrics, GeneMetrics), S::Error> {
    metrics(rows, mito, true, monitor)
}

fn metrics<S: RowSource>(
    rows: &S,
    mito: &[bool],
    genes: bool,
    monitor: &dyn Monitor,
) -> Result<(SpotMetrics, GeneMetrics), S::Error> {
    if mito.len() != rows.n_cols() {
        let (found, expected) = (mito.len(), rows.n_cols());
        let what = "the list of mitochondrial genes";
        return Err(PreprocessError::ShapeMismatch { what, found, expected, per: "variable" }.into());
    }
    let any_mt = mito.iter().any(|m| *m);
    let n_vars = if genes { mito.len() } else { 0 };
    let sums = fold_rows(rows, monitor, || Sums {
        mito: any_mt.then_some(mito),
        total: Vec::new(),
        n_genes: Vec::new(),
        total_mt: Vec::new(),
        genes: GeneMetrics { n_cells: vec![0; n_vars], total: vec![0.0; n_vars] },
        scan: Scan::default(),
    })?;
    sums.scan.check(rows, false)?;
    // 0 of 0 is NaN, as in scanpy.
    let percent = || sums.total_mt.iter().zip(&sums.total).map(|(mt, all)| 100.0 * mt / all).collect();
    let pct_mt = any_mt.then(percent);
    let whole = sums.scan.is_whole();
    Ok((SpotMetrics { total: sums.total, n_genes: sums.n_genes, pct_mt, whole }, sums.genes))
}

/// Of a run of rows.
struct Sums<'a> {
    mito: Option<&'a [bool]>,
    total: Vec<f64>,
    n_genes: Vec<u32>,
    total_mt: Vec<f64>,
    /// Empty where nobody asks for genes.
    genes: GeneMetrics,
    scan: Scan,
}

impl Fold for Sums<'_> {
    fn row(&mut self, i: usize, columns: &[u32], values: &[f32]) {
        self.scan.row(i, columns, values);
        self.total.push(row_total(columns, values, None));
        self.n_genes.push(values.iter().filter(|v| **v != 0.0).count() as u32);
        if let Some(mito) = self.mito {
            self.total_mt.push(row_total(columns, values, Some(mito)));
        }
        if !self.genes.total.is_empty() {
            for (&j, &v) in columns.iter().zip(values) {
                self.genes.n_cells[j as usize] += u32::from(v != 0.0);
                self.genes.total[j as usize] += f64::from(v);
            }
        }
    }

    fn absorb(&mut self, later: Self) {
        self.total.extend(later.total);
        self.n_genes.extend(later.n_genes);
        self.total_mt.extend(later.total_mt);
        for (sum, more) in self.genes.n_cells.iter_mut().zip(later.genes.n_cells) {
            *sum += more;
        }
        for (sum, more) in self.genes.total.iter_mut().zip(later.genes.total) {
            *sum += more;
        }
        self.scan.absorb(&later.scan);
    }
}

#[cfg(test)]
mod tests;
