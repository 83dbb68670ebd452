//! The head that tells labels apart, in training and on the target.

use brodmann_kernels::ParallelLoop;
use ndarray::{Array1, Array2, ArrayView2};
use rayon::prelude::*;

use super::UNLABELLED;
use crate::nn::ops::{add_partials, chunk_rows, n_chunks, optional_chunks, ordered_sum};
use crate::nn::{Evaluation, Loss, Scalar, Stop};

/// Rows enter the head with this length: with length one, a head would need weights beyond reach to be sure.
const LOGIT_SCALE: f64 = 10.0;
/// Shorter rows are divided by this instead of their length.
const SHORTEST: f64 = 1e-8;

/// `L_label`: the mean cross-entropy of the labels of the reference, `logits = s · (r/‖r‖) W + b`; parameters `W (d, C)` and
/// `b (1, C)`. Directions alone count, as in the term that aligns the target with them.
pub(in super::super) struct Labelled {
    /// One code per row, or [`UNLABELLED`].
    pub labels: Vec<u32>,
    /// `C`.
    pub n_labels: usize,
    /// Width of an embedding.
    pub width: usize,
}

impl<T: Scalar> Loss<T> for Labelled {
    fn name(&self) -> &'static str {
        "labels"
    }

    fn scratch_len(&self, rows: usize) -> usize {
        n_chunks(rows) * (self.width + 1) * self.n_labels
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let r = pass.inputs[0];
        let (d, c) = (self.width, self.n_labels);
        let n_labelled = self.labels.iter().filter(|l| **l != UNLABELLED).count();
        let (chunk, stride) = (chunk_rows(r.rows), (d + 1) * c);
        let (weight, bias) = (pass.parameters[0], pass.parameters[1].data);
        let share = 1.0 / n_labelled.max(1) as f64;
        let [grad] = pass.input_grads else { return Ok(f64::NAN) };
        let add = grad.as_ref().is_some_and(|g| g.accumulate);
        let mut grads = optional_chunks(grad.as_mut().map(|g| &mut *g.data), chunk * d, n_chunks(r.rows));
        let labels = &self.labels;
        let sums: Vec<f64> = pass
            .scratch
            .par_chunks_mut(stride)
            .zip(&mut grads)
            .enumerate()
            .map(|(k, (partial, grad))| {
                partial.fill(T::ZERO);
                let (weight_grad, bias_grad) = partial.split_at_mut(d * c);
                let (mut unit, mut slope) = (vec![T::ZERO; d], vec![0.0f64; c]);
                let mut back = vec![T::ZERO; d];
                let mut sum = 0.0;
                for i in k * chunk..r.rows.min((k + 1) * chunk) {
                    let mut out = grad.as_mut().map(|g| {
                        let at = (i - k * chunk) * d;
                        &mut g[at..at + d]
                    });
                    if let (Some(row), false) = (&mut out, add) {
                        row.fill(T::ZERO);
                    }
                    if labels[i] == UNLABELLED {
                        continue;
                    }
                    let length = direction(&mut unit, r.row(i));
                    let label = labels[i] as usize;
                    for (l, s) in slope.iter_mut().enumerate() {
                        *s = bias[l].to_f64();
                    }
                    for (j, u) in unit.iter().enumerate() {
                        let u = u.to_f64() * LOGIT_SCALE;
                        slope.iter_mut().zip(weight.row(j)).for_each(|(s, w)| *s += u * w.to_f64());
                    }
                    let largest = slope.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let norm: f64 = slope.iter().map(|s| (s - largest).exp()).sum();
                    sum += largest + norm.ln() - slope[label];
                    for (l, s) in slope.iter_mut().enumerate() {
                        let p = (*s - largest).exp() / norm;
                        *s = (p - f64::from(u8::from(l == label))) * share * pass.weight;
                        bias_grad[l] += T::of(*s);
                    }
                    let mut along = 0.0;
                    for (j, u) in unit.iter().enumerate() {
                        let scaled = u.to_f64() * LOGIT_SCALE;
                        let mut through = 0.0;
                        for (l, s) in slope.iter().enumerate() {
                            weight_grad[j * c + l] += T::of(scaled * s);
                            through += weight.row(j)[l].to_f64() * s;
                        }
                        back[j] = T::of(through * LOGIT_SCALE);
                        along += through * LOGIT_SCALE * u.to_f64();
                    }
                    if let Some(row) = out {
                        for ((slot, b), u) in row.iter_mut().zip(&back).zip(&unit) {
                            *slot += T::of((b.to_f64() - along * u.to_f64()) / length);
                        }
                    }
                }
                sum
            })
            .collect();
        add_partials(pass.parameter_grads[0], pass.scratch, stride, 0);
        add_partials(pass.parameter_grads[1], pass.scratch, stride, d * c);
        Ok(ordered_sum(&sums) * share)
    }
}

