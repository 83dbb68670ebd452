//! Gaussian blur of bytes and of floating-point planes, as OpenCV's `GaussianBlur` with sigma 0 has it.
//!
//! Up to 9 taps the kernel is a fixed table of binary fractions; beyond, a Gaussian of
//! `σ = 0.3 · ((n − 1)/2 − 1) + 0.8` sampled at the taps and divided by its sum. For bytes the weights are multiples of
//! 1/256, rounded from the outside in with the error carried on, so that they sum to one; sums are rounded once, at the
//! end. Beyond the border the picture is mirrored ([`Border::Reflect101`]).

use std::ops::{Add, Mul};

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

use super::border::Border;

/// Weights of an odd number of taps, from one end to the other.
pub fn gaussian_kernel(size: usize) -> Vec<f64> {
    let half: &[f64] = match size {
        1 => &[256.0],
        3 => &[64.0, 128.0],
        5 => &[16.0, 64.0, 96.0],
        7 => &[8.0, 28.0, 56.0, 72.0],
        9 => &[4.0, 13.0, 30.0, 51.0, 60.0],
        _ => &[],
    };
    let mid = size / 2;
    if !half.is_empty() {
        return (0..size).map(|i| half[mid - i.abs_diff(mid)] / 256.0).collect();
    }
    let sigma = 0.3 * ((size as f64 - 1.0) * 0.5 - 1.0) + 0.8;
    let weights: Vec<f64> =
        (0..size).map(|i| libm::exp(-0.5 * (i.abs_diff(mid) as f64 / sigma).powi(2))).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// The weights as multiples of 1/256.
fn byte_kernel(size: usize) -> Vec<u16> {
    let exact = gaussian_kernel(size);
    let mid = size / 2;
    let mut kernel = vec![0u16; size];
    let mut carried = 0.0;
    for i in 0..mid {
        let wanted = exact[i] * 256.0 + carried;
        let rounded = wanted.round_ties_even();
        carried = wanted - rounded;
        (kernel[i], kernel[size - 1 - i]) = (rounded as u16, rounded as u16);
    }
    kernel[mid] = 256 - kernel.iter().sum::<u16>();
    kernel
}

/// Blurs a picture of bytes, `(height, width, channels)`, with `size` taps (odd).
pub fn blur_u8(image: ArrayView3<'_, u8>, size: usize) -> Array3<u8> {
    let (height, width, channels) = image.dim();
    let image = image.as_standard_layout();
    let source = image.as_slice().expect("standard layout");
    let out = blur_bytes(source, height, width, channels, &byte_kernel(size), true);
    Array3::from_shape_vec((height, width, channels), out).expect("as many bytes as before")
}

/// Blurs a picture that has a margin of `size / 2` pixels on each side, and takes the margin off.
pub(super) fn blur_u8_within_margin(image: &Array3<u8>, size: usize) -> Array3<u8> {
    let (height, width, channels) = image.dim();
    let source = image.as_slice().expect("regions are in standard layout");
    let out = blur_bytes(source, height, width, channels, &byte_kernel(size), false);
    let less = 2 * (size / 2);
    Array3::from_shape_vec((height - less, width - less, channels), out).expect("the margin is taken off")
}

fn blur_bytes(
    source: &[u8],
    height: usize,
    width: usize,
    channels: usize,
    kernel: &[u16],
    mirrored: bool,
) -> Vec<u8> {
    let mid = kernel.len() / 2;
    let less = if mirrored { 0 } else { 2 * mid };
    if height <= less || width <= less || channels == 0 {
        return Vec::new();
    }
    let (rows_out, columns_out) = (height - less, width - less);
    let stride = columns_out * channels;
    // Sums of 255 · 256 at most: 16 bits hold them.
    let mut across = vec![0u16; height * stride];
    let pad = mid * channels;
    let mut row = vec![0u8; (columns_out + 2 * mid) * channels];
    for (line, sums) in source.chunks_exact(width * channels).zip(across.chunks_exact_mut(stride)) {
        if mirrored {
            row[pad..pad + width * channels].copy_from_slice(line);
            for i in 0..mid {
                for (at, from) in [(i, i as i64 - mid as i64), (mid + width + i, (width + i) as i64)] {
                    let from = Border::Reflect101.index(from, width) * channels;
                    row[at * channels..][..channels].copy_from_slice(&line[from..][..channels]);
                }
            }
        } else {
            row.copy_from_slice(line);
        }
        weigh(sums, kernel, |t, at| &row[t * channels + at..], |w, v: u8| w * u16::from(v));
    }
    let mut out = vec![0u8; rows_out * stride];
    let mut sums = vec![0u32; stride];
    let mut starts = vec![0; kernel.len()];
    for (i, line) in out.chunks_exact_mut(stride).enumerate() {
        for (t, start) in starts.iter_mut().enumerate() {
            let from = (i + t) as i64 - if mirrored { mid as i64 } else { 0 };
            *start = Border::Reflect101.index(from, height) * stride;
        }
        weigh(&mut sums, kernel, |t, at| &across[starts[t] + at..], |w, v: u16| u32::from(w) * u32::from(v));
        for (v, &sum) in line.iter_mut().zip(&sums) {
            *v = ((sum + (1 << 15)) >> 16) as u8;
        }
    }
    out
}

/// Blurs a plane of doubles with `size` taps (odd).
pub fn blur_f64(plane: ArrayView2<'_, f64>, size: usize) -> Array2<f64> {
    let (height, width) = plane.dim();
    let plane = plane.as_standard_layout();
    let source = plane.as_slice().expect("standard layout");
    let out = convolve(source, height, width, &gaussian_kernel(size));
    Array2::from_shape_vec((height, width), out).expect("as many values as before")
}

/// A plane convolved along both axes with one symmetric kernel, mirrored beyond the border.
pub(super) fn convolve<T>(source: &[T], height: usize, width: usize, kernel: &[T]) -> Vec<T>
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T>,
{
    if height == 0 || width == 0 {
        return Vec::new();
    }
    let mid = kernel.len() / 2;
    let mut across = vec![T::default(); height * width];
    let mut row = vec![T::default(); width + 2 * mid];
    for (line, sums) in source.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        row[mid..mid + width].copy_from_slice(line);
        for i in 0..mid {
            row[i] = line[Border::Reflect101.index(i as i64 - mid as i64, width)];
            row[mid + width + i] = line[Border::Reflect101.index((width + i) as i64, width)];
        }
        weigh(sums, kernel, |t, at| &row[t + at..], |w, v| w * v);
    }
    let mut out = vec![T::default(); height * width];
    let mut starts = vec![0; kernel.len()];
    for (i, line) in out.chunks_exact_mut(width).enumerate() {
        for (t, start) in starts.iter_mut().enumerate() {
            *start = Border::Reflect101.index((i + t) as i64 - mid as i64, height) * width;
        }
        weigh(line, kernel, |t, at| &across[starts[t] + at..], |w, v| w * v);
    }
    out
}

/// Values summed at once, so that the sums stay in registers.
const LANES: usize = 16;

/// `sums[i] = Σ_t product(kernel[t], values(t, 0)[i])`; `values(t, at)` starts with the value of tap `t` at `at`.
#[inline(always)]
fn weigh<'a, W, V, S>(
    sums: &mut [S],
    kernel: &[W],
    values: impl Fn(usize, usize) -> &'a [V],
    product: impl Fn(W, V) -> S,
) where
    W: Copy,
    V: Copy + 'a,
    S: Copy + Default + Add<Output = S>,
{
    let (blocks, rest) = sums.as_chunks_mut::<LANES>();
    let tail = blocks.len() * LANES;
    for (b, block) in blocks.iter_mut().enumerate() {
        let mut sum = [S::default(); LANES];
        for (t, &w) in kernel.iter().enumerate() {
            if let Some(values) = values(t, b * LANES).first_chunk::<LANES>() {
                for (sum, &v) in sum.iter_mut().zip(values) {
                    *sum = *sum + product(w, v);
                }
            }
        }
        *block = sum;
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        *sum = kernel
            .iter()
            .enumerate()
            .fold(S::default(), |sum, (t, &w)| sum + product(w, values(t, tail + i)[0]));
    }
}
