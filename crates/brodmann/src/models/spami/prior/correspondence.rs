//! Do the genes of the reference mean in the target what they mean there?

use brodmann_kernels::{CsrView, ParallelLoop, Seed};
use ndarray::Array2;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;

use super::UNLABELLED;
use super::anchors::neighborhood;
use crate::models::spami::graph::SpamiGraph;

/// Orders of the genes that the true one is compared with.
const N_ORDERS: usize = 20;
/// Spots of each side that are looked at.
const MOST_SPOTS: usize = 1000;
/// So many standard deviations above wrong orders, the true one means something.
const LEAST_Z: f64 = 3.0;

/// How well the profiles of the labels are found in the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Correspondence {
    /// Mean over spots of the correlation with the best of the labels' profiles.
    pub found: f64,
    /// The same with the genes of the reference in a wrong order: the mean of many orders.
    pub by_chance: f64,
    /// How many standard deviations lie between the two.
    pub z: f64,
}

impl Correspondence {
    /// Whether the reference is of the same kind of tissue.
    pub fn is_enough(&self) -> bool {
        self.z >= LEAST_Z && self.found > self.by_chance
    }
}

/// Looks for the profile of each label in the spots of the target, and once more with genes in wrong orders: where the
/// reference is of another organ, the true order is none of the better ones.
///
/// Of each side up to 1000 spots are looked at, averaged over their surroundings, so that noise does not hide genes; each gene
/// is centred and scaled on each side. The profile of a label is the mean over its spots.
///
/// # Inputs
/// `target`, `reference`: log-normalised `(n_obs, n_genes)`, the same genes in one order, each with its spatial graph.
/// `labels`: of the reference, below `n_labels` or [`UNLABELLED`].
/// # Returns
/// NaN throughout where there is nothing to compare.
/// # Cost
/// O(1000 · n_genes · n_labels) for each of 21 orders, and two dense tables of 1000 spots.
pub fn gene_correspondence(
    (target, target_graph): (CsrView<'_, f32>, &SpamiGraph),
    (reference, reference_graph): (CsrView<'_, f32>, &SpamiGraph),
    labels: &[u32],
    n_labels: usize,
    seed: Seed,
) -> Correspondence {
    let (target, _) = surroundings(target, target_graph, seed.derive("spami/prior/spots", 0));
    let (reference, places) = surroundings(reference, reference_graph, seed.derive("spami/prior/spots", 1));
    let labels: Vec<u32> = places.iter().map(|&i| labels[i]).collect();
    compare(target, reference, &labels, n_labels, seed)
}

/// Up to so many spots, each the mean of its surroundings with genes centred and scaled; and which these are.
fn surroundings(values: CsrView<'_, f32>, graph: &SpamiGraph, seed: Seed) -> (Array2<f64>, Vec<usize>) {
    let mut places: Vec<usize> = (0..values.n_rows()).collect();
    if places.len() > MOST_SPOTS {
        places.shuffle(&mut seed.stream("spami/prior/sample", 0));
        places.truncate(MOST_SPOTS);
        places.sort_unstable();
    }
    let around = neighborhood(graph);
    let rows: Vec<Vec<f64>> = places
        .par_iter()
        .map(|&i| {
            let mut mean = vec![0.0f64; values.n_cols()];
            for &j in &around[i] {
                let (columns, entries) = values.row(j as usize);
                columns.iter().zip(entries).for_each(|(&g, &v)| mean[g as usize] += f64::from(v));
            }
            mean
        })
        .collect_vec();
    let size = |i: usize| around[places[i]].len() as f64;
    let mean = Array2::from_shape_fn((places.len(), values.n_cols()), |(i, g)| rows[i][g] / size(i));
    (standardised(mean), places)
}

fn compare(
    target: Array2<f64>,
    reference: Array2<f64>,
    labels: &[u32],
    n_labels: usize,
    seed: Seed,
) -> Correspondence {
    let n_genes = target.ncols();
    let mut profiles = Array2::<f64>::zeros((n_labels, n_genes));
    let mut sizes = vec![0usize; n_labels];
    for (row, &label) in reference.rows().into_iter().zip(labels).filter(|(_, l)| **l != UNLABELLED) {
        sizes[label as usize] += 1;
        let mut profile = profiles.row_mut(label as usize);
        profile += &row;
    }
    let there: Vec<usize> = (0..n_labels).filter(|&l| sizes[l] > 0).collect();
    let profiles: Vec<Vec<f64>> =
        there.iter().filter_map(|&l| unit(profiles.row(l).iter().copied())).collect();
    let spots: Vec<Vec<f64>> =
        target.rows().into_iter().filter_map(|row| unit(row.iter().copied())).collect();
    if profiles.is_empty() || spots.is_empty() {
        return Correspondence { found: f64::NAN, by_chance: f64::NAN, z: f64::NAN };
    }
    let score = |order: &[usize]| -> f64 {
        let ordered: Vec<Vec<f64>> =
            profiles.iter().map(|profile| order.iter().map(|&g| profile[g]).collect()).collect();
        let best: Vec<f64> = spots
            .par_iter()
            .map(|spot| {
                let with = |p: &Vec<f64>| spot.iter().zip(p).map(|(a, b)| a * b).sum::<f64>();
                ordered.iter().map(with).fold(f64::NEG_INFINITY, f64::max)
            })
            .collect_vec();
        best.iter().sum::<f64>() / best.len() as f64
    };
    let mut order: Vec<usize> = (0..n_genes).collect();
    let found = score(&order);
    let mut wrong = Vec::with_capacity(N_ORDERS);
    for k in 0..N_ORDERS {
        order.shuffle(&mut seed.stream("spami/prior/genes", k as u64));
        wrong.push(score(&order));
    }
    let by_chance = wrong.iter().sum::<f64>() / N_ORDERS as f64;
    let variance = wrong.iter().map(|w| (w - by_chance).powi(2)).sum::<f64>() / (N_ORDERS - 1) as f64;
    let z = if variance > 0.0 { (found - by_chance) / variance.sqrt() } else { 0.0 };
    Correspondence { found, by_chance, z }
}

/// Columns centred and scaled; constant ones 0.
fn standardised(mut values: Array2<f64>) -> Array2<f64> {
    let n = values.nrows().max(1) as f64;
    for mut column in values.columns_mut() {
        let mean = column.sum() / n;
        column.mapv_inplace(|v| v - mean);
        let sd = (column.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
        column.mapv_inplace(|v| if sd > 1e-9 { v / sd } else { 0.0 });
    }
    values
}

/// Centred, with length one, so that products are correlations; nothing for what does not vary.
fn unit(values: impl Iterator<Item = f64>) -> Option<Vec<f64>> {
    let mut values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    for v in &mut values {
        *v -= mean;
    }
    let length = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    (length > 1e-9).then(|| values.iter().map(|v| v / length).collect())
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::CsrMatrix;

    use super::*;
    use crate::nn::check::numbers;

    /// Spots in a row, of two kinds: the first half of them has the first half of genes up, the others the second; with
    /// noise.
    fn tissue(n: usize, genes: usize, salt: u64, turned: usize) -> (CsrMatrix<f32>, SpamiGraph, Vec<u32>) {
        let noise = numbers(n * genes, salt);
        let values = Array2::from_shape_fn((n, genes), |(i, g)| {
            let up = (((g + turned) % genes) < genes / 2) == (2 * i < n);
            (f64::from(u8::from(up)) + 2.0 * noise[i * genes + g]) as f32
        });
        let row: Vec<Vec<u32>> = (0..n).map(|i| vec![if i + 1 < n { i + 1 } else { i - 1 } as u32]).collect();
        let graph = SpamiGraph::new(&row).expect("a row");
        (CsrMatrix::from_dense(values.view()), graph, (0..n).map(|i| u32::from(2 * i >= n)).collect())
    }

    #[test]
    fn the_same_genes_are_recognised_and_unrelated_ones_are_not() {
        let (target, row, _) = tissue(60, 80, 1, 0);
        let (reference, other, labels) = tissue(50, 80, 2, 0);
        let of = |reference: &CsrMatrix<f32>| {
            gene_correspondence((target.view(), &row), (reference.view(), &other), &labels, 2, Seed(0))
        };
        let same = of(&reference);
        assert!(same.is_enough() && same.z > 5.0, "{same:?}");
        // A quarter of the way round, the halves have nothing to do with each other.
        let unlike = of(&tissue(50, 80, 3, 20).0);
        assert!(!unlike.is_enough(), "{unlike:?}");
    }

    #[test]
    fn where_nothing_varies_or_nothing_is_labelled_nothing_is_claimed() {
        let (target, row, labels) = tissue(20, 10, 1, 0);
        let flat = CsrMatrix::from_dense(Array2::<f32>::ones((20, 10)).view());
        let of = |reference: &CsrMatrix<f32>, labels: &[u32]| {
            gene_correspondence((target.view(), &row), (reference.view(), &row), labels, 2, Seed(0))
        };
        assert!(!of(&flat, &labels).is_enough());
        assert!(!of(&target, &[UNLABELLED; 20]).is_enough());
    }
}
