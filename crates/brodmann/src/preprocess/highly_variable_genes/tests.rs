use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, Silent};
use ndarray::Array2;

use super::*;
use crate::preprocess::tests::{Oracle, assert_close, counts_example};

fn top(flavor: HvgFlavor, n: usize) -> HvgOptions {
    HvgOptions { flavor, selection: HvgSelection::Top(n), ..HvgOptions::default() }
}

/// `scanpy.npz`: counts and log-normalised values as f32, and the file.
fn oracle() -> (Oracle, CsrMatrix<f32>, CsrMatrix<f32>) {
    let mut oracle = Oracle::open("scanpy");
    let counts = oracle.sparse("counts");
    let log = oracle.sparse("log");
    (oracle, counts, log)
}

fn indices(mask: &[bool]) -> Vec<usize> {
    (0..mask.len()).filter(|&j| mask[j]).collect()
}

#[test]
fn seurat_v3_equals_scanpy() {
    let (mut o, counts, _) = oracle();
    let t =
        highly_variable_genes(counts.view(), None, &top(HvgFlavor::SeuratV3, 50), &Silent).expect("counts");
    assert_close(&t.means, &o.vector("v3_means"), 1e-12);
    assert_close(&t.dispersions, &o.vector("v3_var"), 1e-12);
    // Counts are exact in f32 and everything is f64, so only rounding is left.
    assert_close(&t.normalized, &o.vector("v3_var_norm"), 1e-11);
    assert_eq!(t.highly_variable, o.flags("v3_hv"));
    let rank = t.rank.expect("v3 ranks");
    for (ours, theirs) in rank.iter().zip(o.vector_f32("v3_rank")) {
        assert!(*ours == f64::from(theirs) || (ours.is_nan() && theirs.is_nan()), "{ours} {theirs}");
    }
}

#[test]
fn dispersion_flavours_equal_scanpy() {
    let (mut o, _, log) = oracle();
    for (flavor, name) in [(HvgFlavor::Seurat, "seurat"), (HvgFlavor::CellRanger, "cell_ranger")] {
        let t = highly_variable_genes(log.view(), None, &top(flavor, 50), &Silent).expect("log");
        // The logarithms come in as f32 (6e-8); exp multiplies that by up to their size, about 9.
        assert_close(&t.means, &o.vector(&format!("{name}_means")), 1e-6);
        assert_close(&t.dispersions, &o.vector(&format!("{name}_disp")), 1e-5);
        let theirs: Vec<f64> = o.vector_f32(&format!("{name}_disp_norm")).iter().map(|&v| v.into()).collect();
        assert_close(&t.normalized, &theirs, 1e-5);
        assert_eq!(t.highly_variable, o.flags(&format!("{name}_hv")), "{name}");
    }
    let options = HvgOptions {
        flavor: HvgFlavor::Seurat,
        selection: HvgSelection::DEFAULT_CUTOFF,
        ..HvgOptions::default()
    };
    let t = highly_variable_genes(log.view(), None, &options, &Silent).expect("log");
    assert_eq!(t.highly_variable, o.flags("seurat_default_hv"));
}

