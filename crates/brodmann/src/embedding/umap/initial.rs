//! Where the points start.

use brodmann_kernels::eigen::symmetric_eigen;
use brodmann_kernels::matmul::{matmul, matmul_tn};
use brodmann_kernels::spmm::csr_dense;
use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed};
use ndarray::{Array2, ArrayView2, Axis};

use super::{UmapError, UmapInit};
use crate::graph::{Components, connected_components};
use crate::preprocess::PreprocessError;
use crate::preprocess::svd::krylov::{EigenOptions, Growth, dense_eigenpairs, leading_eigenpairs};

/// Half the width of the layout before the last scaling.
const HALF_WIDTH: f64 = 10.0;
/// Side of the square the layout starts in.
const SIDE: f64 = 10.0;
/// Noise that parts coinciding points, against [`HALF_WIDTH`].
const NOISE: f64 = 1e-4;
/// Components of up to this many spots have no spectral layout worth the name.
const TINY: usize = 4;
/// Components of up to this many spots go to the dense eigen-solver.
const DENSE: usize = 400;
/// Residual at which the eigenvectors are good enough to start from: each epoch moves points much further.
const TOLERANCE: f64 = 1e-4;
/// Products with the graph at most; with the fewer, later ones a large graph starts well enough.
const MAX_STEPS: usize = 100;
/// From this many spots on, the fewer steps.
const LARGE: usize = 200_000;
/// Products with a large graph at most.
const MAX_STEPS_LARGE: usize = 40;

/// Starting places and what was seen on the way.
pub(super) struct Start {
    pub(super) places: Vec<[f32; 2]>,
    pub(super) n_components: usize,
}

