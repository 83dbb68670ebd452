//! The sparse part of the loss: an anchor's similarity to its own other view and to its neighbours in both views.

use brodmann_kernels::{Real, simd};
use ndarray::{Array2, ArrayView2};

use super::moments::Polynomial;
use super::pairs::ContrastPairs;

/// What the sparse sums need.
#[derive(Clone, Copy)]
pub(super) struct Context<'a, T> {
    /// The stack of unit rows.
    pub(super) rows: ArrayView2<'a, T>,
    pub(super) pairs: &'a ContrastPairs,
    /// 1/τ.
    pub(super) beta: f64,
    /// The polynomial the dense sums were made with, if not exact.
    pub(super) polynomial: Option<Polynomial>,
    /// See [`super::ContrastOptions::released_denominator`].
    pub(super) released: bool,
}

/// One anchor's share of the loss.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Anchor {
    pub(super) loss: f64,
    /// Sum over positives.
    pub(super) positive: f64,
    pub(super) denominator: f64,
    /// Largest relative error the polynomial can have caused in the denominator.
    pub(super) bound: f64,
}

/// A partner of an anchor among the positives.
struct Positive {
    row: usize,
    /// Whether the dense sum leaves it out because it is of the anchor's class.
    same_class: bool,
}

impl<T: Real> Context<'_, T> {
    /// The positives of `place` in `view`: its other view, then each neighbour in both.
    fn positives(&self, place: usize, view: usize) -> impl Iterator<Item = Positive> {
        let other = self.pairs.rows(place)[1 - view];
        let own = Positive { row: other, same_class: self.pairs.is_debiased() };
        std::iter::once(own).chain(self.pairs.neighbors(place).iter().flat_map(move |&j| {
            let rows = self.pairs.rows(j as usize);
            let same_class = self.pairs.same_class(place, j as usize);
            [view, 1 - view].map(|v| Positive { row: rows[v], same_class })
        }))
    }

    /// Similarities of `anchor` to its positives, and `exp(β (s − 1))` of them.
    fn similarities(&self, place: usize, view: usize, scratch: &mut Scratch<T>) {
        let anchor = self.rows.row(self.pairs.rows(place)[view]);
        let anchor = anchor.to_slice().expect("the stack is row-major");
        scratch.similarities.clear();
        scratch.exponentials.clear();
        let beta = T::from_f64(self.beta);
        for positive in self.positives(place, view) {
            let row = self.rows.row(positive.row);
            let s = dot(anchor, row.to_slice().expect("the stack is row-major"));
            scratch.similarities.push(s);
            scratch.exponentials.push(beta * (s - T::ONE));
        }
        T::exp_on(simd::active(), &mut scratch.exponentials);
    }

    /// The loss of an anchor, given the dense sum of its row and how far projection can have moved it.
    pub(super) fn anchor(
        &self,
        place: usize,
        view: usize,
        sum: f64,
        projection_error: f64,
        scratch: &mut Scratch<T>,
    ) -> Anchor {
        self.similarities(place, view, scratch);
        let mut positive = 0.0;
        // Positives of the anchor's class belong into the denominator, but not into the dense sum; for the others
        // the polynomial's guess is replaced by the truth.
        let mut correction = 0.0;
        let mut n_approximate = self.pairs.n_negatives(place);
        let values = scratch.similarities.iter().zip(&scratch.exponentials);
        for (partner, (&s, &e)) in self.positives(place, view).zip(values) {
            let e: f64 = e.into();
            positive += e;
            if partner.same_class {
                correction += if self.released { 0.0 } else { e };
            } else if let Some(p) = &self.polynomial {
                correction += e - p.at(s.into());
                n_approximate -= 1;
            }
        }
        if self.released && self.pairs.is_debiased() {
            // f(1), in units of exp(1/τ).
            correction -= 1.0;
        }
        let denominator = sum + correction;
        let n_positives = 2 * self.pairs.neighbors(place).len() + 1;
        let loss = -(positive / denominator / n_positives as f64).ln();
        let error = self.polynomial.map_or(0.0, |p| p.error * n_approximate as f64) + projection_error;
        let bound = if error == 0.0 {
            0.0
        } else if denominator > error {
            error / (denominator - error)
        } else {
            f64::INFINITY
        };
        Anchor { loss, positive, denominator, bound }
    }

    /// Adds the gradient of all terms in which `row` meets a positive. `push` and `pull` are the derivatives of the
    /// loss by each row's denominator and, negated, by its sum over positives.
    pub(super) fn add_gradient(
        &self,
        place: usize,
        view: usize,
        push: &[f64],
        pull: &[f64],
        gradient: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        self.similarities(place, view, scratch);
        let row = self.pairs.rows(place)[view];
        let values = scratch.similarities.iter().zip(&scratch.exponentials);
        for (partner, (&s, &e)) in self.positives(place, view).zip(values) {
            let e: f64 = e.into();
            // Neighbourhood is mutual: the pair stands in the sums of both rows.
            let mut factor = -(pull[row] + pull[partner.row]) * self.beta * e;
            let push = push[row] + push[partner.row];
            if partner.same_class {
                factor += if self.released { 0.0 } else { push * self.beta * e };
            } else if let Some(p) = &self.polynomial {
                factor += push * (self.beta * e - p.slope(s.into()));
            }
            let factor = T::from_f64(factor);
            for (g, &z) in gradient.iter_mut().zip(self.rows.row(partner.row)) {
                *g += factor * z;
            }
        }
    }
}