/// The row with length one, and the length it had.
fn direction<T: Scalar>(unit: &mut [T], row: &[T]) -> f64 {
    let length = T::dot(row, row).to_f64().sqrt().max(SHORTEST);
    unit.iter_mut().zip(row).for_each(|(u, v)| *u = T::of(v.to_f64() / length));
    length
}

/// What a trained head tells labels apart by; it fits the embedding of the network it was trained with.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelHead {
    /// `(width of the embedding, n_labels)`.
    pub weight: Array2<f32>,
    /// `(n_labels)`.
    pub bias: Array1<f32>,
    /// What logits are divided by, so that a confidence is the share of spots that are right.
    pub temperature: f64,
    /// Mean direction of each label in the reference, `(n_labels, width)`.
    pub directions: Array2<f32>,
    /// Of each label: a spot whose cosine with its direction is smaller is like nothing in the reference.
    pub nearest_cosine: Array1<f32>,
}

/// The labels of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// One code per spot; [`UNLABELLED`] for none of these.
    pub labels: Vec<u32>,
    /// From 0 to 1.
    pub confidence: Vec<f32>,
    /// `(n_obs, n_labels)`, rows sum to 1: what a spot is if it is one of these.
    pub probabilities: Array2<f32>,
}

impl Transfer {
    /// The same with no label for spots that are not `supported`.
    ///
    /// # Panics
    /// When there are fewer flags than spots.
    #[must_use]
    pub fn where_supported(mut self, supported: &[bool]) -> Self {
        for i in (0..self.labels.len()).filter(|&i| !supported[i]) {
            self.labels[i] = UNLABELLED;
            self.confidence[i] = 0.0;
        }
        self
    }
}

impl LabelHead {
    /// Logits before the temperature, `(n_obs, n_labels)`.
    pub(in super::super) fn logits(&self, embedding: ArrayView2<'_, f32>) -> Array2<f64> {
        let (n, c) = (embedding.nrows(), self.bias.len());
        let rows: Vec<Vec<f64>> = (0..n)
            .into_par_iter()
            .map(|i| {
                let row = embedding.row(i);
                let length = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().max(SHORTEST);
                let mut out: Vec<f64> = self.bias.iter().map(|b| f64::from(*b)).collect();
                for (v, weights) in row.iter().zip(self.weight.rows()) {
                    let u = f64::from(*v) / length * LOGIT_SCALE;
                    out.iter_mut().zip(weights).for_each(|(o, w)| *o += u * f64::from(*w));
                }
                out
            })
            .collect_vec();
        Array2::from_shape_fn((n, c), |(i, l)| rows[i][l])
    }

    /// Labels of an embedding of the same network.
    ///
    /// # Inputs
    /// `embedding`: `(n_obs, width)`. `least`: spots with a smaller confidence get no label.
    /// # Panics
    /// When the embedding has another width.
    pub fn apply(&self, embedding: ArrayView2<'_, f32>, least: f64) -> Transfer {
        assert_eq!(embedding.ncols(), self.weight.nrows(), "an embedding of the same network");
        let mut probabilities = self.logits(embedding);
        for mut row in probabilities.rows_mut() {
            row.mapv_inplace(|v| v / self.temperature);
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.mapv_inplace(|v| (v - largest).exp());
            let sum = row.sum();
            row.mapv_inplace(|v| v / sum);
        }
        let (mut labels, mut confidence) = (Vec::new(), Vec::new());
        for (z, row) in embedding.rows().into_iter().zip(probabilities.rows()) {
            // The first of the likeliest.
            let best = (0..row.len()).fold(0, |best, l| if row[l] > row[best] { l } else { best });
            let length = z.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().max(SHORTEST);
            let towards = self.directions.row(best);
            let cosine =
                z.iter().zip(towards).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() / length;
            let known = cosine >= f64::from(self.nearest_cosine[best]);
            let p = if known { row[best] } else { 0.0 };
            confidence.push(p as f32);
            labels.push(if known && p >= least { best as u32 } else { UNLABELLED });
        }
        Transfer { labels, confidence, probabilities: probabilities.mapv(|v| v as f32) }
    }

