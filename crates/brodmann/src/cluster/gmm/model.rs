//! The families of covariances, and what a mixture's parameters are.

use brodmann_kernels::arch::differences::Points;
use brodmann_kernels::matmul::matmul;
use ndarray::{Array2, Array3, Axis};

use super::cholesky::Factor;

/// How the covariances of the components are tied, in mclust's letters for volume, shape and orientation:
/// E equal, V varying, I identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CovarianceModel {
    /// Balls of one size: `λ I`.
    Eii,
    /// Balls: `λ_k I`.
    Vii,
    /// One diagonal covariance for all.
    Eei,
    /// A diagonal covariance each.
    Vvi,
    /// One full covariance for all. STAIG's choice.
    #[default]
    Eee,
    /// A full covariance each.
    Vvv,
}

impl CovarianceModel {
    /// All families, the fewest parameters first.
    pub const ALL: [Self; 6] = [Self::Eii, Self::Vii, Self::Eei, Self::Vvi, Self::Eee, Self::Vvv];

    /// mclust's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eii => "EII",
            Self::Vii => "VII",
            Self::Eei => "EEI",
            Self::Vvi => "VVI",
            Self::Eee => "EEE",
            Self::Vvv => "VVV",
        }
    }

    /// The family of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name().eq_ignore_ascii_case(name))
    }

    /// One covariance serves all components.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Eii | Self::Eei | Self::Eee)
    }

    /// Free parameters of a mixture of `k` components in `d` dimensions: weights, means, covariances.
    pub fn n_parameters(self, k: usize, d: usize) -> usize {
        let covariances = match self {
            Self::Eii => 1,
            Self::Vii => k,
            Self::Eei => d,
            Self::Vvi => k * d,
            Self::Eee => d * (d + 1) / 2,
            Self::Vvv => k * (d * (d + 1) / 2),
        };
        k * d + k.saturating_sub(1) + covariances
    }
}

impl std::fmt::Display for CovarianceModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Covariances of one kind: one for all components, or one each.
#[derive(Clone, Debug)]
pub(super) enum Covariances {
    /// Variances.
    Spherical(Vec<f64>),
    /// `(1 or k, d)` variances.
    Diagonal(Array2<f64>),
    /// `(d, d)` matrices.
    Full(Vec<Array2<f64>>),
}

impl Covariances {
    /// `(k, d, d)`, written out.
    pub(super) fn to_dense(&self, k: usize, d: usize) -> Array3<f64> {
        let mut dense = Array3::zeros((k, d, d));
        for (c, mut matrix) in dense.axis_iter_mut(Axis(0)).enumerate() {
            match self {
                Self::Spherical(variances) => matrix.diag_mut().fill(of(variances, c)),
                Self::Diagonal(variances) => {
                    matrix.diag_mut().assign(&variances.row(c.min(variances.nrows() - 1)));
                }
                Self::Full(matrices) => matrix.assign(&matrices[c.min(matrices.len() - 1)]),
            }
        }
        dense
    }
}

/// The entry of component `c`, or the one shared by all.
fn of(values: &[f64], c: usize) -> f64 {
    values[c.min(values.len() - 1)]
}

/// What densities need of covariances.
pub(super) enum Whitening {
    /// `1 / σ`.
    Spherical(Vec<f64>),
    /// `1 / σ`, `(1 or k, d)`.
    Diagonal(Array2<f64>),
    /// `L⁻ᵀ`.
    Full(Vec<Array2<f64>>),
}

/// A mixture, ready to be evaluated.
pub(super) struct Parameters {
    pub(super) weights: Vec<f64>,
    /// `(k, d)`, in the centred frame.
    pub(super) means: Array2<f64>,
    pub(super) covariances: Covariances,
    pub(super) whitening: Whitening,
    /// `ln det Σ`, one or `k`.
    pub(super) log_dets: Vec<f64>,
    /// A covariance was singular and had a ridge added.
    pub(super) ridged: bool,
}

