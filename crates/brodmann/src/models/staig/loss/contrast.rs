//! Value and gradient of the loss.

use brodmann_kernels::similarity::{exp_gradient, exp_row_sums};
use brodmann_kernels::{Monitor, Opt, ParallelLoop, Real};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::super::error::StaigError;
use super::super::tile::Tile;
use super::moments::{self, Polynomial};
use super::pairs::ContrastPairs;
use super::positives::{Anchor, Context, Scratch, length, project, stack, write_unit};
use super::{ContrastOptions, Negatives};
use crate::nn::{Mat, Stop};

/// Places summed together: fixed, so that the loss does not depend on the thread count.
const CHUNK: usize = 4096;

/// The loss of one pair of views.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastValue {
    /// Mean over spots and views.
    pub loss: f64,
    /// Largest relative error that the polynomial can have caused in a denominator; 0 for exact negatives.
    pub bound: f64,
}

/// The neighbour-contrastive loss with its buffers, for views of one shape.
pub struct ContrastLoss<T> {
    pairs: ContrastPairs,
    options: ContrastOptions,
    negatives: Negatives,
    /// Unit rows of both views, and the lengths they had.
    rows: Array2<T>,
    norms: Vec<T>,
    gradient: Array2<T>,
    anchors: Vec<[Anchor; 2]>,
}

impl<T: Real> ContrastLoss<T> {
    /// # Errors
    /// `Option`.
    pub fn new(pairs: ContrastPairs, options: ContrastOptions) -> Result<Self, StaigError> {
        options.validate()?;
        let negatives = options.resolve(&pairs);
        Ok(Self {
            pairs,
            options,
            negatives,
            rows: Array2::from_elem((0, 0), T::ZERO),
            norms: Vec::new(),
            gradient: Array2::from_elem((0, 0), T::ZERO),
            anchors: Vec::new(),
        })
    }

    /// Who is compared with whom.
    pub fn pairs(&self) -> &ContrastPairs {
        &self.pairs
    }

    /// How negatives are summed: never `Auto`.
    pub fn negatives(&self) -> Negatives {
        self.negatives
    }

    /// Bytes of the buffers for rows `d` wide.
    pub fn memory_bytes(&self, d: usize) -> u64 {
        let n = self.pairs.n_obs() as u64;
        n * (2 * size_of::<T>() as u64 * (2 * d as u64 + 1) + size_of::<[Anchor; 2]>() as u64)
    }

    /// The loss of two views; its gradient is kept for [`write_gradient`](Self::write_gradient).
    ///
    /// # Inputs
    /// `first`, `second`: `(n_obs, d)`, of any row length.
    /// # Errors
    /// `RowCount`, `ViewWidths`, `Diverged` when the loss is not finite, `Interrupted`.
    /// # Cost
    /// Exact: 8 Σ nₛ² d multiply-adds over slices of `nₛ` spots, halved by symmetry; moments: 8 n d².
    /// # Source
    /// Yang et al. 2025; docs/methods.md §5.1 for the polynomial.
    pub fn evaluate(
        &mut self,
        first: ArrayView2<'_, T>,
        second: ArrayView2<'_, T>,
        monitor: &dyn Monitor,
    ) -> Result<ContrastValue, StaigError> {
        let d = first.ncols();
        for (what, view) in [("the first view", first), ("the second view", second)] {
            if view.nrows() != self.pairs.n_obs() {
                return Err(StaigError::RowCount { what, found: view.nrows(), expected: self.pairs.n_obs() });
            }
        }
        if second.ncols() != d {
            return Err(StaigError::ViewWidths { first: d, second: second.ncols() });
        }
        Ok(self.evaluate_fitting(first, second, monitor)?)
    }

    /// [`evaluate`](Self::evaluate) of views known to have the right shape, which can fail in two ways only.
    pub(in super::super) fn evaluate_fitting(
        &mut self,
        first: ArrayView2<'_, T>,
        second: ArrayView2<'_, T>,
        monitor: &dyn Monitor,
    ) -> Result<ContrastValue, Stop> {
        self.take_room(first.ncols());
        stack(&self.pairs, [first, second], &mut self.rows, &mut self.norms);
        self.evaluate_rows(monitor)
    }

