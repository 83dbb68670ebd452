//! A source in blocks of any size gives the bits of the matrix in memory.

use brodmann_kernels::{Seed, Silent, Slices};

use super::*;
use crate::preprocess::tests::counts_example;
use crate::preprocess::{HvgFlavor, Modality, PreprocessOptions, Preprocessed, preprocess, preprocess_rows};

/// A matrix handed out in blocks, as a file would.
struct Blocks<'a> {
    x: &'a CsrMatrix<f32>,
    block: usize,
    keep: bool,
}

impl RowSource for Blocks<'_> {
    type Error = PreprocessError;

    fn n_rows(&self) -> usize {
        self.x.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.x.n_cols()
    }

    fn nnz(&self) -> usize {
        self.x.nnz()
    }

    fn may_be_kept(&self) -> bool {
        self.keep
    }

    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
        for first in (0..self.n_rows()).step_by(self.block) {
            let rows: Vec<usize> = (first..self.n_rows().min(first + self.block)).collect();
            let rows = self.x.view().select_rows(&rows);
            if visit(RowBlock { first, rows: rows.view() })?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// More rows than two chunks, empty rows, a gene in two spots, one beyond its bound.
fn example() -> CsrMatrix<f32> {
    let x = counts_example(4500, 40, 3);
    let rows: Vec<Vec<(u32, f32)>> = (0..x.n_rows())
        .map(|i| {
            let (columns, values) = x.view().row(i);
            let entries = columns.iter().zip(values).filter(|&(&j, _)| {
                i % 501 != 0 && (j != 5 || i == 7 || i == 4000) && (i * 7 + j as usize * 13).is_multiple_of(3)
            });
            entries.map(|(&j, &v)| (j, if j == 9 && i % 900 == 1 { 5000.0 } else { v })).collect()
        })
        .collect();
    CsrMatrix::from_rows(x.n_cols(), &rows)
}

fn options(flavor: HvgFlavor, n_top: Option<usize>, target_sum: Option<f64>) -> PreprocessOptions {
    PreprocessOptions {
        n_top_genes: n_top,
        hvg_flavor: flavor,
        target_sum,
        n_pcs: 5,
        ..PreprocessOptions::for_modality(Modality::Rna)
    }
}

fn from_memory(x: &CsrMatrix<f32>, slices: Option<&[u32]>, options: &PreprocessOptions) -> Preprocessed {
    preprocess(x.view(), slices.map(|s| Slices::from_codes(s, &[])).as_ref(), options, Seed(1), &Silent)
        .expect("counts")
}

/// All numbers of a result as bits, so that NaN equals NaN.
fn assert_same(found: &Preprocessed, expected: &Preprocessed) {
    assert_eq!(found.notes, expected.notes);
    assert_eq!(found.highly_variable, expected.highly_variable);
    // Not `assert_eq`: what it prints would be pages long.
    assert!(found.embedding == expected.embedding, "embeddings differ");
    assert!(found.size_factors == expected.size_factors, "factors differ");
    assert!(format!("{found:?}") == format!("{expected:?}"), "results differ");
}

const FLAVORS: [HvgFlavor; 3] = [HvgFlavor::Seurat, HvgFlavor::CellRanger, HvgFlavor::SeuratV3];

#[test]
fn blocks_of_any_size_give_the_bits_of_the_matrix_in_memory() {
    let x = example();
    for flavor in FLAVORS {
        for target in [Some(1e4), None] {
            let options = options(flavor, Some(12), target);
            let expected = from_memory(&x, None, &options);
            assert!(expected.kept.contains(&false), "the filter has work to do");
            assert!(expected.n_empty > 0);
            for (block, keep) in [(1, false), (7, false), (1000, false), (1000, true), (10_000, false)] {
                let source = Blocks { x: &x, block, keep };
                let found = preprocess_rows(&source, None, None, &options, Seed(1), &Silent).expect("counts");
                assert_same(&found, &expected);
            }
        }
    }
}

#[test]
fn slices_in_blocks_are_judged_as_in_memory() {
    let x = example();
    // In runs and interleaved.
    for slices in [
        (0..x.n_rows()).map(|i| 3 + (i / 1700) as u32).collect::<Vec<u32>>(),
        (0..x.n_rows()).map(|i| (i % 3) as u32).collect(),
    ] {
        for flavor in FLAVORS {
            let mut options = options(flavor, Some(12), Some(1e4));
            for intersect in [false, true] {
                options.intersect_slices = intersect;
                let expected = from_memory(&x, Some(&slices), &options);
                for block in [7, 1000] {
                    let source = Blocks { x: &x, block, keep: false };
                    let found = preprocess_rows(
                        &source,
                        Some(&Slices::from_codes(&slices, &[])),
                        None,
                        &options,
                        Seed(1),
                        &Silent,
                    );
                    assert_same(&found.expect("counts"), &expected);
                }
            }
        }
    }
}

#[test]
fn without_selection_and_with_the_normalised_matrix_kept_blocks_give_the_same() {
    let x = example();
    for keep_log_normalised in [false, true] {
        for n_top in [None, Some(12)] {
            for modality in [Modality::Rna, Modality::Adt, Modality::Atac] {
                let options = PreprocessOptions {
                    n_top_genes: n_top,
                    n_pcs: 5,
                    keep_log_normalised,
                    ..PreprocessOptions::for_modality(modality)
                };
                let expected = from_memory(&x, None, &options);
                for keep in [false, true] {
                    let source = Blocks { x: &x, block: 700, keep };
                    let found =
                        preprocess_rows(&source, None, None, &options, Seed(1), &Silent).expect("counts");
                    assert_same(&found, &expected);
                }
            }
        }
    }
}

#[test]
fn one_thread_gives_the_bits_of_several() {
    let x = example();
    let options = options(HvgFlavor::Seurat, Some(12), None);
    let run = |threads: usize, block: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        let source = Blocks { x: &x, block, keep: false };
        pool.install(|| preprocess_rows(&source, None, None, &options, Seed(1), &Silent)).expect("counts")
    };
    assert_same(&run(1, 1000), &run(2, 300));
}

