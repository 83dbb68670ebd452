//! What is moved: counts of peaks or genes, species by species.

use brodmann_kernels::CsrView;

use super::LinksError;
use super::window::LinkPairs;

/// Numbers of a matrix of counts.
pub trait Count: Copy + Send + Sync + Default + Into<f64> {}
impl<T: Copy + Send + Sync + Default + Into<f64>> Count for T {}

/// Positive counts, one row per species; negative ones count as 0.
#[derive(Clone, Debug)]
pub(super) struct Masses<T> {
    indptr: Vec<usize>,
    cells: Vec<u32>,
    counts: Vec<T>,
    total: f64,
    /// Smallest and largest positive count of the species that are not held.
    others: Option<[f64; 2]>,
}

/// The counts of peaks and of genes that have a pair, of matrices that must fit the cells and the pairs.
pub(super) fn masses_of_pairs<T: Count>(
    (peaks, genes): (CsrView<'_, T>, CsrView<'_, T>),
    pairs: &LinkPairs,
    n_cells: usize,
) -> Result<(Masses<T>, Masses<T>), LinksError> {
    for (what, found, of, expected) in [
        ("the matrix of peaks", peaks.n_rows(), "rows", n_cells),
        ("the matrix of genes", genes.n_rows(), "rows", n_cells),
        ("the matrix of peaks", peaks.n_cols(), "columns", pairs.n_peaks()),
        ("the matrix of genes", genes.n_cols(), "columns", pairs.n_genes()),
    ] {
        if found != expected {
            return Err(LinksError::Size { what, found, of, expected });
        }
    }
    let mut has_gene = vec![false; pairs.n_peaks()];
    pairs.peaks().iter().for_each(|&p| has_gene[p as usize] = true);
    let peaks = Masses::new("the matrix of peaks", peaks, |p| has_gene[p])?;
    let genes = Masses::new("the matrix of genes", genes, |g| !pairs.of_gene(g).is_empty())?;
    Ok((peaks, genes))
}

impl<T: Count> Masses<T> {
    /// The species that `wanted` names, of a matrix `(n_cells, n_species)`; `total` is of all.
    pub(super) fn new(
        what: &'static str,
        counts: CsrView<'_, T>,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Self, LinksError> {
        let n_cells = counts.n_rows();
        let mut total = 0.0;
        let mut others: Option<[f64; 2]> = None;
        let mut indptr = vec![0; counts.n_cols() + 1];
        for row in 0..n_cells {
            let (columns, values) = counts.row(row);
            let mut in_row = 0.0;
            for (&c, &v) in columns.iter().zip(values) {
                let v: f64 = v.into();
                if !v.is_finite() {
                    let (column, value) = (c as usize, v.to_string());
                    return Err(LinksError::NonFinite { what, row, column, value });
                }
                in_row += v.max(0.0);
                if v > 0.0 && !wanted(c as usize) {
                    let [low, high] = others.unwrap_or([v; 2]);
                    others = Some([low.min(v), high.max(v)]);
                }
                indptr[c as usize + 1] += usize::from(v > 0.0 && wanted(c as usize));
            }
            total += in_row;
        }
        if !(total > 0.0 && total.is_finite()) {
            return Err(LinksError::NoMass { what });
        }
        for species in 0..counts.n_cols() {
            indptr[species + 1] += indptr[species];
        }
        let nnz = indptr[counts.n_cols()];
        let (mut indices, mut data) = (vec![0; nnz], vec![T::default(); nnz]);
        let mut next = indptr.clone();
        for row in 0..n_cells {
            let (columns, values) = counts.row(row);
            for (&c, &v) in columns.iter().zip(values) {
                if v.into() > 0.0 && wanted(c as usize) {
                    let at = &mut next[c as usize];
                    (indices[*at], data[*at]) = (row as u32, v);
                    *at += 1;
                }
            }
        }
        Ok(Self { indptr, cells: indices, counts: data, total, others })
    }

    /// Sum over all cells and species.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// Smallest and largest positive count of the species that are not held.
    pub(super) fn others(&self) -> Option<[f64; 2]> {
        self.others
    }

    /// Cells of a species by rising number, and its count in each.
    pub(super) fn of(&self, species: u32) -> (&[u32], &[T]) {
        let range = self.indptr[species as usize]..self.indptr[species as usize + 1];
        (&self.cells[range.clone()], &self.counts[range])
    }
}
