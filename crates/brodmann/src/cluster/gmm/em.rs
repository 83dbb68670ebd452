//! Expectation and maximisation.

use std::ops::Range;

use brodmann_kernels::arch::differences::{Points, squared_distances};
use brodmann_kernels::matmul::{Float, matmul, matmul_into_serial, matmul_tn};
use brodmann_kernels::{Interrupted, Monitor, ParallelLoop};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Axis};
use rayon::prelude::*;

use super::model::{CovarianceModel, Covariances, Floor, Parameters, Whitening};

/// Rows of one block of products; fixed.
const TILE_ROWS: usize = 256;
/// Fewest rows of one parallel task, and most tasks: each has partial sums of its own.
const CHUNK_ROWS: usize = 1024;
/// See [`CHUNK_ROWS`].
const MAX_CHUNKS: usize = 64;
/// A share of a row too small to change a sum's last bit is skipped in the scatter matrices.
const INACTIVE: f64 = 1e-16;
/// Below this share of the total scatter, the shared one is summed from differences rather than subtracted.
const CANCELLING: f64 = 1e-6;
/// A component with less than this much of an observation is empty.
const EMPTY: f64 = 1e-8;

/// The data of a mixture, centred.
pub(super) struct Data {
    pub(super) x: Array2<f64>,
    /// `xᵀ x`, for the shared full covariance alone.
    total: Option<Array2<f64>>,
    pub(super) floor: Floor,
    /// Added to every variance.
    ridge: f64,
    chunk: usize,
}

/// A mixture and its fit.
pub(super) struct Fit {
    pub(super) parameters: Parameters,
    /// `(n, k)`.
    pub(super) responsibilities: Array2<f64>,
    pub(super) loglik: f64,
    pub(super) n_iterations: usize,
    pub(super) converged: bool,
    /// A component lost all its observations on the way.
    pub(super) emptied: bool,
}

impl Fit {
    /// A likelihood that a singular covariance blew up, or that fewer components reached, proves nothing.
    pub(super) fn is_sound(&self) -> bool {
        !self.parameters.ridged && !self.emptied && self.loglik.is_finite()
    }
}

impl Data {
    /// `x`: centred rows. `ridge`: relative to the mean variance of the columns.
    pub(super) fn new(x: Array2<f64>, ridge: f64, model: CovarianceModel) -> Self {
        let (n, d) = x.dim();
        let chunk = CHUNK_ROWS.max(n.div_ceil(MAX_CHUNKS));
        let squares = ordered_sums(n, chunk, 1, |rows, sum| {
            sum[0] = x.slice_axis(Axis(0), rows.into()).iter().map(|v| v * v).sum();
        })[0];
        let variance = squares / (n * d).max(1) as f64;
        let variance = if variance > 0.0 { variance } else { 1.0 };
        let total = (model == CovarianceModel::Eee).then(|| matmul_tn(x.view(), x.view()));
        let floor = Floor { singular: 1e-12 * variance, ridge: 1e-6 * variance };
        Self { x, total, floor, ridge: ridge * variance, chunk }
    }

    fn n(&self) -> usize {
        self.x.nrows()
    }

    /// Repeats expectation and maximisation until the likelihood settles.
    pub(super) fn fit(
        &self,
        start: Parameters,
        model: CovarianceModel,
        tolerance: f64,
        max_iterations: usize,
        monitor: &dyn Monitor,
    ) -> Result<Fit, Interrupted> {
        let mut parameters = start;
        let mut previous = f64::NEG_INFINITY;
        let (mut n_iterations, mut emptied) = (0, false);
        loop {
            monitor.check()?;
            let (responsibilities, loglik) = self.expectation(&parameters, monitor)?;
            n_iterations += 1;
            let converged = (loglik - previous).abs() < tolerance * (1.0 + loglik.abs());
            if converged || n_iterations >= max_iterations || !loglik.is_finite() {
                return Ok(Fit { parameters, responsibilities, loglik, n_iterations, converged, emptied });
            }
            previous = loglik;
            let (next, lost) =
                self.maximisation(responsibilities.view(), model, Some(&parameters.means), monitor)?;
            parameters = next;
            emptied |= lost;
        }
    }

