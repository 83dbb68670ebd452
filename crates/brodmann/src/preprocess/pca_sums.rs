//! Principal components of rows that lie in several places: what each adds up, and what the sums say.
//!
//! Each part forms the products of its columns, `Σᵢ xᵢ xᵢᵀ`, and the sums of its rows; added in the order of the parts they
//! have the same bits wherever the parts lie, and what they take does not grow with the rows.

use brodmann_kernels::{CsrView, Monitor, OptionError, Seed, Slices};
use ndarray::{Array2, ArrayView2};

use super::column_stats::fold_columns;
use super::detect::check_finite;
use super::error::PreprocessError;
use super::pca::fix_signs;
use super::svd::form_gram::{Gram, arrange, form_gram};
use super::svd::gram::{Entry, Plain};
use super::svd::{GRAM_LIMIT, Implicit, formed_eigenpairs, times_right};

/// Columns at most: the products of so many take 100 MB.
pub const MAX_SUMMED_COLUMNS: usize = GRAM_LIMIT;

/// What the rows of a part, or of several, add up to.
#[derive(Clone, Debug, PartialEq)]
pub struct PcaSums {
    /// Rows.
    pub n_obs: usize,
    /// Sum of each column.
    pub sums: Vec<f64>,
    /// Products of columns `i ≤ j`, row by row of the upper triangle.
    pub products: Vec<f64>,
}

impl PcaSums {
    /// Of one part.
    ///
    /// # Inputs
    /// `x`: `(n_obs, n_vars)`, finite.
    /// # Errors
    /// `NonFinite`; `Option` above [`MAX_SUMMED_COLUMNS`] columns; `Interrupted`.
    /// # Cost
    /// As the Gram matrix of [`pca()`](super::pca()).
    pub fn of(x: CsrView<'_, f32>, monitor: &dyn Monitor) -> Result<Self, PreprocessError> {
        Self::of_entries(x, Plain, monitor)
    }

    /// [`PcaSums::of`] the values that `entry` makes of those stored; it makes 0 of 0.
    pub(super) fn of_entries(
        x: CsrView<'_, f32>,
        entry: impl Entry,
        monitor: &dyn Monitor,
    ) -> Result<Self, PreprocessError> {
        let f = x.n_cols();
        check_columns(f)?;
        check_finite(x)?;
        let sums = fold_columns(x, |i, j, v| [entry.of(i, j, v)]).into_iter().map(|[s]| s).collect();
        let Gram { values, order } = form_gram(x, arrange(x), &|i, j, v| entry.of(i, j, v), monitor)?;
        let mut place = vec![0; f];
        order.iter().enumerate().for_each(|(a, &j)| place[j as usize] = a);
        let mut products = Vec::with_capacity(f * (f + 1) / 2);
        for i in 0..f {
            products.extend((i..f).map(|j| values[[place[i], place[j]]]));
        }
        Ok(Self { n_obs: x.n_rows(), sums, products })
    }