    /// The temperature at which the head is as sure as the anchors are of one mind.
    ///
    /// # Inputs
    /// `embedding`: of the target. `votes`: `(n_obs, n_labels)`, the labels of the anchors around a spot; spots without
    /// votes have no part.
    pub(in super::super) fn fit_temperature(
        &mut self,
        embedding: ArrayView2<'_, f32>,
        votes: ArrayView2<'_, f32>,
    ) {
        let logits = self.logits(embedding);
        let loss = |temperature: f64| -> f64 {
            let parts: Vec<f64> = (0..logits.nrows())
                .into_par_iter()
                .map(|i| {
                    let (row, votes) = (logits.row(i), votes.row(i));
                    let all: f64 = votes.iter().map(|v| f64::from(*v)).sum();
                    if all <= 0.0 {
                        return 0.0;
                    }
                    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let norm = row.iter().map(|v| ((v - largest) / temperature).exp()).sum::<f64>().ln();
                    let of = |(v, vote): (&f64, &f32)| {
                        f64::from(*vote) / all * ((v - largest) / temperature - norm)
                    };
                    -row.iter().zip(votes).map(of).sum::<f64>()
                })
                .collect();
            parts.iter().sum()
        };
        // Convex in 1/T; a grid of 5 % steps is finer than what votes can tell.
        let grid = (-40..=80).map(|k| 1.05f64.powi(k));
        let best = grid
            .map(|t| (loss(t), t))
            .fold((f64::INFINITY, 1.0), |best, of| if of.0 < best.0 { of } else { best });
        self.temperature = best.1;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::nn::check::gradient_error;

    #[test]
    fn it_walks_back_as_finite_differences_say() {
        let error = gradient_error(&[(7, 4)], &[(4, 3), (1, 3)], true, |tape, nodes, ids| {
            let loss = || Labelled { labels: vec![0, 2, UNLABELLED, 1, 1, 0, 2], n_labels: 3, width: 4 };
            tape.loss(loss(), nodes, ids, 1.5);
            tape.loss(loss(), nodes, ids, 0.5);
        });
        assert!(error < 1e-7, "{error:.1e}");
    }

    fn head() -> LabelHead {
        LabelHead {
            weight: array![[1.0, 0.0], [0.0, 1.0]],
            bias: array![0.0, 0.0],
            temperature: 10.0,
            directions: array![[1.0, 0.0], [0.0, 1.0]],
            nearest_cosine: array![0.5, 0.5],
        }
    }

    #[test]
    fn labels_follow_the_direction_and_what_is_far_from_all_is_none_of_them() {
        let z = array![[3.0, 0.0], [0.0, 0.1], [1.0, 1.0], [-1.0, -1.0]];
        let found = head().apply(z.view(), 0.6);
        // Logits 1 and 0 at temperature 10: e / (1 + e).
        assert!((f64::from(found.confidence[0]) - 1.0 / (1.0 + (-1.0f64).exp())).abs() < 1e-6);
        assert_eq!(found.labels, [0, 1, UNLABELLED, UNLABELLED]);
        assert!((found.confidence[2] - 0.5).abs() < 1e-6 && found.confidence[3] == 0.0);
        assert_eq!(found.confidence[0], found.confidence[1]);
        assert!(found.probabilities.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
    }

    #[test]
    fn the_temperature_is_where_the_head_is_as_sure_as_the_votes() {
        // Votes of three to one for a logit ahead by 10: ln 3 = 10 / T.
        let mut head = head();
        head.fit_temperature(array![[1.0f32, 0.0]].view(), array![[3.0f32, 1.0]].view());
        assert!(
            (head.temperature - 10.0 / 3f64.ln()).abs() < 0.05 * head.temperature,
            "{}",
            head.temperature
        );
    }
}
