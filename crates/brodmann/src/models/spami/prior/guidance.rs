//! A reference beside one target, as training takes it.

use std::collections::BTreeSet;

use brodmann_kernels::{Monitor, Seed};
use ndarray::{Array1, Array2, ArrayView2};

use super::anchors::{Anchors, Finder, Trust};
use super::head::{LabelHead, Labelled};
use super::{Prior, PriorOptions, UNLABELLED};
use crate::models::spami::checks::check_features;
use crate::models::spami::error::SpamiError;
use crate::models::spami::graph::SpamiGraph;
use crate::nn::Parameters;

/// Of the spots whose anchors are sure of a label, this share lies beyond the bound from which on nothing is like it.
const BEYOND: f64 = 0.02;
/// A majority of votes that is sure.
const SURE: f32 = 0.5;

/// A reference beside one target, with the first anchors.
pub struct Guidance<'a> {
    finder: Finder<'a>,
    options: PriorOptions,
    first: Anchors,
    n_obs: usize,
}

impl<'a> Guidance<'a> {
    /// Checks the reference and looks for the first anchors, in the shared features averaged over each spot's surroundings.
    ///
    /// # Inputs
    /// `target`: the spatial graph of the target.
    /// # Errors
    /// [`SpamiError::PriorMismatch`], [`SpamiError::PriorLabel`], [`SpamiError::PriorLabels`], those of the options and of
    /// the features.
    pub fn new(
        prior: Prior<'a>,
        target: &SpamiGraph,
        options: &PriorOptions,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Self, SpamiError> {
        options.validate()?;
        check(&prior)?;
        check_features(&[prior.target], target)?;
        check_features(&[prior.reference], prior.graph)?;
        let seed = seed.derive("spami/prior", 0);
        let finder = Finder::new(prior, target, options.prior_anchors, seed);
        let first = finder.find(None, monitor)?.silenced();
        Ok(Self { finder, options: options.clone(), first, n_obs: target.n_obs() })
    }

    /// What the first anchors are worth. Without enough of it, train without the reference.
    pub fn trust(&self) -> Trust {
        self.first.trust
    }

    /// The first anchors.
    pub fn first(&self) -> &Anchors {
        &self.first
    }

    /// The reference.
    pub fn prior(&self) -> &Prior<'a> {
        &self.finder.prior
    }

    /// Spots of the target.
    pub fn n_obs(&self) -> usize {
        self.n_obs
    }

    /// The spots with a first anchor in their surroundings; the others are like nothing in the reference.
    pub fn supported(&self) -> Vec<bool> {
        self.first.votes.rows().into_iter().map(|votes| votes.sum() > 0.0).collect()
    }

    /// Whether anchors are looked for anew before this epoch (from 0).
    pub(in super::super) fn searches_before(&self, epoch: u64) -> bool {
        epoch > 0 && epoch.is_multiple_of(self.options.prior_every as u64)
    }

    /// Anchors in the shared features and the embeddings of target and reference; without a part where they do not agree.
    pub(in super::super) fn find(
        &self,
        embeddings: [ArrayView2<'_, f32>; 2],
        monitor: &dyn Monitor,
    ) -> Result<Anchors, SpamiError> {
        Ok(self.finder.find(Some(embeddings), monitor)?.silenced())
    }

    /// `λ_mnn`, `λ_label`.
    pub(in super::super) fn weights(&self) -> [f64; 2] {
        [self.options.prior_weight, self.options.prior_label_weight]
    }

    /// The term of the labels, for an embedding of this width.
    pub(in super::super) fn labelled(&self, width: usize) -> Labelled {
        let prior = self.prior();
        Labelled { labels: prior.labels.to_vec(), n_labels: prior.n_labels, width }
    }

    /// The head of trained parameters, with what the embeddings of target and reference say of it.
    pub(in super::super) fn head(
        &self,
        parameters: &Parameters<f32>,
        z: ArrayView2<'_, f32>,
        r: ArrayView2<'_, f32>,
    ) -> LabelHead {
        let prior = self.prior();
        let of = |name: &str| {
            let found = parameters.find(name).expect("a guided network has a head");
            Array2::from_shape_fn(found.shape, |(i, j)| found.value[i * found.shape.1 + j])
        };
        let directions = directions(r, prior.labels, prior.n_labels);
        let bias = of("prior.head.bias").row(0).to_owned();
        let mut head = LabelHead {
            weight: of("prior.head.weight"),
            bias,
            temperature: 1.0,
            nearest_cosine: self.bounds(z, &directions),
            directions,
        };
        head.fit_temperature(z, self.first.votes.view());
        head
    }

    /// Of each label, the cosine with its direction that nearly all spots exceed whose anchors are sure of it.
    fn bounds(&self, z: ArrayView2<'_, f32>, directions: &Array2<f32>) -> Array1<f32> {
        let n_labels = directions.nrows();
        let mut of_label: Vec<Vec<f32>> = vec![Vec::new(); n_labels];
        for (row, votes) in z.rows().into_iter().zip(self.first.votes.rows()) {
            let all = votes.sum();
            let length = row.dot(&row).sqrt();
            for label in (0..n_labels).filter(|&l| all > 0.0 && votes[l] > SURE * all && length > 0.0) {
                of_label[label].push(row.dot(&directions.row(label)) / length);
            }
        }
        let low = |values: &mut Vec<f32>| {
            values.sort_unstable_by(f32::total_cmp);
            values.get((BEYOND * values.len() as f64) as usize).copied()
        };
        let mut all: Vec<f32> = of_label.iter().flatten().copied().collect();
        let overall = low(&mut all).unwrap_or(0.0);
        of_label.iter_mut().map(|values| low(values).unwrap_or(overall)).collect()
    }
}

/// Mean direction of each label, of length one.
fn directions(r: ArrayView2<'_, f32>, labels: &[u32], n_labels: usize) -> Array2<f32> {
    let mut sums = Array2::<f64>::zeros((n_labels, r.ncols()));
    for (row, &label) in r.rows().into_iter().zip(labels).filter(|(_, l)| **l != UNLABELLED) {
        let length = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            let mut sum = sums.row_mut(label as usize);
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) / length);
        }
    }
    for mut row in sums.rows_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row.mapv_inplace(|v| v / length);
        }
    }
    sums.mapv(|v| v as f32)
}

fn check(prior: &Prior<'_>) -> Result<(), SpamiError> {
    let n = prior.graph.n_obs();
    if prior.labels.len() != n {
        return Err(SpamiError::PriorMismatch {
            what: "the list of labels",
            found: prior.labels.len(),
            expected: n,
        });
    }
    if prior.target.ncols() != prior.reference.ncols() {
        let (found, expected) = (prior.reference.ncols(), prior.target.ncols());
        return Err(SpamiError::WidthMismatch { modality: 0, found, expected });
    }
    let known = |(row, &label): (usize, &u32)| {
        (label != UNLABELLED && label as usize >= prior.n_labels).then_some((row, label))
    };
    if let Some((row, label)) = prior.labels.iter().enumerate().find_map(known) {
        return Err(SpamiError::PriorLabel { row, label, n_labels: prior.n_labels });
    }
    let distinct: BTreeSet<u32> = prior.labels.iter().copied().filter(|l| *l != UNLABELLED).collect();
    if distinct.len() < 2 {
        return Err(SpamiError::PriorLabels { found: distinct.len() });
    }
    Ok(())
}
