//! Each way against its definition, and mRMR against the oracle.

use brodmann_kernels::{CsrMatrix, Seed, Silent, Slices};
use ndarray::{Array1, Array2};

use super::super::feature_map::ScaledOptions;
use super::super::{FeatureMap, FeatureOptions, PreprocessOptions, preprocess_rows};
use super::mrmr::{Scheme, mrmr, three_levels};
use super::*;

const SEED: Seed = Seed(1);

/// Spots of a square grid, each with its four neighbours.
fn grid(side: usize, times: usize) -> CsrMatrix<f64> {
    let n = side * side;
    let rows: Vec<Vec<(u32, f64)>> = (0..n * times)
        .map(|i| {
            let (base, x, y) = (i / n * n, i % n / side, i % side);
            let near = |j: usize| (x.abs_diff(j / side) + y.abs_diff(j % side)) == 1;
            (0..n).filter(|&j| near(j)).map(|j| ((base + j) as u32, 1.0)).collect()
        })
        .collect();
    CsrMatrix::from_rows(n * times, &rows)
}

/// Genes 0 and 1 lie in halves of the tissue, 2 in stripes, 3 and 4 anywhere, 5 nowhere.
fn tissue(side: usize, times: usize) -> CsrMatrix<f32> {
    let n = side * side;
    let x = Array2::from_shape_fn((n * times, 6), |(i, j)| {
        let (row, column) = (i % n / side, i % side);
        let word = |salt: usize| Seed(4).word((i * 7 + salt) as u64) % 100;
        let noise = word(j) as f32 / 300.0;
        match j {
            0 => 2.0 * f32::from(row < side / 2) + noise,
            1 => 1.5 * f32::from(column < side / 2) + noise,
            2 => f32::from(row % 3 == 0) + noise,
            5 => 0.0,
            _ => 5.0 * noise,
        }
    });
    CsrMatrix::from_dense(x.view())
}

fn chosen(found: &SelectedGenes) -> Vec<usize> {
    (0..found.selected.len()).filter(|&j| found.selected[j]).collect()
}

#[test]
fn spatially_variable_genes_are_those_of_the_largest_morans_i() {
    let (x, graph) = (tissue(12, 1), grid(12, 1));
    let evidence = Evidence { graph: Some(graph.view()), ..Default::default() };
    let with = |n| select_genes(x.view(), GeneSelection::Svg, n, &evidence, SEED, &Silent).expect("valid");
    let found = with(2);
    assert_eq!(chosen(&found), [0, 1]);
    assert!(found.score[0] > 0.8 && found.score[3].abs() < 0.2 && found.score[5].is_nan());
    assert_eq!(chosen(&with(6)), [0, 1, 2, 3, 4], "a gene that does not vary is never chosen");
}

#[test]
fn slices_are_ranked_each_on_its_own_and_their_mean_counts() {
    let (one, two) = (tissue(10, 1), tissue(10, 2));
    let (graph, graphs) = (grid(10, 1), grid(10, 2));
    let codes: Vec<u32> = (0..200).map(|i| u32::from(i >= 100)).collect();
    let slices = Slices::from_codes(&codes, &[]);
    let svg = |x: &CsrMatrix<f32>, graph: &CsrMatrix<f64>, slices: Option<&Slices>| {
        let evidence = Evidence { graph: Some(graph.view()), slices, ..Default::default() };
        select_genes(x.view(), GeneSelection::Svg, 3, &evidence, SEED, &Silent).expect("valid")
    };
    let rows: Vec<Vec<usize>> = vec![(0..100).collect(), (100..200).collect()];
    let apart: Vec<SelectedGenes> =
        rows.iter().map(|rows| svg(&two.view().select_rows(rows), &graph, None)).collect();
    let found = svg(&two, &graphs, Some(&slices));
    for j in 0..5 {
        let mean = f64::midpoint(apart[0].score[j], apart[1].score[j]);
        assert!((found.score[j] - mean).abs() < 1e-12);
    }
    let alone = svg(&one, &graph, None);
    assert_eq!(
        (alone.selected, &alone.score[..5]),
        (found.selected, &apart[0].score[..5]),
        "the first slice is the tissue of one"
    );
}

#[test]
fn hubs_are_taken_from_all_modules_in_turn() {
    // Two patterns, genes ever noisier; the first with twice the genes.
    let x = Array2::from_shape_fn((150, 90), |(i, j)| {
        let pattern = if j < 60 { (i * i) % 7 } else { i / 25 };
        let noise = (Seed(2).word((i * 90 + j) as u64) % 1000) as f32 / 1000.0;
        pattern as f32 + noise * (0.5 + 0.05 * (j % 30) as f32)
    });
    let x = CsrMatrix::from_dense(x.view());
    let of = |n| {
        select_genes(x.view(), GeneSelection::Modules, n, &Evidence::default(), SEED, &Silent).expect("valid")
    };
    let found = of(10);
    let modules = found.modules.as_ref().expect("modules");
    assert_eq!(modules.n_modules(), 2);
    let genes = chosen(&found);
    assert_eq!((genes.len(), genes.iter().filter(|j| **j < 60).count()), (10, 5));
    let hubs = modules.hubs();
    assert!(hubs.iter().all(|module| module[..5].iter().all(|j| genes.contains(j))));
    assert!(of(90).selected.iter().filter(|s| **s).count() <= 90);
}

