//! The bodies of `exp`, `ln`, `sigmoid` and `tanh`, one per element type, compiled once per instruction set.
//!
//! Each body is plain Rust without branches, which the compiler turns into vector instructions; the functions marked
//! `#[target_feature]` differ only in what they may use. `FUSED` chooses between one rounding and two: without the
//! hardware a fused multiply-add would be a slow library call.

use crate::simd::Simd;

/// Defines `pub fn $name(simd, values)` that runs `$body::<FUSED>(x)` on every element.
macro_rules! elementwise {
    ($t:ty, $name:ident, $body:ident) => {
        pub(crate) fn $name(simd: Simd, values: &mut [$t]) {
            #[inline(always)]
            fn each<const FUSED: bool>(values: &mut [$t]) {
                for x in values {
                    *x = $body::<FUSED>(*x);
                }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
            fn avx512(values: &mut [$t]) {
                each::<true>(values);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2(values: &mut [$t]) {
                each::<true>(values);
            }
            match simd {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the features were detected on this processor.
                Simd::Avx512 if crate::simd::has(Simd::Avx512) => unsafe { avx512(values) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Simd::Avx2 if crate::simd::has(Simd::Avx2) => unsafe { avx2(values) },
                _ => each::<false>(values),
            }
        }
    };
}

macro_rules! multiply_add {
    ($t:ty) => {
        #[inline(always)]
        fn fma<const FUSED: bool>(a: $t, b: $t, c: $t) -> $t {
            if FUSED { a.mul_add(b, c) } else { a * b + c }
        }

        /// `Σ coefficients[k] · xᵏ`, lowest power first.
        #[inline(always)]
        fn polynomial<const FUSED: bool, const N: usize>(x: $t, coefficients: [$t; N]) -> $t {
            let mut sum = coefficients[N - 1];
            for k in (0..N - 1).rev() {
                sum = fma::<FUSED>(sum, x, coefficients[k]);
            }
            sum
        }
    };
}

pub(crate) mod f32 {
    use super::Simd;

    multiply_add!(f32);

    /// 1.5 · 2²³: adding it rounds to the nearest integer, which then stands in the low mantissa bits.
    const ROUNDING: f32 = 12_582_912.0;
    /// ln 2 in two parts; the first has trailing zeros, so that `n · LN2_HIGH` is exact for |n| ≤ 128.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// The largest argument whose scaling by 2ⁿ stays below 2¹²⁸; between it and ln(f32::MAX) the exact halves follow.
    const LARGEST: f32 = 88.722_83;
    const SMALLEST: f32 = -87.336_54;

    #[inline(always)]
    fn exp_one<const FUSED: bool>(x: f32) -> f32 {
        // NaN passes through the clamp's comparisons as the bound and is put back at the end.
        let clamped = if x > SMALLEST { x } else { SMALLEST };
        let clamped = if clamped < LARGEST { clamped } else { LARGEST };
        let shifted = fma::<FUSED>(clamped, std::f32::consts::LOG2_E, ROUNDING);
        let n = shifted - ROUNDING;
        let r = fma::<FUSED>(n, -LN2_LOW, fma::<FUSED>(n, -LN2_HIGH, clamped));
        // Taylor to the sixth power: on |r| ≤ ln 2 / 2 the remainder is below 1.3e-7 · 0.35.
        let p = polynomial::<FUSED, 8>(
            r,
            [1.0, 1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0],
        );
        // 2ⁿ in two factors, because 2¹²⁸ alone is no f32.
        let n = shifted.to_bits() as i32 - ROUNDING.to_bits() as i32;
        let half = n >> 1;
        let scale = |e: i32| f32::from_bits(((e + 127) << 23) as u32);
        let y = p * scale(half) * scale(n - half);
        let y = if x < SMALLEST { 0.0 } else { y };
        let y = if x > LARGEST { f32::INFINITY } else { y };
        if x.is_nan() { x } else { y }
    }

    #[inline(always)]
    fn ln_one<const FUSED: bool>(x: f32) -> f32 {
        // x = m · 2ᵉ with m in [√½, √2).
        let bits = x.to_bits() as i32;
        let e = (bits - 0x3f35_04f3) >> 23;
        let m = f32::from_bits((bits - (e << 23)) as u32);
        let e = e as f32;
        // ln m = 2 artanh(s) with s = (m − 1)/(m + 1), |s| < 0.172.
        let s = (m - 1.0) / (m + 1.0);
        let z = s * s;
        let tail = polynomial::<FUSED, 5>(z, [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0]);
        let small = fma::<FUSED>(2.0 * s * z, tail, 2.0 * s);
        let y = fma::<FUSED>(e, LN2_HIGH, fma::<FUSED>(e, LN2_LOW, small));
        let y = if x < f32::MIN_POSITIVE { f32::NEG_INFINITY } else { y };
        let y = if x < 0.0 { f32::NAN } else { y };
        if x < f32::INFINITY { y } else { x }
    }

    #[inline(always)]
    fn sigmoid_one<const FUSED: bool>(x: f32) -> f32 {
        // exp of the negative magnitude cannot overflow.
        let e = exp_one::<FUSED>(-x.abs());
        let y = if x < 0.0 { e } else { 1.0 };
        y / (1.0 + e)
    }

    #[inline(always)]
    fn tanh_one<const FUSED: bool>(x: f32) -> f32 {
        let magnitude = x.abs();
        let e = exp_one::<FUSED>(-2.0 * magnitude);
        let far = (1.0 - e) / (1.0 + e);
        // Near 0 that difference cancels; the odd series does not.
        let z = x * x;
        let tail = polynomial::<FUSED, 6>(
            z,
            [
                -1.0 / 3.0,
                2.0 / 15.0,
                -17.0 / 315.0,
                62.0 / 2835.0,
                -1382.0 / 155_925.0,
                21_844.0 / 6_081_075.0,
            ],
        );
        let near = fma::<FUSED>(magnitude * z, tail, magnitude);
        let y = if magnitude < 0.3 { near } else { far };
        if x < 0.0 { -y } else { y }
    }

    /// `exp(β (x − 1))`.
    #[inline(always)]
    pub(crate) fn exp_shifted<const FUSED: bool>(x: f32, beta: f32) -> f32 {
        exp_one::<FUSED>(fma::<FUSED>(x, beta, -beta))
    }

    elementwise!(f32, exp, exp_one);
    elementwise!(f32, ln, ln_one);
    elementwise!(f32, sigmoid, sigmoid_one);
    elementwise!(f32, tanh, tanh_one);
}

pub(crate) mod f64 {
    use super::Simd;

    multiply_add!(f64);

    /// 1.5 · 2⁵².
    const ROUNDING: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_588e-10;
    const LARGEST: f64 = 709.782_712_893_384;
    const SMALLEST: f64 = -708.396_418_532_264;

    #[inline(always)]
    fn exp_one<const FUSED: bool>(x: f64) -> f64 {
        let clamped = if x > SMALLEST { x } else { SMALLEST };
        let clamped = if clamped < LARGEST { clamped } else { LARGEST };
        let shifted = fma::<FUSED>(clamped, std::f64::consts::LOG2_E, ROUNDING);
        let n = shifted - ROUNDING;
        let r = fma::<FUSED>(n, -LN2_LOW, fma::<FUSED>(n, -LN2_HIGH, clamped));
        // Taylor to the thirteenth power: remainder below 5e-18.
        let p = polynomial::<FUSED, 14>(
            r,
            [
                1.0,
                1.0,
                0.5,
                1.0 / 6.0,
                1.0 / 24.0,
                1.0 / 120.0,
                1.0 / 720.0,
                1.0 / 5040.0,
                1.0 / 40_320.0,
                1.0 / 362_880.0,
                1.0 / 3_628_800.0,
                1.0 / 39_916_800.0,
                1.0 / 479_001_600.0,
                1.0 / 6_227_020_800.0,
            ],
        );
        let n = shifted.to_bits().wrapping_sub(ROUNDING.to_bits()) as i64;
        // An arithmetic shift of 64-bit lanes needs AVX-512; dividing the exponent before the conversion does not.
        let half = n / 2;
        let scale = |e: i64| f64::from_bits(((e + 1023) << 52) as u64);
        let y = p * scale(half) * scale(n - half);
        let y = if x < SMALLEST { 0.0 } else { y };
        let y = if x > LARGEST { f64::INFINITY } else { y };
        if x.is_nan() { x } else { y }
    }

    #[inline(always)]
    fn ln_one<const FUSED: bool>(x: f64) -> f64 {
        let bits = x.to_bits() as i64;
        let e = (bits - 0x3fe6_a09e_667f_3bcd) >> 52;
        let m = f64::from_bits((bits - (e << 52)) as u64);
        let e = e as f64;
        let s = (m - 1.0) / (m + 1.0);
        let z = s * s;
        let tail = polynomial::<FUSED, 11>(
            z,
            [
                1.0 / 3.0,
                1.0 / 5.0,
                1.0 / 7.0,
                1.0 / 9.0,
                1.0 / 11.0,
                1.0 / 13.0,
                1.0 / 15.0,
                1.0 / 17.0,
                1.0 / 19.0,
                1.0 / 21.0,
                1.0 / 23.0,
            ],
        );
        let small = fma::<FUSED>(2.0 * s * z, tail, 2.0 * s);
        let y = fma::<FUSED>(e, LN2_HIGH, fma::<FUSED>(e, LN2_LOW, small));
        let y = if x < f64::MIN_POSITIVE { f64::NEG_INFINITY } else { y };
        let y = if x < 0.0 { f64::NAN } else { y };
        if x < f64::INFINITY { y } else { x }
    }

    #[inline(always)]
    fn sigmoid_one<const FUSED: bool>(x: f64) -> f64 {
        let e = exp_one::<FUSED>(-x.abs());
        let y = if x < 0.0 { e } else { 1.0 };
        y / (1.0 + e)
    }

    /// `exp(β (x − 1))`.
    #[inline(always)]
    pub(crate) fn exp_shifted<const FUSED: bool>(x: f64, beta: f64) -> f64 {
        exp_one::<FUSED>(fma::<FUSED>(x, beta, -beta))
    }

    elementwise!(f64, exp, exp_one);
    elementwise!(f64, ln, ln_one);
    elementwise!(f64, sigmoid, sigmoid_one);

    /// The standard library's: f64 serves the gradient checks, where speed does not matter.
    pub(crate) fn tanh(_simd: Simd, values: &mut [f64]) {
        for x in values {
            *x = x.tanh();
        }
    }
}
