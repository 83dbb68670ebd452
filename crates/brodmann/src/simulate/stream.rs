//! Rows in blocks: a tissue larger than memory.

use std::ops::Range;

use brodmann_kernels::{CsrMatrix, ParallelLoop};
use ndarray::Array2;
use rayon::prelude::*;

use super::model::{ModalityModel, RowBuffer};
use super::options::{SimModality, SimulateError, SimulationOptions};
use super::pattern::domain_at;

/// Rows drawn by one task; part of no result, since every row has its own random stream.
const ROWS_PER_TASK: usize = 256;

/// A tissue that is drawn when it is asked for, the same rows as [`super::simulate`] gives.
///
/// ```
/// use brodmann::simulate::{SimulationOptions, SimulationStream};
/// let options = SimulationOptions { side: 12, n_genes: 50, ..Default::default() };
/// let stream = SimulationStream::new(&options)?;
/// for block in stream.blocks(100) {
///     println!("rows {:?}: {} counts", block.rows, block.counts[0].nnz());
/// }
/// # Ok::<(), brodmann::simulate::SimulateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SimulationStream {
    options: SimulationOptions,
    models: Vec<ModalityModel>,
}

/// Some consecutive rows of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationBlock {
    /// Which rows.
    pub rows: Range<usize>,
    /// `(rows, 2)`: x, y.
    pub coordinates: Array2<f64>,
    /// Domain codes, see [`super::DOMAIN_NAMES`].
    pub ground_truth: Vec<u32>,
    /// Slice codes.
    pub library: Vec<u32>,
    /// Counts, one matrix per modality.
    pub counts: Vec<CsrMatrix<f32>>,
}

impl SimulationStream {
    /// Checks the options and draws what belongs to features; no row is drawn yet.
    ///
    /// # Errors
    /// [`SimulateError`].
    /// # Cost
    /// O(`slices` · features) time and memory.
    pub fn new(options: &SimulationOptions) -> Result<Self, SimulateError> {
        options.validate()?;
        let models = (0..options.modalities.len())
            .map(|k| ModalityModel::new(options, k))
            .collect::<Result<_, _>>()?;
        Ok(Self { options: options.clone(), models })
    }

    /// The options given.
    pub fn options(&self) -> &SimulationOptions {
        &self.options
    }

    /// The count models, one per modality.
    pub fn models(&self) -> &[ModalityModel] {
        &self.models
    }

    /// Spots of all slices.
    pub fn n_obs(&self) -> usize {
        self.options.n_obs()
    }

    /// Feature names of the `modality`-th modality.
    pub fn feature_names(&self, modality: usize) -> Vec<String> {
        let n = self.models[modality].n_vars();
        let digits = digits(n).max(4);
        match self.models[modality].modality() {
            SimModality::Rna => (1..=n).map(|j| format!("gene_{j:0digits$}")).collect(),
            SimModality::Adt => {
                (1..=n).map(|j| format!("protein_{j:0width$}", width = digits.max(3) - 1)).collect()
            }
            SimModality::Atac => peak_names(n),
        }
    }

    /// The name of a row, unique over slices: `spot_0001`, with several slices `slice1_spot_0001`.
    pub fn obs_name(&self, row: usize) -> String {
        let per_slice = self.options.side * self.options.side;
        let (slice, within) = (row / per_slice, row % per_slice);
        let width = digits(per_slice).max(4);
        if self.options.slices == 1 {
            format!("spot_{:0width$}", within + 1)
        } else {
            format!("{}_spot_{:0width$}", self.library_name(slice), within + 1)
        }
    }

    /// The name of a slice: `slice1`, `slice2`, ….
    pub fn library_name(&self, slice: usize) -> String {
        format!("slice{}", slice + 1)
    }

