//! Anchors: which spots of target and reference belong together, and whether what they say is to be trusted.

use brodmann_kernels::{CsrMatrix, Monitor, ParallelLoop, Seed};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::Serialize;

use super::super::error::SpamiError;
use super::super::graph::SpamiGraph;
use super::{Prior, UNLABELLED};
use crate::graph::mutual_nearest;

/// Of the true nearest neighbours so many must be found in large tables.
const MIN_RECALL: f64 = 0.9;
/// Pairs whose cosine is below this share of the median's are none.
const LEAST_ALIKE: f64 = 0.5;
/// Anchors of neighbouring spots that agree less than this beyond chance say nothing about the tissue.
const LEAST_AGREEMENT: f64 = 0.2;

/// Pairs of target and reference, with what they weigh.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchors {
    /// `(n_obs, n_reference)`: how much of the votes around the spot are for the label of the partner, divided by the
    /// number of pairs.
    pub weights: CsrMatrix<f32>,
    /// The transpose.
    pub back: CsrMatrix<f32>,
    /// `(n_obs, n_labels)`: labels of the anchors of a spot and of those around it.
    pub votes: Array2<f32>,
    /// What the pairs are worth.
    pub trust: Trust,
}

impl Anchors {
    /// The same without a part in the loss, where they are not worth it.
    pub(super) fn silenced(self) -> Self {
        if self.trust.is_enough() {
            return self;
        }
        let empty = |n_rows: usize, n_cols: usize| CsrMatrix::from_rows(n_cols, &vec![Vec::new(); n_rows]);
        let (n, m) = (self.weights.n_rows(), self.weights.n_cols());
        Self { weights: empty(n, m), back: empty(m, n), ..self }
    }
}

/// What anchors are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Trust {
    /// Pairs.
    pub n_anchors: usize,
    /// Share of spots with an anchor.
    pub covered: f64,
    /// How much more often the anchors of neighbouring spots have one label than any two anchors: 1 always, 0 as often.
    pub agreement: f64,
}

impl Trust {
    /// Whether the labels say something about the tissue.
    pub fn is_enough(&self) -> bool {
        self.agreement >= LEAST_AGREEMENT
    }
}

/// The spots around each: its neighbours in either direction, theirs, and itself; each once.
pub(super) fn neighborhood(graph: &SpamiGraph) -> Vec<Vec<u32>> {
    let operator = graph.operators.normalized.view();
    (0..graph.n_obs())
        .into_par_iter()
        .map(|i| {
            let near = operator.row(i).0;
            let mut all: Vec<u32> = near.iter().flat_map(|&j| operator.row(j as usize).0).copied().collect();
            all.push(i as u32);
            all.sort_unstable();
            all.dedup();
            all
        })
        .collect_vec()
}

/// Looks for anchors, again and again.
pub(super) struct Finder<'a> {
    pub prior: Prior<'a>,
    /// Spots of the reference that have a label.
    labelled: Vec<u32>,
    /// Of the target.
    around: Vec<Vec<u32>>,
    /// Shared features averaged over the surroundings and centred, of target and of the labelled reference.
    shared: [Array2<f64>; 2],
    k: usize,
    seed: Seed,
}