    /// Shares of every component in every row, and the log-likelihood.
    pub(super) fn expectation(
        &self,
        p: &Parameters,
        monitor: &dyn Monitor,
    ) -> Result<(Array2<f64>, f64), Interrupted> {
        let (n, d) = self.x.dim();
        let k = p.weights.len();
        let (offsets, points) = (p.offsets(), p.points());
        let mut shares = Array2::<f64>::zeros((n, k));
        let flat = shares.as_slice_mut().expect("a fresh array is contiguous");
        let parts: Vec<f64> = flat
            .par_chunks_mut(self.chunk * k)
            .enumerate()
            .map(|(c, part)| {
                let first = c * self.chunk;
                let mut scratch = Scratch::new(d);
                let mut sum = 0.0;
                for (t, tile) in part.chunks_mut(TILE_ROWS * k).enumerate() {
                    monitor.check()?;
                    let from = first + t * TILE_ROWS;
                    let rows = self.x.slice_axis(Axis(0), (from..from + tile.len() / k).into());
                    distances(rows, p, &points, &mut scratch, tile);
                    for row in tile.chunks_exact_mut(k) {
                        sum += normalise(row, &offsets);
                    }
                }
                Ok(sum)
            })
            .try_collect_vec::<_, Interrupted>()?;
        Ok((shares, parts.iter().sum()))
    }

    /// The parameters most likely given the shares, and whether a component came out empty. An empty one keeps its
    /// mean from `before`.
    pub(super) fn maximisation(
        &self,
        shares: ArrayView2<'_, f64>,
        model: CovarianceModel,
        before: Option<&Array2<f64>>,
        monitor: &dyn Monitor,
    ) -> Result<(Parameters, bool), Interrupted> {
        let (n, d) = self.x.dim();
        let k = shares.ncols();
        let masses = ordered_sums(n, self.chunk, k, |rows, sums| {
            for row in shares.slice_axis(Axis(0), rows.into()).outer_iter() {
                for (sum, v) in sums.iter_mut().zip(row) {
                    *sum += v;
                }
            }
        });
        let sums = self.weighted_sums(shares);
        let mut means = before.cloned().unwrap_or_else(|| Array2::zeros((k, d)));
        let mut emptied = false;
        for (c, mut mean) in means.outer_iter_mut().enumerate() {
            if masses[c] > EMPTY {
                mean.assign(&(&sums.row(c) / masses[c]));
            } else {
                emptied = true;
            }
        }
        let weights = masses.iter().map(|m| if *m > EMPTY { m / n as f64 } else { 0.0 }).collect();
        let mass = |c: usize| masses[c].max(EMPTY);
        let total_mass: f64 = masses.iter().sum::<f64>().max(EMPTY);
        let covariances = match model {
            CovarianceModel::Eee => {
                let mut scatter = self.shared_scatter(shares, &means, &masses, monitor)?;
                scatter /= total_mass;
                scatter.diag_mut().mapv_inplace(|v| v + self.ridge);
                Covariances::Full(vec![scatter])
            }
            CovarianceModel::Vvv => {
                let mut matrices = Vec::with_capacity(k);
                for c in 0..k {
                    let mut scatter = self.scatter(shares, c, &means, monitor)?;
                    scatter /= mass(c);
                    scatter.diag_mut().mapv_inplace(|v| v + self.ridge);
                    matrices.push(scatter);
                }
                Covariances::Full(matrices)
            }
            _ => {
                let squares = self.squares(shares, &means);
                match model {
                    CovarianceModel::Eii => {
                        Covariances::Spherical(vec![squares.sum() / (total_mass * d as f64) + self.ridge])
                    }
                    CovarianceModel::Vii => Covariances::Spherical(
                        (0..k).map(|c| squares.row(c).sum() / (mass(c) * d as f64) + self.ridge).collect(),
                    ),
                    CovarianceModel::Eei => Covariances::Diagonal(
                        squares.sum_axis(Axis(0)).mapv(|v| v / total_mass + self.ridge).insert_axis(Axis(0)),
                    ),
                    _ => Covariances::Diagonal(Array2::from_shape_fn((k, d), |(c, j)| {
                        squares[[c, j]] / mass(c) + self.ridge
                    })),
                }
            }
        };
        // An empty component has no spread of its own: without weight, any that is regular will do.
        let covariances = if emptied { fill_empty(covariances, &masses, self.floor) } else { covariances };
        Ok((Parameters::new(weights, means, covariances, self.floor), emptied))
    }

