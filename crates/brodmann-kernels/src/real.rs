//! The two element types of the networks, and the arithmetic they share.

use std::fmt::{Debug, Display};
use std::ops::{Add, Div, Mul, MulAssign, Neg, Sub, SubAssign};

pub use crate::arch::gemm::Float;
use crate::arch::similarity::Tile;
use crate::simd::Simd;

/// `f32`, in which networks train, and `f64`, in which their gradients are checked.
pub trait Real:
    Float
    + Default
    + PartialOrd
    + Debug
    + Display
    + Into<f64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + SubAssign
    + MulAssign
{
    /// `1`.
    const ONE: Self;
    /// Half the distance from 1 to the next number: the relative rounding error.
    const UNIT_ROUNDOFF: f64;

    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;

    /// Square root.
    #[must_use]
    fn sqrt(self) -> Self;

    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;

    /// `exp` of every element on the given instruction set; see [`crate::exp`].
    fn exp_on(simd: Simd, values: &mut [Self]);
    /// `ln` of every element on the given instruction set.
    fn ln_on(simd: Simd, values: &mut [Self]);
    /// `1 / (1 + exp(−x))` of every element on the given instruction set.
    fn sigmoid_on(simd: Simd, values: &mut [Self]);
    /// `tanh` of every element on the given instruction set.
    fn tanh_on(simd: Simd, values: &mut [Self]);

    /// Exponentials of a tile of similarities, and their row and column sums; see [`crate::similarity`].
    #[doc(hidden)]
    fn tile_sums(simd: Simd, tile: Tile<'_, Self>, row_sums: &mut [f64], col_sums: &mut [Self]);
    /// Exponentials of a tile of similarities, each times the weights of its row and column.
    #[doc(hidden)]
    fn tile_weights(simd: Simd, tile: Tile<'_, Self>, row_weights: &[Self], col_weights: &[Self]);
}

macro_rules! real {
    ($t:ident) => {
        impl Real for $t {
            const ONE: Self = 1.0;
            const UNIT_ROUNDOFF: f64 = <$t>::EPSILON as f64 * 0.5;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
            fn exp_on(simd: Simd, values: &mut [Self]) {
                crate::arch::elementary::$t::exp(simd, values);
            }
            fn ln_on(simd: Simd, values: &mut [Self]) {
                crate::arch::elementary::$t::ln(simd, values);
            }
            fn sigmoid_on(simd: Simd, values: &mut [Self]) {
                crate::arch::elementary::$t::sigmoid(simd, values);
            }
            fn tanh_on(simd: Simd, values: &mut [Self]) {
                crate::arch::elementary::$t::tanh(simd, values);
            }
            fn tile_sums(simd: Simd, tile: Tile<'_, Self>, row_sums: &mut [f64], col_sums: &mut [Self]) {
                crate::arch::similarity::$t::sums(simd, tile, row_sums, col_sums);
            }
            fn tile_weights(simd: Simd, tile: Tile<'_, Self>, row_weights: &[Self], col_weights: &[Self]) {
                crate::arch::similarity::$t::weights(simd, tile, row_weights, col_weights);
            }
        }
    };
}
real!(f32);
real!(f64);
