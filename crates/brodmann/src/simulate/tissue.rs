//! The whole tissue in memory.

use brodmann_kernels::{CsrMatrix, Monitor};
use ndarray::Array2;

use super::image::{SimulatedImage, draw_image};
use super::options::{SimModality, SimulateError, SimulationOptions};
use super::pattern::DOMAIN_NAMES;
use super::stream::{SimulationStream, draw};

/// Rows drawn between two looks at the monitor.
const ROWS_PER_CHECK: usize = 1 << 14;

/// One modality of a [`Simulation`].
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedModality {
    /// What is measured.
    pub kind: SimModality,
    /// Its key in a MuData file.
    pub name: &'static str,
    /// `(n_obs, n_vars)` raw counts.
    pub counts: CsrMatrix<f32>,
    /// `n_vars` names.
    pub feature_names: Vec<String>,
    /// The domain code (1–4) each feature is high in; 0: none. The truth for spatially variable features.
    pub feature_factor: Vec<u32>,
}

/// A tissue and its truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// `n_obs` unique names; slices follow one another.
    pub obs_names: Vec<String>,
    /// `(n_obs, 2)`: x to the right, y downwards, as image pixels; every slice in its own frame.
    pub coordinates: Array2<f64>,
    /// Domain of each spot, an index into `domain_names`.
    pub ground_truth: Vec<u32>,
    /// `background`, `factor1`, … `factor4`.
    pub domain_names: Vec<String>,
    /// Slice of each spot, an index into `library_names`.
    pub library: Vec<u32>,
    /// `slice1`, `slice2`, ….
    pub library_names: Vec<String>,
    /// Counts, in the order of the options.
    pub modalities: Vec<SimulatedModality>,
    /// One image per slice when asked for, else empty.
    pub images: Vec<SimulatedImage>,
    /// Side of the square a spot covers, in coordinate units: spots touch.
    pub spot_diameter: f64,
}

/// Simulates a tissue whose domains are known.
///
/// # Inputs
/// `options`: see [`SimulationOptions`].
/// # Returns
/// [`Simulation`]: on any number of threads, row for row what [`SimulationStream`] gives.
/// # Errors
/// [`SimulateError`] for options out of range, or when interrupted.
/// # Cost
/// O(non-zeros) time and memory without noise; with noise O(`n_obs` · features) time.
/// # Source
/// Townes & Engelhardt 2023, Nat. Methods 20:229; Long et al. 2024, Nat. Methods 21:1658.
///
/// # Example
///
/// ```
/// use brodmann::simulate::{SimulationOptions, simulate};
/// use brodmann_kernels::Silent;
///
/// let options = SimulationOptions { side: 6, n_genes: 40, n_proteins: 10, n_peaks: 40, ..Default::default() };
/// let tissue = simulate(&options, &Silent)?;
/// assert_eq!(tissue.ground_truth.len(), 36);
/// // The background and four factors; 5 of the 36 blocks belong to the cross.
/// assert_eq!(tissue.domain_names.len(), 5);
/// assert_eq!(tissue.ground_truth.iter().filter(|domain| **domain == 1).count(), 5);
/// let (proteins, counts) = (&tissue.modalities[1].feature_names, &tissue.modalities[1].counts);
/// assert_eq!((counts.n_rows(), counts.n_cols()), (36, proteins.len()));
/// # Ok::<(), brodmann::simulate::SimulateError>(())
/// ```
pub fn simulate(options: &SimulationOptions, monitor: &dyn Monitor) -> Result<Simulation, SimulateError> {
    let stream = SimulationStream::new(options)?;
    let n_obs = stream.n_obs();
    monitor.stage("simulate", (n_obs * options.modalities.len()) as u64);
    // The rows without counts come from the same code as the blocks'.
    let plain = SimulationStream::new(&SimulationOptions {
        n_genes: 1,
        n_proteins: 1,
        n_peaks: 1,
        density: None,
        noise: 0.0,
        ..options.clone()
    })?
    .block(0..n_obs);
    let mut modalities = Vec::with_capacity(options.modalities.len());
    for (k, model) in stream.models().iter().enumerate() {
        let (mut indptr, mut indices, mut data) = (vec![0usize], Vec::new(), Vec::new());
        for from in (0..n_obs).step_by(ROWS_PER_CHECK) {
            monitor.check()?;
            let (starts, columns, values) = draw(model, from..n_obs.min(from + ROWS_PER_CHECK)).into_parts();
            let base = indices.len();
            indptr.extend(starts[1..].iter().map(|p| p + base));
            indices.extend_from_slice(&columns);
            data.extend_from_slice(&values);
            monitor.advance((starts.len() - 1) as u64);
        }
        let counts = CsrMatrix::try_new(n_obs, model.n_vars(), indptr, indices, data)
            .expect("blocks of sorted rows follow one another");
        modalities.push(SimulatedModality {
            kind: model.modality(),
            name: model.modality().name(),
            counts,
            feature_names: stream.feature_names(k),
            feature_factor: model.factor_of_features(),
        });
    }
    let mut images = Vec::new();
    if options.image {
        for slice in 0..options.slices {
            monitor.check()?;
            images.push(draw_image(options, slice));
        }
    }
    Ok(Simulation {
        obs_names: (0..n_obs).map(|row| stream.obs_name(row)).collect(),
        coordinates: plain.coordinates,
        ground_truth: plain.ground_truth,
        domain_names: DOMAIN_NAMES.iter().map(|&n| n.to_owned()).collect(),
        library: plain.library,
        library_names: (0..options.slices).map(|k| stream.library_name(k)).collect(),
        modalities,
        images,
        spot_diameter: options.spot_pitch,
    })
}

impl Simulation {
    /// The rows of one slice, as a range: slices follow one another.
    pub fn slice_rows(&self, slice: usize) -> std::ops::Range<usize> {
        let per_slice = self.library.len() / self.library_names.len().max(1);
        slice * per_slice..(slice + 1) * per_slice
    }
}