    /// `sharesᵀ · x`.
    fn weighted_sums(&self, shares: ArrayView2<'_, f64>) -> Array2<f64> {
        let shape = (shares.ncols(), self.x.ncols());
        self.summed(shape, |rows, part| {
            let z = shares.slice_axis(Axis(0), rows.clone().into());
            let x = self.x.slice_axis(Axis(0), rows.into());
            matmul_into_serial(part.view_mut(), z.t(), x);
        })
    }

    /// `Σ_i z_ic (x_ij − μ_cj)²`, `(k, d)`.
    fn squares(&self, shares: ArrayView2<'_, f64>, means: &Array2<f64>) -> Array2<f64> {
        self.summed(means.dim(), |rows, part| {
            for i in rows {
                for (c, &share) in shares.row(i).iter().enumerate() {
                    if share > INACTIVE {
                        let (x, mean) = (self.x.row(i), means.row(c));
                        for ((sum, x), mean) in part.row_mut(c).iter_mut().zip(x).zip(mean) {
                            *sum += share * (x - mean) * (x - mean);
                        }
                    }
                }
            }
        })
    }

    /// `Σ_c Σ_i z_ic (x_i − μ_c)(x_i − μ_c)ᵀ`.
    fn shared_scatter(
        &self,
        shares: ArrayView2<'_, f64>,
        means: &Array2<f64>,
        masses: &[f64],
        monitor: &dyn Monitor,
    ) -> Result<Array2<f64>, Interrupted> {
        if let Some(total) = &self.total {
            // Shares of a row sum to 1, so what lies within is the total less what lies between.
            let mut weighted = means.clone();
            for (mut row, &mass) in weighted.outer_iter_mut().zip(masses) {
                row *= if mass > EMPTY { mass } else { 0.0 };
            }
            let within = total - &matmul(means.t(), weighted.view());
            let safe = within.diag().iter().zip(total.diag()).all(|(w, t)| *w > CANCELLING * t);
            if safe {
                return Ok(within);
            }
        }
        let mut sum = Array2::zeros((self.x.ncols(), self.x.ncols()));
        for c in 0..means.nrows() {
            sum += &self.scatter(shares, c, means, monitor)?;
        }
        Ok(sum)
    }

    /// `Σ_i z_ic (x_i − μ_c)(x_i − μ_c)ᵀ` of one component; rows it has no share in are passed over.
    fn scatter(
        &self,
        shares: ArrayView2<'_, f64>,
        c: usize,
        means: &Array2<f64>,
        monitor: &dyn Monitor,
    ) -> Result<Array2<f64>, Interrupted> {
        monitor.check()?;
        let d = self.x.ncols();
        let mean = means.row(c);
        Ok(self.summed((d, d), |rows, part| {
            let mut tile = Array2::<f64>::zeros((TILE_ROWS, d));
            let mut filled = 0;
            let mut flush = |tile: &Array2<f64>, filled: usize| {
                let active = tile.slice_axis(Axis(0), (..filled).into());
                f64::gemm(part.view_mut(), active.t(), active, true, 1);
            };
            for i in rows {
                let share = shares[[i, c]];
                if share <= INACTIVE {
                    continue;
                }
                let root = share.sqrt();
                for ((to, x), mean) in tile.row_mut(filled).iter_mut().zip(self.x.row(i)).zip(mean) {
                    *to = root * (x - mean);
                }
                filled += 1;
                if filled == TILE_ROWS {
                    flush(&tile, filled);
                    filled = 0;
                }
            }
            flush(&tile, filled);
        }))
    }

