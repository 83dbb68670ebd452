//! Are these the same data? A hash of what a run rests on.

use brodmann_kernels::{CsrView, Seed, Slices};
use ndarray::ArrayView2;

/// A running hash of numbers and texts: 64 bits, the same on every machine. It tells mistakes, not malice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0x6272_6f64_6d61_6e6e)
    }
}

impl Fingerprint {
    fn word(&mut self, word: u64) {
        // Chained, so that the order counts.
        self.0 = Seed(self.0).word(word);
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a block of bytes; how a file is cut into blocks counts.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut bytes = [0u8; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(bytes));
        }
        self
    }

    /// Adds a table of numbers.
    #[must_use]
    pub fn table(mut self, values: ArrayView2<'_, f64>) -> Self {
        self.word(values.nrows() as u64);
        self.word(values.ncols() as u64);
        for v in values {
            self.word(v.to_bits());
        }
        self
    }

    /// Adds the slice of each observation.
    #[must_use]
    pub fn slices(mut self, slices: Option<&Slices>) -> Self {
        self.word(slices.map_or(u64::MAX, |s| s.n_obs() as u64));
        if let Some(slices) = slices {
            for i in 0..slices.n_obs() {
                self.word(u64::from(slices.code(i)));
            }
        }
        self
    }

    /// Adds a sparse matrix.
    #[must_use]
    pub fn counts(mut self, counts: CsrView<'_, f32>) -> Self {
        self.word(counts.n_rows() as u64);
        self.word(counts.n_cols() as u64);
        for i in 0..counts.n_rows() {
            let (columns, values) = counts.row(i);
            self.word(columns.len() as u64);
            for (&j, &v) in columns.iter().zip(values) {
                self.word(u64::from(j) << 32 | u64::from(v.to_bits()));
            }
        }
        self
    }

    /// As 16 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::CsrMatrix;

    use super::*;

    #[test]
    fn any_change_shows() {
        let of = |dense: ndarray::Array2<f32>, text: &str, codes: &[u32]| {
            let m = CsrMatrix::from_dense(dense.view());
            Fingerprint::default()
                .counts(m.view())
                .text(text)
                .slices(Some(&Slices::from_codes(codes, &[])))
                .hex()
        };
        let a = || ndarray::array![[1.0f32, 0.0], [0.0, 2.0]];
        let all = [
            of(a(), "x", &[0, 1]),
            of(a().reversed_axes() * 2.0, "x", &[0, 1]),
            of(ndarray::array![[0.0f32, 1.0], [0.0, 2.0]], "x", &[0, 1]),
            of(a(), "y", &[0, 1]),
            of(a(), "x", &[1, 0]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], of(a(), "x", &[0, 1]));
        assert_eq!(all[0].len(), 16);
    }
}
