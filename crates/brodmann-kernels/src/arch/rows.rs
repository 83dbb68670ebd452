//! Loops over rows of a matrix, compiled once per instruction set and chosen at run time.
//!
//! The bodies are safe Rust; `unsafe` is only the call of a copy compiled for AVX2 or AVX-512 after the processor was
//! asked. Products and sums are never fused or reordered, so every copy gives the same bits.

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
    fn tanh(x: &mut [Self]);
    /// `x = 1 / (1 + e^-x)`.
    fn sigmoid(x: &mut [Self]);
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

/// Two slices of equal length as pieces of [`LANES`] and the rest.
macro_rules! in_lanes {
    ($out:expr, $x:expr, |$o:ident, $v:ident| $body:expr) => {{
        let (out_chunks, out_rest) = $out.as_chunks_mut::<LANES>();
        let (x_chunks, x_rest) = $x.as_chunks::<LANES>();
        for (os, vs) in out_chunks.iter_mut().zip(x_chunks) {
            for ($o, $v) in os.iter_mut().zip(vs) {
                $body;
            }
        }
        for ($o, $v) in out_rest.iter_mut().zip(x_rest) {
            $body;
        }
    }};
}

#[inline(always)]
fn scaled_body<T: Number>(out: &mut [T], a: T, x: &[T], add: bool) {
    if add {
        in_lanes!(out, x, |o, v| *o += a * *v);
    } else {
        in_lanes!(out, x, |o, v| *o = a * *v);
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
                in_lanes!(row, bias, |o, b| *o += *b);
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
        in_lanes!(row, bias, |o, b| {
            let v = *o + *b;
            // Written so that NaN passes: a broken weight must not look like a quiet unit.
            *o = if v < zero { zero } else { v };
        });
    }
}

#[inline(always)]
fn relu_backward_body<T: Number>(grad: &mut [T], value: &[T]) {
    let zero = T::default();
    in_lanes!(grad, value, |g, v| *g = if *v > zero { *g } else { zero });
}

#[inline(always)]
fn column_sums_body<T: Number>(sums: &mut [T], rows: &[T]) {
    if sums.is_empty() {
        return;
    }
    for row in rows.chunks_exact(sums.len()) {
        in_lanes!(sums, row, |s, v| *s += *v);
    }
}

#[inline(always)]
fn dot_body<T: Number>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::default(); LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (xs, ys) in a_chunks.iter().zip(b_chunks) {
        for ((s, &x), &y) in sums.iter_mut().zip(xs).zip(ys) {
            *s += x * y;
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
    let one = |g: &mut T, s: &mut T, x: T, t: T| {
        let difference = x - t;
        *s += difference * difference;
        *g = if add { *g + scale * difference } else { scale * difference };
    };
    let (g_chunks, g_rest) = grad.as_chunks_mut::<LANES>();
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (t_chunks, t_rest) = target.as_chunks::<LANES>();
    for ((gs, xs), ts) in g_chunks.iter_mut().zip(x_chunks).zip(t_chunks) {
        for (((g, s), &x), &t) in gs.iter_mut().zip(&mut sums).zip(xs).zip(ts) {
            one(g, s, x, t);
        }
    }
    for (((g, s), &x), &t) in g_rest.iter_mut().zip(&mut sums).zip(x_rest).zip(t_rest) {
        one(g, s, x, t);
    }
    lane_sum(sums)
}

/// Halved again and again: the order of the vector instructions, written out.
#[inline(always)]
fn lane_sum<T: Number>(mut sums: [T; LANES]) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for k in 0..half {
            let other = sums[k + half];
            sums[k] += other;
        }
        half /= 2;
    }
    sums[0]
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
    let pick = |v: T, column: u32| if column_hash(key, column) >= threshold { v * scale } else { zero };
    let (out_chunks, out_rest) = out.as_chunks_mut::<LANES>();
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let whole = x_chunks.len() * LANES;
    for (chunk, (os, vs)) in out_chunks.iter_mut().zip(x_chunks).enumerate() {
        let base = (chunk * LANES) as u32;
        let mut kept = [zero; LANES];
        for (lane, (k, &v)) in kept.iter_mut().zip(vs).enumerate() {
            *k = pick(v, base + lane as u32);
        }
        for (o, k) in os.iter_mut().zip(kept) {
            *o = if add { *o + k } else { k };
        }
    }
    for (c, (o, &v)) in out_rest.iter_mut().zip(x_rest).enumerate() {
        let kept = pick(v, (whole + c) as u32);
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
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        *chunk = chunk.map(tanh_f32);
    }
    rest.iter_mut().for_each(|v| *v = tanh_f32(*v));
}

#[inline(always)]
fn sigmoid_f32_body(x: &mut [f32]) {
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        *chunk = chunk.map(|v| 1.0 / (1.0 + exp_f32(-v)));
    }
    rest.iter_mut().for_each(|v| *v = 1.0 / (1.0 + exp_f32(-*v)));
}

#[inline(always)]
fn tanh_f64_body(x: &mut [f64]) {
    x.iter_mut().for_each(|v| *v = v.tanh());
}

#[inline(always)]
fn sigmoid_f64_body(x: &mut [f64]) {
    x.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp()));
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
            dispatched!(tanh = $tanh; (x: &mut [$t]));
            dispatched!(sigmoid = $sigmoid; (x: &mut [$t]));
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
            compare(&|o| f32::tanh(o), &|o| tanh_f32_body(o));
            compare(&|o| f32::sigmoid(o), &|o| sigmoid_f32_body(o));
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
            f32::tanh(&mut values);
            let exact = f64::from(x).tanh();
            assert!((f64::from(values[0]) - exact).abs() <= 4e-7 * exact.abs(), "tanh({x}) = {}", values[0]);
            let mut values = [x];
            f32::sigmoid(&mut values);
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
