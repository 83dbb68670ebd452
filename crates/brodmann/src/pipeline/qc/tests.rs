use brodmann_kernels::Silent;
use serde_json::json;

use super::*;
use crate::preprocess::spot_metrics;

#[test]
fn quantiles_are_numpys() {
    let found = Summary::of([4.0, 1.0, f64::NAN, 3.0, 2.0].into_iter());
    assert_eq!((found.min, found.q25, found.median, found.q75, found.max), (1.0, 1.75, 2.5, 3.25, 4.0));
    assert!((found.q05 - 1.15).abs() < 1e-12 && (found.q95 - 3.85).abs() < 1e-12);
    assert!(Summary::of(std::iter::empty()).median.is_nan());
    assert_eq!(Summary::of(std::iter::once(7.0)).q95, 7.0);
}

#[test]
fn truth_values_are_read_however_they_are_written() {
    let expected = Some(vec![true, false]);
    let texts = |a: &str, b: &str| Column::String(vec![Some(a.to_owned()), Some(b.to_owned())]);
    for column in [
        Column::Int(vec![1, 0]),
        Column::Bool(vec![true, false]),
        Column::Float64(vec![f64::NAN, 0.0]),
        texts("1", "0"),
        texts("True", "False"),
    ] {
        assert_eq!(truth_values(&column), expected, "{column:?}");
    }
    assert_eq!(truth_values(&texts("yes", "0")), None);
}

#[test]
fn spots_off_the_tissue_are_neither_judged_nor_neighbours() {
    // Every second spot lies off the tissue and holds next to nothing.
    let rows: Vec<Vec<(u32, f32)>> =
        (0..20).map(|i| vec![(0, if i % 2 == 0 { 100.0 + i as f32 } else { 1.0 })]).collect();
    let x = brodmann_kernels::CsrMatrix::from_rows(1, &rows);
    let spots = spot_metrics(&x.view(), &[false], &Silent).expect("counts");
    let place = Array2::from_shape_fn((20, 2), |(i, j)| if j == 0 { i as f64 } else { 0.0 });
    let there: Vec<bool> = (0..20).map(|i| i % 2 == 0).collect();
    let options = LocalOutlierOptions { n_neighbors: 4, ..Default::default() };
    let found = local_outliers_of(&spots, place.view(), None, Some(&there), &options).expect("judged");
    assert_eq!(found.z_scores.len(), 2, "no mitochondrial gene");
    for i in 0..20 {
        assert_eq!(found.z_scores[0][i].is_nan(), i % 2 == 1, "spot {i}");
    }
    assert_eq!(found.notes, [], "what lies off the tissue is not missing");
    let alone = local_outliers_of(&spots, place.view(), None, None, &options).expect("judged");
    assert_ne!(alone.z_scores[0][0].to_bits(), found.z_scores[0][0].to_bits());
    let slices = Slices::from_codes(&[3; 20], &[]);
    let sliced =
        local_outliers_of(&spots, place.view(), Some(&slices), Some(&there), &options).expect("judged");
    assert_eq!(sliced.z_scores[0][0].to_bits(), found.z_scores[0][0].to_bits());
}

#[test]
fn requests_are_read_by_name_and_refused_by_name() {
    let said =
        Said::new(json!({ "min_counts": 500, "n_neighbors": 18, "layer": "counts", "library_key": "s" }));
    let request = QcRequest::from_said(&said).expect("valid");
    assert_eq!((request.options.min_counts, request.local.n_neighbors), (Some(500.0), 18));
    assert_eq!(request.counts.layer.as_deref(), Some("counts"));
    assert!(QcRequest::from_said(&Said::new(json!({ "min_count": 5 }))).is_err());
    for unfit in [
        QcOptions { max_mt: Some(101.0), ..QcOptions::default() },
        QcOptions { min_counts: Some(-1.0), ..QcOptions::default() },
        QcOptions { min_counts: Some(f64::NAN), ..QcOptions::default() },
        QcOptions { mt_prefix: Some(String::new()), ..QcOptions::default() },
    ] {
        assert!(unfit.validate().is_err(), "{unfit:?}");
    }
}