    /// Adds the next part. The sums depend on the order in their last bits.
    ///
    /// # Errors
    /// `ShapeMismatch` when it has other columns.
    pub fn add(&mut self, next: &Self) -> Result<(), PreprocessError> {
        if next.sums.len() != self.sums.len() || next.products.len() != self.products.len() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the sums of a part",
                found: next.sums.len(),
                expected: self.sums.len(),
                per: "variable",
            });
        }
        self.n_obs += next.n_obs;
        self.sums.iter_mut().zip(&next.sums).for_each(|(a, b)| *a += b);
        self.products.iter_mut().zip(&next.products).for_each(|(a, b)| *a += b);
        Ok(())
    }

    /// The components of all parts together, as [`pca()`](super::pca()) without scaling.
    ///
    /// # Errors
    /// `Option` when none are asked for, `Empty` without rows or columns, `ShapeMismatch`, `Interrupted`.
    pub fn components(
        &self,
        n_components: usize,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<PcaAxes, PreprocessError> {
        Ok(self.leading(n_components, true, seed, monitor)?.0)
    }

    /// The components of all parts together, around their mean or as the rows are; and their eigenvalues.
    pub(super) fn leading(
        &self,
        n_components: usize,
        centred: bool,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<(PcaAxes, Vec<f64>), PreprocessError> {
        let f = self.sums.len();
        if n_components == 0 {
            return Err(OptionError::new("n_pcs", 0, "at least 1").into());
        }
        if self.n_obs == 0 || f == 0 {
            return Err(PreprocessError::Empty { n_obs: self.n_obs, n_vars: f });
        }
        check_columns(f)?;
        let expected = f * (f + 1) / 2;
        if self.products.len() != expected {
            let (what, found) = ("the list of products", self.products.len());
            return Err(PreprocessError::ShapeMismatch { what, found, expected, per: "pair of variables" });
        }
        let n = self.n_obs as f64;
        let mean: Vec<f64> = self.sums.iter().map(|s| if centred { s / n } else { 0.0 }).collect();
        let mut gram = Array2::zeros((f, f));
        let mut at = 0;
        for i in 0..f {
            for j in i..f {
                let value = self.products[at] - n * mean[i] * mean[j];
                (gram[[i, j]], gram[[j, i]]) = (value, value);
                at += 1;
            }
        }
        let k = n_components.min(self.n_obs - usize::from(centred)).min(f);
        let (pairs, _) = formed_eigenpairs(&gram, &[], k, seed, monitor)?;
        let mut components = pairs.vectors;
        fix_signs(&mut components, &mut Array2::zeros((0, k)));
        Ok((PcaAxes { mean, components }, pairs.values))
    }

    /// Variance of all columns together.
    pub(super) fn total_variance(&self) -> f64 {
        let n = self.n_obs.max(1) as f64;
        let (mut at, f) = (0, self.sums.len());
        let mut total = 0.0;
        for (j, sum) in self.sums.iter().enumerate() {
            total += self.products[at] - sum * sum / n;
            at += f - j;
        }
        total / (n - 1.0).max(1.0)
    }
}

fn check_columns(f: usize) -> Result<(), PreprocessError> {
    if f <= MAX_SUMMED_COLUMNS {
        return Ok(());
    }
    let expected = format!("at most {MAX_SUMMED_COLUMNS}, whose products are formed slice by slice,");
    Err(OptionError::new("n_top_genes", format!("{f} of the genes"), expected).into())
}

/// Components that rows can be seen along, those of any part and those that were not there.
#[derive(Clone, Debug, PartialEq)]
pub struct PcaAxes {
    /// Mean of each variable over all rows.
    pub mean: Vec<f64>,
    /// `(n_vars, k)`: orthonormal loadings.
    pub components: Array2<f64>,
}

impl PcaAxes {
    /// `(n_obs, k)`: each row of counts along each component. The same bits for a row in whatever part it comes.
    ///
    /// # Errors
    /// `ShapeMismatch` when `x` has other columns.
    pub fn scores(&self, x: CsrView<'_, f32>) -> Result<Array2<f64>, PreprocessError> {
        let (found, expected) = (self.mean.len().min(self.components.nrows()), x.n_cols());
        if found != expected || self.mean.len() != self.components.nrows() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the loadings",
                found,
                expected,
                per: "variable",
            });
        }
        let (slices, means) = (Slices::one(x.n_rows()), std::slice::from_ref(&self.mean));
        let implicit = Implicit { x, maps: &[], means, slices: &slices };
        let components: ArrayView2<'_, f64> = self.components.view();
        Ok(times_right(&implicit, &Plain, components))
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{CsrMatrix, Silent};

    use super::super::{PcaOptions, pca};
    use super::*;

    fn example(n: usize, f: usize) -> CsrMatrix<f32> {
        let draw = |i: usize, j: usize| (Seed(9).word((i * f + j) as u64) >> 40) as f32 / 1e6;
        let dense = Array2::from_shape_fn((n, f), |(i, j)| {
            let shared = ((i % 7) * (j % 5)) as f32;
            if (i * 3 + j) % 4 == 0 { 0.0 } else { draw(i, j) * 0.1 + shared }
        });
        CsrMatrix::from_dense(dense.view())
    }

    fn summed(x: &CsrMatrix<f32>, cuts: &[usize]) -> PcaSums {
        let mut total: Option<PcaSums> = None;
        for range in cuts.windows(2) {
            let rows: Vec<usize> = (range[0]..range[1]).collect();
            let part = PcaSums::of(x.view().select_rows(&rows).view(), &Silent).expect("finite");
            match &mut total {
                None => total = Some(part),
                Some(total) => total.add(&part).expect("of one matrix"),
            }
        }
        total.expect("at least one part")
    }

    #[test]
    fn the_components_are_those_of_all_rows() {
        let x = example(300, 20);
        let whole = pca(x.view(), None, &PcaOptions { n_components: 4 }, Seed(1), &Silent).expect("varies");
        let axes = summed(&x, &[0, 100, 130, 300]).components(4, Seed(1), &Silent).expect("varies");
        for (found, expected) in axes.components.iter().zip(&whole.components) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
        let scores = axes.scores(x.view()).expect("same columns");
        let scale = whole.scores.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (found, expected) in scores.iter().zip(&whole.scores) {
            assert!((found - expected).abs() < 1e-6 * scale, "{found} {expected}");
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_any_part() {
        let x = example(300, 20);
        let axes = summed(&x, &[0, 300]).components(4, Seed(1), &Silent).expect("varies");
        let whole = axes.scores(x.view()).expect("same columns");
        for (start, end) in [(0, 1), (13, 77), (131, 300)] {
            let rows: Vec<usize> = (start..end).collect();
            let part = axes.scores(x.view().select_rows(&rows).view()).expect("same columns");
            for (row, &i) in part.rows().into_iter().zip(&rows) {
                assert_eq!(row, whole.row(i));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut sums = summed(&example(30, 5), &[0, 30]);
        assert!(sums.add(&summed(&example(30, 6), &[0, 30])).is_err());
        assert!(sums.components(0, Seed(0), &Silent).is_err());
        let axes = sums.components(2, Seed(0), &Silent).expect("varies");
        assert!(axes.scores(example(3, 6).view()).is_err());
        let none = PcaSums { n_obs: 0, sums: vec![0.0], products: vec![0.0] };
        assert!(none.components(1, Seed(0), &Silent).is_err());
        let wide = CsrMatrix::<f32>::from_rows(MAX_SUMMED_COLUMNS + 1, &[Vec::new()]);
        let message = PcaSums::of(wide.view(), &Silent).expect_err("too wide").to_string();
        assert!(message.contains("5000"), "{message}");
    }
}
