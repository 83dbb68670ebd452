//! The two element types of the engine.

use std::ops::AddAssign;

use brodmann_kernels::Real;
use brodmann_kernels::arch::rows::RowKernels;

/// `f32` for work, `f64` for checks of gradients: the [`Real`] of the kernels, with what layers and losses need
/// beyond it.
pub trait Scalar: Real + RowKernels + AddAssign {
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// The same value, wider.
    fn to_f64(self) -> f64;
    /// `e` to this power.
    #[must_use]
    fn exp(self) -> Self;
    /// Absolute value.
    #[must_use]
    fn abs(self) -> Self;
    /// `ln(1 + self)`.
    #[must_use]
    fn ln_1p(self) -> Self;
    /// The larger of two.
    #[must_use]
    fn max(self, other: Self) -> Self;
}

macro_rules! scalar {
    ($t:ty) => {
        impl Scalar for $t {
            #[inline]
            fn of(value: f64) -> Self {
                value as Self
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline]
            fn exp(self) -> Self {
                <$t>::exp(self)
            }
            #[inline]
            fn abs(self) -> Self {
                <$t>::abs(self)
            }
            #[inline]
            fn ln_1p(self) -> Self {
                <$t>::ln_1p(self)
            }
            #[inline]
            fn max(self, other: Self) -> Self {
                <$t>::max(self, other)
            }
        }
    };
}
scalar!(f32);
scalar!(f64);

/// `σ(x)`, without overflow at either end.
pub fn sigmoid<T: Scalar>(x: T) -> T {
    let e = (-x.abs()).exp();
    if x >= T::ZERO { T::ONE / (T::ONE + e) } else { e / (T::ONE + e) }
}

/// `ln(1 + eˣ)`, without overflow.
pub fn softplus<T: Scalar>(x: T) -> T {
    x.max(T::ZERO) + (-x.abs()).exp().ln_1p()
}
