use brodmann_kernels::{CsrMatrix, CsrView, Seed, Silent};

use ndarray::{Array2, array};

use crate::preprocess::PreprocessError;

use super::super::*;

struct Made {
    values: CsrMatrix<f32>,
    map: FeatureMap,
}

impl Made {
    fn scale(&self) -> &FeatureScale {
        match &self.map.projection {
            Projection::Scaled { scale, .. } => scale,
            other => panic!("{other:?}"),
        }
    }
}

fn prepare(
    counts: CsrView<'_, f32>,
    slices: Option<&[u32]>,
    options: &ScaledOptions,
    monitor: Silent,
) -> Result<Made, PreprocessError> {
    let options = FeatureOptions::Scaled(options.clone());
    let made = FeatureMap::fit(
        counts,
        slices.map(|s| Slices::from_codes(s, &[])).as_ref(),
        &options,
        Seed(0),
        &monitor,
    )?;
    Ok(Made { values: made.values.into_sparse(), map: made.map })
}

fn encode(
    map: &FeatureMap,
    counts: CsrView<'_, f32>,
    slices: Option<&[u32]>,
) -> Result<CsrMatrix<f32>, PreprocessError> {
    Ok(map.encode(counts, slices.map(|s| Slices::from_codes(s, &[])).as_ref())?.0.into_sparse())
}

fn sparse(dense: &Array2<f32>) -> CsrMatrix<f32> {
    CsrMatrix::from_dense(dense.view())
}

fn all_genes(values: Values) -> ScaledOptions {
    ScaledOptions { values, n_top_genes: None, min_cells: 0, ..ScaledOptions::default() }
}

/// Counts of 40 spots in two slices; the second is measured `deeper` times as deep.
fn counts(deeper: f32) -> (Array2<f32>, Vec<u32>) {
    let x = Array2::from_shape_fn((40, 12), |(i, j)| {
        let depth = if i >= 20 { deeper } else { 1.0 };
        depth * ((i * 7 + j * 5) % 11 + usize::from(j == i % 12) * 9) as f32
    });
    (x, (0..40).map(|i| u32::from(i >= 20)).collect())
}

#[test]
fn values_of_one_slice_are_logarithms_of_unit_variance_and_zeros_stay() {
    let x = array![[1.0f32, 0.0, 3.0], [0.0, 2.0, 2.0], [4.0, 0.0, 0.0]];
    let made = prepare(sparse(&x).view(), None, &all_genes(Values::Log), Silent).expect("counts");
    let dense = made.values.view().to_dense();
    let logged = |i: usize, j: usize| {
        let total: f32 = x.row(i).sum();
        f64::from(x[[i, j]] / total * 1e4).ln_1p()
    };
    for j in 0..3 {
        let column: Vec<f64> = (0..3).map(|i| logged(i, j)).collect();
        let mean = column.iter().sum::<f64>() / 3.0;
        let sd = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        for i in 0..3 {
            let expected = (column[i] / sd).min(10.0);
            assert!((f64::from(dense[[i, j]]) - expected).abs() < 1e-5, "{i} {j}");
        }
    }
    assert_eq!(made.values.nnz(), 5, "zeros are not stored");
}

#[test]
fn panels_are_taken_as_counts() {
    let (x, slices) = counts(1.0);
    let x = sparse(&x);
    let one = prepare(x.view(), None, &all_genes(Values::Counts), Silent).expect("counts");
    assert_eq!(one.values, x);
    assert_eq!(*one.scale(), FeatureScale::None);
    let two = prepare(x.view(), Some(&slices), &all_genes(Values::Counts), Silent).expect("counts");
    assert_eq!(*two.scale(), FeatureScale::PerSlice);
}

#[test]
fn slices_of_another_scale_meet() {
    // Unlike a log, plain values scale with the depth, and scaling per slice takes it out again.
    let (x, slices) = counts(1.0);
    let (deep, _) = counts(4.0);
    let options = all_genes(Values::Counts);
    let of = |x: &Array2<f32>| {
        prepare(sparse(x).view(), Some(&slices), &options, Silent).expect("counts").values.view().to_dense()
    };
    let (a, b) = (of(&x), of(&deep));
    assert!((&a - &b).iter().all(|d| d.abs() < 1e-5));
}

#[test]
fn genes_must_vary_in_every_slice() {
    let (mut x, slices) = counts(1.0);
    for i in 0..20 {
        x[[i, 0]] = 1.0;
        x[[i + 20, 0]] = (i % 5 * 20) as f32;
    }
    let options = ScaledOptions { n_top_genes: Some(6), min_cells: 0, ..ScaledOptions::default() };
    let made = prepare(sparse(&x).view(), Some(&slices), &options, Silent).expect("counts");
    assert!(made.map.n_features() <= 6);
    assert!(!made.map.selected[0], "constant in the first slice");
    let one = prepare(sparse(&x).view(), None, &options, Silent).expect("counts");
    assert_eq!(one.map.n_features(), 6, "without slices nothing is intersected");
}

#[test]
fn the_map_makes_the_same_of_the_same() {
    let (mut x, slices) = counts(2.0);
    x.column_mut(3).fill(0.0);
    let x = sparse(&x);
    for slices in [None, Some(slices.as_slice())] {
        for values in [Values::Log, Values::Counts, Values::Logged] {
            let options =
                ScaledOptions { values, n_top_genes: None, min_cells: 1, ..ScaledOptions::default() };
            let made = prepare(x.view(), slices, &options, Silent).expect("valid");
            assert_eq!(encode(&made.map, x.view(), slices).expect("same columns"), made.values);
            let kept = x.view().select_columns(&made.map.kept);
            assert_eq!(encode(&made.map.compact(), kept.view(), slices).expect("kept"), made.values);
            assert!(
                made.map.encode(kept.view(), slices.map(|s| Slices::from_codes(s, &[])).as_ref()).is_err(),
                "other columns"
            );
        }
    }
}

#[test]
fn what_is_no_count_is_refused_where_counts_are_needed() {
    let fractions = sparse(&array![[0.5f32, 1.0], [2.0, 0.0]]);
    assert!(prepare(fractions.view(), None, &all_genes(Values::Log), Silent).is_err());
    assert!(prepare(fractions.view(), None, &all_genes(Values::Counts), Silent).is_ok());
    let negative = sparse(&array![[-0.5f32, 1.0], [2.0, 0.0]]);
    assert!(prepare(negative.view(), None, &all_genes(Values::Counts), Silent).is_err());
    assert!(prepare(negative.view(), None, &all_genes(Values::Logged), Silent).is_ok());
    let empty = CsrMatrix::from_rows(0, &[vec![], vec![]]);
    assert!(prepare(empty.view(), None, &all_genes(Values::Log), Silent).is_err());
}

#[test]
fn scaled_features_lead_back_unless_each_slice_has_its_own_scale() {
    let (x, slices) = counts(1.0);
    let x = sparse(&x);
    let one = prepare(x.view(), None, &all_genes(Values::Logged), Silent).expect("numbers");
    let back = one
        .map
        .decode(one.values.view().to_dense().view(), &SpotState::default(), &Silent)
        .expect("one scale");
    assert!(back.iter().zip(&x.view().to_dense()).all(|(a, b)| (a - b).abs() < 1e-4));
    let two = prepare(x.view(), Some(&slices), &all_genes(Values::Logged), Silent).expect("numbers");
    assert!(two.map.decode(two.values.view().to_dense().view(), &SpotState::default(), &Silent).is_err());
}
