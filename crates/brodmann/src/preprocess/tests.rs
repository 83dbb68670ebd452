//! Oracles, hand cases, properties and edges of the preprocessing steps.

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, CsrView, Seed, Silent, Slices};
use ndarray::{Array1, Array2, Axis, Slice, array};
use ndarray_npy::NpzReader;

use super::*;

/// An oracle file.
pub(super) struct Oracle(NpzReader<std::fs::File>);

impl Oracle {
    pub(super) fn open(name: &str) -> Self {
        Self(crate::oracles::open(name))
    }

    pub(super) fn matrix(&mut self, name: &str) -> Array2<f64> {
        self.0.by_name(name).expect(name)
    }

    pub(super) fn matrix_f32(&mut self, name: &str) -> Array2<f32> {
        self.0.by_name(name).expect(name)
    }

    pub(super) fn vector(&mut self, name: &str) -> Vec<f64> {
        self.0.by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix1>(name).expect(name).to_vec()
    }

    pub(super) fn vector_f32(&mut self, name: &str) -> Vec<f32> {
        self.0.by_name::<ndarray::OwnedRepr<f32>, ndarray::Ix1>(name).expect(name).to_vec()
    }

    pub(super) fn flags(&mut self, name: &str) -> Vec<bool> {
        let flags: Array1<bool> = self.0.by_name(name).expect(name);
        flags.to_vec()
    }

    pub(super) fn sparse(&mut self, name: &str) -> CsrMatrix<f32> {
        CsrMatrix::from_dense(self.matrix(name).mapv(|v| v as f32).view())
    }
}

/// Equal to `tolerance` relative (absolute below 1); NaN equals NaN.
pub(super) fn assert_close<'a>(
    ours: impl IntoIterator<Item = &'a f64>,
    theirs: impl IntoIterator<Item = &'a f64>,
    tolerance: f64,
) {
    let (ours, theirs): (Vec<f64>, Vec<f64>) =
        (ours.into_iter().copied().collect(), theirs.into_iter().copied().collect());
    assert_eq!(ours.len(), theirs.len());
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let same = (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1.0);
        assert!(same, "entry {i}: {a} against {b}");
    }
}

/// Counts with some structure, a silent gene (0) and, where there is room, a constant gene (1).
pub(super) fn counts_example(n: usize, f: usize, seed: u64) -> CsrMatrix<f32> {
    let dense = Array2::from_shape_fn((n, f), |(i, j)| match j {
        0 if f > 1 => 0.0,
        1 if f > 2 => 2.0,
        _ => {
            let word = Seed(seed).word((i * f + j) as u64);
            let level = 1 + (j % 5) * usize::from((i / 7 + j) % 3 == 0) * 3;
            (word % 100) as f32 * level as f32 / 60.0
        }
    });
    CsrMatrix::from_dense(dense.mapv(f32::floor).view())
}

fn dense_f64(x: CsrView<'_, f32>) -> Array2<f64> {
    x.to_dense().mapv(f64::from)
}

/// Every twentieth entry kept: sparse enough for the sparse path.
fn thinned(x: &CsrMatrix<f32>) -> CsrMatrix<f32> {
    let mut dense = x.view().to_dense();
    for ((i, j), v) in dense.indexed_iter_mut() {
        if (i * 7 + j * 13) % 20 != 0 {
            *v = 0.0;
        }
    }
    CsrMatrix::from_dense(dense.view())
}

fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(f)
}

// ---- filter, normalise, log1p -------------------------------------------------------------------

#[test]
fn genes_are_kept_from_min_cells_on_and_stored_zeros_do_not_count() {
    let x = CsrMatrix::try_new(
        3,
        3,
        vec![0, 3, 5, 6],
        vec![0, 1, 2, 0, 1, 0],
        vec![1.0, 5.0, 0.0, 2.0, 1.0, 1.0],
    )
    .expect("valid");
    let by = |min_cells, min_counts| {
        filter_genes(x.view(), &FilterGenesOptions { min_cells, min_counts }).expect("valid")
    };
    assert_eq!(by(2, None).keep, [true, true, false]);
    assert_eq!(by(3, None).keep, [true, false, false]);
    assert_eq!(by(1, Some(5.0)).keep, [false, true, false]);
    assert_eq!(by(1, None).n_cells, [3, 2, 0]);
    assert_eq!(by(1, None).total_counts, [4.0, 6.0, 0.0]);
    assert!(
        filter_genes(x.view(), &FilterGenesOptions { min_cells: 1, min_counts: Some(f64::NAN) }).is_err()
    );
    let cells = filter_cells(x.view(), &FilterCellsOptions { min_genes: 2, min_counts: 3.0 });
    assert_eq!(cells, [true, true, false]);
}

