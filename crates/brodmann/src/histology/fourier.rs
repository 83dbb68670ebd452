//! A band of spatial frequencies of a picture, kept or removed.
//!
//! The spectrum `F = fftshift(fft2(picture))` has frequency zero at row `height / 2` and column `width / 2`. What is kept
//! is the inverse of the spectrum times a mask, complex where the mask is not symmetric about zero; what is dropped is
//! the picture minus that. Only the rows and columns that the mask touches are transformed.

use std::sync::Arc;

use brodmann_kernels::OptionError;
use ndarray::{Array2, ArrayView2};
use rustfft::num_complex::Complex;
use rustfft::num_traits::Float;
use rustfft::{Fft, FftNum, FftPlanner};
use serde::{Deserialize, Serialize};

use super::HistologyError;

/// Which frequencies: indices of the shifted spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequencies {
    /// `from ≤ row < to` and `from ≤ column < to`. Around the middle: a square of low frequencies.
    Window {
        /// First index.
        from: usize,
        /// One past the last.
        to: usize,
    },
    /// `from ≤ max(|row − height/2|, |column − width/2|) < to`: a square ring around frequency zero.
    Ring {
        /// Smallest distance.
        from: usize,
        /// One past the largest.
        to: usize,
    },
}

impl Frequencies {
    fn ends(self) -> (usize, usize) {
        match self {
            Self::Window { from, to } | Self::Ring { from, to } => (from, to),
        }
    }

    /// Indices along an axis of `n` that the mask touches.
    fn reach(self, n: usize) -> std::ops::Range<usize> {
        match self {
            Self::Window { from, to } => from.min(n)..to.min(n),
            Self::Ring { to, .. } => (n / 2 + 1).saturating_sub(to)..(n / 2).saturating_add(to).min(n),
        }
    }

    fn holds(self, row: usize, column: usize, height: usize, width: usize) -> bool {
        match self {
            Self::Window { from, to } => (from..to).contains(&row) && (from..to).contains(&column),
            Self::Ring { from, to } => {
                (from..to).contains(&row.abs_diff(height / 2).max(column.abs_diff(width / 2)))
            }
        }
    }
}

/// What becomes of the frequencies named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Passing {
    /// They alone remain.
    #[default]
    Keep,
    /// They are removed.
    Drop,
}

/// How complex values become real ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// `√(re² + im²)`.
    #[default]
    Magnitude,
    /// The real part.
    Real,
}

/// A filter of frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// Which frequencies.
    pub frequencies: Frequencies,
    /// Whether they are kept or removed.
    pub passing: Passing,
    /// What is made of the complex result.
    pub part: Part,
}

impl Default for Band {
    /// The window [245, 275) of 512, kept, as magnitude.
    fn default() -> Self {
        Self {
            frequencies: Frequencies::Window { from: 245, to: 275 },
            passing: Passing::Keep,
            part: Part::Magnitude,
        }
    }
}

impl Band {
    /// Refuses a band without a frequency in a picture of `side` rows or columns.
    pub(super) fn validate(&self, side: usize) -> Result<(), OptionError> {
        let (from, to) = self.frequencies.ends();
        let (name, last) = match self.frequencies {
            Frequencies::Window { .. } => ("window", side),
            Frequencies::Ring { .. } => ("ring", side / 2 + 1),
        };
        if from < to && to <= last {
            return Ok(());
        }
        let expected = format!("two ends from 0 to {last}, the first below the second");
        Err(OptionError::new("frequencies", format!("the {name} from {from} to {to}"), expected))
    }
}

/// Lines transformed at a time.
const LINES: usize = 16;

/// A [`Band`] prepared for pictures of one size; shared by threads.
pub struct BandFilter<T> {
    band: Band,
    height: usize,
    width: usize,
    /// Rows and columns that the mask touches, as indices of the spectrum before shifting.
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// For each of `columns`, which of `rows` the mask holds.
    held: Vec<bool>,
    along: [Arc<dyn Fft<T>>; 2],
    down: [Arc<dyn Fft<T>>; 2],
}

impl<T: FftNum + Float> BandFilter<T> {
    /// Prepares `band` for pictures of `height` × `width`.
    pub fn new(band: Band, height: usize, width: usize) -> Result<Self, HistologyError> {
        band.validate(height.min(width))?;
        let mut planner = FftPlanner::new();
        let (rows, columns) = (band.frequencies.reach(height), band.frequencies.reach(width));
        let held = columns
            .clone()
            .flat_map(|c| rows.clone().map(move |r| band.frequencies.holds(r, c, height, width)))
            .collect();
        let unshifted = |range: std::ops::Range<usize>, n: usize| range.map(move |s| (s + n.div_ceil(2)) % n);
        Ok(Self {
            band,
            height,
            width,
            rows: unshifted(rows, height).collect(),
            columns: unshifted(columns, width).collect(),
            held,
            along: [planner.plan_fft_forward(width), planner.plan_fft_inverse(width)],
            down: [planner.plan_fft_forward(height), planner.plan_fft_inverse(height)],
        })
    }

