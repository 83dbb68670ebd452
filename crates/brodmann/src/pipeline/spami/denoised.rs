//! Denoised expression as a layer: which values, in which form, and when it would be too large.

use brodmann_data::Matrix;
use brodmann_kernels::CsrMatrix;
use ndarray::{Array2, Axis};

use super::request::Denoise;
use crate::pipeline::memory::in_words;

/// Largest layers, all modalities together, that are written without being asked for.
pub const AUTO_BYTES: u64 = 1_000_000_000;

/// Bytes of a layer: dense where every feature was seen, else sparse.
pub(super) fn layer_bytes(n_obs: usize, n_selected: usize, n_vars: usize) -> u64 {
    let per_value = if n_selected == n_vars { 4 } else { 8 };
    n_obs as u64 * n_selected as u64 * per_value
}

/// Whether layers of `bytes` are written, and what the log should say.
pub(super) fn decide(denoise: Denoise, bytes: u64) -> (bool, Option<String>) {
    match denoise {
        Denoise::Never => (false, None),
        Denoise::Always => (true, None),
        Denoise::Auto if bytes <= AUTO_BYTES => (true, None),
        Denoise::Auto => (
            false,
            Some(format!(
                "denoised expression would take {}, more than {}: left out (--denoise always writes it)",
                in_words(bytes),
                in_words(AUTO_BYTES)
            )),
        ),
    }
}

/// The layer of a modality.
///
/// Where the model saw every feature the layer is dense. Else it is sparse: features the model did not see have no
/// denoised value and no entry, and `var["…_denoised"]` says which ones those are.
///
/// # Inputs
/// `values`: `(n_obs, n_selected)`. `columns`: the column in the file of each; no column twice.
/// # Panics
/// When a column is not below `n_vars`.
pub(super) fn layer(values: Array2<f32>, columns: &[usize], n_vars: usize) -> Matrix {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|&s| columns[s]);
    if columns.len() == n_vars {
        let sorted = order.iter().enumerate().all(|(k, &s)| k == s);
        return Matrix::DenseF32(if sorted { values } else { values.select(Axis(1), &order) });
    }
    let rows: Vec<Vec<(u32, f32)>> = values
        .rows()
        .into_iter()
        .map(|row| order.iter().map(|&s| (columns[s] as u32, row[s])).filter(|(_, v)| *v != 0.0).collect())
        .collect();
    Matrix::CsrF32(CsrMatrix::from_rows(n_vars, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_where_they_belong() {
        let values = ndarray::array![[1.0f32, 2.0], [3.0, 0.0]];
        let dense = |m: Matrix| m.to_dense_f32().into_owned();
        assert_eq!(dense(layer(values.clone(), &[0, 1], 2)), values);
        assert_eq!(dense(layer(values.clone(), &[1, 0], 2)), ndarray::array![[2.0, 1.0], [0.0, 3.0]]);
        let sparse = layer(values, &[3, 1], 4);
        assert!(sparse.is_sparse());
        assert_eq!(dense(sparse), ndarray::array![[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 3.0]]);
    }

    #[test]
    fn large_layers_are_left_out_unless_asked_for() {
        assert_eq!(decide(Denoise::Auto, AUTO_BYTES), (true, None));
        let (write, note) = decide(Denoise::Auto, 2 * AUTO_BYTES);
        assert!(!write && note.is_some_and(|n| n.contains("--denoise always") && n.contains("2.0 GB")));
        assert!(decide(Denoise::Always, u64::MAX).0);
        assert!(!decide(Denoise::Never, 1).0);
        assert_eq!(layer_bytes(10, 5, 5), 200);
        assert_eq!(layer_bytes(10, 5, 6), 400);
    }
}