    /// Partial sums over fixed chunks of rows, added in order.
    fn summed(
        &self,
        shape: (usize, usize),
        add: impl Fn(Range<usize>, &mut Array2<f64>) + Sync,
    ) -> Array2<f64> {
        let n = self.n();
        let parts: Vec<Array2<f64>> = (0..n.div_ceil(self.chunk))
            .into_par_iter()
            .map(|c| {
                let mut part = Array2::zeros(shape);
                add(c * self.chunk..n.min((c + 1) * self.chunk), &mut part);
                part
            })
            .collect_vec();
        let mut total = Array2::zeros(shape);
        for part in &parts {
            total += part;
        }
        total
    }
}

/// Buffers of one task.
struct Scratch {
    shifted: Array2<f64>,
    whitened: Array2<f64>,
}

impl Scratch {
    fn new(d: usize) -> Self {
        Self { shifted: Array2::zeros((TILE_ROWS, d)), whitened: Array2::zeros((TILE_ROWS, d)) }
    }
}

/// Squared Mahalanobis distances of rows to components, `(rows, k)` into `out`.
fn distances(
    rows: ArrayView2<'_, f64>,
    p: &Parameters,
    points: &Points,
    scratch: &mut Scratch,
    out: &mut [f64],
) {
    let (m, k) = (rows.nrows(), p.weights.len());
    match &p.whitening {
        Whitening::Spherical(inverse) => {
            let mut shifted = scratch.shifted.slice_axis_mut(Axis(0), (..m).into());
            shifted.assign(&rows);
            to_points(shifted.view(), points, out);
            for out in out.chunks_exact_mut(k) {
                for (c, q) in out.iter_mut().enumerate() {
                    let scale = inverse[c.min(inverse.len() - 1)];
                    *q = *q * scale * scale;
                }
            }
        }
        Whitening::Diagonal(inverse) => {
            for (row, out) in rows.outer_iter().zip(out.chunks_exact_mut(k)) {
                for (c, q) in out.iter_mut().enumerate() {
                    let scale = inverse.row(c.min(inverse.nrows() - 1));
                    *q = row
                        .iter()
                        .zip(p.means.row(c))
                        .zip(scale)
                        .map(|((x, mean), s)| ((x - mean) * s).powi(2))
                        .sum();
                }
            }
        }
        Whitening::Full(factors) => {
            let mut whitened = scratch.whitened.slice_axis_mut(Axis(0), (..m).into());
            if p.whitens_once() {
                matmul_into_serial(whitened.view_mut(), rows, factors[0].view());
                to_points(whitened.view(), points, out);
                return;
            }
            let mut shifted = scratch.shifted.slice_axis_mut(Axis(0), (..m).into());
            for c in 0..k {
                for (mut to, from) in shifted.outer_iter_mut().zip(rows.outer_iter()) {
                    shift(&mut to, from, p.means.row(c));
                }
                matmul_into_serial(whitened.view_mut(), shifted.view(), factors[c].view());
                for (row, out) in whitened.outer_iter().zip(out.chunks_exact_mut(k)) {
                    out[c] = row.iter().map(|v| v * v).sum();
                }
            }
        }
    }
}

/// Squared distances of rows, one behind the other, to points.
fn to_points(rows: ArrayView2<'_, f64>, points: &Points, out: &mut [f64]) {
    squared_distances(rows.to_slice().expect("rows of a buffer are one behind the other"), points, out);
}

fn shift(
    to: &mut ArrayViewMut1<'_, f64>,
    from: ndarray::ArrayView1<'_, f64>,
    mean: ndarray::ArrayView1<'_, f64>,
) {
    for ((to, from), mean) in to.iter_mut().zip(from).zip(mean) {
        *to = from - mean;
    }
}

