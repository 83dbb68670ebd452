//! Gaussians apart from the data they came from: what a saved model tells its domains by.

use brodmann_kernels::Monitor;
use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::em::{Data, column_means, likeliest_rows};
use super::model::{CovarianceModel, Covariances, Floor, Parameters};
use super::{GaussianMixture, GmmError, require_finite};

/// One Gaussian per group.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussians {
    /// Share of each group, `(k)`.
    pub weights: Vec<f64>,
    /// `(k, d)`.
    pub means: Array2<f64>,
    /// `(1 or k, d, d)`: one for all groups, or one each.
    pub covariances: Array3<f64>,
}

/// Groups of rows that were not there when the Gaussians were fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// The likeliest group of each row, ties to the lower number.
    pub labels: Vec<u32>,
    /// Logarithm of the density of each row under all Gaussians together.
    pub log_densities: Vec<f64>,
}

impl From<&GaussianMixture> for Gaussians {
    fn from(mixture: &GaussianMixture) -> Self {
        let n = if mixture.model.is_shared() { 1 } else { mixture.means.nrows() };
        let covariances = mixture.covariances.slice_axis(Axis(0), (..n).into()).to_owned();
        Self { weights: mixture.weights.clone(), means: mixture.means.clone(), covariances }
    }
}

impl Gaussians {
    /// The Gaussians of groups that are known: shares, means and covariances of the rows of each.
    ///
    /// # Inputs
    /// `x`: `(n_obs, d)`, finite. `labels`: one per row; `k` is one more than the largest. `model`:
    /// [`CovarianceModel::Eee`] for linear boundaries, [`CovarianceModel::Vvv`] for quadratic ones.
    /// # Errors
    /// [`GmmError::NonFinite`], [`GmmError::NoColumns`], [`GmmError::Interrupted`].
    /// # Panics
    /// When labels and rows are not of one number, or there are none.
    /// # Cost
    /// O(n_obs · d²).
    /// # Source
    /// Fisher 1936 (linear discriminant); Smith 1947 (quadratic).
    pub fn of_groups(
        x: ArrayView2<'_, f64>,
        labels: &[u32],
        model: CovarianceModel,
        monitor: &dyn Monitor,
    ) -> Result<Self, GmmError> {
        assert_eq!(x.nrows(), labels.len(), "a label per row");
        let k = *labels.iter().max().expect("at least one row") as usize + 1;
        if x.ncols() == 0 {
            return Err(GmmError::NoColumns);
        }
        require_finite(x)?;
        let mean = column_means(x);
        let data = Data::new((&x - &mean).as_standard_layout().into_owned(), 0.0, model);
        let mut shares = Array2::zeros((labels.len(), k));
        labels.iter().enumerate().for_each(|(i, &label)| shares[[i, label as usize]] = 1.0);
        let (found, _) = data.maximisation(shares.view(), model, None, monitor)?;
        let n = if model.is_shared() { 1 } else { k };
        let covariances = found.covariances.to_dense(n, x.ncols());
        Ok(Self { weights: found.weights, means: found.means + &mean, covariances })
    }

    /// Groups.
    pub fn n_groups(&self) -> usize {
        self.weights.len()
    }

    /// The same with group `c` numbered `number[c]`, which is a permutation.
    #[must_use]
    pub fn renumbered(&self, number: &[u32]) -> Self {
        let mut order: Vec<usize> = (0..number.len()).collect();
        order.sort_by_key(|&c| number[c]);
        let shared = self.covariances.len_of(Axis(0)) == 1;
        Self {
            weights: order.iter().map(|&c| self.weights[c]).collect(),
            means: self.means.select(Axis(0), &order),
            covariances: if shared {
                self.covariances.clone()
            } else {
                self.covariances.select(Axis(0), &order)
            },
        }
    }

