//! Against WGCNA's numbers, and on modules that are known.

use brodmann_kernels::{CsrMatrix, Seed, Silent, Slices};
use ndarray::{Array1, Array2};

use super::correlation::correlation;
use super::network::{Network, adjacency, topological_overlap};
use super::soft_threshold::pick_soft_threshold;
use super::tree_cut::{Merge, TreeCutOptions, cut_tree};
use super::*;

const SEED: Seed = Seed(3);

fn oracle(name: &str) -> Array2<f64> {
    crate::oracles::open("gene_selection").by_name(name).expect("array in the oracle")
}

fn close(found: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
    assert_eq!(found.dim(), expected.dim());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance, "{f} {e}");
    }
}

#[test]
fn networks_equal_those_of_wgcna() {
    let r = oracle("wg_cor");
    // Products of thirty numbers below 1, in another order.
    let tolerance = 1e-14;
    for (network, power, adjacent, overlap, k) in [
        (Network::Unsigned, 6.0, "wg_adj_unsigned", "wg_tom_unsigned", "wg_k_unsigned"),
        (Network::Signed, 12.0, "wg_adj_signed", "wg_tom_of_signed", "wg_k_signed"),
    ] {
        let mut links = r.clone();
        adjacency(&mut links, network, power);
        close(&links, &oracle(adjacent), tolerance);
        close(&topological_overlap(links.view()), &oracle(overlap), tolerance);
        let k: Array1<f64> = crate::oracles::open("gene_selection").by_name(k).expect("connectivity");
        for (row, k) in links.rows().into_iter().zip(k) {
            assert!((row.sum() - 1.0 - k).abs() < 1e-13);
        }
    }
    let mut signed = r.clone();
    adjacency(&mut signed, Network::Unsigned, 6.0);
    signed.zip_mut_with(&r, |a, r| *a *= r.signum());
    close(&topological_overlap(signed.view()), &oracle("wg_tom_signed_on_unsigned"), tolerance);
}

#[test]
fn correlations_of_sparse_columns_equal_those_of_the_oracle() {
    let x = oracle("wg_expr").mapv(|v| v as f32);
    let x = CsrMatrix::from_dense(x.view());
    let all: Vec<usize> = (0..x.n_cols()).collect();
    let r = correlation(x.view(), &Slices::one(x.n_rows()), &all, &Silent).expect("correlated");
    // Values were rounded to f32.
    close(&r, &oracle("wg_cor"), 1e-6);
}

#[test]
fn scale_free_fits_equal_pick_soft_threshold() {
    let r = oracle("wg_cor");
    for (network, name) in [(Network::Unsigned, "wg_sft_unsigned"), (Network::Signed, "wg_sft_signed")] {
        let expected = oracle(name);
        let powers = expected.column(0).to_vec();
        for (fit, row) in pick_soft_threshold(r.view(), network, &powers).iter().zip(expected.rows()) {
            let found = [
                fit.power,
                fit.r_squared,
                fit.slope,
                fit.truncated_r_squared,
                fit.mean_k,
                fit.median_k,
                fit.max_k,
            ];
            for (f, e) in found.iter().zip(row) {
                // The regression on x and 10^x is nearly collinear for small connectivities.
                assert!((f - e).abs() <= 1e-8 * e.abs().max(1.0), "{network:?} {found:?} {row}");
            }
        }
    }
}

/// `groups` of 25 genes that follow a factor each, and 40 genes of noise; every gene shifted in the second half.
fn planted(n_obs: usize, groups: usize, shift: f64) -> (CsrMatrix<f32>, Vec<usize>) {
    let draw = |a: usize, b: usize| {
        // The sum of four uniform numbers, about normal.
        let u = |k: u64| (Seed(9).word((a * 100_003 + b) as u64 * 4 + k) >> 11) as f64 / (1u64 << 53) as f64;
        (u(0) + u(1) + u(2) + u(3) - 2.0) * 1.732
    };
    let n_vars = groups * 25 + 40;
    let of: Vec<usize> = (0..n_vars).map(|j| if j < groups * 25 { j % groups } else { groups }).collect();
    let x = Array2::from_shape_fn((n_obs, n_vars), |(i, j)| {
        let signal = if of[j] < groups { 1.4 * draw(1_000 + of[j], i) } else { 0.0 };
        let of_slice = if i >= n_obs / 2 { shift * (1.0 + (j % 5) as f64) } else { 0.0 };
        (6.0 + signal + 0.8 * draw(j, i) + of_slice) as f32
    });
    (CsrMatrix::from_dense(x.view()), of)
}