#[test]
fn normalize_total_and_log1p_equal_scanpy() {
    let mut o = Oracle::open("scanpy");
    let mut x = o.sparse("counts");
    normalize_total(&mut x, &NormalizeTotalOptions::default()).expect("counts");
    // Stored in f32: 6e-8.
    assert_close(&dense_f64(x.view()), &o.matrix("norm1e4"), 1e-6);
    log1p(&mut x);
    assert_close(&dense_f64(x.view()), &o.matrix("log"), 1e-6);
    let mut x = o.sparse("counts");
    normalize_total(&mut x, &NormalizeTotalOptions { target_sum: None }).expect("counts");
    assert_close(&dense_f64(x.view()), &o.matrix("norm_median"), 1e-6);
}

#[test]
fn empty_spots_stay_zero_and_do_not_move_the_median() {
    let mut x = CsrMatrix::from_dense(array![[1.0f32, 1.0], [0.0, 0.0], [2.0, 4.0]].view());
    let factors = normalize_total(&mut x, &NormalizeTotalOptions { target_sum: None }).expect("counts");
    assert_eq!(factors.target_sum, 4.0);
    assert_eq!(factors.n_empty(), 1);
    assert_eq!(x.view().to_dense(), array![[2.0, 2.0], [0.0, 0.0], [4.0 / 3.0, 8.0 / 3.0]]);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(normalize_total(&mut x, &NormalizeTotalOptions { target_sum: Some(bad) }).is_err());
    }
}

// ---- detection ----------------------------------------------------------------------------------

#[test]
fn the_content_of_a_matrix_is_recognised() {
    let counts = counts_example(50, 30, 4);
    assert_eq!(detect_content(counts.view()).content, MatrixContent::RawCounts);
    let mut x = counts.clone();
    normalize_total(&mut x, &NormalizeTotalOptions::default()).expect("counts");
    let Detected { content: MatrixContent::Normalised { target: Some(t) }, .. } = detect_content(x.view())
    else {
        panic!("{:?}", detect_content(x.view()))
    };
    assert!((t - 1e4).abs() < 1.0);
    log1p(&mut x);
    let Detected { content: MatrixContent::LogNormalised { target: Some(t) }, .. } = detect_content(x.view())
    else {
        panic!("{:?}", detect_content(x.view()))
    };
    assert!((t - 1e4).abs() < 1.0);
    let scaled = scale(x.view(), &ScaleOptions::default()).expect("finite").to_dense(x.view());
    let scaled = CsrMatrix::from_dense(scaled.view());
    assert_eq!(detect_content(scaled.view()).content, MatrixContent::Scaled);
    let error = check_counts(scaled.view()).expect_err("scaled");
    assert!(error.to_string().contains("looks centred or scaled") && flaw(&error).is_none(), "{error}");
    let zeros = CsrMatrix::from_dense(Array2::<f32>::zeros((3, 3)).view());
    assert_eq!(detect_content(zeros.view()).content, MatrixContent::RawCounts);
}

#[test]
fn the_first_bad_value_is_named() {
    let mut dense = counts_example(4000, 5, 4).view().to_dense();
    dense[[3001, 2]] = f32::NAN;
    dense[[3500, 1]] = f32::INFINITY;
    let x = CsrMatrix::from_dense(dense.view());
    match check_counts(x.view()) {
        Err(PreprocessError::NonFinite { row: 3001, column: 2, value }) => assert!(value.is_nan()),
        other => panic!("{other:?}"),
    }
    dense[[3001, 2]] = -1.0;
    dense[[3500, 1]] = 0.5;
    let x = CsrMatrix::from_dense(dense.view());
    assert!(matches!(check_counts(x.view()), Err(PreprocessError::Negative { row: 3001, column: 2, .. })));
    dense[[3001, 2]] = 0.0;
    let x = CsrMatrix::from_dense(dense.view());
    assert!(matches!(check_counts(x.view()), Err(PreprocessError::NotCounts { row: 3500, column: 1, .. })));
}

// ---- scale and PCA ------------------------------------------------------------------------------

#[test]
fn scaling_equals_scanpy() {
    let mut o = Oracle::open("scanpy");
    let log = o.sparse("log");
    let centred = ScaleOptions { zero_center: true, max_value: None };
    let scaled = scale(log.view(), &centred).expect("finite").to_dense(log.view());
    assert_close(&scaled.mapv(f64::from), &o.matrix("scaled"), 1e-5);
    let staig = ScaleOptions { zero_center: false, max_value: Some(10.0) };
    let scaling = scale(log.view(), &staig).expect("finite");
    let mut sparse = log.clone();
    scaling.apply(&mut sparse).expect("not centred");
    let theirs = o.matrix("scaled_nocenter_max10");
    assert_close(&dense_f64(sparse.view()), &theirs, 1e-5);
    assert_close(&scaling.to_dense(log.view()).mapv(f64::from), &theirs, 1e-5);
    assert!(scale(log.view(), &centred).expect("finite").apply(&mut sparse).is_err());
}