/// Work space of one thread.
pub(super) struct Scratch<T> {
    similarities: Vec<T>,
    exponentials: Vec<T>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self { similarities: Vec::new(), exponentials: Vec::new() }
    }
}

/// A dot product in sixteen partial sums, which the compiler turns into vectors.
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for k in 0..16 {
            lanes[k] += a[k] * b[k];
        }
    }
    let tail = rest.fold(T::ZERO, |sum, (&a, &b)| sum + a * b);
    lanes.into_iter().fold(tail, |sum, x| sum + x)
}

/// Takes the length out of a gradient by unit rows: `(g − (g·u) u) / |z|`; nothing for rows of length 0.
pub(super) fn project<T: Real>(unit: &[T], norm: T, gradient: &mut [T]) {
    if norm == T::ZERO {
        gradient.fill(T::ZERO);
        return;
    }
    let along = dot(unit, gradient);
    let inverse = T::ONE / norm;
    for (g, &u) in gradient.iter_mut().zip(unit) {
        *g = (*g - along * u) * inverse;
    }
}

/// The length of a row. Summed in f64: squares of small f32 vanish.
pub(super) fn length<'a, T: Real>(z: impl IntoIterator<Item = &'a T>) -> T {
    let squares: f64 = z.into_iter().map(|&x| x.into() * x.into()).sum();
    T::from_f64(squares.sqrt())
}

/// A row of this length scaled to length 1; zeros where it has none.
pub(super) fn write_unit<'a, T: Real>(
    z: impl IntoIterator<Item = &'a T>,
    length: T,
    out: impl Iterator<Item = &'a mut T>,
) {
    let inverse = if length == T::ZERO { T::ZERO } else { T::ONE / length };
    out.zip(z).for_each(|(o, &x)| *o = x * inverse);
}

/// Sets the rows of both views below each other, slice by slice, and scales them to length 1.
pub(super) fn stack<T: Real>(
    pairs: &ContrastPairs,
    views: [ArrayView2<'_, T>; 2],
    rows: &mut Array2<T>,
    norms: &mut [T],
) {
    let d = views[0].ncols();
    let order = pairs.order();
    pairs.for_each_row(
        norms,
        1,
        || (),
        |(), place, view, norm| {
            norm[0] = length(views[view].row(order[place] as usize));
        },
    );
    let norms = &*norms;
    let values = rows.as_slice_mut().expect("the stack is row-major");
    pairs.for_each_row(
        values,
        d,
        || (),
        |(), place, view, row| {
            let norm = norms[pairs.rows(place)[view]];
            write_unit(views[view].row(order[place] as usize), norm, row.iter_mut());
        },
    );
}
