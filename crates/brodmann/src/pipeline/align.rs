//! Columns of a matrix in another order: a slice as a model wants it, a gene under the same number in every file.

use std::collections::HashMap;

use brodmann_kernels::{CsrMatrix, CsrView, Monitor};

use super::PipelineError;
use crate::preprocess::feature_map::FeatureMap;

/// Where each of `wanted` is among `there`; the first place of a name that repeats.
pub(super) fn places(wanted: &[String], there: &[String]) -> Vec<Option<usize>> {
    let place: HashMap<&str, usize> =
        there.iter().enumerate().rev().map(|(j, name)| (name.as_str(), j)).collect();
    wanted.iter().map(|name| place.get(name.as_str()).copied()).collect()
}

/// Columns in another order; those without a place are dropped, places without a column are empty.
pub(super) fn align(counts: CsrView<'_, f32>, column_of: &[Option<usize>]) -> CsrMatrix<f32> {
    let mut place = vec![None; counts.n_cols()];
    for (k, column) in column_of.iter().enumerate() {
        if let Some(j) = column {
            place[*j] = Some(k as u32);
        }
    }
    let rows: Vec<Vec<(u32, f32)>> = (0..counts.n_rows())
        .map(|i| {
            let (columns, values) = counts.row(i);
            let mut row: Vec<(u32, f32)> =
                columns.iter().zip(values).filter_map(|(&j, &v)| Some((place[j as usize]?, v))).collect();
            row.sort_unstable_by_key(|e| e.0);
            row
        })
        .collect();
    CsrMatrix::from_rows(column_of.len(), &rows)
}

/// Where the columns of a saved model's map stand in a tissue; `None` for those that only count in the totals and are
/// absent.
///
/// # Errors
/// [`PipelineError::MissingFeatures`] when a feature that the model sees is absent.
pub(super) fn columns_of_model(
    map: &FeatureMap,
    names: &[String],
    there: &[String],
    modality: &str,
    monitor: &dyn Monitor,
) -> Result<Vec<Option<usize>>, PipelineError> {
    let found = places(names, there);
    let missing: Vec<usize> = (0..names.len()).filter(|&k| found[k].is_none() && map.selected[k]).collect();
    if !missing.is_empty() {
        return Err(PipelineError::MissingFeatures {
            modality: modality.to_owned(),
            n_missing: missing.len(),
            n_expected: map.n_selected(),
            examples: missing.iter().take(5).map(|&k| names[k].clone()).collect(),
        });
    }
    let absent = found.iter().filter(|f| f.is_none()).count();
    if absent > 0 {
        monitor.note(&format!(
            "{modality}: {absent} of the {} features that only count in the totals are absent here; taken as 0",
            names.len()
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_where_they_are_found() {
        let x = CsrMatrix::from_dense(ndarray::array![[1.0f32, 2.0, 3.0], [0.0, 5.0, 0.0]].view());
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let found = places(&names(&["c", "x", "a"]), &names(&["a", "b", "c"]));
        assert_eq!(found, [Some(2), None, Some(0)]);
        let aligned = align(x.view(), &found);
        assert_eq!(aligned.view().to_dense(), ndarray::array![[3.0, 0.0, 1.0], [0.0, 0.0, 0.0]]);
    }
}