    /// Takes the buffers for views `d` wide, if they are not there.
    pub(in super::super) fn take_room(&mut self, d: usize) {
        let n = self.pairs.n_obs();
        if self.rows.dim() != (2 * n, d) {
            self.rows = Array2::from_elem((2 * n, d), T::ZERO);
            self.gradient = Array2::from_elem((2 * n, d), T::ZERO);
            self.norms = vec![T::ZERO; 2 * n];
        }
    }

    /// Puts what a tile found of its own spots, in both views, where [`evaluate_rows`](Self::evaluate_rows) looks.
    pub(in super::super) fn put_rows(&mut self, tile: &Tile, z: Mat<'_, T>) {
        for (i, row) in tile.own() {
            let rows = self.pairs.rows(self.pairs.places()[i] as usize);
            for (view, at) in rows.into_iter().enumerate() {
                let z = z.row(view * tile.len() + row);
                self.norms[at] = length(z);
                write_unit(z, self.norms[at], self.rows.row_mut(at).iter_mut());
            }
        }
    }

    /// [`evaluate`](Self::evaluate) of the rows that have been put.
    pub(in super::super) fn evaluate_rows(&mut self, monitor: &dyn Monitor) -> Result<ContrastValue, Stop> {
        let (n, d) = (self.pairs.n_obs(), self.rows.ncols());
        if n == 0 {
            return Ok(ContrastValue { loss: 0.0, bound: 0.0 });
        }
        let beta = 1.0 / self.options.tau;
        let polynomial =
            (self.negatives == Negatives::Moments).then(|| Polynomial::at_temperature(self.options.tau));
        let mut approximation = polynomial
            .map(|p| moments::row_sums(self.rows.view(), &self.pairs, &p, &mut self.gradient, monitor))
            .transpose()?;
        let exact;
        let sums = if let Some(approximation) = &approximation {
            &approximation.sums
        } else {
            exact = exp_row_sums(self.rows.view(), self.pairs.stacked(), beta, monitor)?;
            &exact
        };
        let projection_errors = approximation.as_ref().map_or(&[][..], |a| &a.projection_errors);
        let context = Context {
            rows: self.rows.view(),
            pairs: &self.pairs,
            beta,
            polynomial,
            released: self.options.released_denominator,
        };
        (0..n)
            .into_par_iter()
            .with_min_len(64)
            .map_init(Scratch::default, |scratch, place| {
                let rows = self.pairs.rows(place);
                [0, 1].map(|view| {
                    let projection = projection_errors.get(rows[view]).copied().unwrap_or(0.0);
                    context.anchor(place, view, sums[rows[view]], projection, scratch)
                })
            })
            .collect_into_vec(&mut self.anchors);
        let value = self.total();
        if !value.loss.is_finite() {
            return Err(Stop::Diverged { loss: value.loss, advice: self.advice() });
        }

        // ∂L/∂denominator, and −∂L/∂positive.
        let share = 0.5 / n as f64;
        let (mut push, mut pull) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
        for (place, anchors) in self.anchors.iter().enumerate() {
            for (row, anchor) in self.pairs.rows(place).into_iter().zip(anchors) {
                push[row] = share / anchor.denominator;
                pull[row] = share / anchor.positive;
            }
        }
        if let (Some(p), Some(approximation)) = (&polynomial, &mut approximation) {
            let rows = self.rows.view();
            let slopes = &mut self.gradient;
            moments::gradient(rows, &self.pairs, p, approximation, &push, slopes, monitor)?;
        } else {
            self.gradient.fill(T::ZERO);
            let weights: Vec<T> = push.iter().map(|g| T::from_f64(g * beta)).collect();
            exp_gradient(
                self.rows.view(),
                self.pairs.stacked(),
                beta,
                &weights,
                self.gradient.view_mut(),
                monitor,
            )?;
        }
        let context = Context { rows: self.rows.view(), ..context };
        let values = self.gradient.as_slice_mut().expect("the gradient is row-major");
        self.pairs.for_each_row(values, d, Scratch::default, |scratch, place, view, gradient| {
            let row = self.pairs.rows(place)[view];
            context.add_gradient(place, view, &push, &pull, gradient, scratch);
            let unit = self.rows.row(row);
            project(unit.to_slice().expect("the stack is row-major"), self.norms[row], gradient);
        });
        Ok(value)
    }