/// Starting places, the x and y of all points filling a square of side [`SIDE`].
pub(super) fn positions(
    graph: CsrView<'_, f64>,
    embedding: Option<ArrayView2<'_, f64>>,
    init: UmapInit,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Start, UmapError> {
    let n_obs = graph.n_rows();
    let random = Uniform(seed.derive("embedding/umap/start", 0));
    let components = connected_components(graph);
    let mut places = match init {
        UmapInit::Random => (0..n_obs).map(|i| random.place(i, HALF_WIDTH)).collect(),
        UmapInit::Pca => principal(embedding.ok_or(UmapError::MissingEmbedding)?)?,
        UmapInit::Spectral => {
            let centres = match embedding {
                Some(embedding) if components.count() > 1 => Some(principal(embedding)?),
                _ => None,
            };
            let pieces = Pieces::new(&components, centres.as_deref());
            pieces.spectral(graph, random, seed, monitor)?
        }
    };
    let widest = places.iter().flatten().fold(0.0f64, |w, v| w.max(v.abs()));
    let expand = if widest > 0.0 { HALF_WIDTH / widest } else { 1.0 };
    let noise = Uniform(seed.derive("embedding/umap/noise", 0));
    for (i, place) in places.iter_mut().enumerate() {
        let shift = noise.place(i, NOISE);
        for axis in 0..2 {
            place[axis] = place[axis] * expand + shift[axis];
        }
    }
    let mut scaled = vec![[0.0f32; 2]; n_obs];
    for axis in 0..2 {
        let low = places.iter().map(|p| p[axis]).fold(f64::INFINITY, f64::min);
        let high = places.iter().map(|p| p[axis]).fold(f64::NEG_INFINITY, f64::max);
        let scale = if high > low { SIDE / (high - low) } else { 0.0 };
        for (to, place) in scaled.iter_mut().zip(&places) {
            to[axis] = ((place[axis] - low) * scale) as f32;
        }
    }
    Ok(Start { places: scaled, n_components: components.count() })
}

/// Uniform numbers by index.
#[derive(Clone, Copy)]
struct Uniform(Seed);

impl Uniform {
    /// Uniform in the square of half-width `half` around 0.
    fn place(self, i: usize, half: f64) -> [f64; 2] {
        [0, 1].map(|axis| {
            let word = self.0.word(2 * i as u64 + axis) >> 11;
            half * (2.0 * word as f64 / (1u64 << 53) as f64 - 1.0)
        })
    }
}

/// The two leading principal components.
fn principal(embedding: ArrayView2<'_, f64>) -> Result<Vec<[f64; 2]>, UmapError> {
    let (n, d) = embedding.dim();
    if n == 0 || d == 0 {
        return Ok(vec![[0.0; 2]; n]);
    }
    let ones = Array2::from_elem((n, 1), 1.0);
    let mean = matmul_tn(embedding, ones.view()).into_shape_with_order(d).expect("d × 1") / n as f64;
    let centred = &embedding - &mean;
    let gram = matmul_tn(centred.view(), centred.view());
    let (_, mut axes) = symmetric_eigen(gram.view(), 2)
        .map_err(|e| UmapError::Eigen(PreprocessError::Eigen { size: e.size }))?;
    for mut axis in axes.columns_mut() {
        // The sign of an eigenvector is arbitrary: the largest entry is made positive.
        let largest = axis.iter().copied().fold(0.0f64, |m, v| if v.abs() > m.abs() { v } else { m });
        if largest < 0.0 {
            axis.mapv_inplace(|v| -v);
        }
    }
    let scores = matmul(centred.view(), axes.view());
    Ok(scores.outer_iter().map(|row| [row[0], row.get(1).copied().unwrap_or(0.0)]).collect())
}

/// The components of a graph, set apart.
struct Pieces {
    /// The spots of each, rising.
    members: Vec<Vec<u32>>,
    /// Where each lies.
    centres: Vec<[f64; 2]>,
    /// Half the width of the place each may fill.
    half_widths: Vec<f64>,
}

impl Pieces {
    /// Components lie where their spots lie on average in `places`, or without those on a spiral.
    fn new(components: &Components, places: Option<&[[f64; 2]]>) -> Self {
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); components.count()];
        for (i, &label) in components.labels.iter().enumerate() {
            members[label as usize].push(i as u32);
        }
        let (centres, half_widths) = match places {
            Some(places) => Self::by_means(&members, places),
            None => Self::on_a_spiral(&components.sizes),
        };
        Self { members, centres, half_widths }
    }

    /// At the mean of their spots' places, each as wide as half the way to the next.
    fn by_means(members: &[Vec<u32>], places: &[[f64; 2]]) -> (Vec<[f64; 2]>, Vec<f64>) {
        let centres: Vec<[f64; 2]> = members
            .iter()
            .map(|spots| {
                [0, 1].map(|axis| {
                    spots.iter().map(|&i| places[i as usize][axis]).sum::<f64>() / spots.len().max(1) as f64
                })
            })
            .collect();
        // Sorted along x, the nearest centre is found by looking both ways until x alone is farther.
        let mut order: Vec<usize> = (0..centres.len()).collect();
        order.sort_by(|&a, &b| centres[a][0].total_cmp(&centres[b][0]).then(a.cmp(&b)));
        let mut half_widths = vec![0.0; centres.len()];
        for (at, &c) in order.iter().enumerate() {
            let mut nearest = f64::INFINITY;
            let mut look = |others: &mut dyn Iterator<Item = &usize>| {
                for &other in others {
                    let (dx, dy) = (centres[other][0] - centres[c][0], centres[other][1] - centres[c][1]);
                    if dx.abs() >= nearest {
                        break;
                    }
                    nearest = nearest.min(dx.hypot(dy));
                }
            };
            look(&mut order[at + 1..].iter());
            look(&mut order[..at].iter().rev());
            half_widths[c] = if nearest.is_finite() { 0.5 * nearest } else { 1.0 };
        }
        (centres, half_widths)
    }

    /// The largest in the middle, each in a disc of area proportional to its size.
    fn on_a_spiral(sizes: &[usize]) -> (Vec<[f64; 2]>, Vec<f64>) {
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&c| std::cmp::Reverse(sizes[c]));
        let (mut centres, mut half_widths) = (vec![[0.0; 2]; sizes.len()], vec![0.0; sizes.len()]);
        let mut area = 0.0;
        for (rank, &c) in order.iter().enumerate() {
            let size = sizes[c] as f64;
            // The golden angle spreads discs evenly (Vogel 1979); the radius grows with the area already placed.
            let angle = rank as f64 * std::f64::consts::PI * (3.0 - 5.0f64.sqrt());
            let radius = if rank == 0 { 0.0 } else { (area + 0.5 * size).sqrt() + 0.5 * size.sqrt() };
            area += 2.0 * size;
            centres[c] = [radius * angle.cos(), radius * angle.sin()];
            half_widths[c] = 0.7 * size.sqrt();
        }
        (centres, half_widths)
    }

    /// The spectral layout of each component, at its place.
    fn spectral(
        &self,
        graph: CsrView<'_, f64>,
        random: Uniform,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Vec<[f64; 2]>, UmapError> {
        let n_obs = graph.n_rows();
        if self.members.len() == 1 && n_obs > TINY {
            return component(graph, seed, monitor);
        }
        let mut local = vec![0u32; n_obs];
        let mut places = vec![[0.0; 2]; n_obs];
        for (c, spots) in self.members.iter().enumerate() {
            let inner: Vec<[f64; 2]> = if spots.len() <= TINY {
                spots.iter().map(|&i| random.place(i as usize, 1.0)).collect()
            } else {
                for (new, &i) in spots.iter().enumerate() {
                    local[i as usize] = new as u32;
                }
                component(subgraph(graph, spots, &local).view(), seed, monitor)?
            };
            let widest = inner.iter().flatten().fold(0.0f64, |w, v| w.max(v.abs()));
            let scale = if widest > 0.0 { self.half_widths[c] / widest } else { 0.0 };
            for (&i, place) in spots.iter().zip(&inner) {
                places[i as usize] = [0, 1].map(|axis| self.centres[c][axis] + scale * place[axis]);
            }
        }
        Ok(places)
    }
}