impl<'a> Finder<'a> {
    pub fn new(prior: Prior<'a>, target: &SpamiGraph, k: usize, seed: Seed) -> Self {
        let labelled: Vec<u32> =
            (0..prior.labels.len() as u32).filter(|&j| prior.labels[j as usize] != UNLABELLED).collect();
        let around = neighborhood(target);
        let smooth = |values: ArrayView2<'_, f32>, around: &[Vec<u32>]| {
            let rows: Vec<Vec<f64>> = around
                .par_iter()
                .map(|spots| {
                    let mut mean = vec![0.0f64; values.ncols()];
                    for &j in spots {
                        mean.iter_mut().zip(values.row(j as usize)).for_each(|(m, v)| *m += f64::from(*v));
                    }
                    for m in &mut mean {
                        *m /= spots.len() as f64;
                    }
                    mean
                })
                .collect_vec();
            let mut smooth = Array2::from_shape_fn(values.dim(), |(i, t)| rows[i][t]);
            // What is shifted as a whole is the platform, not the tissue.
            for mut column in smooth.columns_mut() {
                let mean = column.sum() / column.len().max(1) as f64;
                column.mapv_inplace(|v| v - mean);
            }
            smooth
        };
        let reference = smooth(prior.reference, &neighborhood(prior.graph));
        let places: Vec<usize> = labelled.iter().map(|&j| j as usize).collect();
        let shared = [smooth(prior.target, &around), reference.select(ndarray::Axis(0), &places)];
        Self { prior, labelled, around, shared, k, seed }
    }

    /// Anchors in the shared features, and in the embeddings of target and reference where there are some: the cosine is then
    /// the mean of both spaces'.
    pub fn find(
        &self,
        embeddings: Option<[ArrayView2<'_, f32>; 2]>,
        monitor: &dyn Monitor,
    ) -> Result<Anchors, SpamiError> {
        let places: Vec<usize> = self.labelled.iter().map(|&j| j as usize).collect();
        let near = match embeddings {
            None => {
                let [a, b] = &self.shared;
                mutual_nearest(a.view(), b.view(), self.k, MIN_RECALL, self.seed, monitor)?
            }
            Some([z, r]) => {
                let a = beside(&self.shared[0], z);
                let b = beside(&self.shared[1], r.select(ndarray::Axis(0), &places).view());
                mutual_nearest(a.view(), b.view(), self.k, MIN_RECALL, self.seed, monitor)?
            }
        };
        Ok(self.weighed(&alike(&near)))
    }

    fn weighed(&self, pairs: &CsrMatrix<f64>) -> Anchors {
        let pairs = pairs.view();
        let (n, c) = (pairs.n_rows(), self.prior.n_labels);
        let label = |j: u32| self.prior.labels[self.labelled[j as usize] as usize] as usize;
        let mut own = Array2::<f32>::zeros((n, c));
        for i in 0..n {
            pairs.row(i).0.iter().for_each(|&j| own[[i, label(j)]] += 1.0);
        }
        let rows: Vec<Vec<f32>> = self
            .around
            .par_iter()
            .map(|spots| {
                let mut votes = vec![0.0f32; c];
                for &i in spots {
                    votes.iter_mut().zip(own.row(i as usize)).for_each(|(v, o)| *v += o);
                }
                for v in &mut votes {
                    *v /= spots.len() as f32;
                }
                votes
            })
            .collect_vec();
        let votes = Array2::from_shape_fn((n, c), |(i, l)| rows[i][l]);
        let n_anchors = pairs.nnz();
        let weights: Vec<Vec<(u32, f32)>> = (0..n)
            .map(|i| {
                let all: f32 = votes.row(i).sum();
                let weight = |&j: &u32| {
                    (self.labelled[j as usize], votes[[i, label(j)]] / all / n_anchors.max(1) as f32)
                };
                pairs.row(i).0.iter().map(weight).collect()
            })
            .collect();
        let weights = CsrMatrix::from_rows(self.prior.labels.len(), &weights);
        let covered = (0..n).filter(|&i| !pairs.row(i).0.is_empty()).count() as f64 / n.max(1) as f64;
        let trust = Trust { n_anchors, covered, agreement: self.agreement(&own) };
        Anchors { back: weights.view().transpose(), weights, votes, trust }
    }

    /// `(observed − expected) / (1 − expected)`: two anchors of different spots of one surrounding have one label, against
    /// any two.
    fn agreement(&self, own: &Array2<f32>) -> f64 {
        // A spot votes with the shares of its labels, so that spots with many anchors do not outweigh the others.
        let shares: Vec<Option<Vec<f64>>> = own
            .rows()
            .into_iter()
            .map(|row| {
                let all = f64::from(row.sum());
                (all > 0.0).then(|| row.iter().map(|v| f64::from(*v) / all).collect())
            })
            .collect();
        let mut overall = vec![0.0f64; own.ncols()];
        let mut n_spots = 0.0;
        for share in shares.iter().flatten() {
            overall.iter_mut().zip(share).for_each(|(o, s)| *o += s);
            n_spots += 1.0;
        }
        let expected: f64 = overall.iter().map(|o| (o / f64::max(n_spots, 1.0)).powi(2)).sum();
        let parts: Vec<(f64, f64)> = self
            .around
            .par_iter()
            .enumerate()
            .map(|(i, spots)| {
                let Some(own) = &shares[i] else { return (0.0, 0.0) };
                let (mut same, mut count) = (0.0, 0.0);
                for &j in spots.iter().filter(|&&j| j as usize != i) {
                    if let Some(other) = &shares[j as usize] {
                        same += own.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
                        count += 1.0;
                    }
                }
                (same, count)
            })
            .collect_vec();
        let (same, count) = parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        if count == 0.0 || expected >= 1.0 {
            return 0.0;
        }
        (same / count - expected) / (1.0 - expected)
    }
}

/// The pairs that are not much less alike than pairs are: a spot whose like is not on the other side has a nearest one all the
/// same.
fn alike(pairs: &CsrMatrix<f64>) -> CsrMatrix<f64> {
    let mut cosines = pairs.data().to_vec();
    cosines.sort_unstable_by(f64::total_cmp);
    let least = LEAST_ALIKE * cosines.get(cosines.len() / 2).copied().unwrap_or(0.0);
    let row = |i: usize| -> Vec<(u32, f64)> {
        let (partners, values) = pairs.view().row(i);
        partners.iter().copied().zip(values.iter().copied()).filter(|(_, cosine)| *cosine >= least).collect()
    };
    CsrMatrix::from_rows(pairs.n_cols(), &(0..pairs.n_rows()).map(row).collect::<Vec<_>>())
}

/// Rows of two tables side by side, each of length one.
fn beside(a: &Array2<f64>, b: ArrayView2<'_, f32>) -> Array2<f64> {
    let mut both = Array2::zeros((a.nrows(), a.ncols() + b.ncols()));
    for (i, mut row) in both.rows_mut().into_iter().enumerate() {
        let lengths = [
            a.row(i).iter().map(|v| v * v).sum::<f64>().sqrt(),
            b.row(i).iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt(),
        ]
        .map(|length| if length > 0.0 { length } else { 1.0 });
        let values = a.row(i).iter().map(|v| v / lengths[0]).collect::<Vec<_>>().into_iter();
        let others = b.row(i).iter().map(|v| f64::from(*v) / lengths[1]).collect::<Vec<_>>();
        row.iter_mut().zip(values.chain(others)).for_each(|(slot, v)| *slot = v);
    }
    both
}