#[test]
fn the_split_of_a_scaled_matrix_is_exact_for_every_option() {
    // Column 0: a lone zero, far below the mean, so that zeros are clipped. Column 2: constant. Column 3: negative.
    let mut dense = Array2::from_shape_fn((200, 4), |(i, j)| ((i * (j + 3)) % 11) as f32 / 3.0);
    dense.column_mut(0).mapv_inplace(|v| 100.0 + v);
    dense[[17, 0]] = 0.0;
    dense.column_mut(2).fill(3.5);
    dense.column_mut(3).mapv_inplace(|v| -100.0 - v);
    dense[[19, 3]] = 0.0;
    let x = CsrMatrix::from_dense(dense.view());
    for zero_center in [true, false] {
        for max_value in [None, Some(10.0), Some(0.5)] {
            let scaling = scale(x.view(), &ScaleOptions { zero_center, max_value }).expect("finite");
            let map = scaling.split();
            for ((_, j), &v) in dense.indexed_iter() {
                let ours = map.value(j, v) + map.offset[j];
                let expected = scaling.value(j, f64::from(v));
                assert!(
                    (ours - expected).abs() < 1e-12 * expected.abs().max(1.0),
                    "{zero_center} {max_value:?}"
                );
                assert_eq!(map.value(j, 0.0), 0.0, "zeros must stay zero");
            }
        }
    }
    assert_eq!(scale(x.view(), &ScaleOptions::default()).expect("finite").sd[2], 1.0);
}

/// Covariance by the definition, eigenvectors by the dense solver.
fn pca_by_definition(z: &Array2<f64>, k: usize) -> (Vec<f64>, Array2<f64>, Array2<f64>) {
    let centred = z - &z.mean_axis(Axis(0)).expect("rows");
    let covariance = centred.t().dot(&centred) / (z.nrows() - 1) as f64;
    let pairs = svd::krylov::dense_eigenpairs(&covariance, k).expect("small");
    let (mut components, mut scores) = (pairs.vectors.clone(), centred.dot(&pairs.vectors));
    pca::fix_signs(&mut components, &mut scores);
    (pairs.values, components, scores)
}

#[test]
fn pca_equals_scanpy() {
    let mut o = Oracle::open("scanpy");
    let log = o.sparse("log");
    let scaling = scale(log.view(), &ScaleOptions { zero_center: true, max_value: None }).expect("finite");
    let p =
        pca(log.view(), Some(&scaling), &PcaOptions { n_components: 20 }, Seed(0), &Silent).expect("finite");
    assert!(p.converged);
    assert_close(&p.variance, &o.vector("pca_var"), 1e-5);
    assert_close(&p.variance_ratio, &o.vector("pca_ratio"), 1e-5);
    assert_close(&p.components, &o.matrix("pcs"), 1e-5);
    // The oracle's scores are f32 and up to 15 large.
    assert_close(&p.scores, &o.matrix_f32("pca").mapv(f64::from), 1e-5);
}

#[test]
fn both_sides_and_clipping_agree_with_the_definition() {
    // More spots than variables, and fewer; dense enough and sparse enough for both ways of forming the product.
    for (n, f, sparse) in [(90, 40, false), (40, 90, false), (300, 120, true), (120, 300, true)] {
        let full = counts_example(n, f, 8);
        let x = if sparse { thinned(&full) } else { full };
        let dense = x.view().to_dense();
        for options in [
            None,
            Some(ScaleOptions { zero_center: true, max_value: Some(2.0) }),
            Some(ScaleOptions { zero_center: false, max_value: Some(1.5) }),
        ] {
            let scaling = options.map(|o| scale(x.view(), &o).expect("finite"));
            let z = match &scaling {
                Some(s) => Array2::from_shape_fn((n, f), |(i, j)| s.value(j, f64::from(dense[[i, j]]))),
                None => dense.mapv(f64::from),
            };
            let p = pca(x.view(), scaling.as_ref(), &PcaOptions { n_components: 6 }, Seed(0), &Silent)
                .expect("ok");
            let (variance, components, scores) = pca_by_definition(&z, 6);
            assert_close(&p.variance, &variance, 1e-9);
            assert_close(&p.components, &components, 1e-6);
            assert_close(&p.scores, &scores, 1e-6);
            assert_close(&p.mean, &z.mean_axis(Axis(0)).expect("rows"), 1e-9);
        }
    }
}