    /// Rows `rows`, which are cut at the number of spots.
    ///
    /// # Cost
    /// O(non-zeros) without noise, O(rows · features) with; memory of the block only. The same bits on any
    /// number of threads.
    pub fn block(&self, rows: Range<usize>) -> SimulationBlock {
        let n_obs = self.n_obs();
        let rows = rows.start.min(n_obs)..rows.end.min(n_obs).max(rows.start.min(n_obs));
        let side = self.options.side;
        let per_slice = side * side;
        let mut coordinates = Array2::zeros((rows.len(), 2));
        let (mut ground_truth, mut library) =
            (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (k, row) in rows.clone().enumerate() {
            let (r, c) = ((row % per_slice) / side, row % side);
            coordinates[[k, 0]] = (c as f64 + 0.5) * self.options.spot_pitch;
            coordinates[[k, 1]] = (r as f64 + 0.5) * self.options.spot_pitch;
            ground_truth.push(domain_at(side, r, c));
            library.push((row / per_slice) as u32);
        }
        let counts = self.models.iter().map(|model| draw(model, rows.clone())).collect();
        SimulationBlock { rows, coordinates, ground_truth, library, counts }
    }

    /// All rows, `rows_per_block` at a time (0 counts as 1).
    pub fn blocks(&self, rows_per_block: usize) -> SimulationBlocks<'_> {
        SimulationBlocks { stream: self, rows_per_block: rows_per_block.max(1), next: 0 }
    }
}

/// Iterator of [`SimulationStream::blocks`].
#[derive(Clone, Debug)]
pub struct SimulationBlocks<'a> {
    stream: &'a SimulationStream,
    rows_per_block: usize,
    next: usize,
}

impl Iterator for SimulationBlocks<'_> {
    type Item = SimulationBlock;

    fn next(&mut self) -> Option<SimulationBlock> {
        let n_obs = self.stream.n_obs();
        if self.next >= n_obs {
            return None;
        }
        let end = self.next.saturating_add(self.rows_per_block).min(n_obs);
        let block = self.stream.block(self.next..end);
        self.next = end;
        Some(block)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.stream.n_obs() - self.next).div_ceil(self.rows_per_block);
        (left, Some(left))
    }
}

impl ExactSizeIterator for SimulationBlocks<'_> {}

/// The rows of one modality.
pub(super) fn draw(model: &ModalityModel, rows: Range<usize>) -> CsrMatrix<f32> {
    let n_tasks = rows.len().div_ceil(ROWS_PER_TASK);
    let parts: Vec<(Vec<usize>, Vec<u32>, Vec<f32>)> = (0..n_tasks)
        .into_par_iter()
        .map_init(RowBuffer::default, |buffer, task| {
            let from = rows.start + task * ROWS_PER_TASK;
            let (mut lengths, mut indices, mut data) = (Vec::new(), Vec::new(), Vec::new());
            for row in from..rows.end.min(from + ROWS_PER_TASK) {
                let entries = model.row(row, buffer);
                lengths.push(entries.len());
                indices.extend(entries.iter().map(|e| e.0));
                data.extend(entries.iter().map(|e| e.1));
            }
            (lengths, indices, data)
        })
        .collect_vec();
    let nnz = parts.iter().map(|p| p.1.len()).sum();
    let mut indptr = Vec::with_capacity(rows.len() + 1);
    indptr.push(0);
    let (mut indices, mut data) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
    let mut end = 0;
    for (lengths, part_indices, part_data) in parts {
        for length in lengths {
            end += length;
            indptr.push(end);
        }
        indices.extend_from_slice(&part_indices);
        data.extend_from_slice(&part_data);
    }
    CsrMatrix::try_new(rows.len(), model.n_vars(), indptr, indices, data)
        .expect("rows are drawn sorted, with columns below n_vars")
}

fn digits(n: usize) -> usize {
    n.max(1).ilog10() as usize + 1
}

/// Peaks of 501 bases, 100 kb apart, filling chr1 to chr22 in turn.
fn peak_names(n: usize) -> Vec<String> {
    let per_chromosome = n.div_ceil(22).max(1);
    (0..n)
        .map(|j| {
            let start = (j % per_chromosome) as u64 * 100_000 + 1000;
            format!("chr{}:{start}-{}", j / per_chromosome + 1, start + 500)
        })
        .collect()
}
