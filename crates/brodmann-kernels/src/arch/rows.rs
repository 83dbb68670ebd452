//! Loops over rows of a matrix, compiled once per instruction set and chosen at run time.
//!
//! The bodies are safe Rust; `unsafe` is only the call of a copy compiled for AVX2 or AVX-512 after the processor was
//! asked. Products and sums are never fused or reordered, so every copy gives the same bits.

// A body that is not inlined into its copy keeps the features of the copy it was compiled for: none.
#![allow(clippy::inline_always)]

/// Elements handled together; also the number of partial sums of a dot product.
const LANES: usize = 16;

/// One output row of a sparse product after another: the arrays of a CSR matrix, and what it multiplies.
#[derive(Clone, Copy, Debug)]
pub struct SparseRows<'a, T> {
    /// `n_rows + 1` offsets.
    pub indptr: &'a [usize],
    /// Columns.
    pub indices: &'a [u32],
    /// Values.
    pub data: &'a [T],
    /// Row-major, one row per column of the CSR matrix.
    pub dense: &'a [T],
    /// Columns of `dense`.
    pub width: usize,
}

/// Loops the networks spend their time in, besides products of dense matrices.
pub trait RowKernels: Sized {
    /// `out_i (+)= Σ_j a_ij · dense_j + bias` for the rows from `first_row`; an empty bias is none.
    fn sparse_rows(out: &mut [Self], first_row: usize, rows: SparseRows<'_, Self>, bias: &[Self], add: bool);
    /// `row = max(row + bias, 0)` for every row.
    fn bias_relu(rows: &mut [Self], bias: &[Self]);
    /// `grad = 0` where `value` is not above 0.
    fn relu_backward(grad: &mut [Self], value: &[Self]);
    /// `sums += Σ rows`.
    fn column_sums(sums: &mut [Self], rows: &[Self]);
    /// `out (+)= a · x`.
    fn scaled(out: &mut [Self], a: Self, x: &[Self], add: bool);
    /// `Σ a · b`, in 16 partial sums.
    fn dot(a: &[Self], b: &[Self]) -> Self;
    /// `out (+)= x · scale` where the hash of `(key, column)` is at least `threshold`, else 0.
    fn dropout(out: &mut [Self], x: &[Self], key: u64, threshold: u32, scale: Self, add: bool);
    /// `grad (+)= scale · (x − target)`; returns `Σ (x − target)²`, in 16 partial sums.
    fn squared_error(grad: &mut [Self], x: &[Self], target: &[Self], scale: Self, add: bool) -> Self;
    /// `x = tanh(x)`.
    fn tanh_all(x: &mut [Self]);
    /// `x = 1 / (1 + e^-x)`.
    fn sigmoid_all(x: &mut [Self]);
}

/// What the bodies need of a number.
trait Number:
    Copy
    + Default
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::AddAssign
{
}
impl Number for f32 {}
impl Number for f64 {}

/// Applies `f` to two slices of equal length. A plain loop: pieces of a fixed length would be taken for columns by
/// the compiler and gathered across.
#[inline(always)]
fn each<T: Number>(out: &mut [T], x: &[T], f: impl Fn(T, T) -> T) {
    for (o, &v) in out.iter_mut().zip(x) {
        *o = f(*o, v);
    }
}

#[inline(always)]
fn scaled_body<T: Number>(out: &mut [T], a: T, x: &[T], add: bool) {
    if add {
        each(out, x, |o, v| o + a * v);
    } else {
        each(out, x, |_, v| a * v);
    }
}

#[inline(always)]
fn sparse_rows_body<T: Number>(
    out: &mut [T],
    first_row: usize,
    rows: SparseRows<'_, T>,
    bias: &[T],
    add: bool,
) {
    let SparseRows { indptr, indices, data, dense, width } = rows;
    for (k, row) in out.chunks_exact_mut(width).enumerate() {
        let range = indptr[first_row + k]..indptr[first_row + k + 1];
        let (columns, values) = (&indices[range.clone()], &data[range]);
        let mut fresh = !add;
        if !bias.is_empty() {
            if fresh {
                row.copy_from_slice(bias);
            } else {
                each(row, bias, |o, b| o + b);
            }
            fresh = false;
        }
        if fresh && columns.is_empty() {
            row.fill(T::default());
        }
        for (&j, &a) in columns.iter().zip(values) {
            let source = &dense[j as usize * width..(j as usize + 1) * width];
            scaled_body(row, a, source, !fresh);
            fresh = false;
        }
    }
}

#[inline(always)]
fn bias_relu_body<T: Number>(rows: &mut [T], bias: &[T]) {
    if bias.is_empty() {
        return;
    }
    let zero = T::default();
    for row in rows.chunks_exact_mut(bias.len()) {
        each(row, bias, |o, b| {
            let v = o + b;
            // Written so that NaN passes: a broken weight must not look like a quiet unit.
            if v < zero { zero } else { v }
        });
    }
}

#[inline(always)]
fn relu_backward_body<T: Number>(grad: &mut [T], value: &[T]) {
    let zero = T::default();
    each(grad, value, |g, v| if v > zero { g } else { zero });
}

#[inline(always)]
fn column_sums_body<T: Number>(sums: &mut [T], rows: &[T]) {
    if sums.is_empty() {
        return;
    }
    for row in rows.chunks_exact(sums.len()) {
        each(sums, row, |s, v| s + v);
    }
}

#[inline(always)]
fn dot_body<T: Number>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::default(); LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (xs, ys) in a_chunks.iter().zip(b_chunks) {
        let (xs, ys) = (*xs, *ys);
        for lane in 0..LANES {
            sums[lane] += xs[lane] * ys[lane];
        }
    }
    for ((s, &x), &y) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *s += x * y;
    }
    lane_sum(sums)
}

