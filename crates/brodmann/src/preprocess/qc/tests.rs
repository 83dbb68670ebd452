use std::ops::ControlFlow;

use brodmann_kernels::{CsrMatrix, CsrView, Silent};
use ndarray::{Array1, Array2, array};

use super::*;
use crate::preprocess::{RowBlock, Visit};

/// Rows in blocks of a given size, as a file hands them out.
struct Blocks<'a>(CsrView<'a, f32>, usize);

impl RowSource for Blocks<'_> {
    type Error = PreprocessError;

    fn n_rows(&self) -> usize {
        self.0.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.0.n_cols()
    }

    fn nnz(&self) -> usize {
        self.0.nnz()
    }

    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
        for first in (0..self.0.n_rows()).step_by(self.1) {
            let rows: Vec<usize> = (first..self.0.n_rows().min(first + self.1)).collect();
            let block = self.0.select_rows(&rows);
            if visit(RowBlock { first, rows: block.view() })? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn csr(dense: &Array2<f32>) -> CsrMatrix<f32> {
    CsrMatrix::from_dense(dense.view())
}

/// Counts that depend on row and column alone.
fn counts(n_obs: usize, n_vars: usize) -> CsrMatrix<f32> {
    csr(&Array2::from_shape_fn((n_obs, n_vars), |(i, j)| {
        let x = (i * 31 + j * 17 + i * j) % 23;
        if x < 14 { 0.0 } else { (x - 13) as f32 }
    }))
}

fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(work)
}

/// Three spots: 1 of 8 counts mitochondrial, none at all, 5 of 10.
fn small() -> CsrMatrix<f32> {
    csr(&array![[1.0, 0.0, 7.0], [0.0, 0.0, 0.0], [5.0, 5.0, 0.0]])
}

#[test]
fn three_spots_by_hand() {
    let (spots, genes) =
        spot_and_gene_metrics(&small().view(), &[true, false, false], &Silent).expect("counts");
    assert_eq!(spots.total, [8.0, 0.0, 10.0]);
    assert_eq!(spots.n_genes, [2, 0, 2]);
    let pct = spots.pct_mt.as_ref().expect("a mitochondrial gene");
    assert!(pct[0] == 12.5 && pct[1].is_nan() && pct[2] == 50.0, "{pct:?}");
    assert_eq!((spots.n_empty(), spots.whole), (1, true));
    assert_eq!(genes, GeneMetrics { n_cells: vec![2, 1, 1], total: vec![6.0, 5.0, 7.0] });
}

#[test]
fn thresholds_keep_what_reaches_them() {
    let spots = spot_metrics(&small().view(), &[true, false, false], &Silent).expect("counts");
    assert_eq!(spots.kept(None, None, None), [true; 3]);
    assert_eq!(spots.kept(Some(10.0), None, None), [false, false, true]);
    assert_eq!(spots.kept(None, Some(2), None), [true, false, true]);
    assert_eq!(spots.kept(None, None, Some(12.5)), [true, true, false], "no share of no counts");
    assert_eq!(spots.kept(Some(1.0), None, Some(20.0)), [true, false, false]);
}

#[test]
fn without_a_mitochondrial_gene_there_is_no_percentage() {
    let spots = spot_metrics(&small().view(), &[false; 3], &Silent).expect("counts");
    assert_eq!(spots.pct_mt, None);
    assert_eq!(spots.kept(None, None, Some(0.0)), [true; 3]);
}

#[test]
fn prefixes_are_those_of_people_and_mice_or_the_one_given() {
    let names = ["MT-CO1", "mt-Co1", "Mt-co1", "MT1X", "mt:CoI", "GRCh38_MT-CO1"];
    assert_eq!(mitochondrial(&names, None), [true, true, true, false, false, false]);
    assert_eq!(mitochondrial(&names, Some("mt:")), [false, false, false, false, true, false]);
    assert_eq!(mitochondrial(&names, Some("GRCh38_MT-")), [false, false, false, false, false, true]);
}

#[test]
fn one_thread_and_many_blocks_of_any_size_give_the_same_bits() {
    let x = counts(5000, 40);
    let mito: Vec<bool> = (0..40).map(|j| j % 9 == 0).collect();
    let whole = in_pool(1, || spot_and_gene_metrics(&x.view(), &mito, &Silent).expect("counts"));
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for (threads, block) in [(4, 5000), (3, 1), (2, 777), (4, 2048)] {
        let source = Blocks(x.view(), block);
        let (spots, genes) =
            in_pool(threads, || spot_and_gene_metrics(&source, &mito, &Silent).expect("counts"));
        assert_eq!(bits(&spots.total), bits(&whole.0.total));
        assert_eq!(spots.n_genes, whole.0.n_genes);
        assert_eq!(
            bits(spots.pct_mt.as_ref().expect("mt")),
            bits(whole.0.pct_mt.as_ref().expect("mt")),
            "{threads} threads, blocks of {block}"
        );
        assert_eq!((&genes.n_cells, bits(&genes.total)), (&whole.1.n_cells, bits(&whole.1.total)));
    }
}