fn found(x: &CsrMatrix<f32>, slices: Option<&Slices>, options: CoexpressionOptions) -> Coexpression {
    coexpression_modules(x.view(), slices, &options, SEED, &Silent).expect("valid")
}

/// Genes of each planted group that share the module most of them are in, and the genes of noise in any module.
fn agreement(modules: &[u32], of: &[usize], groups: usize) -> (Vec<usize>, usize) {
    let most = |g: usize| {
        let own: Vec<u32> = modules.iter().zip(of).filter(|(_, o)| **o == g).map(|(m, _)| *m).collect();
        let count = |m: u32| own.iter().filter(|o| **o == m).count();
        own.iter().filter(|m| **m > 0).map(|m| count(*m)).max().unwrap_or(0)
    };
    let noise = modules.iter().zip(of).filter(|(m, o)| **o == groups && **m > 0).count();
    ((0..groups).map(most).collect(), noise)
}

#[test]
fn planted_modules_are_found_and_noise_is_in_none() {
    let (x, of) = planted(200, 4, 0.0);
    for network in [Network::Unsigned, Network::Signed] {
        let found = found(&x, None, CoexpressionOptions { network, ..Default::default() });
        assert_eq!(found.n_modules(), 4, "{network:?}");
        let (same, noise) = agreement(&found.module, &of, 4);
        assert!(same.iter().all(|n| *n == 25) && noise <= 2, "{same:?} {noise}");
        for (j, &module) in found.module.iter().enumerate() {
            assert_eq!(module == 0, found.own_membership(j).is_nan());
            assert_eq!(module == 0, found.connectivity[j].is_nan());
        }
        for (m, column) in found.eigengenes.columns().into_iter().enumerate() {
            assert!((column.dot(&column) - 1.0).abs() < 1e-12 && column.sum().abs() < 1e-9);
            assert!(found.variance_explained[m] > 0.5);
        }
        let hubs = found.hubs();
        assert!(hubs.iter().all(|h| h.len() >= 20) && found.own_membership(hubs[0][0]) > 0.8);
    }
}

#[test]
fn blocks_and_the_whole_find_the_same_modules() {
    let (x, of) = planted(200, 6, 0.0);
    let options = CoexpressionOptions { max_block_size: 80, ..Default::default() };
    let in_blocks = found(&x, None, options);
    assert!(in_blocks.n_blocks >= 3);
    let (same, noise) = agreement(&in_blocks.module, &of, 6);
    assert!(same.iter().all(|n| *n >= 23) && noise <= 4, "{same:?} {noise}");
    assert_eq!(in_blocks.n_modules(), 6);
}

#[test]
fn a_shift_between_slices_makes_no_module() {
    let (x, of) = planted(300, 3, 4.0);
    let codes: Vec<u32> = (0..300).map(|i| u32::from(i >= 150)).collect();
    let slices = Slices::from_codes(&codes, &[]);
    let apart = found(&x, Some(&slices), CoexpressionOptions::default());
    let (same, noise) = agreement(&apart.module, &of, 3);
    assert_eq!((apart.n_modules(), same), (3, vec![25; 3]));
    assert!(noise <= 2);
    for column in apart.eigengenes.columns() {
        assert!(column.iter().take(150).sum::<f64>().abs() < 1e-9);
    }
    let joined = found(&x, None, CoexpressionOptions::default());
    assert!(agreement(&joined.module, &of, 3).1 > 20, "what shifts together seems expressed together");
}

#[test]
fn genes_that_do_not_vary_are_in_no_module_and_change_nothing() {
    let (x, _) = planted(100, 2, 0.0);
    let dense = x.view().to_dense();
    let n = dense.ncols();
    // Constant columns in front and behind, one of them 0 throughout.
    let wide = Array2::from_shape_fn((100, n + 2), |(i, j)| match j {
        0 => 0.0,
        j if j == n + 1 => 3.3,
        j => dense[[i, j - 1]],
    });
    let wide = CsrMatrix::from_dense(wide.view());
    let (with, without) =
        (found(&wide, None, CoexpressionOptions::default()), found(&x, None, CoexpressionOptions::default()));
    assert_eq!(with.module[1..=n], without.module);
    assert_eq!((with.module[0], with.module[n + 1]), (0, 0));
    assert!(with.membership.row(0).iter().all(|v| v.is_nan()));
    assert_eq!(with.eigengenes, without.eigengenes);
}

