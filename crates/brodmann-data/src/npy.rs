//! NumPy's `.npy`: one array of numbers, as image networks save their features.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3. Read are
//! floats of 16 to 64 bits and whole numbers, in either byte order, in C or Fortran order; pickled objects are not.

use std::path::Path;

use ndarray::{Array2, ShapeBuilder};

use crate::DataError;
use crate::input::read_input;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The numbers of a `.npy` as rows; a vector is a single column.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Read`]; [`DataError::Damaged`] for a file that is no `.npy` or is cut short;
/// [`DataError::Kind`] for arrays of another rank or that hold no numbers.
pub fn read_npy(path: &Path) -> Result<Array2<f64>, DataError> {
    let bytes = read_input(path)?;
    let damaged = |detail: &str| DataError::Damaged { path: path.to_path_buf(), detail: detail.to_owned() };
    let (header, data) = split(&bytes).ok_or_else(|| damaged("it does not begin as a .npy file does"))?;
    let kind = |found: String| DataError::Kind {
        element: path.display().to_string(),
        found,
        expected: "an array of numbers, one row per observation".to_owned(),
    };
    let descr = text_of(header, "descr").ok_or_else(|| kind("an array of records or objects".to_owned()))?;
    let shape = shape_of(header).ok_or_else(|| damaged("its header has no shape"))?;
    let (rows, columns) = match *shape.as_slice() {
        [rows] => (rows, 1),
        [rows, columns] => (rows, columns),
        _ => return Err(kind(format!("an array of rank {}", shape.len()))),
    };
    let number = Number::of(descr).ok_or_else(|| kind(format!("an array of the type {descr:?}")))?;
    let len = rows.checked_mul(columns).filter(|n| n.checked_mul(number.size) == Some(data.len()));
    if len.is_none() {
        return Err(damaged(&format!("{} bytes of data for {rows} x {columns} of {descr}", data.len())));
    }
    let values: Vec<f64> = data.chunks_exact(number.size).map(|b| number.read(b)).collect();
    let fortran = after_key(header, "fortran_order").is_some_and(|rest| rest.starts_with("True"));
    Array2::from_shape_vec((rows, columns).set_f(fortran), values).map_err(|e| damaged(&e.to_string()))
}

/// The header as text, and the data behind it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (major, rest) = (*rest.first()?, rest.get(2..)?);
    let (len, rest) = match major {
        1 => (usize::from(u16::from_le_bytes(rest.get(..2)?.try_into().ok()?)), &rest[2..]),
        2 | 3 => (u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize, &rest[4..]),
        _ => return None,
    };
    Some((std::str::from_utf8(rest.get(..len)?).ok()?, &rest[len..]))
}

/// What follows a key of the header's Python dictionary.
fn after_key<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = header.find(&format!("'{key}'"))?;
    Some(header[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
}

fn text_of<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    after_key(header, key)?.strip_prefix('\'')?.split_once('\'').map(|(text, _)| text)
}

fn shape_of(header: &str) -> Option<Vec<usize>> {
    let (inside, _) = after_key(header, "shape")?.strip_prefix('(')?.split_once(')')?;
    inside.split(',').map(str::trim).filter(|t| !t.is_empty()).map(|t| t.parse().ok()).collect()
}

/// How numbers are stored.
#[derive(Clone, Copy)]
struct Number {
    kind: u8,
    size: usize,
    big_endian: bool,
}

impl Number {
    fn of(descr: &str) -> Option<Self> {
        let (order, rest) = descr.split_at_checked(1)?;
        let big_endian = match order {
            "<" | "|" => false,
            ">" => true,
            _ => return None,
        };
        let (kind, size) = rest.split_at_checked(1)?;
        let (kind, size) = (kind.as_bytes()[0], size.parse().ok()?);
        let known = matches!((kind, size), (b'f', 2 | 4 | 8) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'b', 1));
        known.then_some(Self { kind, size, big_endian })
    }

    fn read(self, stored: &[u8]) -> f64 {
        let mut bytes = [0u8; 8];
        for (k, b) in stored.iter().enumerate() {
            bytes[if self.big_endian { self.size - 1 - k } else { k }] = *b;
        }
        let bits = u64::from_le_bytes(bytes);
        match (self.kind, self.size) {
            (b'f', 2) => half(bits as u16),
            (b'f', 4) => f64::from(f32::from_bits(bits as u32)),
            (b'f', _) => f64::from_bits(bits),
            (b'i', size) => {
                // Shifted up and back, so that the sign bit counts.
                let unused = 64 - 8 * size as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            _ => bits as f64,
        }
    }
}

/// A number of 16 bits.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::proofread::flaw;

    use super::*;

    fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while !(MAGIC.len() + 4 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let len = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &len, header.as_bytes(), data].concat()
    }

    fn read(bytes: &[u8]) -> Result<Array2<f64>, DataError> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.npy");
        std::fs::write(&path, bytes).expect("written");
        read_npy(&path)
    }

    #[test]
    fn every_kind_of_number_in_both_orders() {
        let rows = ndarray::array![[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]];
        let c: Vec<f64> = rows.iter().copied().collect();
        let of = |f: &dyn Fn(f64) -> Vec<u8>, v: &[f64]| v.iter().flat_map(|v| f(*v)).collect::<Vec<u8>>();
        let le8 = of(&|v| v.to_le_bytes().to_vec(), &c);
        assert_eq!(read(&file("<f8", false, "(2, 3)", &le8)).expect("readable"), rows);
        let be4 = of(&|v| (v as f32).to_be_bytes().to_vec(), &c);
        assert_eq!(read(&file(">f4", false, "(2, 3)", &be4)).expect("readable"), rows);
        let i2 = of(&|v| (v as i16).to_le_bytes().to_vec(), &c);
        assert_eq!(read(&file("<i2", false, "(2, 3)", &i2)).expect("readable"), rows);
        let i1 = of(&|v| (v as i8).to_le_bytes().to_vec(), &c);
        assert_eq!(read(&file("|i1", false, "(2, 3)", &i1)).expect("readable"), rows);
        let columns: Vec<f64> = rows.t().iter().copied().collect();
        let f = of(&|v| v.to_le_bytes().to_vec(), &columns);
        assert_eq!(read(&file("<f8", true, "(2, 3)", &f)).expect("readable"), rows);
        assert_eq!(read(&file("<f8", false, "(6,)", &le8)).expect("a column").dim(), (6, 1));
        // 1.5 and the smallest number above 0.
        let halves = read(&file("<f2", false, "(2,)", &[0x00, 0x3e, 0x01, 0x00])).expect("readable");
        assert_eq!(halves, ndarray::array![[1.5], [2f64.powi(-24)]]);
        assert_eq!(read(&file("<f8", false, "(0, 3)", &[])).expect("no rows").dim(), (0, 3));
    }

    #[test]
    fn what_is_no_table_of_numbers_is_refused() {
        let eight = 1f64.to_le_bytes();
        for bytes in [
            b"not numpy".to_vec(),
            Vec::new(),
            MAGIC.to_vec(),
            [MAGIC, &[1, 0, 255, 255]].concat(),
            file("<f8", false, "(2, 3)", &eight),
            file("<f8", false, "(18446744073709551615, 3)", &eight),
            file("<f8", false, "(1, 1, 1)", &eight),
            file("|O", false, "(1,)", &eight),
            file("<U2", false, "(1,)", &eight),
            file("", false, "(1,)", &eight),
        ] {
            let message = read(&bytes).expect_err("refused");
            assert_eq!(flaw(&message), None);
        }
    }
}