/// The likeliest component of each row, ties to the lower number, and the logarithm of its density.
pub(super) fn likeliest_rows(
    x: ArrayView2<'_, f64>,
    p: &Parameters,
    monitor: &dyn Monitor,
) -> Result<(Vec<u32>, Vec<f64>), Interrupted> {
    let (n, d) = x.dim();
    let k = p.weights.len();
    let (offsets, points) = (p.offsets(), p.points());
    let parts: Vec<(Vec<u32>, Vec<f64>)> = (0..n.div_ceil(CHUNK_ROWS))
        .into_par_iter()
        .map(|c| {
            let mut scratch = Scratch::new(d);
            let mut shares = vec![0.0; TILE_ROWS * k];
            let (mut labels, mut densities) = (Vec::new(), Vec::new());
            let end = n.min((c + 1) * CHUNK_ROWS);
            for from in (c * CHUNK_ROWS..end).step_by(TILE_ROWS) {
                monitor.check()?;
                let to = end.min(from + TILE_ROWS);
                let tile = &mut shares[..(to - from) * k];
                let rows = x.slice_axis(Axis(0), (from..to).into());
                distances(rows, p, &points, &mut scratch, tile);
                for row in tile.chunks_exact_mut(k) {
                    densities.push(normalise(row, &offsets));
                    labels.push(likeliest(row));
                }
            }
            Ok((labels, densities))
        })
        .try_collect_vec::<_, Interrupted>()?;
    let mut labels = Vec::with_capacity(n);
    let mut densities = Vec::with_capacity(n);
    for (part, of_part) in parts {
        labels.extend(part);
        densities.extend(of_part);
    }
    Ok((labels, densities))
}

/// The largest share of a row, ties to the lower number.
pub(super) fn likeliest(row: &[f64]) -> u32 {
    let mut best = 0;
    for (c, share) in row.iter().enumerate() {
        if *share > row[best] {
            best = c;
        }
    }
    best as u32
}

/// Turns squared distances into shares; returns the log of the row's density.
fn normalise(row: &mut [f64], offsets: &[f64]) -> f64 {
    let mut largest = f64::NEG_INFINITY;
    for (v, offset) in row.iter_mut().zip(offsets) {
        *v = offset - 0.5 * *v;
        largest = largest.max(*v);
    }
    if largest == f64::NEG_INFINITY {
        // Beyond the range of f64 from every component.
        row.fill(1.0 / row.len() as f64);
        return largest;
    }
    let mut sum = 0.0;
    for v in row.iter_mut() {
        *v = (*v - largest).exp();
        sum += *v;
    }
    for v in row.iter_mut() {
        *v /= sum;
    }
    largest + sum.ln()
}

/// Gives components without observations a regular covariance.
fn fill_empty(mut covariances: Covariances, masses: &[f64], floor: Floor) -> Covariances {
    for c in (0..masses.len()).filter(|&c| masses[c] <= EMPTY) {
        match &mut covariances {
            Covariances::Spherical(v) if v.len() > 1 => v[c] = 2.0 * floor.ridge,
            Covariances::Diagonal(v) if v.nrows() > 1 => v.row_mut(c).fill(2.0 * floor.ridge),
            Covariances::Full(m) if m.len() > 1 => m[c] = Array2::eye(m[c].nrows()) * (2.0 * floor.ridge),
            _ => {}
        }
    }
    covariances
}

/// Partial sums over fixed chunks of rows, added in order.
pub(super) fn ordered_sums(
    n: usize,
    chunk: usize,
    width: usize,
    add: impl Fn(Range<usize>, &mut [f64]) + Sync,
) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = (0..n.div_ceil(chunk))
        .into_par_iter()
        .map(|c| {
            let mut sums = vec![0.0; width];
            add(c * chunk..n.min((c + 1) * chunk), &mut sums);
            sums
        })
        .collect_vec();
    let mut total = vec![0.0; width];
    for part in &parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

/// Column means, summed in a fixed order.
pub(super) fn column_means(x: ArrayView2<'_, f64>) -> Array1<f64> {
    let (n, d) = x.dim();
    let chunk = CHUNK_ROWS.max(n.div_ceil(MAX_CHUNKS));
    let sums = ordered_sums(n, chunk, d, |rows, sums| {
        for row in x.slice_axis(Axis(0), rows.into()).outer_iter() {
            for (sum, v) in sums.iter_mut().zip(row) {
                *sum += v;
            }
        }
    });
    Array1::from_iter(sums.into_iter().map(|v| v / n.max(1) as f64))
}
