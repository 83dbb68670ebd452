//! Who is whose neighbour, with the weights of the mean and of the gradient.

use brodmann_kernels::{ParallelLoop, Slices};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::BanksyOptions;
use crate::graph::{GraphError, GraphNote, NearestRows, Points, nearest_rows, too_few};

/// Spots weighed in one task.
const CHUNK: usize = 1024;

/// Bytes of an edge, and of one while it is found: a distance and a number in the order of the tree, and both again.
pub(super) const EDGE_BYTES: u64 = 28;
pub(super) const FOUND_BYTES: u64 = 28;

/// The neighbours of every spot, within its slice.
pub(super) struct Surroundings {
    /// `(n_obs + 1)`: where the neighbours of each spot begin.
    indptr: Vec<usize>,
    indices: Vec<u32>,
    weights: Vec<[f64; 3]>,
    pub(super) notes: Vec<GraphNote>,
}

impl Surroundings {
    pub(super) fn new(
        coordinates: ArrayView2<'_, f64>,
        slices: &Slices,
        options: &BanksyOptions,
    ) -> Result<Self, GraphError> {
        match Points::try_new(coordinates)? {
            Points::Plane(points) => build(&points, slices, options),
            Points::Space(points) => build(&points, slices, options),
        }
    }

    /// The neighbours of spot `i`, nearest first, each with its weight in the mean and in the real and the imaginary
    /// part of the gradient.
    pub(super) fn row(&self, i: usize) -> (&[u32], &[[f64; 3]]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &self.weights[range])
    }
}

fn build<const D: usize>(
    points: &[[f64; D]],
    slices: &Slices,
    options: &BanksyOptions,
) -> Result<Surroundings, GraphError> {
    let wanted = options.n_neighbors.max(options.n_neighbors_agf);
    let mut notes = Vec::new();
    let mut found: Vec<NearestRows> = Vec::with_capacity(slices.count());
    let mut indptr = vec![0usize; points.len() + 1];
    for (slice, members) in slices.rows().iter().enumerate() {
        let local: Vec<[f64; D]> = members.iter().map(|&i| points[i as usize]).collect();
        let rows = nearest_rows(&local, wanted)?;
        if rows.k < wanted {
            let code = (slices.count() > 1).then(|| slices.codes()[slice]);
            notes.push(GraphNote { slice: code, text: too_few(members.len(), wanted) });
        }
        for &i in members {
            indptr[i as usize + 1] = rows.k;
        }
        found.push(rows);
    }
    for i in 0..points.len() {
        indptr[i + 1] += indptr[i];
    }
    let n_edges = *indptr.last().expect("one more entry than spots");
    // Where each spot is: which slice, which row of it.
    let mut place = vec![0u32; points.len()];
    for members in slices.rows() {
        members.iter().enumerate().for_each(|(row, &i)| place[i as usize] = row as u32);
    }
    let (mut indices, mut weights) = (vec![0u32; n_edges], vec![[0.0; 3]; n_edges]);
    let mut tasks = Vec::with_capacity(points.len().div_ceil(CHUNK));
    let (mut rest, mut rest_weights) = (&mut indices[..], &mut weights[..]);
    for first in (0..points.len()).step_by(CHUNK) {
        let last = points.len().min(first + CHUNK);
        let n = indptr[last] - indptr[first];
        let (own, others) = rest.split_at_mut(n);
        let (own_weights, others_weights) = rest_weights.split_at_mut(n);
        (rest, rest_weights) = (others, others_weights);
        tasks.push((first..last, own, own_weights));
    }
    tasks.into_par_iter().each(|(spots, indices, weights)| {
        let mut at = 0;
        let mut distances = Vec::with_capacity(wanted);
        for i in spots {
            let slice = slices.of(i);
            let (members, rows) = (&slices.rows()[slice], &found[slice]);
            let range = place[i] as usize * rows.k..(place[i] as usize + 1) * rows.k;
            let own = at..at + rows.k;
            at += rows.k;
            let (indices, weights) = (&mut indices[own.clone()], &mut weights[own]);
            for (index, &local) in indices.iter_mut().zip(&rows.indices[range.clone()]) {
                *index = members[local as usize];
            }
            distances.clear();
            distances.extend_from_slice(&rows.distances[range]);
            weigh(&distances, options, weights, |j| {
                let (from, to) = (&points[i], &points[indices[j] as usize]);
                [to[0] - from[0], to[1] - from[1]]
            });
        }
    });
    Ok(Surroundings { indptr, indices, weights, notes })
}

/// The weights of one spot's neighbours, nearest first; `step(j)` leads to the j-th.
fn weigh(
    distances: &[f64],
    options: &BanksyOptions,
    weights: &mut [[f64; 3]],
    step: impl Fn(usize) -> [f64; 2],
) {
    let k = options.n_neighbors.min(distances.len());
    for (weight, w) in weights.iter_mut().zip(decay(&distances[..k])) {
        weight[0] = w;
    }
    let k = options.n_neighbors_agf.min(distances.len());
    if k == 0 {
        return;
    }
    let mut sum = [0.0; 2];
    for (j, w) in decay(&distances[..k]).enumerate() {
        let [x, y] = step(j);
        let length = x.hypot(y);
        if length > 0.0 {
            let part = [w * (x / length), w * (y / length)];
            weights[j][1..].copy_from_slice(&part);
            sum[0] += part[0];
            sum[1] += part[1];
        }
    }
    if options.centred {
        // Σ w e^{iφ} (x − c) with c the plain mean is Σ (w e^{iφ} − s / k) x with s = Σ w e^{iφ}.
        for weight in &mut weights[..k] {
            weight[1] -= sum[0] / k as f64;
            weight[2] -= sum[1] / k as f64;
        }
    }
}

/// `exp(−(d / median)²)`, adding up to 1; `distances` rise.
fn decay(distances: &[f64]) -> impl Iterator<Item = f64> + '_ {
    let k = distances.len();
    let median = if k == 0 { 0.0 } else { f64::midpoint(distances[(k - 1) / 2], distances[k / 2]) };
    let weight = move |d: f64| {
        if d == 0.0 {
            1.0
        } else if median > 0.0 {
            libm::exp(-(d / median).powi(2))
        } else {
            0.0
        }
    };
    let total: f64 = distances.iter().map(|&d| weight(d)).sum();
    distances.iter().map(move |&d| weight(d) / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_with_the_distance_over_the_median() {
        let weights: Vec<f64> = decay(&[1.0, 2.0, 4.0]).collect();
        let expected = [(-0.25f64).exp(), (-1f64).exp(), (-4f64).exp()];
        let total: f64 = expected.iter().sum();
        for (w, e) in weights.iter().zip(expected) {
            assert!((w - e / total).abs() < 1e-15);
        }
    }

    #[test]
    fn coinciding_neighbours_have_weights_that_are_numbers() {
        assert_eq!(decay(&[0.0, 0.0]).collect::<Vec<_>>(), [0.5, 0.5]);
        assert_eq!(decay(&[0.0, 0.0, 5.0]).collect::<Vec<_>>(), [0.5, 0.5, 0.0]);
        assert_eq!(decay(&[]).count(), 0);
        let mut weights = [[0.0; 3]; 2];
        weigh(&[0.0, 0.0], &BanksyOptions::default(), &mut weights, |_| [0.0, 0.0]);
        assert_eq!(weights, [[0.5, 0.0, 0.0]; 2]);
    }
}