#[test]
fn few_genes_and_few_spots_make_no_modules() {
    for (n_obs, n_vars) in [(1, 1), (1, 5), (2, 30), (3, 2), (40, 1), (40, 2)] {
        let x = Array2::from_shape_fn((n_obs, n_vars), |(i, j)| ((i * 7 + j * 3) % 5) as f32);
        let found = found(&CsrMatrix::from_dense(x.view()), None, CoexpressionOptions::default());
        assert_eq!(found.module.len(), n_vars);
        assert_eq!(found.eigengenes.nrows(), n_obs);
    }
    let constant = CsrMatrix::from_dense(Array2::from_elem((5, 4), 2.0f32).view());
    assert_eq!(found(&constant, None, CoexpressionOptions::default()).module, [0; 4]);
    let none = CsrMatrix::<f32>::from_rows(3, &[]);
    let refused = coexpression_modules(none.view(), None, &CoexpressionOptions::default(), SEED, &Silent);
    assert!(matches!(refused, Err(PreprocessError::Empty { .. })));
    let nan = CsrMatrix::from_dense(ndarray::array![[1.0f32, f32::NAN]].view());
    let refused = coexpression_modules(nan.view(), None, &CoexpressionOptions::default(), SEED, &Silent);
    assert!(matches!(refused, Err(PreprocessError::NonFinite { .. })));
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let of = CoexpressionOptions::default();
    for (options, name) in [
        (CoexpressionOptions { power: Some(f64::NAN), ..of }, "power"),
        (CoexpressionOptions { scale_free_fit: 1.5, ..of }, "scale_free_fit"),
        (CoexpressionOptions { min_module_size: 1, ..of }, "min_module_size"),
        (CoexpressionOptions { deep_split: 5, ..of }, "deep_split"),
        (CoexpressionOptions { merge_height: 1.0, ..of }, "merge_height"),
        (CoexpressionOptions { min_membership: -0.1, ..of }, "min_membership"),
        (CoexpressionOptions { max_block_size: 1, ..of }, "max_block_size"),
    ] {
        assert!(options.validate().expect_err("out of range").to_string().contains(name));
    }
}

#[test]
fn one_thread_gives_the_bits_of_several() {
    let (x, _) = planted(120, 4, 0.0);
    let options = CoexpressionOptions { max_block_size: 70, ..Default::default() };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| format!("{:?}", found(&x, None, options)))
    };
    assert_eq!(on(1), on(4));
}

#[test]
fn a_branch_is_a_module_by_size_core_and_gap() {
    // Leaves 0..4 within 0.1, leaves 4..8 within 0.3, leaf 8 by itself; the two groups meet at 0.9, all at 1.
    let height = |a: usize, b: usize| match (a.min(b), a.max(b)) {
        (_, 8) => 1.0,
        (a, b) if a < 4 && b < 4 => 0.1,
        (a, _) if a >= 4 => 0.3,
        _ => 0.9,
    };
    let mut distances = Vec::new();
    for a in 0..9 {
        distances.extend((a + 1..9).map(|b| height(a, b) as f32));
    }
    let merges: Vec<Merge> = linkage(&mut distances.clone(), 9, Method::Average)
        .steps()
        .iter()
        .map(|s| Merge { left: s.cluster1, right: s.cluster2, height: f64::from(s.dissimilarity) })
        .collect();
    let cut = |min_size| cut_tree(&merges, &distances, 9, &TreeCutOptions { min_size, deep_split: 2 });
    assert_eq!(cut(4), [1, 1, 1, 1, 2, 2, 2, 2, 0]);
    assert_eq!(cut(5), [1, 1, 1, 1, 1, 1, 1, 1, 0], "neither is large enough alone");
    assert_eq!(cut(9), [0; 9]);
    assert!(cut_tree(&[], &[], 1, &TreeCutOptions { min_size: 2, deep_split: 2 }) == [0]);
    assert!(cut_tree(&[], &[], 0, &TreeCutOptions { min_size: 2, deep_split: 2 }).is_empty());
}
