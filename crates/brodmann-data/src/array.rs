//! Dense arrays of any rank and element type, as `uns`, `obsm` and `varm` hold them.

use ndarray::{Array2, ArrayD, Ix2, IxDyn};

/// A dense array; the element type of the file is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit floats.
    F64(ArrayD<f64>),
    /// 8-bit integers.
    I8(ArrayD<i8>),
    /// 16-bit integers.
    I16(ArrayD<i16>),
    /// 32-bit integers.
    I32(ArrayD<i32>),
    /// 64-bit integers.
    I64(ArrayD<i64>),
    /// 8-bit unsigned integers, e.g. pictures.
    U8(ArrayD<u8>),
    /// 16-bit unsigned integers.
    U16(ArrayD<u16>),
    /// 32-bit unsigned integers.
    U32(ArrayD<u32>),
    /// 64-bit unsigned integers.
    U64(ArrayD<u64>),
    /// Truth values.
    Bool(ArrayD<bool>),
    /// Strings.
    String(ArrayD<String>),
}

/// Runs `$body` with `$a` bound to the typed array, whatever the type.
macro_rules! each_array {
    ($value:expr, $a:ident => $body:expr) => {
        match $value {
            $crate::Array::F32($a) => $body,
            $crate::Array::F64($a) => $body,
            $crate::Array::I8($a) => $body,
            $crate::Array::I16($a) => $body,
            $crate::Array::I32($a) => $body,
            $crate::Array::I64($a) => $body,
            $crate::Array::U8($a) => $body,
            $crate::Array::U16($a) => $body,
            $crate::Array::U32($a) => $body,
            $crate::Array::U64($a) => $body,
            $crate::Array::Bool($a) => $body,
            $crate::Array::String($a) => $body,
        }
    };
}
pub(crate) use each_array;

impl Array {
    /// Length of each axis.
    pub fn shape(&self) -> &[usize] {
        each_array!(self, a => a.shape())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        each_array!(self, a => a.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the element type, as numpy spells it.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
            Self::I8(_) => "int8",
            Self::I16(_) => "int16",
            Self::I32(_) => "int32",
            Self::I64(_) => "int64",
            Self::U8(_) => "uint8",
            Self::U16(_) => "uint16",
            Self::U32(_) => "uint32",
            Self::U64(_) => "uint64",
            Self::Bool(_) => "bool",
            Self::String(_) => "string",
        }
    }

    /// Numbers as `f64`, row-major; `None` for strings. Whole numbers beyond 2^53 lose their last digits.
    pub fn to_f64(&self) -> Option<ArrayD<f64>> {
        Some(match self {
            Self::F32(a) => a.mapv(f64::from),
            Self::F64(a) => a.clone(),
            Self::I8(a) => a.mapv(f64::from),
            Self::I16(a) => a.mapv(f64::from),
            Self::I32(a) => a.mapv(f64::from),
            Self::I64(a) => a.mapv(|v| v as f64),
            Self::U8(a) => a.mapv(f64::from),
            Self::U16(a) => a.mapv(f64::from),
            Self::U32(a) => a.mapv(f64::from),
            Self::U64(a) => a.mapv(|v| v as f64),
            Self::Bool(a) => a.mapv(|v| f64::from(u8::from(v))),
            Self::String(_) => return None,
        })
    }

    /// Numbers as a matrix; a vector becomes one column. `None` for strings and higher ranks.
    pub fn to_matrix_f64(&self) -> Option<Array2<f64>> {
        let values = self.to_f64()?;
        let values = match values.ndim() {
            1 => {
                let n = values.len();
                values.into_shape_with_order(IxDyn(&[n, 1])).ok()?
            }
            _ => values,
        };
        values.into_dimensionality::<Ix2>().ok()
    }

    /// The strings, in row-major order.
    pub fn to_strings(&self) -> Option<Vec<String>> {
        match self {
            Self::String(a) => Some(a.iter().cloned().collect()),
            _ => None,
        }
    }

    /// Rows (first axis) in the given order.
    ///
    /// # Panics
    /// When a row is out of range or the rank is 0.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        use ndarray::Axis;
        match self {
            Self::F32(a) => Self::F32(a.select(Axis(0), rows)),
            Self::F64(a) => Self::F64(a.select(Axis(0), rows)),
            Self::I8(a) => Self::I8(a.select(Axis(0), rows)),
            Self::I16(a) => Self::I16(a.select(Axis(0), rows)),
            Self::I32(a) => Self::I32(a.select(Axis(0), rows)),
            Self::I64(a) => Self::I64(a.select(Axis(0), rows)),
            Self::U8(a) => Self::U8(a.select(Axis(0), rows)),
            Self::U16(a) => Self::U16(a.select(Axis(0), rows)),
            Self::U32(a) => Self::U32(a.select(Axis(0), rows)),
            Self::U64(a) => Self::U64(a.select(Axis(0), rows)),
            Self::Bool(a) => Self::Bool(a.select(Axis(0), rows)),
            Self::String(a) => Self::String(a.select(Axis(0), rows)),
        }
    }
}

macro_rules! array_from {
    ($($t:ty => $variant:ident),*) => {$(
        impl<D: ndarray::Dimension> From<ndarray::Array<$t, D>> for Array {
            fn from(a: ndarray::Array<$t, D>) -> Self {
                Self::$variant(a.into_dyn())
            }
        }
        impl From<Vec<$t>> for Array {
            fn from(v: Vec<$t>) -> Self {
                Self::$variant(ndarray::Array1::from(v).into_dyn())
            }
        }
    )*};
}
array_from!(f32 => F32, f64 => F64, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16,
    u32 => U32, u64 => U64, bool => Bool, String => String);