impl Parameters {
    /// Prepares covariances for use. Singular ones get `ridge` on their diagonal, and `ridged` says so.
    pub(super) fn new(
        weights: Vec<f64>,
        means: Array2<f64>,
        mut covariances: Covariances,
        floor: Floor,
    ) -> Self {
        let d = means.ncols() as f64;
        let mut ridged = false;
        let mut raise = |v: &mut f64| {
            if v.is_nan() || *v <= floor.singular {
                *v = floor.ridge;
                ridged = true;
            }
        };
        let (whitening, log_dets) = match &mut covariances {
            Covariances::Spherical(variances) => {
                variances.iter_mut().for_each(&mut raise);
                let log_dets = variances.iter().map(|v| d * v.ln()).collect();
                (Whitening::Spherical(variances.iter().map(|v| 1.0 / v.sqrt()).collect()), log_dets)
            }
            Covariances::Diagonal(variances) => {
                variances.iter_mut().for_each(&mut raise);
                let log_dets = variances.outer_iter().map(|row| row.iter().map(|v| v.ln()).sum()).collect();
                (Whitening::Diagonal(variances.mapv(|v| 1.0 / v.sqrt())), log_dets)
            }
            Covariances::Full(matrices) => {
                let factors: Vec<Factor> = matrices
                    .iter_mut()
                    .map(|matrix| {
                        let (factor, needed) = with_ridge(matrix, floor);
                        ridged |= needed;
                        factor
                    })
                    .collect();
                let log_dets = factors.iter().map(|f| f.log_det).collect();
                (Whitening::Full(factors.into_iter().map(|f| f.whiten).collect()), log_dets)
            }
        };
        Self { weights, means, covariances, whitening, log_dets, ridged }
    }

    /// What the logarithm of a component's density is at its mean, its weight counted.
    pub(super) fn offsets(&self) -> Vec<f64> {
        let d = self.means.ncols() as f64;
        let offset = |(c, weight): (usize, &f64)| {
            weight.ln() - 0.5 * (d * std::f64::consts::TAU.ln() + of(&self.log_dets, c))
        };
        self.weights.iter().enumerate().map(offset).collect()
    }

    /// Whether rows and means are whitened once, by the one full covariance.
    pub(super) fn whitens_once(&self) -> bool {
        matches!(&self.whitening, Whitening::Full(factors) if factors.len() == 1)
    }

    /// What plain distances are measured to: the means, whitened where rows are once.
    pub(super) fn points(&self) -> Points {
        let means = match &self.whitening {
            Whitening::Full(factors) if self.whitens_once() => matmul(self.means.view(), factors[0].view()),
            _ => self.means.clone(),
        };
        Points::new(&means.iter().copied().collect::<Vec<_>>(), means.ncols())
    }
}

/// When a variance counts as none, and what it becomes then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    pub(super) singular: f64,
    pub(super) ridge: f64,
}

/// The factor of a covariance, its diagonal raised as often as needed.
fn with_ridge(matrix: &mut Array2<f64>, floor: Floor) -> (Factor, bool) {
    let smallest = matrix.diag().iter().copied().fold(f64::INFINITY, f64::min);
    if smallest > floor.singular
        && let Some(factor) = Factor::new(matrix.view())
    {
        return (factor, false);
    }
    let mut ridge = floor.ridge;
    for _ in 0..8 {
        matrix.diag_mut().mapv_inplace(|v| v + ridge);
        if let Some(factor) = Factor::new(matrix.view()) {
            return (factor, true);
        }
        ridge *= 100.0;
    }
    // Not a number, or not symmetric positive at all: a ball of the data's own spread.
    let d = matrix.nrows();
    *matrix = Array2::eye(d) * ridge;
    let whiten = Array2::eye(d) / ridge.sqrt();
    (Factor { whiten, log_det: d as f64 * ridge.ln() }, true)
}