#[test]
fn of_genes_that_vary_alike_the_most_variable_is_kept() {
    // Four patterns, each in three genes; genes 0 to 3 are the most variable of theirs.
    let x = Array2::from_shape_fn((80, 12), |(i, j)| {
        let pattern = (Seed(6).word((i * 4 + j % 4) as u64) % 100) as f32 / 25.0;
        let noise = (Seed(7).word((i * 12 + j) as u64) % 100) as f32 / 1000.0;
        pattern + noise
    });
    let x = CsrMatrix::from_dense(x.view());
    let score: Vec<f64> = (0..12).map(|j| f64::from(12 - j)).collect();
    let slices = Slices::one(80);
    let kept = |n| nonredundant(x.view(), &slices, &score, n, &Silent).expect("valid");
    // Of eight candidates in four patterns.
    assert_eq!(kept(4), (0..12).map(|j| j < 4).collect::<Vec<_>>());
    assert_eq!(kept(20), [true; 12]);
    let mut silent = score.clone();
    silent[0] = f64::NAN;
    let kept = nonredundant(x.view(), &slices, &silent, 4, &Silent).expect("valid");
    assert_eq!(kept, (0..12).map(|j| (1..5).contains(&j)).collect::<Vec<_>>());
    let ties = nonredundant(x.view(), &slices, &[1.0; 12], 4, &Silent).expect("valid");
    assert_eq!(ties, (0..12).map(|j| j < 4).collect::<Vec<_>>(), "the first of those that tie");
}

#[test]
fn variable_genes_are_those_of_their_own_function() {
    let x = tissue(12, 1);
    let evidence = Evidence { flavor: HvgFlavor::CellRanger, ..Default::default() };
    for (way, flavor) in
        [(GeneSelection::Hvg, HvgFlavor::CellRanger), (GeneSelection::Mvp, HvgFlavor::Seurat)]
    {
        let options = HvgOptions { flavor, selection: HvgSelection::Top(3), ..Default::default() };
        let table = highly_variable_genes(x.view(), None, &options, &Silent).expect("valid");
        let found = select_genes(x.view(), way, 3, &evidence, SEED, &Silent).expect("valid");
        assert_eq!(found.selected, table.highly_variable);
    }
}

/// Counts of the same tissue.
fn counts(side: usize) -> CsrMatrix<f32> {
    tissue(side, 1).view().map(|v| (6.0 * v).round())
}

#[test]
fn the_recipe_takes_the_genes_of_each_way() {
    let (x, graph) = (counts(12), grid(12, 1));
    let run = |select, n_top, graph: Option<CsrView<'_, f64>>| {
        let options = PreprocessOptions {
            select,
            n_top_genes: Some(n_top),
            min_cells: 1,
            n_pcs: 2,
            keep_log_normalised: true,
            ..PreprocessOptions::default()
        };
        preprocess_rows(&x.view(), None, graph, &options, SEED, &Silent)
    };
    let made = run(GeneSelection::Svg, 2, Some(graph.view())).expect("valid");
    let log = made.log_normalised.as_ref().expect("kept");
    let evidence = Evidence { graph: Some(graph.view()), ..Default::default() };
    let direct = select_genes(log.view(), GeneSelection::Svg, 2, &evidence, SEED, &Silent).expect("valid");
    assert_eq!(made.highly_variable, direct.selected);
    assert_eq!(made.pca.expect("components").components.nrows(), 2);
    assert_eq!(run(GeneSelection::Svg, 2, None), Err(PreprocessError::NoSpatialGraph));
    let all = run(GeneSelection::Svg, 5, None).expect("nothing to select");
    assert_eq!(all.highly_variable, all.kept);

    let hvg = run(GeneSelection::Hvg, 3, None).expect("valid");
    let fewer = run(GeneSelection::Nonredundant, 3, None).expect("valid");
    assert_eq!(fewer.highly_variable.iter().filter(|s| **s).count(), 3);
    let table = fewer.hvg.expect("measured");
    assert_eq!(table.highly_variable, fewer.highly_variable);
    assert_eq!(table.normalized[..5], hvg.hvg.as_ref().expect("measured").normalized[..5]);
    assert_eq!(
        run(GeneSelection::Mvp, 3, None).expect("valid").hvg.expect("measured").flavor,
        HvgFlavor::Seurat
    );
    let modules = run(GeneSelection::Modules, 3, None).expect("valid");
    assert_eq!(modules.highly_variable, modules.kept, "six genes make no module");

    let scaled = ScaledOptions {
        select: GeneSelection::Svg,
        n_top_genes: Some(2),
        min_cells: 1,
        ..ScaledOptions::default()
    };
    let options = FeatureOptions::Scaled(scaled);
    let features =
        FeatureMap::fit_on(x.view(), None, Some(graph.view()), &options, SEED, &Silent).expect("valid");
    assert_eq!(features.map.selected, direct.selected);
    assert!(FeatureMap::fit(x.view(), None, &options, SEED, &Silent).is_err());
}