#[test]
fn components_by_slice_are_those_of_slices_centred_each() {
    for (n, f) in [(90, 40), (40, 90), (300, 170), (170, 300)] {
        let x = counts_example(n, f, 8);
        let codes: Vec<u32> = (0..n as u32).map(|i| [4, 1, 9, 1][i as usize % 4]).collect();
        let slices = Slices::from_codes(&codes, &[]);
        let dense = x.view().to_dense().mapv(f64::from);
        for options in [None, Some(ScaleOptions { zero_center: true, max_value: Some(2.0) })] {
            // By definition: the rows of a slice, scaled on their own, less their mean.
            let mut z = dense.clone();
            for rows in slices.rows() {
                let rows: Vec<usize> = rows.iter().map(|i| *i as usize).collect();
                let own = x.view().select_rows(&rows);
                let scaling = options.map(|o| scale(own.view(), &o).expect("finite"));
                for j in 0..f {
                    let of = |i: usize| match &scaling {
                        Some(scaling) => scaling.value(j, dense[[i, j]]),
                        None => dense[[i, j]],
                    };
                    let mean = rows.iter().map(|&i| of(i)).sum::<f64>() / rows.len() as f64;
                    for &i in &rows {
                        z[[i, j]] = of(i) - mean;
                    }
                }
            }
            let of = PcaOptions { n_components: 6 };
            let p = pca_by_slice(x.view(), &slices, options.as_ref(), &of, Seed(0), &Silent).expect("ok");
            let (variance, components, scores) = pca_by_definition(&z, 6);
            assert_close(&p.variance, &variance, 1e-9);
            assert_close(&p.components, &components, 1e-6);
            assert_close(&p.scores, &scores, 1e-6);
            let total: f64 = z.iter().map(|v| v * v).sum::<f64>() / (n - 1) as f64;
            assert!((p.variance_ratio[0] - p.variance[0] / total).abs() < 1e-9);
        }
        // One slice is plain PCA, bit for bit.
        let (one, of) = (Slices::one(n), PcaOptions { n_components: 5 });
        let whole = pca_by_slice(x.view(), &one, None, &of, Seed(0), &Silent).expect("ok");
        assert_eq!(whole, pca(x.view(), None, &of, Seed(0), &Silent).expect("ok"));
        let other = Slices::one(n + 1);
        assert!(pca_by_slice(x.view(), &other, None, &of, Seed(0), &Silent).is_err());
    }
}

#[test]
fn iterating_in_memory_and_streaming_agree_with_the_dense_solver() {
    // 700 variables: too many for the dense solver. For many components the product is formed and iterated, for few it
    // is applied from the rows.
    let x = counts_example(900, 700, 12);
    let (variance, components, _) = pca_by_definition(&dense_f64(x.view()), 30);
    for (k, method) in [(30, SvdMethod::Gram), (4, SvdMethod::Streamed)] {
        let p = pca(x.view(), None, &PcaOptions { n_components: k }, Seed(0), &Silent).expect("finite");
        assert!(p.converged);
        assert_eq!(p.method, method);
        assert_close(&p.variance, &variance[..k], 1e-9);
        // What comes last lies close to its neighbours, and turns with rounding.
        let first = Slice::from(..k.min(10));
        let (ours, exact) = (p.components.slice_axis(Axis(1), first), components.slice_axis(Axis(1), first));
        assert_close(ours, exact, 1e-6);
    }
    // 5200 variables and spots: streamed. Three groups of spots, so two strong directions.
    let n = 5200;
    let rows: Vec<Vec<(u32, f32)>> = (0..n)
        .map(|i| {
            let own = 1500 * (i % 3) as u32;
            let mut row: Vec<(u32, f32)> = (0..20)
                .map(|t| {
                    let word = Seed(5).word((i * 20 + t) as u64) as u32;
                    if t < 14 { (own + word % 1500, 3.0 + (i % 3) as f32) } else { (word % n as u32, 1.0) }
                })
                .collect();
            row.sort_by_key(|e| e.0);
            row.dedup_by_key(|e| e.0);
            row
        })
        .collect();
    let x = CsrMatrix::from_rows(n, &rows);
    let run = || pca(x.view(), None, &PcaOptions { n_components: 2 }, Seed(0), &Silent).expect("finite");
    let p = on_threads(1, run);
    assert_eq!(p, on_threads(3, run));
    assert_eq!(p.method, SvdMethod::Streamed);
    assert!(p.converged);
    // Scores must be what the loadings say, uncorrelated, with the variances reported.
    let covariance = p.scores.t().dot(&p.scores) / (n - 1) as f64;
    assert_close(&covariance, &array![[p.variance[0], 0.0], [0.0, p.variance[1]]], 1e-6);
}

