use brodmann_kernels::{CsrMatrix, Seed, Silent};
use ndarray::Array2;

use super::super::*;
use crate::preprocess::{LsiOptions, preprocess};

fn counts(n_obs: usize, n_vars: usize) -> CsrMatrix<f32> {
    let dense = Array2::from_shape_fn((n_obs, n_vars), |(i, j)| {
        let group = if (i < n_obs / 2) == (j < n_vars / 2) { 6 } else { 1 };
        ((i * 7 + j * 5 + i * j) % 5 * group + 1) as f32
    });
    CsrMatrix::from_dense(dense.view())
}

fn options_of(kind: Modality) -> PreprocessOptions {
    let n_top_genes = (kind == Modality::Rna).then_some(1800);
    PreprocessOptions { n_pcs: 50, n_top_genes, ..PreprocessOptions::for_modality(kind) }
}

struct Made {
    values: Array2<f32>,
    map: FeatureMap,
    spots: SpotState,
}

fn made(kind: Modality, x: &CsrMatrix<f32>) -> Made {
    let options = FeatureOptions::Reduced(options_of(kind));
    let Features { values, map, spots } =
        FeatureMap::fit(x.view(), None, &options, Seed(1), &Silent).expect("counts");
    Made { values: values.into_dense(), map, spots }
}

#[test]
fn rna_features_are_the_principal_components() {
    let x = counts(40, 30);
    let found = made(Modality::Rna, &x);
    let pca =
        preprocess(x.view(), None, &options_of(Modality::Rna), Seed(1), &Silent).expect("counts").embedding;
    assert_eq!(found.values.dim(), pca.dim());
    assert!(found.values.iter().zip(&pca).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4));
}

#[test]
fn peaks_are_the_standardised_left_singular_vectors() {
    let x = counts(40, 30).view().map(|v| (v - 6.0).max(0.0));
    let found = made(Modality::Atac, &x);
    let options = LsiOptions::default();
    let lsi = crate::preprocess::tfidf_lsi(x.view(), &options, Seed(1), &Silent).expect("counts");
    assert_eq!(found.values.ncols(), lsi.embedding.ncols());
    // The last singular values are nearly zero, which makes their vectors arbitrary.
    assert!(
        found.values.iter().zip(&lsi.embedding).filter(|(a, b)| (f64::from(**a) - **b).abs() < 1e-3).count()
            > found.values.len() * 9 / 10
    );
}

#[test]
fn with_all_components_decoding_undoes_encoding() {
    // More spots than genes: the components span all genes, and what is decoded is what went in.
    let x = counts(60, 12);
    for kind in [Modality::Rna, Modality::Adt] {
        let found = made(kind, &x);
        let back = found.map.decode(found.values.view(), &found.spots, &Silent).expect("shapes fit");
        let expected = comparable(x.clone(), kind, 1e4).view().to_dense();
        assert_eq!(back.dim(), expected.dim());
        for (a, b) in back.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{kind}: {a} {b}");
        }
    }
    let peaks = counts(60, 12).view().map(|v| (v - 6.0).max(0.0));
    let found = made(Modality::Atac, &peaks);
    let back = found.map.decode(found.values.view(), &found.spots, &Silent).expect("shapes fit");
    let keep = &found.map.selected;
    let expected = comparable(peaks.view().select_columns(keep), Modality::Atac, 0.0).view().to_dense();
    for (a, b) in back.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-2 * b.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn the_compact_map_makes_the_same_of_the_kept_columns() {
    let mut dense = counts(40, 30).view().to_dense();
    dense.column_mut(4).fill(0.0);
    let x = CsrMatrix::from_dense(dense.view());
    let found = made(Modality::Rna, &x);
    assert!(!found.map.kept[4]);
    let few = x.view().select_columns(&found.map.kept);
    let (again, _) = found.map.compact().encode(few.view(), None).expect("the same columns");
    assert_eq!(again.into_dense(), found.values);
    assert!(found.map.encode(few.view(), None).is_err(), "other columns");
}

#[test]
fn many_proteins_go_through_components_and_constant_ones_leave_a_column_of_zeros() {
    let many = counts(20, MAX_CLR_FEATURES + 1);
    assert_eq!(made(Modality::Adt, &many).map.method(), "pca");
    assert_eq!(made(Modality::Adt, &counts(20, 9)).map.method(), "clr");
    let constant = CsrMatrix::from_dense(Array2::<f32>::ones((20, 5)).view());
    let found = made(Modality::Rna, &constant);
    assert!(found.values.iter().all(|v| v.is_finite()));
    let back = found.map.decode(found.values.view(), &found.spots, &Silent).expect("shapes fit");
    assert!(back.iter().all(|v| v.is_finite() && *v > 0.0));
}

#[test]
fn balanced_features_have_mean_0_and_mean_square_1_and_lead_back() {
    let mut values = ndarray::array![[1.0f32, 10.0], [3.0, 10.0], [5.0, 40.0]];
    let before = values.clone();
    let balance = Balance::fit(values.view());
    balance.apply(&mut values);
    assert!(values.sum().abs() < 1e-5);
    assert!((values.iter().map(|v| v * v).sum::<f32>() / 6.0 - 1.0).abs() < 1e-5);
    balance.undo(&mut values);
    assert!(values.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-4));
    let mut constant = Array2::<f32>::ones((3, 2));
    Balance::fit(constant.view()).apply(&mut constant);
    assert!(constant.iter().all(|v| *v == 0.0));
}

#[test]
fn reconstructions_of_other_data_are_refused() {
    let found = made(Modality::Rna, &counts(40, 30));
    let other = Array2::<f32>::zeros((40, found.values.ncols() + 1));
    assert!(found.map.decode(other.view(), &found.spots, &Silent).is_err());
}

#[test]
fn decoding_gives_the_same_bits_on_any_thread_count() {
    let x = counts(5000, 20);
    let found = made(Modality::Rna, &x);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| found.map.decode(found.values.view(), &found.spots, &Silent).expect("shapes fit"))
    };
    assert_eq!(run(1), run(3));
}
