//! Denoised expression as a layer: which values, in which form, and when it would be too large.

use std::borrow::Cow;

use brodmann_data::{Column, Matrix};
use brodmann_kernels::{CsrMatrix, Opt};
use ndarray::{Array2, Axis};

use super::inputs::{Input, Source};
use super::request::Denoise;
use crate::pipeline::PipelineError;
use crate::pipeline::memory::in_words;
use crate::pipeline::run::{Run, Stage};

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
                "denoised expression would take {}, more than {}: left out ({} writes it)",
                in_words(bytes),
                in_words(AUTO_BYTES),
                Opt("denoise").set("always")
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

/// Adds the denoised layer of a modality; false where there is no way back from its features.
pub(super) fn add(
    input: &Input,
    reconstruction: &Array2<f32>,
    key: &str,
    run: &mut Run<'_>,
) -> Result<bool, PipelineError> {
    let (name, monitor) = (&input.info.name, run.monitor);
    let Source::Counts { map, spots, columns } = &input.source else {
        monitor
            .note(&format!("{name}: no denoised expression, since an embedding has no way back to features"));
        return Ok(false);
    };
    monitor.stage(&format!("{name}: denoising"), 0);
    let reconstruction = match &input.balance {
        None => Cow::Borrowed(reconstruction),
        Some(balance) => {
            let mut own = reconstruction.clone();
            balance.undo(&mut own);
            Cow::Owned(own)
        }
    };
    let values = run
        .timed(Stage::Train, || map.decode(reconstruction.view(), spots, monitor))
        .map_err(|source| PipelineError::Preprocess { modality: name.clone(), source })?;
    if columns.len() < input.n_vars {
        monitor.note(&format!(
            "{name}: denoised values for the {} of {} features the network saw; the others have none",
            columns.len(),
            input.n_vars
        ));
    }
    let mut seen = vec![false; input.n_vars];
    for &j in columns {
        seen[j] = true;
    }
    let key = format!("{key}_denoised");
    let matrix = layer(values, columns, input.n_vars);
    let target = run.target(input.info.key.as_deref());
    target.layers.insert(key.clone(), matrix);
    target.var.insert(key, Column::Bool(seen));
    Ok(true)
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
        assert!(!write && note.is_some_and(|n| n.contains("denoise = always") && n.contains("2.0 GB")));
        assert!(decide(Denoise::Always, u64::MAX).0);
        assert!(!decide(Denoise::Never, 1).0);
        assert_eq!(layer_bytes(10, 5, 5), 200);
        assert_eq!(layer_bytes(10, 5, 6), 400);
    }
}