#[test]
fn what_is_wrong_is_found_in_blocks_as_in_memory() {
    let x = example();
    let with = |i: usize, v: f32| {
        let mut x = x.clone();
        x.row_mut(i).1[0] = v;
        x
    };
    for bad in [with(4001, f32::NAN), with(3333, -1.0), with(2222, 0.5)] {
        let options = options(HvgFlavor::SeuratV3, Some(12), None);
        let expected = preprocess(bad.view(), None, &options, Seed(1), &Silent).expect_err("bad");
        let source = Blocks { x: &bad, block: 100, keep: false };
        let found = preprocess_rows(&source, None, None, &options, Seed(1), &Silent).expect_err("bad");
        assert_eq!(found.to_string(), expected.to_string());
    }
}

/// Why a source of the tests fails.
#[derive(Debug, PartialEq)]
enum Torn {
    At(usize),
    Preprocess(PreprocessError),
}

impl From<PreprocessError> for Torn {
    fn from(error: PreprocessError) -> Self {
        Self::Preprocess(error)
    }
}

/// A file that can be read up to a row.
struct TornFile<'a>(Blocks<'a>, usize);

impl RowSource for TornFile<'_> {
    type Error = Torn;

    fn n_rows(&self) -> usize {
        self.0.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.0.n_cols()
    }

    fn nnz(&self) -> usize {
        self.0.nnz()
    }

    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), Torn> {
        let mut torn = false;
        self.0.for_each_block(&mut |block| {
            torn = block.first >= self.1;
            if torn { Ok(ControlFlow::Break(())) } else { visit(block) }
        })?;
        if torn { Err(Torn::At(self.1)) } else { Ok(()) }
    }
}

#[test]
fn a_source_fails_in_its_own_words() {
    let x = example();
    let run = |x: &CsrMatrix<f32>, torn_at| {
        let source = TornFile(Blocks { x, block: 1000, keep: false }, torn_at);
        preprocess_rows(&source, None, None, &options(HvgFlavor::Seurat, Some(10), None), Seed(1), &Silent)
    };
    assert_eq!(run(&x, 2000).expect_err("torn"), Torn::At(2000));
    assert!(run(&x, 5000).is_ok());
    let negative = x.view().map(|v| -v);
    let found = run(&negative, 5000).expect_err("negative");
    assert!(matches!(found, Torn::Preprocess(PreprocessError::Negative { .. })), "{found:?}");
}
