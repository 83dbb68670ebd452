//! Patches side by side, before and after they were filtered, to be looked at.

use ndarray::{Array2, Array3, Axis};

use super::resize::resize_u8;

/// Pixels between patches.
const GAP: usize = 2;
/// Between a pair and the next.
const WIDE_GAP: usize = 8;

/// A plane as a grey picture: its smallest value black, its largest white.
pub fn plane_to_rgb(plane: &Array2<f32>) -> Array3<u8> {
    let finite = || plane.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let range = if high > low { high - low } else { 1.0 };
    let (height, width) = plane.dim();
    Array3::from_shape_fn((height, width, 3), |(i, j, _)| {
        (255.0 * (plane[[i, j]] - low) / range).round().clamp(0.0, 255.0) as u8
    })
}

/// Pairs of patches, `columns` pairs in a row, each pair beside each other at `side` × `side` pixels.
///
/// A missing partner leaves its place white.
///
/// # Returns
/// RGB bytes, `(height, width, 3)`, white where there is nothing.
pub fn contact_sheet(before: &[Array3<u8>], after: &[Array3<u8>], columns: usize, side: usize) -> Array3<u8> {
    let n = before.len().max(after.len());
    let (columns, side) = (columns.clamp(1, n.max(1)), side.max(1));
    let pair = 2 * side + GAP;
    let rows = n.div_ceil(columns);
    let along = |count: usize, size: usize| count * size + count.saturating_sub(1) * WIDE_GAP;
    let mut sheet =
        Array3::from_elem((along(rows, side), along(if n == 0 { 0 } else { columns }, pair), 3), 255);
    for (half, patches) in [before, after].into_iter().enumerate() {
        for (i, patch) in patches.iter().enumerate() {
            let fitted = if patch.dim() == (side, side, 3) {
                patch.clone()
            } else {
                resize_u8(patch.view(), side, side)
            };
            let top = (i / columns) * (side + WIDE_GAP);
            let left = (i % columns) * (pair + WIDE_GAP) + half * (side + GAP);
            for ((r, c, k), v) in sheet
                .slice_axis_mut(Axis(0), (top..top + side).into())
                .slice_axis_mut(Axis(1), (left..left + side).into())
                .indexed_iter_mut()
            {
                *v = fitted[[r, c, k.min(fitted.dim().2.saturating_sub(1))]];
            }
        }
    }
    sheet
}