/// The rows of one component, renumbered.
fn subgraph(graph: CsrView<'_, f64>, spots: &[u32], local: &[u32]) -> CsrMatrix<f64> {
    let rows: Vec<Vec<(u32, f64)>> = spots
        .iter()
        .map(|&i| {
            let (columns, values) = graph.row(i as usize);
            // Spots rise within a component, so renumbered columns rise too.
            columns.iter().map(|&j| local[j as usize]).zip(values.iter().copied()).collect()
        })
        .collect();
    CsrMatrix::from_rows(spots.len(), &rows)
}

/// Second and third eigenvector of `D^-1/2 A D^-1/2` of a connected graph.
fn component(graph: CsrView<'_, f64>, seed: Seed, monitor: &dyn Monitor) -> Result<Vec<[f64; 2]>, UmapError> {
    let n = graph.n_rows();
    let degrees: Vec<f64> = (0..n).map(|i| graph.row(i).1.iter().sum()).collect();
    let inverse: Vec<f64> = degrees.iter().map(|&d| if d > 0.0 { 1.0 / d.sqrt() } else { 0.0 }).collect();
    let mut normalised = graph.to_owned();
    normalised.for_each_row_mut(|i, columns, values| {
        for (value, &j) in values.iter_mut().zip(columns) {
            *value *= inverse[i] * inverse[j as usize];
        }
    });
    // The first eigenvector is known, √d, and carries no place: it is taken out of the operator.
    let total: f64 = degrees.iter().sum();
    let trivial = Array2::from_shape_fn((n, 1), |(i, _)| (degrees[i] / total.max(f64::MIN_POSITIVE)).sqrt());
    // (I + S) / 2 has eigenvalues in [0, 1], as the solver wants.
    let mut apply = |v: ArrayView2<'_, f64>| -> Result<Array2<f64>, PreprocessError> {
        monitor.check()?;
        let mut out = csr_dense(normalised.view(), v);
        out += &v;
        let along = matmul_tn(trivial.view(), out.view());
        out -= &matmul(trivial.view(), along.view());
        out *= 0.5;
        Ok(out)
    };
    let pairs = if n <= DENSE {
        let dense = apply(Array2::eye(n).view())?;
        dense_eigenpairs(&dense, 2)?
    } else {
        let max_steps = if n < LARGE { MAX_STEPS } else { MAX_STEPS_LARGE };
        let options = EigenOptions { tolerance: TOLERANCE, max_steps, growth: Growth::Wide };
        leading_eigenpairs(n, 2, &mut apply, &options, seed)?
    };
    let mut vectors = pairs.vectors;
    for mut column in vectors.axis_iter_mut(Axis(1)) {
        let largest = column.iter().copied().fold(0.0f64, |m, v| if v.abs() > m.abs() { v } else { m });
        if largest < 0.0 {
            column.mapv_inplace(|v| -v);
        }
    }
    Ok(vectors.outer_iter().map(|row| [row[0], row.get(1).copied().unwrap_or(0.0)]).collect())
}
