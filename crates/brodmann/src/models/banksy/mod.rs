//! Neighbourhood-augmented features (BANKSY): what a spot expresses beside what its surroundings do.
//!
//! Each spot gets, per gene, its own value, the weighted mean of its neighbours, and the size of the gradient around
//! it. One number, λ, says how much the surroundings weigh: .2 tells cell types and laminar domains apart, .8 spatial
//! domains of single cells. The three blocks side by side are `3 × n_genes` wide and never written out for a large
//! tissue: rows are made when they are needed (`rows`), and of their product the principal components are taken
//! (`components`).
//!
//! * `weights`: who is whose neighbour, and with which weight.
//! * `rows`: the three blocks, some rows at a time, standardised slice by slice.
//! * `components`: principal components for any number of λ at once.

mod components;
mod rows;
mod weights;

use brodmann_kernels::{CsrView, Diagnosis, Monitor, OptionError, Seed, Slices};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

pub use self::components::BanksyComponents;
use self::rows::Blocks;
use self::weights::Surroundings;
use crate::graph::{GraphError, GraphNote};
use crate::preprocess::PreprocessError;

/// Options of [`banksy()`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BanksyOptions {
    /// Weight of the surroundings, 0 (none) to 1 (nothing else); one embedding each.
    pub lambdas: Vec<f64>,
    /// Neighbours that the mean is taken over.
    pub n_neighbors: usize,
    /// Neighbours that the gradient is taken over; 0 leaves the gradient out.
    pub n_neighbors_agf: usize,
    /// Whether the gradient is that around the neighbours' mean.
    pub centred: bool,
    /// Components wanted; cut to `min(n_obs − 1, columns)`.
    pub n_components: usize,
}

impl Default for BanksyOptions {
    fn default() -> Self {
        Self { lambdas: vec![0.2], n_neighbors: 15, n_neighbors_agf: 30, centred: true, n_components: 20 }
    }
}

impl BanksyOptions {
    /// Refuses options that make no features.
    ///
    /// # Errors
    /// `Option`, naming it.
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.lambdas.is_empty() {
            return Err(OptionError::new("lambda_param", "nothing", "at least one number from 0 to 1"));
        }
        if let Some(wrong) = self.lambdas.iter().find(|l| !(0.0..=1.0).contains(*l)) {
            return Err(OptionError::new("lambda_param", wrong, "a number from 0 to 1"));
        }
        if self.n_neighbors == 0 {
            return Err(OptionError::new("n_neighbors", 0, "at least 1"));
        }
        if self.n_components == 0 {
            return Err(OptionError::new("n_pcs", 0, "at least 1"));
        }
        Ok(())
    }

    /// Most bytes at a time beside the genes themselves: neighbours while they are found, then the rows and their product.
    pub fn memory_bytes(&self, n_obs: usize, n_genes: usize) -> u64 {
        let edges = n_obs as u64 * self.n_neighbors.max(self.n_neighbors_agf) as u64;
        if !self.looks_around() {
            return components::memory_bytes(n_obs, n_genes);
        }
        let n_blocks = 2 + usize::from(self.n_neighbors_agf > 0);
        let components = components::memory_bytes(n_obs, n_blocks * n_genes);
        edges * weights::EDGE_BYTES + components.max(edges * weights::FOUND_BYTES)
    }

    /// Whether any embedding looks beyond the spot itself.
    fn looks_around(&self) -> bool {
        self.lambdas.iter().any(|l| *l > 0.0)
    }

    /// What the blocks (own, mean, gradient) are multiplied with: `√(1−λ)`, `√(λ/μ)`, `√(λ/(2μ))` with μ = 3/2, so
    /// that their squares add up to 1; with the mean alone `√(1−λ)`, `√λ`.
    fn factors(&self, lambda: f64) -> [f64; 3] {
        if self.n_neighbors_agf == 0 {
            return [(1.0 - lambda).sqrt(), lambda.sqrt(), 0.0];
        }
        [(1.0 - lambda).sqrt(), (2.0 * lambda / 3.0).sqrt(), (lambda / 3.0).sqrt()]
    }
}

/// Why there are no features.
#[derive(Debug, thiserror::Error)]
pub enum BanksyError {
    /// Of the coordinates and their neighbours.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Of the genes and their components.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

impl Diagnosis for BanksyError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        Some(match self {
            Self::Graph(e) => e,
            Self::Preprocess(e) => e,
        })
    }
}

impl From<OptionError> for BanksyError {
    fn from(error: OptionError) -> Self {
        Self::Preprocess(error.into())
    }
}

impl From<brodmann_kernels::Interrupted> for BanksyError {
    fn from(interrupted: brodmann_kernels::Interrupted) -> Self {
        Self::Preprocess(interrupted.into())
    }
}