    /// Filters a plane, row by row in memory.
    pub(super) fn filter(&self, plane: &[T]) -> Vec<T> {
        let kept = self.kept_columns(plane);
        let (height, width) = (self.height, self.width);
        let scale = T::one() / T::from(height * width).unwrap_or_else(T::one);
        let zero = Complex::new(T::zero(), T::zero());
        let mut lines = vec![zero; LINES * width];
        let mut scratch = vec![zero; self.along[1].get_inplace_scratch_len()];
        let mut out = Vec::with_capacity(height * width);
        for first in (0..height).step_by(LINES) {
            let n = LINES.min(height - first);
            let lines = &mut lines[..n * width];
            lines.fill(zero);
            for (i, line) in lines.chunks_exact_mut(width).enumerate() {
                for (j, &c) in self.columns.iter().enumerate() {
                    line[c] = kept[j * height + first + i];
                }
            }
            self.along[1].process_with_scratch(lines, &mut scratch);
            let picture = &plane[first * width..][..n * width];
            let part = self.band.part;
            match self.band.passing {
                Passing::Keep => out.extend(lines.iter().map(|z| take(part, z.re * scale, z.im * scale))),
                Passing::Drop => out.extend(
                    lines.iter().zip(picture).map(|(z, p)| take(part, *p - z.re * scale, z.im * scale)),
                ),
            }
        }
        out
    }

    /// What is kept, transformed back down the columns alone; column by column.
    fn kept_columns(&self, plane: &[T]) -> Vec<Complex<T>> {
        let (height, width) = (self.height, self.width);
        let zero = Complex::new(T::zero(), T::zero());
        let half = T::from(0.5).unwrap_or_else(T::one);
        let mut columns = vec![zero; self.columns.len() * height];
        let mut lines = vec![zero; LINES * width];
        let mut scratch = vec![zero; self.along[0].get_inplace_scratch_len()];
        // Two real rows are one complex row; their spectra are its symmetric and antisymmetric parts.
        for (block, rows) in plane.chunks(2 * LINES * width).enumerate() {
            let n = (rows.len() / width).div_ceil(2);
            let lines = &mut lines[..n * width];
            for (line, pair) in lines.chunks_exact_mut(width).zip(rows.chunks(2 * width)) {
                let (a, b) = pair.split_at(width);
                for (i, z) in line.iter_mut().enumerate() {
                    *z = Complex::new(a[i], b.get(i).copied().unwrap_or_else(T::zero));
                }
            }
            self.along[0].process_with_scratch(lines, &mut scratch);
            for (i, line) in lines.chunks_exact(width).enumerate() {
                let row = 2 * (block * LINES + i);
                for (j, &c) in self.columns.iter().enumerate() {
                    let (z, y) = (line[c], line[(width - c) % width].conj());
                    columns[j * height + row] = (z + y).scale(half);
                    if row + 1 < height {
                        let twice = z - y;
                        columns[j * height + row + 1] = Complex::new(twice.im * half, -twice.re * half);
                    }
                }
            }
        }
        let mut scratch = vec![zero; self.down[0].get_inplace_scratch_len()];
        self.down[0].process_with_scratch(&mut columns, &mut scratch);
        let mut kept = vec![zero; columns.len()];
        for (j, held) in self.held.chunks_exact(self.rows.len()).enumerate() {
            for (&r, _) in self.rows.iter().zip(held).filter(|(_, held)| **held) {
                kept[j * height + r] = columns[j * height + r];
            }
        }
        let mut scratch = vec![zero; self.down[1].get_inplace_scratch_len()];
        self.down[1].process_with_scratch(&mut kept, &mut scratch);
        kept
    }
}

fn take<T: Float>(part: Part, re: T, im: T) -> T {
    match part {
        Part::Magnitude => (re * re + im * im).sqrt(),
        Part::Real => re,
    }
}

/// Keeps or removes a band of frequencies of one plane.
///
/// # Inputs
/// `plane`: `(height, width)`, grey values.
/// # Returns
/// `(height, width)`.
/// # Errors
/// [`OptionError`] for a band that names no frequency of such a plane.
/// # Cost
/// O(height · width · log(height · width)).
pub fn band_pass<T: FftNum + Float>(
    plane: ArrayView2<'_, T>,
    band: &Band,
) -> Result<Array2<T>, HistologyError> {
    let (height, width) = plane.dim();
    let filter = BandFilter::new(*band, height, width)?;
    let plane = plane.as_standard_layout();
    let out = filter.filter(plane.as_slice().expect("standard layout"));
    Ok(Array2::from_shape_vec((height, width), out).expect("as many values as before"))
}
