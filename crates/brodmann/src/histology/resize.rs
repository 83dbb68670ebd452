//! Bilinear resizing of bytes and planes, as OpenCV's `INTER_LINEAR` has it, and by means of areas.
//!
//! The pixel `i` of `n` is taken at `(i + ½) · N/n − ½` of the `N` there were, between its two neighbours, without
//! smoothing where the picture becomes smaller.

use std::ops::{Add, Mul};

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

/// Left neighbour, right neighbour, and the weight of the right one.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f64)> {
    let ratio = from as f64 / to as f64;
    let last = from.saturating_sub(1);
    (0..to)
        .map(|i| {
            let place = ((i as f64 + 0.5) * ratio - 0.5).clamp(0.0, last as f64);
            let left = (place.floor() as usize).min(last);
            (left, (left + 1).min(last), place - left as f64)
        })
        .collect()
}

/// Resizes bytes, `(height, width, channels)`, in fixed point: weights are multiples of 1/2048, a row's sums lose four
/// bits, and the total is rounded once.
///
/// The same bytes as OpenCV where a picture is made smaller; where it grows, one in 500 differs by one.
pub fn resize_u8(image: ArrayView3<'_, u8>, height: usize, width: usize) -> Array3<u8> {
    let (from_rows, from_columns, channels) = image.dim();
    if from_rows == 0 || from_columns == 0 || channels == 0 {
        return Array3::zeros((height, width, channels));
    }
    let image = image.as_standard_layout();
    let source = image.as_slice().expect("standard layout");
    let fixed = |w: f64| (2048.0 * w).round_ties_even() as u32;
    let columns: Vec<(usize, usize, u32)> = taps(from_columns, width)
        .into_iter()
        .map(|(l, r, w)| (l * channels, r * channels, fixed(w)))
        .collect();
    let stride = width * channels;
    // The sums of the two rows in use, and which rows they are.
    let mut sums = [vec![0u32; stride], vec![0u32; stride]];
    let mut held = [usize::MAX; 2];
    let mut out = vec![0u8; height * stride];
    for ((top, bottom, w), line) in
        taps(from_rows, height).into_iter().zip(out.chunks_exact_mut(stride.max(1)))
    {
        if held[1] == top {
            sums.swap(0, 1);
            held.swap(0, 1);
        }
        for (slot, row) in [top, bottom].into_iter().enumerate() {
            if held[slot] == row {
                continue;
            }
            let pixels = &source[row * from_columns * channels..][..from_columns * channels];
            for (sum, &(left, right, w)) in sums[slot].chunks_exact_mut(channels).zip(&columns) {
                for (k, sum) in sum.iter_mut().enumerate() {
                    *sum = (u32::from(pixels[left + k]) * (2048 - w) + u32::from(pixels[right + k]) * w) >> 4;
                }
            }
            held[slot] = row;
        }
        let (w1, w0) = (fixed(w), 2048 - fixed(w));
        for (v, (a, b)) in line.iter_mut().zip(sums[0].iter().zip(&sums[1])) {
            *v = ((((a * w0) >> 16) + ((b * w1) >> 16) + 2) >> 2).min(255) as u8;
        }
    }
    Array3::from_shape_vec((height, width, channels), out).expect("one line per row")
}

/// Resizes a plane of doubles.
pub fn resize_f64(plane: ArrayView2<'_, f64>, height: usize, width: usize) -> Array2<f64> {
    let (rows, columns) = plane.dim();
    let plane = plane.as_standard_layout();
    let source = plane.as_slice().expect("standard layout");
    let out = resize_plane(source, (rows, columns), (height, width), |w| w);
    Array2::from_shape_vec((height, width), out).expect("one line per row")
}

/// Resizes a plane; `real` makes a weight of a double.
pub(super) fn resize_plane<T>(
    source: &[T],
    (rows, columns): (usize, usize),
    (height, width): (usize, usize),
    real: impl Fn(f64) -> T,
) -> Vec<T>
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T>,
{
    if rows == 0 || columns == 0 {
        return vec![T::default(); height * width];
    }
    let across: Vec<_> =
        taps(columns, width).into_iter().map(|(l, r, w)| (l, r, real(1.0 - w), real(w))).collect();
    let mut out = Vec::with_capacity(height * width);
    for (top, bottom, w) in taps(rows, height) {
        let (w0, w1) = (real(1.0 - w), real(w));
        let (a, b) = (&source[top * columns..][..columns], &source[bottom * columns..][..columns]);
        out.extend(
            across.iter().map(|&(l, r, u0, u1)| (a[l] * u0 + a[r] * u1) * w0 + (b[l] * u0 + b[r] * u1) * w1),
        );
    }
    out
}

/// Makes a plane smaller, each value the mean over the area it stands for.
pub(super) fn shrink(
    source: &[f32],
    (rows, columns): (usize, usize),
    (height, width): (usize, usize),
) -> Vec<f32> {
    let (down, across) = (areas(rows, height), areas(columns, width));
    let mut lines = vec![0f32; rows * width];
    for (line, pixels) in lines.chunks_exact_mut(width).zip(source.chunks_exact(columns)) {
        for (v, (first, weights)) in line.iter_mut().zip(&across) {
            *v = weights.iter().zip(&pixels[*first..]).map(|(w, p)| w * p).sum();
        }
    }
    let mut out = vec![0f32; height * width];
    for (line, (first, weights)) in out.chunks_exact_mut(width).zip(&down) {
        for (w, pixels) in weights.iter().zip(lines[first * width..].chunks_exact(width)) {
            for (v, p) in line.iter_mut().zip(pixels) {
                *v += w * p;
            }
        }
    }
    out
}

/// For each of `to` pixels, the first of `from` that it covers and the shares of those from there on.
fn areas(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let ratio = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let (start, end) = (i as f64 * ratio, ((i + 1) as f64 * ratio).min(from as f64));
            let first = (start.floor() as usize).min(from - 1);
            let last = (end.ceil() as usize).clamp(first + 1, from);
            let weights = (first..last)
                .map(|j| (((j + 1) as f64).min(end) - (j as f64).max(start)).max(0.0) / ratio)
                .map(|w| w as f32)
                .collect();
            (first, weights)
        })
        .collect()
}
