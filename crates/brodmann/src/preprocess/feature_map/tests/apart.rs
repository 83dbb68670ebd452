//! Maps of slices that lie apart: those of the pooled slices, the same bits however the rows lie, no trust in answers.

use brodmann_kernels::{CsrMatrix, Seed, Silent, Slices};
use ndarray::{Array2, Axis, concatenate};

use super::super::apart::{Answer, Question, QuestionKind, SliceCounts, check_apart, fit_apart};
use super::super::{Balance, BalanceSums, FeatureMap, FeatureOptions, Projection};
use crate::preprocess::{GeneSelection, HvgFlavor, Modality, PreprocessError, PreprocessOptions, preprocess};

/// Counts of domains that differ in every third variable, at a depth of their own; `share` of the values is not zero.
fn counts(n: usize, f: usize, share: f64, salt: u64) -> CsrMatrix<f32> {
    let draw = |i: usize, j: usize| Seed(salt).word((i * f + j) as u64) as f64 / u64::MAX as f64;
    let dense = Array2::from_shape_fn((n, f), |(i, j)| {
        let level = if j % 3 == i % 3 { 6.0 } else { 1.5 } * (1.0 + (i % 5) as f64 / 3.0);
        let seen = draw(i, j) < share * if j % 3 == i % 3 { 1.6 } else { 0.8 };
        if seen { (1.0 + level * draw(i + n, j)).floor() as f32 } else { 0.0 }
    });
    CsrMatrix::from_dense(dense.view())
}

/// Three slices of 70, 50 and 60 spots: together, whose each row is, and apart.
fn slices(f: usize, share: f64) -> (CsrMatrix<f32>, Slices, Vec<CsrMatrix<f32>>) {
    let parts = vec![counts(70, f, share, 1), counts(50, f, share, 2), counts(60, f, share, 3)];
    let dense: Vec<_> = parts.iter().map(|part| part.view().to_dense()).collect();
    let whole = concatenate(Axis(0), &dense.iter().map(|d| d.view()).collect::<Vec<_>>()).expect("one width");
    let codes: Vec<u32> = (0..180).map(|i| u32::from(i >= 70) + u32::from(i >= 120)).collect();
    (CsrMatrix::from_dense(whole.view()), Slices::from_codes(&codes, &[]), parts)
}

fn apart(parts: &[CsrMatrix<f32>], options: &PreprocessOptions) -> Result<FeatureMap, PreprocessError> {
    let mut places: Vec<SliceCounts> = parts.iter().cloned().map(SliceCounts::new).collect();
    let mut ask = |question: &Question| -> Result<Vec<Answer>, PreprocessError> {
        places.iter_mut().map(|place| place.answer(question, options, &Silent)).collect()
    };
    fit_apart(parts[0].n_cols(), options, &mut ask, Seed(5), &Silent)
}

fn together(x: &CsrMatrix<f32>, slices: &Slices, options: &PreprocessOptions) -> FeatureMap {
    let options = FeatureOptions::Reduced(options.clone());
    FeatureMap::fit(x.view(), Some(slices), &options, Seed(5), &Silent).expect("sound").map
}

fn options(modality: Modality, n_top_genes: Option<usize>) -> PreprocessOptions {
    PreprocessOptions { n_top_genes, n_pcs: 6, ..PreprocessOptions::for_modality(modality) }
}

#[test]
fn the_map_of_slices_apart_has_the_bits_of_the_map_of_all() {
    let (x, codes, parts) = slices(240, 0.3);
    for (modality, n_top) in [(Modality::Rna, Some(60)), (Modality::Adt, None), (Modality::Atac, None)] {
        for flavor in [HvgFlavor::SeuratV3, HvgFlavor::Seurat, HvgFlavor::CellRanger] {
            let options = PreprocessOptions { hvg_flavor: flavor, ..options(modality, n_top) };
            let map = apart(&parts, &options).expect("sound");
            assert_eq!(map, together(&x, &codes, &options), "{modality} {flavor:?}");
            // Rows of the features are those of any part.
            let (whole, _) = map.encode(x.view(), None).expect("sound");
            let (first, _) = map.encode(parts[0].view(), None).expect("sound");
            let whole = whole.into_dense();
            assert_eq!(whole.slice_axis(Axis(0), (0..70).into()), first.into_dense());
        }
    }
    let few = options(Modality::Adt, None);
    assert!(matches!(apart(&slices(30, 0.5).2, &few).expect("sound").projection, Projection::Clr));
}

#[test]
fn it_is_the_map_of_the_pooled_slices() {
    let (x, codes, parts) = slices(240, 0.3);
    for (modality, n_top) in [(Modality::Rna, Some(60)), (Modality::Adt, None), (Modality::Atac, None)] {
        let options = options(modality, n_top);
        let pooled = preprocess(x.view(), Some(&codes), &options, Seed(5), &Silent).expect("sound");
        let map = apart(&parts, &options).expect("sound");
        assert_eq!((&map.kept, &map.selected), (&pooled.kept, &pooled.highly_variable));
        let (values, _) = map.encode(x.view(), None).expect("sound");
        let expected =
            if modality == Modality::Atac { pooled.lsi.expect("peaks").embedding } else { pooled.embedding };
        let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (found, expected) in values.into_dense().iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4 * scale, "{modality}: {found} {expected}");
        }
    }
}