    fn total(&self) -> ContrastValue {
        let parts: Vec<(f64, f64)> = self
            .anchors
            .par_chunks(CHUNK)
            .map(|chunk| {
                let anchors = || chunk.iter().flatten();
                (anchors().map(|a| a.loss).sum(), anchors().map(|a| a.bound).fold(0.0, f64::max))
            })
            .collect_vec();
        let n = 2.0 * self.anchors.len() as f64;
        ContrastValue {
            loss: parts.iter().map(|p| p.0).sum::<f64>() / n,
            bound: parts.iter().map(|p| p.1).fold(0.0, f64::max),
        }
    }

    fn advice(&self) -> String {
        if self.negatives == Negatives::Moments {
            format!("choose {} or a larger {}", Opt("negatives").set("exact"), Opt("tau"))
        } else if self.options.released_denominator && self.pairs.is_debiased() {
            format!("leave {} out, as it subtracts what it never added", Opt("released_denominator"))
        } else {
            format!("lower {}, or check the features for extreme values", Opt("learning_rate"))
        }
    }

    /// The loss of each spot in the last evaluation, as anchor in the first (0) or second (1) view.
    ///
    /// # Panics
    /// When `view` is above 1.
    #[cfg(test)]
    pub(super) fn spot_losses(&self, view: usize) -> Vec<f64> {
        if self.anchors.len() != self.pairs.n_obs() {
            return vec![0.0; self.pairs.n_obs()];
        }
        self.pairs.by_observation(|place| self.anchors[place][view].loss)
    }

    /// The gradient of the last evaluation by the first (0) or second (1) view: `(n_obs, d)`.
    ///
    /// # Panics
    /// When `view` is above 1.
    pub fn gradient(&self, view: usize) -> Array2<T> {
        let mut out = Array2::from_elem((self.pairs.n_obs(), self.gradient.ncols()), T::ZERO);
        self.write_gradient(view, 1.0, false, out.as_slice_mut().expect("freshly allocated"));
        out
    }

    /// `out = weight · gradient` of the last evaluation by the rows of a tile's two views below each other; 0 by those of its
    /// halo.
    pub(in super::super) fn write_gradient_of(&self, tile: &Tile, weight: f64, out: &mut [T]) {
        let d = self.gradient.ncols();
        if d == 0 {
            return;
        }
        let weight = T::from_f64(weight);
        out.par_chunks_mut(d).with_min_len(64).enumerate().each(|(at, out)| {
            let (view, row) = (at / tile.len(), at % tile.len());
            let Some(i) = tile.own_at(row) else {
                out.fill(T::ZERO);
                return;
            };
            let gradient = self.gradient.row(self.pairs.rows(self.pairs.places()[i] as usize)[view]);
            out.iter_mut().zip(gradient).for_each(|(o, &g)| *o = weight * g);
        });
    }

    /// `out (+)= weight · gradient` of the last evaluation by one view, `out` row-major `(n_obs, d)`.
    ///
    /// # Panics
    /// When `view` is above 1 or `out` has another size.
    pub fn write_gradient(&self, view: usize, weight: f64, accumulate: bool, out: &mut [T]) {
        let d = self.gradient.ncols();
        assert_eq!(out.len(), self.pairs.n_obs() * d, "the gradient has the shape of a view");
        if d == 0 {
            return;
        }
        let weight = T::from_f64(weight);
        out.par_chunks_mut(d).with_min_len(64).zip(self.pairs.places()).each(|(row, &place)| {
            let gradient = self.gradient.row(self.pairs.rows(place as usize)[view]);
            for (o, &g) in row.iter_mut().zip(gradient) {
                *o = if accumulate { *o + weight * g } else { weight * g };
            }
        });
    }
}