#[test]
fn what_a_way_needs_is_asked_for() {
    let x = tissue(6, 1);
    let of = |way, n, evidence: &Evidence<'_>| select_genes(x.view(), way, n, evidence, SEED, &Silent);
    let none = Evidence::default();
    assert_eq!(of(GeneSelection::Svg, 2, &none), Err(PreprocessError::NoSpatialGraph));
    assert!(matches!(of(GeneSelection::Hvg, 0, &none), Err(PreprocessError::Option(_))));
    let other = grid(5, 1);
    let slices = Slices::from_codes(&(0..36).map(|i| i % 2).collect::<Vec<u32>>(), &[]);
    for slices in [None, Some(&slices)] {
        let evidence = Evidence { graph: Some(other.view()), slices, ..Default::default() };
        let refused = of(GeneSelection::Svg, 2, &evidence);
        assert!(matches!(refused, Err(PreprocessError::Spatial(StatsError::ShapeMismatch { .. }))));
        let empty = CsrMatrix::<f64>::from_rows(36, &vec![Vec::new(); 36]);
        let evidence = Evidence { graph: Some(empty.view()), slices, ..Default::default() };
        let refused = of(GeneSelection::Svg, 2, &evidence);
        assert!(matches!(refused, Err(PreprocessError::Spatial(StatsError::EmptyGraph { .. }))));
    }
    let evidence = Evidence { variability: Some(vec![1.0]), ..Default::default() };
    let refused = of(GeneSelection::Nonredundant, 2, &evidence);
    assert!(matches!(refused, Err(PreprocessError::ShapeMismatch { .. })));
    for way in GeneSelection::ALL {
        assert_eq!(way.name().parse::<GeneSelection>(), Ok(way));
    }
    assert!("best".parse::<GeneSelection>().expect_err("unknown").to_string().contains("select"));
}

#[test]
fn mrmr_chooses_the_genes_of_the_oracle() {
    let mut npz = crate::oracles::open("gene_selection");
    let x: Array2<f64> = npz.by_name("wg_expr").expect("wg_expr");
    let levels: Array2<i64> = npz.by_name("mr_disc").expect("mr_disc");
    let labels: Array1<i64> = npz.by_name("mr_label").expect("mr_label");
    let labels: Vec<u32> = labels.iter().map(|&l| l as u32).collect();
    assert_eq!(three_levels(x.view()).mapv(i64::from), levels);
    let levels = levels.mapv(|v| v as u8);
    let relevance: Array1<f64> = npz.by_name("mr_relevance").expect("mr_relevance");
    for (scheme, genes, scores) in
        [(Scheme::Difference, "mr_sel_mid", "mr_score_mid"), (Scheme::Quotient, "mr_sel_miq", "mr_score_miq")]
    {
        let found = mrmr(levels.view(), &labels, 12, scheme, &Silent).expect("valid");
        let genes: Array1<i64> = npz.by_name(genes).expect("genes");
        let scores: Array1<f64> = npz.by_name(scores).expect("scores");
        assert_eq!(found.genes, genes.iter().map(|&j| j as usize).collect::<Vec<_>>());
        for (f, e) in found.scores.iter().zip(&scores) {
            assert!((f - e).abs() < 1e-12 * e.abs().max(1.0), "{f} {e}");
        }
        for (f, e) in found.relevance.iter().zip(&relevance) {
            assert!((f - e).abs() < 1e-13);
        }
    }
    let mi: Array2<f64> = npz.by_name("mr_mi").expect("mr_mi");
    let other: Vec<u32> = levels.column(3).iter().map(|&v| u32::from(v)).collect();
    let found = mrmr(levels.view(), &other, 1, Scheme::Difference, &Silent).expect("valid");
    assert!((found.relevance[8] - mi[[8, 3]]).abs() < 1e-13);
    assert_eq!(mrmr(levels.view(), &labels, 99, Scheme::Difference, &Silent).expect("all").genes.len(), 30);
    assert!(mrmr(levels.view(), &labels[1..], 3, Scheme::Difference, &Silent).is_err());
}

#[test]
fn one_thread_gives_the_bits_of_several() {
    let (x, graph) = (tissue(12, 1), grid(12, 1));
    let evidence = Evidence { graph: Some(graph.view()), flavor: HvgFlavor::Seurat, ..Default::default() };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            GeneSelection::ALL.map(|way| {
                let found = select_genes(x.view(), way, 3, &evidence, SEED, &Silent).expect("valid");
                format!("{found:?}")
            })
        })
    };
    assert_eq!(on(1), on(4));
}