#[inline(always)]
fn squared_error_body<T: Number>(grad: &mut [T], x: &[T], target: &[T], scale: T, add: bool) -> T {
    let mut sums = [T::default(); LANES];
    let (g_chunks, g_rest) = grad.as_chunks_mut::<LANES>();
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (t_chunks, t_rest) = target.as_chunks::<LANES>();
    for ((gs, xs), ts) in g_chunks.iter_mut().zip(x_chunks).zip(t_chunks) {
        let (before, xs, ts) = (if add { *gs } else { [T::default(); LANES] }, *xs, *ts);
        let mut result = before;
        for lane in 0..LANES {
            let difference = xs[lane] - ts[lane];
            sums[lane] += difference * difference;
            result[lane] = before[lane] + scale * difference;
        }
        *gs = result;
    }
    for (((g, s), &x), &t) in g_rest.iter_mut().zip(&mut sums).zip(x_rest).zip(t_rest) {
        let difference = x - t;
        *s += difference * difference;
        *g = if add { *g } else { T::default() } + scale * difference;
    }
    lane_sum(sums)
}

/// Halved again and again: the order of the vector instructions, written out.
#[inline(always)]
fn lane_sum<T: Number>(sums: [T; LANES]) -> T {
    let mut eight = [T::default(); 8];
    for k in 0..8 {
        eight[k] = sums[k] + sums[k + 8];
    }
    let mut four = [T::default(); 4];
    for k in 0..4 {
        four[k] = eight[k] + eight[k + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// A 32-bit hash of a column under a row's key; two rounds of multiply and shift, cheap in vectors.
#[inline(always)]
fn column_hash(key: u64, column: u32) -> u32 {
    let mut h = (key as u32) ^ column.wrapping_mul(0x9E37_79B9);
    h ^= h >> 16;
    h = h.wrapping_mul(0x21F0_AAAD);
    h ^= h >> 15;
    h = h.wrapping_mul(0x735A_2D97);
    h ^= h >> 15;
    h ^ (key >> 32) as u32
}

#[inline(always)]
fn dropout_body<T: Number>(out: &mut [T], x: &[T], key: u64, threshold: u32, scale: T, add: bool) {
    let zero = T::default();
    for (column, (o, &v)) in out.iter_mut().zip(x).enumerate() {
        let kept = if column_hash(key, column as u32) >= threshold { v * scale } else { zero };
        *o = if add { *o + kept } else { kept };
    }
}

/// `eˣ` for `x` in −87…88: `2ⁿ · e^r` with `|r| ≤ ln 2 / 2`, the latter by its Taylor polynomial of degree 7
/// (remainder 5e-9). Relative error below 2e-7.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts: the first times n is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 · 2²³ leaves the nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    p * f32::from_bits(exponent << 23)
}

/// `tanh`: its series near 0, where `1 − 2/(e²ˣ + 1)` would lose digits.
#[inline(always)]
fn tanh_f32(x: f32) -> f32 {
    let z = x * x;
    let series = x * (1.0 + z * (-1.0 / 3.0 + z * (2.0 / 15.0 + z * (-17.0 / 315.0 + z * (62.0 / 2835.0)))));
    let far = 1.0 - 2.0 / (exp_f32(2.0 * x) + 1.0);
    if z < 0.09 { series } else { far }
}

#[inline(always)]
fn tanh_f32_body(x: &mut [f32]) {
    for v in x {
        *v = tanh_f32(*v);
    }
}

#[inline(always)]
fn sigmoid_f32_body(x: &mut [f32]) {
    for v in x {
        *v = 1.0 / (1.0 + exp_f32(-*v));
    }
}

#[inline(always)]
fn tanh_f64_body(x: &mut [f64]) {
    for v in x {
        *v = v.tanh();
    }
}

#[inline(always)]
fn sigmoid_f64_body(x: &mut [f64]) {
    for v in x {
        *v = 1.0 / (1.0 + (-*v).exp());
    }
}

/// A method that runs `$body` as compiled for the widest vectors this processor has.
macro_rules! dispatched {
    ($name:ident = $body:path; ($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {
        #[inline]
        fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn narrow($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has every feature `wide` is compiled for.
                    return unsafe { wide($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { narrow($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

macro_rules! row_kernels {
    ($t:ty, $tanh:path, $sigmoid:path) => {
        impl RowKernels for $t {
            dispatched!(sparse_rows = sparse_rows_body::<$t>; (out: &mut [$t], first_row: usize, rows: SparseRows<'_, $t>, bias: &[$t], add: bool));
            dispatched!(bias_relu = bias_relu_body::<$t>; (rows: &mut [$t], bias: &[$t]));
            dispatched!(relu_backward = relu_backward_body::<$t>; (grad: &mut [$t], value: &[$t]));
            dispatched!(column_sums = column_sums_body::<$t>; (sums: &mut [$t], rows: &[$t]));
            dispatched!(scaled = scaled_body::<$t>; (out: &mut [$t], a: $t, x: &[$t], add: bool));
            dispatched!(dot = dot_body::<$t>; (a: &[$t], b: &[$t]) -> $t);
            dispatched!(dropout = dropout_body::<$t>; (out: &mut [$t], x: &[$t], key: u64, threshold: u32, scale: $t, add: bool));
            dispatched!(squared_error = squared_error_body::<$t>; (grad: &mut [$t], x: &[$t], target: &[$t], scale: $t, add: bool) -> $t);
            dispatched!(tanh_all = $tanh; (x: &mut [$t]));
            dispatched!(sigmoid_all = $sigmoid; (x: &mut [$t]));
        }
    };
}
row_kernels!(f32, tanh_f32_body, sigmoid_f32_body);
row_kernels!(f64, tanh_f64_body, sigmoid_f64_body);

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, salt: u32) -> Vec<f32> {
        (0..n as u32).map(|i| (column_hash(u64::from(salt), i) % 2001) as f32 / 250.0 - 4.0).collect()
    }

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_plain_loop() {
        for width in [1, 2, 15, 16, 17, 50, 64, 65] {
            let (x, y) = (numbers(width, 1), numbers(width, 2));
            let compare = |fast: &dyn Fn(&mut [f32]), plain: &dyn Fn(&mut [f32])| {
                let (mut a, mut b) = (y.clone(), y.clone());
                fast(&mut a);
                plain(&mut b);
                assert_eq!(a, b, "width {width}");
            };
            for add in [false, true] {
                compare(&|o| f32::scaled(o, 0.3, &x, add), &|o| scaled_body(o, 0.3, &x, add));
                compare(&|o| f32::dropout(o, &x, 7 << 40, 1 << 30, 1.5, add), &|o| {
                    dropout_body(o, &x, 7 << 40, 1 << 30, 1.5, add);
                });
            }
            compare(&|o| f32::bias_relu(o, &x), &|o| bias_relu_body(o, &x));
            compare(&|o| f32::relu_backward(o, &x), &|o| relu_backward_body(o, &x));
            compare(&|o| f32::column_sums(o, &x), &|o| column_sums_body(o, &x));
            compare(&|o| f32::tanh_all(o), &|o| tanh_f32_body(o));
            compare(&|o| f32::sigmoid_all(o), &|o| sigmoid_f32_body(o));
            assert_eq!(f32::dot(&x, &y).to_bits(), dot_body(&x, &y).to_bits());
            let exact: f64 = x.iter().zip(&y).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(f32::dot(&x, &y)) - exact).abs() < 1e-3);
        }
    }

    #[test]
    fn sparse_rows_follow_the_definition() {
        let dense = numbers(4 * 50, 3);
        let rows = SparseRows {
            indptr: &[0, 2, 2, 3],
            indices: &[0, 3, 1],
            data: &[2.0f32, 0.5, -1.0],
            dense: &dense,
            width: 50,
        };
        let bias = numbers(50, 4);
        let mut out = vec![9.0f32; 100];
        f32::sparse_rows(&mut out, 1, rows, &bias, false);
        assert_eq!(&out[..50], &bias[..]);
        for c in 0..50 {
            assert_eq!(out[50 + c], bias[c] + -dense[50 + c]);
        }
        let mut out = vec![1.0f32; 50];
        f32::sparse_rows(&mut out, 0, rows, &[], true);
        for c in 0..50 {
            assert_eq!(out[c], 1.0 + 2.0 * dense[c] + 0.5 * dense[150 + c]);
        }
    }

    #[test]
    fn transcendental_functions_are_accurate_to_single_precision() {
        for i in -40_000..=40_000 {
            let x = i as f32 / 400.0;
            let mut values = [x];
            f32::tanh_all(&mut values);
            let exact = f64::from(x).tanh();
            assert!((f64::from(values[0]) - exact).abs() <= 4e-7 * exact.abs(), "tanh({x}) = {}", values[0]);
            let mut values = [x];
            f32::sigmoid_all(&mut values);
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            // Below −87 the exponential is held at e⁸⁷: both are nothing beside any weight.
            assert!(
                (f64::from(values[0]) - exact).abs() <= 4e-7 * exact + 1e-37,
                "sigmoid({x}) = {}",
                values[0]
            );
        }
    }

    #[test]
    fn the_share_dropped_is_the_share_asked_for() {
        let x = vec![1.0f32; 1000];
        let mut out = vec![0.0f32; 1000];
        let mut kept = 0.0f64;
        let threshold = (0.15 * 4_294_967_296.0) as u32;
        for row in 0..1000u64 {
            let key = crate::Seed(5).word(row);
            f32::dropout(&mut out, &x, key, threshold, 1.0, false);
            kept += out.iter().map(|v| f64::from(*v)).sum::<f64>();
        }
        // Standard error of the share over 10⁶ draws: 3.6e-4.
        assert!((kept / 1e6 - 0.85).abs() < 1.5e-3, "{kept}");
    }
}