    /// The likeliest group of each row.
    ///
    /// # Inputs
    /// `x`: `(n, d)`, finite, in the coordinates that the Gaussians were fitted in.
    /// # Errors
    /// [`GmmError::NonFinite`], [`GmmError::Interrupted`].
    /// # Panics
    /// When `x` has another number of columns.
    /// # Cost
    /// O(n · k · d²); O(n · d²) where one covariance is shared.
    pub fn assign(&self, x: ArrayView2<'_, f64>, monitor: &dyn Monitor) -> Result<Assigned, GmmError> {
        assert_eq!(x.ncols(), self.means.ncols(), "the columns the Gaussians were fitted in");
        require_finite(x)?;
        // As in fitting: centring keeps digits.
        let center = self.means.mean_axis(Axis(0)).unwrap_or_default();
        let centred = (&x - &center).as_standard_layout().into_owned();
        let matrices: Vec<Array2<f64>> = self.covariances.outer_iter().map(|m| m.to_owned()).collect();
        let traces: f64 = matrices.iter().map(|m| m.diag().sum()).sum();
        let variance = traces / (matrices.len() * x.ncols()).max(1) as f64;
        let floor = Floor { singular: 1e-12 * variance, ridge: 1e-6 * variance.max(f64::MIN_POSITIVE) };
        let means = &self.means - &center;
        let parameters = Parameters::new(self.weights.clone(), means, Covariances::Full(matrices), floor);
        let (labels, log_densities) = likeliest_rows(centred.view(), &parameters, monitor)?;
        Ok(Assigned { labels, log_densities })
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{Seed, Silent};
    use ndarray::array;

    use super::*;
    use crate::cluster::{GmmOptions, gmm};

    /// Two clouds, the second wider.
    fn clouds() -> Array2<f64> {
        Array2::from_shape_fn((60, 2), |(i, j)| {
            let uniform = |w: u64| Seed(3).word((i * 8 + j * 4) as u64 + w) as f64 / 2f64.powi(64) - 0.5;
            let noise: f64 = (0..4).map(uniform).sum();
            if i < 40 { noise } else { 9.0 + 2.0 * noise }
        })
    }

    #[test]
    fn a_mixture_taken_off_its_data_gives_the_same_labels() {
        let x = clouds();
        for model in [CovarianceModel::Eee, CovarianceModel::Vvv, CovarianceModel::Vii, CovarianceModel::Eei]
        {
            let options = GmmOptions { n_components: 2, model, ..GmmOptions::default() };
            let mixture = gmm(x.view(), &options, Seed(1), &Silent).expect("fits");
            let found = Gaussians::from(&mixture).assign(x.view(), &Silent).expect("finite");
            assert_eq!(found.labels, mixture.labels, "{model}");
            let total: f64 = found.log_densities.iter().sum();
            assert!((total - mixture.loglik).abs() < 1e-6 * mixture.loglik.abs(), "{model}: {total}");
        }
    }

    #[test]
    fn groups_worked_by_hand() {
        // Variances 1 and 1 about -2 and 2: of equal shares the boundary is at 0.
        let x = array![[-3.0], [-1.0], [1.0], [3.0]];
        let found =
            Gaussians::of_groups(x.view(), &[0, 0, 1, 1], CovarianceModel::Eee, &Silent).expect("fits");
        assert_eq!(found.weights, [0.5, 0.5]);
        assert!((found.means[[0, 0]] + 2.0).abs() < 1e-12 && (found.means[[1, 0]] - 2.0).abs() < 1e-12);
        assert!((found.covariances[[0, 0, 0]] - 1.0).abs() < 1e-12);
        let asked = array![[-0.1], [0.1], [40.0]];
        let assigned = found.assign(asked.view(), &Silent).expect("finite");
        assert_eq!(assigned.labels, [0, 1, 1]);
        assert!(assigned.log_densities[2] < assigned.log_densities[0] - 100.0, "{assigned:?}");
        let turned = found.renumbered(&[1, 0]).assign(asked.view(), &Silent).expect("finite");
        assert_eq!(turned.labels, [1, 0, 0]);
        assert_eq!(turned.log_densities, assigned.log_densities);
    }

    #[test]
    fn a_group_of_no_rows_wins_nothing() {
        let x = clouds();
        let labels: Vec<u32> = (0..60).map(|i| if i < 40 { 0 } else { 2 }).collect();
        for model in [CovarianceModel::Eee, CovarianceModel::Vvv] {
            let found = Gaussians::of_groups(x.view(), &labels, model, &Silent).expect("fits");
            assert_eq!(found.n_groups(), 3);
            let assigned = found.assign(x.view(), &Silent).expect("finite");
            assert!(assigned.labels.iter().all(|&l| l != 1), "{model}");
        }
    }
}
