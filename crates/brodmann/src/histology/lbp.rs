//! Local binary patterns: which of eight neighbours on a circle are at least as bright as a pixel.
//!
//! Neighbour `p` of 8 lies at `(−sin, cos)(2πp/8)` in (row, column), taken between pixels where it falls between them;
//! beyond the border it is 0.
//!
//! # Source
//! Ojala, Pietikäinen & Mäenpää 2002, IEEE Trans. Pattern Anal. Mach. Intell. 24:971.

use ndarray::{Array2, ArrayView2};

/// How a pattern becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `Σ_p 2^p` over the neighbours that are at least as bright: 0 to 255.
    Default,
    /// The number of such neighbours where they form at most one arc (0 to 8), 9 otherwise; does not change when the
    /// picture turns.
    Uniform,
}

/// Kinds of [`Pattern::Uniform`].
pub const N_UNIFORM: usize = 10;

/// The pattern at every pixel, eight neighbours at distance 1.
pub fn local_binary_pattern(plane: ArrayView2<'_, f64>, pattern: Pattern) -> Array2<u8> {
    let (height, width) = plane.dim();
    Array2::from_shape_fn((height, width), |(i, j)| {
        // A frame of zeros around the pixel and its neighbours.
        let near: [[f64; 3]; 3] = std::array::from_fn(|a| {
            std::array::from_fn(|b| {
                let inside = (1..=height).contains(&(i + a)) && (1..=width).contains(&(j + b));
                if inside { plane[[i + a - 1, j + b - 1]] } else { 0.0 }
            })
        });
        let bits = bits_of(near);
        match pattern {
            Pattern::Default => bits,
            Pattern::Uniform => UNIFORM[usize::from(bits)],
        }
    })
}

/// cos 45° to five digits, the precision to which the places of neighbours are rounded in scikit-image.
#[expect(clippy::approx_constant, reason = "rounded on purpose")]
const DIAGONAL: f64 = 0.70711;

/// The neighbours of the middle that are at least as bright.
#[inline]
pub(super) fn bits_of(near: [[f64; 3]; 3]) -> u8 {
    let centre = near[1][1];
    let (s, t) = (DIAGONAL, 1.0 - DIAGONAL);
    // Between the pixels of a 2 × 2 square, first along the row.
    let diagonal = |side: f64, corner: f64, edge: f64| {
        let inner = t * centre + s * side;
        let outer = t * edge + s * corner;
        t * inner + s * outer
    };
    let values = [
        near[1][2],
        diagonal(near[1][2], near[0][2], near[0][1]),
        near[0][1],
        diagonal(near[1][0], near[0][0], near[0][1]),
        near[1][0],
        diagonal(near[1][0], near[2][0], near[2][1]),
        near[2][1],
        diagonal(near[1][2], near[2][2], near[2][1]),
    ];
    values.iter().enumerate().fold(0, |bits, (p, v)| bits | (u8::from(*v >= centre) << p))
}

/// Kind of each of the 256 patterns.
pub(super) const UNIFORM: [u8; 256] = {
    let mut kinds = [0u8; 256];
    let mut bits = 0;
    while bits < 256 {
        let pattern = bits as u8;
        let changes = (pattern ^ pattern.rotate_left(1)).count_ones();
        kinds[bits] = if changes <= 2 { pattern.count_ones() as u8 } else { 9 };
        bits += 1;
    }
    kinds
};