/// Features of the surroundings, as their principal components.
#[derive(Clone, Debug)]
pub struct Banksy {
    /// One per λ asked for, in that order.
    pub components: Vec<BanksyComponents>,
    /// What the user should know: slices with too few spots.
    pub notes: Vec<GraphNote>,
}

/// Principal components of a spot's expression beside that of its surroundings.
///
/// ```text
/// for each slice:
///   for each spot i, its k nearest neighbours j ≠ i at distances d_ij, σ_i their median:
///     w_ij = exp(−(d_ij / σ_i)²), divided by their sum
///     M_i  = Σ_j w_ij x_j                                     over n_neighbors
///     c_i  = mean of x_j                                      over n_neighbors_agf
///     G_i  = |Σ_j w_ij e^{iφ_ij} (x_j − c_i)|                 over n_neighbors_agf, φ_ij the angle of j seen from i
///   X, M, G: each gene minus its mean, over its deviation
/// for each λ: principal components of [√(1−λ) X, √(2λ/3) M, √(λ/3) G]
/// ```
///
/// Neighbours in the same place say nothing about a gradient and have no part in `G`; where all distances are 0 the
/// weights are equal, and where the median is 0 those in the same place alone have weight.
///
/// # Inputs
/// `x`: `(n_obs, n_genes)`, log-normalised. `coordinates`: `(n_obs, 2 or 3)`; angles are taken in the first two.
/// `slices`: neighbours and deviations are those within a slice.
/// # Returns
/// Per λ the components by falling variance, and notes.
/// # Errors
/// `Option`, `Empty`, `NonFinite`, `ShapeMismatch`, and those of the coordinates.
/// # Cost
/// With `d = 3 n_genes` columns (`n_genes` if every λ is 0): per pass over the rows `n_neighbors_agf · nnz`
/// multiply-adds, two or three passes; up to 9000 columns or 4000 spots (whichever are fewer) one product of
/// `n_obs · d² / 2` or `n_obs² · d / 2`, beyond 20 passes at most. Where the rows take more than
/// half a gigabyte, the product is summed in single precision, and own values of which at most 30 % are not zero are multiplied
/// one by one. Memory for the neighbours (28 bytes per edge), the
/// product and half a gigabyte of rows.
/// # Source
/// Singhal et al. 2024 (BANKSY), Nature Genetics 56:431. The gradient is that around the neighbours' mean, as in the
/// paper; its Python package leaves the mean in by default (`centred: false`).
///
/// # Example
///
/// ```
/// use brodmann::models::{BanksyOptions, banksy};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::Array2;
///
/// // A gene that is on in the left half of a 12 × 12 grid.
/// let spots = Array2::from_shape_fn((144, 2), |(i, axis)| if axis == 0 { i % 12 } else { i / 12 } as f64);
/// let genes = Array2::from_shape_fn((144, 1), |(i, _)| f32::from(u8::from(i % 12 < 6)));
/// let genes = CsrMatrix::from_dense(genes.view());
/// let options = BanksyOptions { lambdas: vec![0.8], n_components: 1, ..BanksyOptions::default() };
/// let made = banksy(genes.view(), spots.view(), None, &options, Seed(0), &Silent)?;
/// let scores = &made.components[0].scores;
/// assert_eq!(scores.dim(), (144, 1));
/// assert!(scores[[0, 0]] * scores[[11, 0]] < 0.0);
/// # Ok::<(), brodmann::models::BanksyError>(())
/// ```
pub fn banksy(
    x: CsrView<'_, f32>,
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    options: &BanksyOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Banksy, BanksyError> {
    options.validate()?;
    let (n_obs, n_genes) = (x.n_rows(), x.n_cols());
    if n_obs == 0 || n_genes == 0 {
        return Err(PreprocessError::Empty { n_obs, n_vars: n_genes }.into());
    }
    crate::preprocess::check_finite(x)?;
    if coordinates.nrows() != n_obs {
        let (found, what) = (coordinates.nrows(), "the coordinates");
        return Err(PreprocessError::ShapeMismatch { what, found, expected: n_obs, per: "spot" }.into());
    }
    let slices = crate::graph::grouped(n_obs, slices)?;
    let around = if options.looks_around() {
        monitor.stage("neighbours and their weights", 0);
        Some(Surroundings::new(coordinates, &slices, options)?)
    } else {
        None
    };
    let notes = around.as_ref().map(|a| a.notes.clone()).unwrap_or_default();
    let blocks = Blocks::new(x, &slices, around, options.n_neighbors_agf > 0, monitor)?;
    let factors: Vec<[f64; 3]> = options.lambdas.iter().map(|l| options.factors(*l)).collect();
    let components = components::leading(&blocks, &factors, options.n_components, seed, monitor)?;
    Ok(Banksy { components, notes })
}

#[cfg(test)]
mod tests;
