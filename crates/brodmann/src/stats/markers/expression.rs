//! Where expression comes from: rows in memory, or rows that arrive block by block.

use std::fmt::{Debug, Display};

use brodmann_kernels::CsrView;

use crate::stats::StatsError;

/// Stored entries that are held by gene at a time, where the source says nothing else: 256 MB of single precision.
const ENTRIES_AT_ONCE: usize = 1 << 25;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A number that can be ranked by its bits: `f32`, or `f64`.
pub trait Expression: Copy + Display + Send + Sync + sealed::Sealed + 'static {
    /// The bits of a number as an integer, in the order of the numbers.
    #[doc(hidden)]
    type Key: Copy + Ord + Debug + Default + Send + Sync;
    /// Digits of a key.
    #[doc(hidden)]
    const DIGITS: usize;
    /// The key of 0.
    #[doc(hidden)]
    const ZERO: Self::Key;
    /// The number in double precision.
    #[doc(hidden)]
    fn as_f64(self) -> f64;
    /// The key of a number.
    #[doc(hidden)]
    fn key(self) -> Self::Key;
    /// The number of a key.
    #[doc(hidden)]
    fn of_key(key: Self::Key) -> f64;
    /// Digit `place` of a key, the lowest first; below [`RADIX`].
    #[doc(hidden)]
    fn digit(key: Self::Key, place: usize) -> usize;
}

/// Bits of a digit.
const DIGIT_BITS: usize = 11;
/// Values of a digit.
pub(super) const RADIX: usize = 1 << DIGIT_BITS;

macro_rules! expression {
    ($float:ident, $bits:ident) => {
        impl Expression for $float {
            type Key = $bits;
            const ZERO: $bits = 1 << ($bits::BITS - 1);
            const DIGITS: usize = ($bits::BITS as usize).div_ceil(DIGIT_BITS);

            #[inline]
            fn as_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline]
            fn key(self) -> $bits {
                const SIGN: $bits = 1 << ($bits::BITS - 1);
                let bits = self.to_bits();
                // Negative numbers rise as their bits fall.
                if bits & SIGN == 0 { bits | SIGN } else { !bits }
            }

            #[inline]
            fn of_key(key: $bits) -> f64 {
                const SIGN: $bits = 1 << ($bits::BITS - 1);
                f64::from($float::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN }))
            }

            #[inline]
            fn digit(key: $bits, place: usize) -> usize {
                (key >> (place * DIGIT_BITS)) as usize & (RADIX - 1)
            }
        }
    };
}

expression!(f32, u32);
expression!(f64, u64);

/// What is done with each block of rows: the number of its first row, and the rows.
pub type VisitRows<'v, V> = dyn FnMut(usize, CsrView<'_, V>) -> Result<(), StatsError> + Send + 'v;

/// Spots in rows, genes in columns; can be passed over more than once.
///
/// A matrix in memory is one. So is a file whose blocks are read, normalised and handed over one after the other: it
/// says how many entries may be held at a time, and is passed over as often as that takes, once when it all fits, and
/// once more before to count the entries of each gene when it does not.
pub trait ExpressionRows: Sync {
    /// `f32`, or `f64`.
    type Value: Expression;
    /// Why a pass fails.
    type Error: From<StatsError>;

    /// Spots.
    fn n_obs(&self) -> usize;
    /// Genes.
    fn n_vars(&self) -> usize;
    /// Stored entries.
    fn nnz(&self) -> usize;
    /// The whole matrix, where it is in memory anyway.
    fn in_memory(&self) -> Option<CsrView<'_, Self::Value>> {
        None
    }
    /// Entries that may be held beside the source, 8 bytes each in single precision and 16 in double.
    fn entries_at_once(&self) -> usize {
        ENTRIES_AT_ONCE
    }
    /// Calls `visit` with consecutive blocks, from the first row to the last.
    ///
    /// # Errors
    /// Those of `visit`, and the source's own when the rows cannot be had.
    fn for_each_block(&self, visit: &mut VisitRows<'_, Self::Value>) -> Result<(), Self::Error>;
}

impl<V: Expression> ExpressionRows for CsrView<'_, V> {
    type Value = V;
    type Error = StatsError;

    fn n_obs(&self) -> usize {
        self.n_rows()
    }

    fn n_vars(&self) -> usize {
        self.n_cols()
    }

    fn nnz(&self) -> usize {
        CsrView::nnz(*self)
    }

    fn in_memory(&self) -> Option<CsrView<'_, V>> {
        Some(*self)
    }

    fn for_each_block(&self, visit: &mut VisitRows<'_, V>) -> Result<(), StatsError> {
        visit(0, *self)
    }
}