#[test]
fn more_peaks_than_can_be_multiplied_are_asked_about_vector_by_vector() {
    let (x, codes, parts) = slices(5200, 0.05);
    let options = PreprocessOptions { min_fraction: 0.0, ..options(Modality::Atac, None) };
    let mut products = 0;
    let mut places: Vec<SliceCounts> = parts.iter().cloned().map(SliceCounts::new).collect();
    let mut ask = |question: &Question| -> Result<Vec<Answer>, PreprocessError> {
        products += usize::from(question.kind == QuestionKind::Product);
        places.iter_mut().map(|place| place.answer(question, &options, &Silent)).collect()
    };
    let map = fit_apart(5200, &options, &mut ask, Seed(5), &Silent).expect("sound");
    assert!(map.n_selected() > 5000 && products > 1);
    assert_eq!(map, together(&x, &codes, &options));
    let pooled = preprocess(x.view(), Some(&codes), &options, Seed(5), &Silent).expect("sound");
    let Projection::Lsi { singular_values, .. } = &map.projection else { panic!("peaks") };
    for (found, expected) in singular_values.iter().zip(&pooled.lsi.expect("peaks").singular_values) {
        assert!((found - expected).abs() < 1e-3 * expected, "{found} {expected}");
    }
}

#[test]
fn answers_are_not_trusted_and_errors_of_a_slice_come_through() {
    let (_, _, parts) = slices(60, 0.4);
    let options = options(Modality::Rna, Some(20));
    // Columns, variability, moments, sums.
    for wrong in 1..=4 {
        let mut at = 0;
        let mut places: Vec<SliceCounts> = parts.iter().cloned().map(SliceCounts::new).collect();
        let mut ask = |question: &Question| -> Result<Vec<Answer>, PreprocessError> {
            at += 1;
            let mut answers: Vec<Answer> = places
                .iter_mut()
                .map(|place| place.answer(question, &options, &Silent))
                .collect::<Result<_, _>>()?;
            if at == wrong {
                answers[1].lists[0].pop();
            }
            Ok(answers)
        };
        let error = fit_apart(60, &options, &mut ask, Seed(5), &Silent).expect_err("one is short");
        assert!(error.to_string().contains("the answer of a slice"), "{error}");
    }
    let mut fractions = parts.clone();
    fractions[2] = fractions[2].view().map(|v| v * 0.5);
    assert!(matches!(apart(&fractions, &options), Err(PreprocessError::NotCounts { .. })));
    let mut place = SliceCounts::new(parts[0].clone());
    let map = apart(&parts, &options).expect("sound");
    let question = Question { kind: QuestionKind::Product, map, vectors: Array2::zeros((3, 2)) };
    assert!(place.answer(&question, &options, &Silent).is_err());
    for kind in ["columns", "variability", "moments", "sums", "product", "extremes"] {
        assert_eq!(QuestionKind::from_name(kind).expect("known").name(), kind);
    }
    assert_eq!(QuestionKind::from_name("counts"), None);
}

#[test]
fn what_needs_all_slices_in_one_place_is_refused() {
    let rna = options(Modality::Rna, Some(60));
    let refused = |options: &PreprocessOptions| check_apart(9000, options).expect_err("refused").to_string();
    assert!(refused(&PreprocessOptions { select: GeneSelection::Svg, ..rna.clone() }).contains("select"));
    assert!(refused(&PreprocessOptions { target_sum: None, ..rna.clone() }).contains("target_sum"));
    assert!(refused(&PreprocessOptions { n_top_genes: None, ..rna.clone() }).contains("9000"));
    check_apart(9000, &rna).expect("few are selected");
    check_apart(9000, &options(Modality::Atac, None)).expect("asked about vector by vector");
}

#[test]
fn one_scale_for_slices_is_that_of_their_rows() {
    let values = Array2::from_shape_fn((90, 4), |(i, j)| ((i * 7 + j * 3) % 11) as f32 - 2.0 * j as f32);
    let whole = Balance::fit(values.view());
    let parts = [0..20, 20..55, 55..90];
    let sums = parts.map(|rows| BalanceSums::of(values.slice_axis(Axis(0), rows.into())));
    let found = Balance::of_slices(&sums);
    assert!((found.scale - whole.scale).abs() < 1e-12);
    for (a, b) in found.center.iter().zip(&whole.center) {
        assert!((a - b).abs() < 1e-12);
    }
    let flat = Array2::from_elem((10, 2), 0.1f32);
    assert_eq!(Balance::of_slices(&[BalanceSums::of(flat.view())]).scale, 1.0);
}
