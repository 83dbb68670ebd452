//! Grey-level co-occurrence: how often two grey levels lie at a given offset from each other.
//!
//! # Source
//! Haralick, Shanmugam & Dinstein 1973, IEEE Trans. Syst. Man Cybern. 3:610.

use ndarray::{Array2, ArrayView2};

/// The four directions of a square lattice: 0°, 45°, 90°, 135°.
pub const ANGLES: [f64; 4] =
    [0.0, std::f64::consts::FRAC_PI_4, std::f64::consts::FRAC_PI_2, 3.0 * std::f64::consts::FRAC_PI_4];

/// The step from one pixel to its partner: (rows, columns).
pub(super) fn offset(distance: f64, angle: f64) -> (i64, i64) {
    ((distance * libm::sin(angle)).round() as i64, (distance * libm::cos(angle)).round() as i64)
}

/// Shares of pairs of levels at `distance` in direction `angle`, counted both ways; they sum to one.
///
/// # Inputs
/// `levels`: `(height, width)`; values from `n_levels` on count as the last level.
/// # Returns
/// `(n_levels, n_levels)`; zeros where no two pixels are so far apart.
pub fn glcm(levels: ArrayView2<'_, u8>, n_levels: usize, distance: f64, angle: f64) -> Array2<f64> {
    let (height, width) = levels.dim();
    let levels = levels.as_standard_layout();
    let mut counts = vec![0u32; n_levels * n_levels];
    let step = offset(distance, angle);
    let total =
        count(levels.as_slice().expect("standard layout"), (height, width), n_levels, step, &mut counts);
    Array2::from_shape_fn((n_levels, n_levels), |(i, j)| {
        let both = counts[i * n_levels + j] + counts[j * n_levels + i];
        f64::from(both) / f64::from(2 * total.max(1))
    })
}

/// Adds the pairs at `step` to `counts`, one way; their number.
pub(super) fn count(
    levels: &[u8],
    (height, width): (usize, usize),
    n_levels: usize,
    (down, across): (i64, i64),
    counts: &mut [u32],
) -> u32 {
    let rows = height.saturating_sub(down.unsigned_abs() as usize);
    let columns = width.saturating_sub(across.unsigned_abs() as usize);
    if rows == 0 || columns == 0 || n_levels == 0 {
        return 0;
    }
    let start = |step: i64| if step < 0 { step.unsigned_abs() as usize } else { 0 };
    let end = |step: i64| if step > 0 { step as usize } else { 0 };
    for r in 0..rows {
        let from = &levels[(r + start(down)) * width + start(across)..][..columns];
        let to = &levels[(r + end(down)) * width + end(across)..][..columns];
        for (&a, &b) in from.iter().zip(to) {
            let (a, b) = (usize::from(a).min(n_levels - 1), usize::from(b).min(n_levels - 1));
            counts[a * n_levels + b] += 1;
        }
    }
    (rows * columns) as u32
}

/// What a table of co-occurrence says of a texture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cooccurrence {
    /// `Σ p (i − j)²`: how much neighbours differ.
    pub contrast: f64,
    /// `Σ p / (1 + (i − j)²)`: how alike they are.
    pub homogeneity: f64,
    /// `√Σ p²`: how few pairs there are.
    pub energy: f64,
    /// Correlation of neighbours; 1 where there is one level alone.
    pub correlation: f64,
}

/// Statistics of a symmetric table of shares.
pub fn cooccurrence(shares: ArrayView2<'_, f64>) -> Cooccurrence {
    let mut c = Cooccurrence::default();
    let (mut mean, mut square, mut product) = (0.0, 0.0, 0.0);
    for ((i, j), &p) in shares.indexed_iter() {
        let (x, y) = (i as f64, j as f64);
        let d = (x - y) * (x - y);
        c.contrast += p * d;
        c.homogeneity += p / (1.0 + d);
        c.energy += p * p;
        mean += p * x;
        square += p * x * x;
        product += p * x * y;
    }
    c.energy = c.energy.sqrt();
    // The table is symmetric: both margins have this mean and variance.
    let variance = square - mean * mean;
    c.correlation = if variance > 1e-12 { (product - mean * mean) / variance } else { 1.0 };
    c
}