/// Numbers from scanpy 1.11.5 on the oracle's `log`, slices = spots 0..90 and 90..200, `batch_key` given.
#[test]
fn slices_are_combined_as_scanpy_does() {
    let (_, _, log) = oracle();
    let slices: Vec<u32> = (0..200).map(|i| u32::from(i >= 90)).collect();
    let seurat = [
        0, 4, 23, 26, 28, 35, 51, 63, 64, 70, 76, 77, 85, 91, 98, 117, 120, 122, 125, 132, 135, 137, 141,
        157, 158, 167, 169, 175, 178, 183, 199, 203, 222, 226, 232, 233, 237, 242, 249, 252, 260, 270, 274,
        276, 278, 281, 284, 285, 286, 291,
    ];
    let cell_ranger = [
        0, 4, 14, 26, 27, 28, 35, 51, 66, 67, 70, 76, 87, 91, 98, 114, 125, 132, 134, 135, 137, 158, 159,
        167, 175, 176, 178, 183, 187, 197, 199, 203, 205, 224, 225, 232, 233, 237, 243, 249, 252, 256, 260,
        263, 274, 281, 282, 284, 291, 297,
    ];
    for (flavor, genes, in_both, normalized_5, (n_cut, sum_cut)) in [
        (HvgFlavor::Seurat, seurat, 17, 0.5706852674484253, (46, 7417)),
        (HvgFlavor::CellRanger, cell_ranger, 21, 0.5580771565437317, (69, 10373)),
    ] {
        let t = highly_variable_genes(
            log.view(),
            Some(&Slices::from_codes(&slices, &[])),
            &top(flavor, 50),
            &Silent,
        )
        .expect("log");
        assert_eq!(indices(&t.highly_variable), genes, "{flavor:?}");
        assert_eq!(t.n_slices.iter().filter(|n| **n == 2).count(), in_both);
        assert!((t.normalized[5] - normalized_5).abs() < 1e-5, "{}", t.normalized[5]);
        let both = intersect_highly_variable(
            log.view(),
            &Slices::from_codes(&slices, &[]),
            &top(flavor, 50),
            &Silent,
        )
        .expect("log");
        assert_eq!(both.n_selected(), in_both);
        let options = HvgOptions { flavor, selection: HvgSelection::DEFAULT_CUTOFF, ..HvgOptions::default() };
        let t = highly_variable_genes(log.view(), Some(&Slices::from_codes(&slices, &[])), &options, &Silent)
            .expect("log");
        let chosen = indices(&t.highly_variable);
        assert_eq!((chosen.len(), chosen.iter().sum::<usize>()), (n_cut, sum_cut), "{flavor:?}");
    }
}

#[test]
fn two_equal_slices_agree_with_one() {
    let one = counts_example(60, 40, 3);
    let rows: Vec<usize> = (0..60).chain(0..60).collect();
    let two = one.view().select_rows(&rows);
    let slices: Vec<u32> = (0..120).map(|i| 7 * u32::from(i >= 60)).collect();
    let options = top(HvgFlavor::SeuratV3, 12);
    let single = highly_variable_genes(one.view(), None, &options, &Silent).expect("counts");
    let double =
        highly_variable_genes(two.view(), Some(&Slices::from_codes(&slices, &[])), &options, &Silent)
            .expect("counts");
    assert_eq!(single.highly_variable, double.highly_variable);
    assert_close(&single.normalized, &double.normalized, 1e-12);
    assert!(double.n_slices.iter().all(|n| *n == 0 || *n == 2));
    let both = intersect_highly_variable(two.view(), &Slices::from_codes(&slices, &[]), &options, &Silent)
        .expect("counts");
    assert_eq!(both.highly_variable, single.highly_variable);
}

#[test]
fn a_gene_silent_in_one_slice_is_not_in_the_intersection() {
    let one = counts_example(40, 20, 5).view().to_dense();
    let mut dense = ndarray::concatenate![ndarray::Axis(0), one, one];
    dense.column_mut(4).slice_each_axis_mut(|_| ndarray::Slice::from(40..)).fill(0.0);
    let x = CsrMatrix::from_dense(dense.view());
    let slices: Vec<u32> = (0..80).map(|i| u32::from(i >= 40)).collect();
    let options = top(HvgFlavor::SeuratV3, 19);
    let t = intersect_highly_variable(x.view(), &Slices::from_codes(&slices, &[]), &options, &Silent)
        .expect("counts");
    assert!(!t.highly_variable[4]);
    assert!(t.n_selected() > 10);
}

#[test]
fn a_standardised_variance_can_be_checked_by_hand() {
    // One varying gene: the fit passes through its variance, nothing is clipped, so the result is 1. The
    // constant and the silent gene get 0.
    let dense = ndarray::array![[1.0f32, 2.0, 0.0], [3.0, 2.0, 0.0], [2.0, 2.0, 0.0], [2.0, 2.0, 0.0]];
    let x = CsrMatrix::from_dense(dense.view());
    let (moments, standardized) = seurat_v3::standardized_variance(x.view(), None, 0.3).expect("in memory");
    assert_close(&moments.mean, &[2.0, 2.0, 0.0], 1e-15);
    assert_close(&moments.variance, &[2.0 / 3.0, 0.0, 0.0], 1e-15);
    assert_close(&standardized, &[1.0, 0.0, 0.0], 1e-12);
}