#[test]
fn components_are_the_same_bits_on_any_thread_count() {
    let x = counts_example(6000, 500, 3);
    let scaling = scale(x.view(), &ScaleOptions::default()).expect("finite");
    let sparse = thinned(&x);
    let run = |threads| {
        on_threads(threads, || {
            pca(sparse.view(), None, &PcaOptions::default(), Seed(1), &Silent).expect("finite")
        })
    };
    assert_eq!(run(1), run(3));
    let run = |threads| {
        on_threads(threads, || {
            pca(x.view(), Some(&scaling), &PcaOptions::default(), Seed(1), &Silent).expect("finite")
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn every_shape_and_rank_agrees_with_the_definition() {
    // Of low rank, with equal columns and columns that do not vary; more spots than variables and fewer; few components,
    // half of all, and all but one.
    for (n, f) in [(400, 200), (200, 400), (180, 180)] {
        let low = Array2::from_shape_fn((n, f), |(i, j)| {
            if j < 20 { 3.0 } else { ((i % 7) * (j % 5) + (i % 3)) as f32 + (i % 11) as f32 * (j % 4) as f32 }
        });
        for x in
            [CsrMatrix::from_dense(low.view()), counts_example(n, f, 5), thinned(&counts_example(n, f, 6))]
        {
            let least = n.min(f);
            let (variance, _, _) = pca_by_definition(&dense_f64(x.view()), least);
            for k in [1, 6, 17, least / 2, least - 1] {
                let run =
                    || pca(x.view(), None, &PcaOptions { n_components: k }, Seed(0), &Silent).expect("ok");
                let p = on_threads(1, run);
                assert_eq!(p, on_threads(4, run), "{n} {f} {k}");
                assert!(p.converged);
                for (ours, exact) in p.variance.iter().zip(&variance) {
                    assert!((ours - exact).abs() <= 1e-9 * variance[0], "{n} {f} {k}: {ours} {exact}");
                }
                // Scores are what the loadings say, and loadings are orthonormal where there is something along them.
                let there: Vec<usize> = (0..k).filter(|&t| variance[t] > 1e-9 * variance[0]).collect();
                let own = p.components.select(Axis(1), &there);
                let off = own.t().dot(&own) - Array2::<f64>::eye(there.len());
                assert!(off.iter().all(|v| v.abs() < 1e-7), "{n} {f} {k}");
                let dense = dense_f64(x.view());
                let centred = &dense - &dense.mean_axis(Axis(0)).expect("rows");
                assert_close(
                    &p.scores.select(Axis(1), &there),
                    &centred.dot(&own),
                    1e-6 * variance[0].sqrt(),
                );
            }
        }
    }
}

#[test]
fn components_are_cut_to_what_exists() {
    for (n, f, k) in [(1, 5, 0), (2, 5, 1), (6, 3, 3), (6, 1, 1)] {
        let x = counts_example(n, f, 3);
        let p = pca(x.view(), None, &PcaOptions { n_components: 10 }, Seed(1), &Silent).expect("finite");
        assert_eq!((p.scores.dim(), p.components.dim()), ((n, k), (f, k)));
        assert_eq!(p.n_requested, 10);
        assert!(p.scores.iter().chain(&p.components).all(|v| v.is_finite()));
    }
    let zeros = CsrMatrix::from_dense(Array2::<f32>::zeros((20, 8)).view());
    let p = pca(zeros.view(), None, &PcaOptions { n_components: 4 }, Seed(1), &Silent).expect("finite");
    assert!(p.scores.iter().all(|v| *v == 0.0) && p.variance_ratio.iter().all(|v| *v == 0.0));
}

#[test]
fn pca_refuses_bad_input() {
    let mut x = counts_example(10, 6, 3);
    let run = |x: &CsrMatrix<f32>, k| pca(x.view(), None, &PcaOptions { n_components: k }, Seed(1), &Silent);
    assert!(matches!(run(&x, 0), Err(PreprocessError::Option(_))));
    x.data_mut()[5] = f32::NAN;
    assert!(matches!(run(&x, 3), Err(PreprocessError::NonFinite { .. })));
    assert!(matches!(run(&CsrMatrix::from_rows(4, &[]), 3), Err(PreprocessError::Empty { .. })));
}

#[test]
fn loadings_are_padded_with_zeros() {
    let padded = pad_components(array![[1.0], [2.0]].view(), &[false, true, true]).expect("fits");
    assert_eq!(padded, array![[0.0], [1.0], [2.0]]);
    assert!(pad_components(array![[1.0]].view(), &[true, true]).is_err());
}

// ---- CLR and LSI --------------------------------------------------------------------------------

#[test]
fn clr_equals_the_reference() {
    let mut o = Oracle::open("clr_lsi");
    let mut x = o.sparse("counts");
    clr(&mut x);
    assert_close(&dense_f64(x.view()), &o.matrix("clr"), 1e-6);
}

#[test]
fn clr_by_hand() {
    let mut x = CsrMatrix::from_dense(array![[3.0f32, 0.0], [0.0, 0.0]].view());
    clr(&mut x);
    // exp(ln 4 / 2) = 2, so 3 becomes ln(1 + 3/2).
    assert!((x.view().to_dense()[[0, 0]] - 2.5f32.ln()).abs() < 1e-6);
    assert_eq!(x.view().to_dense()[[1, 1]], 0.0);
}

#[test]
fn tfidf_and_lsi_equal_the_reference() {
    let mut o = Oracle::open("clr_lsi");
    let peaks = o.sparse("peaks");
    assert_close(&dense_f64(tfidf(peaks.view()).view()), &o.matrix("tfidf"), 1e-6);
    assert_close(&dense_f64(log_tfidf(peaks.view(), 1e4).view()), &o.matrix("logn"), 1e-6);

    let options = LsiOptions { n_components: 20, ..LsiOptions::default() };
    let lsi = tfidf_lsi(peaks.view(), &options, Seed(0), &Silent).expect("counts");
    assert_close(&lsi.singular_values, &o.vector("sv")[..21], 1e-6);
    // The oracle's left vectors carry LAPACK's signs; ours make the largest absolute entry positive, as
    // scikit-learn's randomized_svd does, whose (approximate) vectors the other oracle holds. Turn the exact
    // ones our way, standardise rows as the reference does, and compare.
    let mut turned = o.matrix("U21");
    let sklearn = o.matrix("U21_randomized");
    for mut column in turned.columns_mut() {
        let extreme = column.iter().fold(0.0f64, |a, &b| if b.abs() > a.abs() { b } else { a });
        column.mapv_inplace(|v| v * extreme.signum());
    }
    for t in 0..10 {
        assert!(turned.column(t).dot(&sklearn.column(t)) > 0.0, "sign of component {t}");
    }
    let expected = tfidf_lsi::standardize_rows_and_drop_first(&turned);
    assert_close(&lsi.embedding, &expected, 1e-5);
    // And the row step itself against the reference's own output.
    let theirs = tfidf_lsi::standardize_rows_and_drop_first(&o.matrix("U21"));
    assert_close(&theirs, &o.matrix("lsi20_exact"), 1e-12);
}

#[test]
fn rare_peaks_are_left_out_and_empty_spots_stay() {
    let mut dense = Array2::from_shape_fn((300, 12), |(i, j)| f32::from(u8::from((i * (j + 2)) % 5 < 2)));
    dense.column_mut(3).fill(0.0);
    dense[[10, 3]] = 4.0;
    dense.row_mut(20).fill(0.0);
    let x = CsrMatrix::from_dense(dense.view());
    let lsi = tfidf_lsi(x.view(), &LsiOptions::default(), Seed(0), &Silent).expect("counts");
    assert!(!lsi.keep[3], "1 of 300 spots is under 0.5 %");
    assert_eq!(lsi.embedding.dim(), (300, 10));
    assert!(lsi.embedding.row(20).iter().all(|v| *v == 0.0));
    assert!(lsi.embedding.iter().all(|v| v.is_finite()));
    let zeros = CsrMatrix::from_dense(Array2::<f32>::zeros((5, 5)).view());
    let error = tfidf_lsi(zeros.view(), &LsiOptions::default(), Seed(0), &Silent);
    assert!(matches!(error, Err(PreprocessError::NothingLeft { .. })));
}

// ---- the whole recipe ---------------------------------------------------------------------------

#[test]
fn the_recipe_equals_its_steps() {
    let counts = counts_example(150, 80, 6);
    let options = PreprocessOptions {
        n_top_genes: Some(30),
        n_pcs: 8,
        keep_log_normalised: true,
        ..PreprocessOptions::default()
    };
    let done = preprocess(counts.view(), None, &options, Seed(0), &Silent).expect("counts");
    assert!(!done.kept[0] && done.kept[1], "the silent gene goes, the constant one stays");

    let kept = counts.view().select_columns(&done.kept);
    let mut log = kept.clone();
    normalize_total(&mut log, &NormalizeTotalOptions::default()).expect("counts");
    log1p(&mut log);
    let hvg_options = HvgOptions { selection: HvgSelection::Top(30), ..HvgOptions::default() };
    let table = highly_variable_genes(kept.view(), None, &hvg_options, &Silent).expect("counts");
    let selected = log.view().select_columns(&table.highly_variable);
    let scaling = scale(selected.view(), &ScaleOptions::default()).expect("finite");
    let p = pca(selected.view(), Some(&scaling), &PcaOptions { n_components: 8 }, Seed(0), &Silent)
        .expect("finite");
    assert_eq!(done.embedding, p.scores);
    assert_eq!(done.highly_variable.iter().filter(|h| **h).count(), 30);
    let kept_log = done.log_normalised.expect("asked for").view().select_columns(&done.kept);
    assert_eq!(kept_log, log);
    assert!(done.hvg.expect("selected").normalized[0].is_nan());
    assert!(done.notes.len() >= 4, "{:?}", done.notes);
}

#[test]
fn flavours_in_the_recipe_select_what_they_select_alone() {
    let counts = counts_example(150, 80, 6);
    for flavor in [HvgFlavor::Seurat, HvgFlavor::CellRanger] {
        let options = PreprocessOptions {
            n_top_genes: Some(25),
            min_cells: 0,
            hvg_flavor: flavor,
            ..PreprocessOptions::default()
        };
        let done = preprocess(counts.view(), None, &options, Seed(0), &Silent).expect("counts");
        let mut log = counts.clone();
        normalize_total(&mut log, &NormalizeTotalOptions::default()).expect("counts");
        log1p(&mut log);
        let alone = HvgOptions { flavor, selection: HvgSelection::Top(25), ..HvgOptions::default() };
        let table = highly_variable_genes(log.view(), None, &alone, &Silent).expect("log");
        assert_eq!(done.highly_variable, table.highly_variable);
        // Already logarithms: the same selection, nothing done twice.
        let given = PreprocessOptions { normalization: Normalization::None, log1p: false, ..options };
        let again = preprocess(log.view(), None, &given, Seed(0), &Silent).expect("log");
        assert_eq!(done.highly_variable, again.highly_variable);
        assert_close(&done.embedding, &again.embedding, 1e-9);
    }
}

#[test]
fn every_modality_survives_few_and_empty_spots() {
    for modality in [Modality::Rna, Modality::Adt, Modality::Atac] {
        let options = PreprocessOptions::for_modality(modality);
        for n in [1, 2, 3, 40] {
            let mut dense = counts_example(n, 12, 6).view().to_dense();
            if n > 2 {
                dense.row_mut(1).fill(0.0);
            }
            let x = CsrMatrix::from_dense(dense.view());
            let done = preprocess(x.view(), None, &options, Seed(0), &Silent).expect("counts");
            assert_eq!(done.embedding.nrows(), n, "{modality}");
            assert!(done.embedding.ncols() >= 1);
            assert!(done.embedding.iter().all(|v| v.is_finite()), "{modality} {n}");
        }
        let mut x = counts_example(10, 12, 6);
        x.data_mut()[4] = f32::NAN;
        assert!(preprocess(x.view(), None, &options, Seed(0), &Silent).is_err());
        let empty = preprocess(CsrMatrix::from_rows(3, &[]).view(), None, &options, Seed(0), &Silent);
        assert!(matches!(empty, Err(PreprocessError::Empty { .. })));
    }
    let zeros = CsrMatrix::from_dense(Array2::<f32>::zeros((9, 4)).view());
    let error = preprocess(zeros.view(), None, &PreprocessOptions::default(), Seed(0), &Silent);
    assert!(matches!(error, Err(PreprocessError::NothingLeft { n_vars: 4, n_obs: 9, min_cells: 1 })));
}

#[test]
fn normalised_data_is_refused_unless_said_to_be_so() {
    let mut x = counts_example(50, 20, 6);
    normalize_total(&mut x, &NormalizeTotalOptions::default()).expect("counts");
    log1p(&mut x);
    for modality in [Modality::Rna, Modality::Adt] {
        let error = preprocess(x.view(), None, &PreprocessOptions::for_modality(modality), Seed(0), &Silent);
        let error = error.expect_err("log-normalised").to_string();
        assert!(error.starts_with("already-normalised data: the value at row 0"), "{error}");
        assert!(error.contains("looks log-normalised"), "{error}");
    }
    let given = PreprocessOptions {
        normalization: Normalization::None,
        log1p: false,
        ..PreprocessOptions::default()
    };
    assert!(preprocess(x.view(), None, &given, Seed(0), &Silent).is_ok());
}

#[test]
fn slices_change_the_selection_and_can_be_intersected() {
    let mut dense = counts_example(120, 60, 2).view().to_dense();
    // A gene that differs between slices and not within them.
    for i in 0..120 {
        dense[[i, 5]] = if i < 60 { 0.0 } else { 40.0 };
    }
    let x = CsrMatrix::from_dense(dense.view());
    let slices: Vec<u32> = (0..120).map(|i| u32::from(i >= 60)).collect();
    let options = PreprocessOptions { n_top_genes: Some(20), ..PreprocessOptions::default() };
    let joint = preprocess(x.view(), None, &options, Seed(0), &Silent).expect("counts");
    assert!(joint.hvg.expect("selected").normalized[5] > 0.5);
    let apart = preprocess(x.view(), Some(&Slices::from_codes(&slices, &[])), &options, Seed(0), &Silent)
        .expect("counts");
    assert!(!apart.highly_variable[5]);
    assert_eq!(apart.hvg.as_ref().expect("selected").normalized[5], 0.0);
    let both = PreprocessOptions { intersect_slices: true, ..options };
    let both = preprocess(x.view(), Some(&Slices::from_codes(&slices, &[])), &both, Seed(0), &Silent)
        .expect("counts");
    let n = |p: &Preprocessed| p.highly_variable.iter().filter(|h| **h).count();
    assert_eq!(n(&apart), 20);
    assert!(n(&both) < 20 && n(&both) > 0);
}

#[test]
fn reordering_spots_reorders_the_embedding() {
    let x = counts_example(200, 40, 6);
    let order: Vec<usize> = (0..200).rev().collect();
    let options = PreprocessOptions { n_pcs: 5, ..PreprocessOptions::default() };
    let run =
        |x: CsrView<'_, f32>| preprocess(x, None, &options, Seed(0), &Silent).expect("counts").embedding;
    let (straight, reversed) = (run(x.view()), run(x.view().select_rows(&order).view()));
    assert_close(&straight.select(Axis(0), &order), &reversed, 1e-7);
}

#[test]
fn an_interrupted_recipe_stops() {
    struct Stop;
    impl brodmann_kernels::Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let x = counts_example(20, 10, 6);
    let stopped = preprocess(x.view(), None, &PreprocessOptions::default(), Seed(0), &Stop);
    assert!(matches!(stopped, Err(PreprocessError::Interrupted(_))));
}

/// What is written to records and models, and read again.
#[test]
fn options_survive_being_written_and_read() {
    for modality in [Modality::Rna, Modality::Adt, Modality::Atac] {
        let options = PreprocessOptions {
            n_top_genes: None,
            hvg_flavor: HvgFlavor::CellRanger,
            target_sum: None,
            scale: Some(ScaleOptions { zero_center: false, max_value: None }),
            min_fraction: 0.1 + 0.2,
            ..PreprocessOptions::for_modality(modality)
        };
        for options in [options, PreprocessOptions::for_modality(modality)] {
            let text = serde_json::to_string(&options).expect("plain values");
            assert_eq!(
                serde_json::from_str::<PreprocessOptions>(&text).expect("as written"),
                options,
                "{text}"
            );
        }
    }
}

#[test]
fn options_are_spelled_as_on_the_command_line() {
    let json = serde_json::to_value(PreprocessOptions::default()).expect("plain values");
    assert_eq!(json["hvg_flavor"], "seurat_v3");
    assert_eq!((&json["modality"], &json["normalization"]), (&"rna".into(), &"total".into()));
    for flavor in [HvgFlavor::Seurat, HvgFlavor::CellRanger, HvgFlavor::SeuratV3] {
        assert_eq!(serde_json::to_value(flavor).expect("a name"), flavor.name());
    }
    for modality in [Modality::Rna, Modality::Adt, Modality::Atac] {
        assert_eq!(serde_json::to_value(modality).expect("a name"), modality.name());
    }
    for normalization in [Normalization::Total, Normalization::Clr, Normalization::None] {
        assert_eq!(serde_json::to_value(normalization).expect("a name"), normalization.name());
        assert_eq!(normalization.name().parse::<Normalization>(), Ok(normalization));
    }
}

#[test]
fn options_left_out_are_the_defaults_and_unknown_ones_are_refused() {
    let few: PreprocessOptions = serde_json::from_str(r#"{"n_pcs": 7}"#).expect("one field");
    assert_eq!(few, PreprocessOptions { n_pcs: 7, ..PreprocessOptions::default() });
    let error = serde_json::from_str::<PreprocessOptions>(r#"{"n_pc": 7}"#).expect_err("not an option");
    assert!(error.to_string().contains("n_pc"), "{error}");
}