#[test]
fn spots_keep_their_numbers_in_another_order() {
    let x = counts(60, 12);
    let mito: Vec<bool> = (0..12).map(|j| j < 3).collect();
    let before = spot_metrics(&x.view(), &mito, &Silent).expect("counts");
    let order: Vec<usize> = (0..60).map(|i| (i * 7 + 3) % 60).collect();
    let after = spot_metrics(&x.view().select_rows(&order).view(), &mito, &Silent).expect("counts");
    for (to, &from) in order.iter().enumerate() {
        assert_eq!(after.total[to], before.total[from]);
        assert_eq!(after.n_genes[to], before.n_genes[from]);
    }
}

#[test]
fn stored_zeros_are_not_seen() {
    let x = CsrMatrix::from_rows(3, &[vec![(0, 2.0f32), (1, 0.0), (2, 1.0)]]);
    let (spots, genes) = spot_and_gene_metrics(&x.view(), &[false; 3], &Silent).expect("counts");
    assert_eq!((spots.n_genes, genes.n_cells), (vec![2], vec![1, 0, 1]));
}

#[test]
fn no_spots_one_gene_and_nothing_but_zeros() {
    let none = spot_metrics(&CsrMatrix::<f32>::from_rows(4, &[]).view(), &[true; 4], &Silent).expect("empty");
    assert_eq!((none.total.len(), none.n_genes.len(), none.pct_mt), (0, 0, Some(Vec::new())));
    let one = spot_metrics(&csr(&array![[3.0], [0.0]]).view(), &[true], &Silent).expect("one gene");
    assert_eq!((one.total, one.n_genes), (vec![3.0, 0.0], vec![1, 0]));
    let zeros = spot_metrics(&csr(&Array2::zeros((5, 3))).view(), &[false; 3], &Silent).expect("zeros");
    assert_eq!((zeros.n_empty(), zeros.n_genes), (5, vec![0; 5]));
    assert!(zeros.total.iter().all(|t| t.to_bits() == 0), "0, not −0");
}

#[test]
fn what_is_no_amount_is_refused_and_fractions_are_told() {
    for (bad, name) in [(f32::NAN, "NonFinite"), (f32::INFINITY, "NonFinite"), (-1.0, "Negative")] {
        let x = CsrMatrix::from_rows(2, &[vec![(0, 1.0f32)], vec![(1, bad)]]);
        let error = spot_metrics(&x.view(), &[false; 2], &Silent).expect_err("refused");
        let text = format!("{error:?}");
        assert!(text.starts_with(name) && text.contains("row: 1, column: 1"), "{text}");
    }
    let halves = spot_metrics(&csr(&array![[0.5, 1.0]]).view(), &[false; 2], &Silent).expect("amounts");
    assert!(!halves.whole);
    let error = spot_metrics(&small().view(), &[true], &Silent).expect_err("one flag for three genes");
    assert!(matches!(error, PreprocessError::ShapeMismatch { found: 1, expected: 3, .. }));
}

#[test]
fn scanpys_metrics_are_found() {
    let mut oracle = crate::oracles::open("qc");
    let x: Array2<f64> = oracle.by_name("counts").expect("counts");
    let mito: Array1<bool> = oracle.by_name("mito").expect("mito");
    let x = csr(&x.mapv(|v| v as f32));
    let (spots, genes) =
        spot_and_gene_metrics(&x.view(), mito.as_slice().expect("a vector"), &Silent).expect("counts");
    let mut of =
        |name: &str| oracle.by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix1>(name).expect("a vector");
    // scanpy keeps percentages in f32; whole numbers below 2^24 are the same there.
    let close = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-7 * b.abs().max(1.0) * 8.0;
    for (i, (a, b)) in spots.pct_mt.expect("mt").iter().zip(&of("pct_counts_mt")).enumerate() {
        assert!(close(*a, *b), "spot {i}: {a} {b}");
    }
    let numbers = |v: &[u32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    assert_eq!(spots.total, of("total_counts").to_vec());
    assert_eq!(numbers(&spots.n_genes), of("n_genes_by_counts").to_vec());
    assert_eq!(numbers(&genes.n_cells), of("n_cells_by_counts").to_vec());
    assert_eq!(genes.total, of("total_counts_of_genes").to_vec());
}