#[test]
fn a_lone_gene_in_its_bin_scores_one_and_a_silent_gene_nothing() {
    let (_, dispersions, normalized) = seurat::seurat(&[0.0, 1.0, 1.0, 50.0], &[0.0, 2.0, 4.0, 60.0], 20);
    assert!(dispersions[0].is_nan() && normalized[0].is_nan());
    // ln 2 and ln 4 share a bin: one standard deviation apart by √2, symmetric about their mean.
    assert!((normalized[2] - 0.5f64.sqrt()).abs() < 1e-12 && (normalized[1] + 0.5f64.sqrt()).abs() < 1e-12);
    assert!((normalized[3] - 1.0).abs() < 1e-12);
}

#[test]
fn the_wrong_kind_of_input_is_refused() {
    let counts = counts_example(30, 10, 1);
    let mut fractions = counts.clone();
    fractions.data_mut()[7] += 0.5;
    let error = highly_variable_genes(fractions.view(), None, &top(HvgFlavor::SeuratV3, 5), &Silent);
    let error = error.expect_err("fractions");
    assert!(error.to_string().contains("expected a whole number, as counts are"), "{error}");
    assert_eq!(flaw(&error), None);
    for flavor in [HvgFlavor::Seurat, HvgFlavor::CellRanger] {
        let error = highly_variable_genes(counts.view(), None, &top(flavor, 5), &Silent);
        assert!(matches!(error, Err(PreprocessError::CountsWhereLogNeeded { .. })));
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = counts.clone();
        x.data_mut()[3] = bad;
        let error = highly_variable_genes(x.view(), None, &top(HvgFlavor::SeuratV3, 5), &Silent);
        assert!(matches!(error, Err(PreprocessError::NonFinite { .. })));
    }
}

#[test]
fn bad_options_are_refused() {
    let x = counts_example(10, 5, 1);
    let run = |options: HvgOptions| highly_variable_genes(x.view(), None, &options, &Silent);
    let base = HvgOptions::default();
    for bad in [
        HvgOptions { selection: HvgSelection::Top(0), ..base },
        HvgOptions { selection: HvgSelection::DEFAULT_CUTOFF, ..base },
        HvgOptions { span: 0.0, ..base },
        HvgOptions { span: f64::NAN, ..base },
        HvgOptions { n_bins: 0, ..base },
    ] {
        assert!(matches!(run(bad), Err(PreprocessError::Option(_))), "{bad:?}");
    }
    let short = highly_variable_genes(x.view(), Some(&Slices::from_codes(&[0, 1], &[])), &base, &Silent);
    assert!(matches!(short, Err(PreprocessError::ShapeMismatch { found: 2, expected: 10, .. })));
}

#[test]
fn degenerate_matrices_give_answers() {
    for (n, f) in [(1, 4), (2, 4), (5, 1)] {
        for x in [counts_example(n, f, 2), CsrMatrix::from_dense(Array2::<f32>::zeros((n, f)).view())] {
            let t = highly_variable_genes(x.view(), None, &top(HvgFlavor::SeuratV3, 2), &Silent);
            let t = t.expect("counts");
            assert_eq!(t.n_selected(), 2.min(f));
            assert!(t.normalized.iter().all(|v| v.is_finite()));
            let mut log = x.clone();
            crate::preprocess::log1p(&mut log);
            for flavor in [HvgFlavor::Seurat, HvgFlavor::CellRanger] {
                assert!(highly_variable_genes(log.view(), None, &top(flavor, 2), &Silent).is_ok());
            }
        }
    }
}

#[test]
fn the_table_is_the_same_bits_on_any_thread_count() {
    let x = counts_example(5000, 60, 9);
    let slices: Vec<u32> = (0..5000).map(|i| i % 3).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            highly_variable_genes(
                x.view(),
                Some(&Slices::from_codes(&slices, &[])),
                &top(HvgFlavor::SeuratV3, 20),
                &Silent,
            )
        })
        .expect("counts")
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.normalized, three.normalized);
    assert_eq!(one.highly_variable, three.highly_variable);
}
