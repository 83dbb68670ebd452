//! Scores against hand-worked cases, scikit-learn, harmonypy, and their own laws.

use brodmann_kernels::proofread::flaw;
use std::fs::File;

use brodmann_kernels::{CsrMatrix, Interrupted, Monitor, OptionError, Seed, Silent};
use ndarray::{Array1, Array2, array};
use ndarray_npy::NpzReader;
use proptest::prelude::*;

use super::points::sample_rows;
use super::*;

const SEED: Seed = Seed(7);

/// The oracle and the arrays most tests need.
struct Oracle {
    npz: NpzReader<File>,
    truth: Vec<u32>,
    pred: Vec<u32>,
    batch: Vec<u32>,
    embedding: Array2<f64>,
}

impl Oracle {
    fn open() -> Self {
        let mut npz = crate::oracles::open("metrics");
        let mut labels = |name: &str| {
            let a: Array1<i64> = npz.by_name(name).expect(name);
            a.iter().map(|&v| v as u32).collect::<Vec<u32>>()
        };
        let (truth, pred, batch) = (labels("truth"), labels("pred"), labels("batch"));
        let embedding = npz.by_name("emb").expect("emb");
        Self { npz, truth, pred, batch, embedding }
    }

    fn scalar(&mut self, name: &str) -> f64 {
        let a: ndarray::Array0<f64> = self.npz.by_name(name).expect(name);
        a.into_scalar()
    }

    fn vector(&mut self, name: &str) -> Vec<f64> {
        let a: Array1<f64> = self.npz.by_name(name).expect(name);
        a.to_vec()
    }
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} instead of {expected}");
}

fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(f)
}

/// A cloud without structure, the same on every machine.
fn cloud(n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| Seed(3).word((i * d + j) as u64) as f64 / u64::MAX as f64)
}

#[test]
fn label_scores_equal_scikit_learn() {
    let mut o = Oracle::open();
    let table = Contingency::new(&o.truth, &o.pred).expect("labels");
    let hcv = homogeneity_completeness_v_of(&table);
    for (name, found) in [
        ("ARI", adjusted_rand_index_of(&table)),
        ("NMI", normalized_mutual_information_of(&table)),
        ("AMI", adjusted_mutual_information_of(&table)),
        ("MI", table.mutual_information()),
        ("homogeneity", hcv.homogeneity),
        ("completeness", hcv.completeness),
        ("v_measure", hcv.v_measure),
    ] {
        // Sums of 30 cells: nothing but the last digits may differ.
        close(found, o.scalar(name), 1e-12);
    }
}

#[test]
fn cluster_scores_equal_scikit_learn() {
    let mut o = Oracle::open();
    let (x, truth) = (o.embedding.clone(), o.truth.clone());
    let widths = silhouette(x.view(), &truth, &SilhouetteOptions::default(), SEED, &Silent).expect("valid");
    close(widths.mean, o.scalar("silhouette"), 1e-12);
    for (found, expected) in widths.samples.iter().zip(o.vector("silhouette_samples")) {
        close(*found, expected, 1e-12);
    }
    close(davies_bouldin(x.view(), &truth).expect("valid"), o.scalar("davies_bouldin"), 1e-12);
    close(calinski_harabasz(x.view(), &truth).expect("valid"), o.scalar("calinski"), 1e-12);
}

#[test]
fn lisi_equals_harmonypy() {
    let mut o = Oracle::open();
    let options = LisiOptions::default();
    for (name, labels) in [("lisi_batch", o.batch.clone()), ("lisi_label", o.truth.clone())] {
        let found = lisi_of_embedding(o.embedding.view(), &labels, &options, &Silent).expect("valid");
        for (found, expected) in found.per_obs.iter().zip(o.vector(name)) {
            close(*found, expected, 1e-9);
        }
        if name == "lisi_batch" {
            close(found.median, o.scalar("iLISI_median"), 1e-9);
        }
    }
}

#[test]
fn batch_kl_equals_its_formula_in_numpy() {
    let mut o = Oracle::open();
    let found = batch_kl_of_embedding(o.embedding.view(), &o.batch.clone(), &Silent).expect("valid");
    for (found, expected) in found.per_obs.iter().zip(o.vector("batchkl_per_cell")) {
        close(*found, expected, 1e-12);
    }
    close(found.mean, o.scalar("batchkl_all_mean"), 1e-12);
}

#[test]
fn label_scores_of_small_cases_by_hand() {
    // Two classes cut across: of 6 pairs, tp 0, fn 2, fp 2, tn 2: ARI = 2 (0 − 4) / (2·4 + 2·4).
    assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1]), Ok(-0.5));
    assert_eq!(normalized_mutual_information(&[0, 0, 1, 1], &[0, 1, 0, 1]), Ok(0.0));
    // One class split in two singletons: I = ln 2, H(T) = ln 2, H(P) = 1.5 ln 2.
    close(normalized_mutual_information(&[0, 0, 1, 1], &[0, 0, 1, 2]).expect("valid"), 0.8, 1e-15);
    close(adjusted_rand_index(&[0, 0, 1, 1], &[0, 0, 1, 2]).expect("valid"), 4.0 / 7.0, 1e-15);
    let hcv = homogeneity_completeness_v(&[0, 0, 1, 1], &[0, 0, 1, 2]).expect("valid");
    close(hcv.homogeneity, 1.0, 1e-15);
    close(hcv.completeness, 2.0 / 3.0, 1e-15);
    // scikit-learn 1.9.1: adjusted_mutual_info_score([0,0,1,1],[0,0,1,2]) and of ([0,0,1,1],[0,1,0,1]).
    close(
        adjusted_mutual_information(&[0, 0, 1, 1], &[0, 0, 1, 2]).expect("valid"),
        0.5714285714285715,
        1e-14,
    );
    close(adjusted_mutual_information(&[0, 0, 1, 1], &[0, 1, 0, 1]).expect("valid"), -0.5, 1e-14);
}

#[test]
fn expected_information_equals_the_sum_over_all_arrangements() {
    let (truth, pred) = ([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1]);
    let table = Contingency::new(&truth, &pred).expect("valid");
    let (mut sum, mut n) = (0.0, 0.0);
    let mut shuffled = pred;
    permutations(&mut shuffled, 0, &mut |p| {
        sum += Contingency::new(&truth, p).expect("valid").mutual_information();
        n += 1.0;
    });
    close(expected_mutual_information(&table), sum / n, 1e-13);
}

fn permutations(items: &mut [u32], fixed: usize, visit: &mut impl FnMut(&[u32])) {
    if fixed == items.len() {
        visit(items);
        return;
    }
    for i in fixed..items.len() {
        items.swap(fixed, i);
        permutations(items, fixed + 1, visit);
        items.swap(fixed, i);
    }
}

#[test]
fn degenerate_partitions_follow_scikit_learn() {
    let (one, singletons): (Vec<u32>, Vec<u32>) = (vec![3; 5], (0..5).collect());
    for f in [adjusted_rand_index, normalized_mutual_information, adjusted_mutual_information] {
        assert_eq!(f(&one, &one), Ok(1.0));
        assert_eq!(f(&singletons, &singletons), Ok(1.0));
        assert_eq!(f(&[9], &[2]), Ok(1.0));
        close(f(&one, &singletons).expect("valid"), 0.0, 1e-15);
        close(f(&singletons, &one).expect("valid"), 0.0, 1e-15);
        assert_eq!(f(&[], &[]), Err(MetricsError::Empty));
        assert!(matches!(f(&[1], &[1, 2]), Err(MetricsError::LengthMismatch { found: 2, expected: 1, .. })));
    }
    let hcv = homogeneity_completeness_v(&one, &singletons).expect("valid");
    assert_eq!((hcv.homogeneity, hcv.completeness, hcv.v_measure), (1.0, 0.0, 0.0));
}

#[test]
fn scores_of_a_million_observations_keep_their_digits() {
    let n = 1_000_000_u64;
    let draw = |salt: u64, k: u64| -> Vec<u32> { (0..n).map(|i| (Seed(salt).word(i) % k) as u32).collect() };
    let (a, b) = (draw(1, 20), draw(2, 30));
    assert!(adjusted_rand_index(&a, &b).expect("valid").abs() < 1e-4);
    // E[I] of independent labels is (k−1)(l−1)/2n up to O(n⁻²).
    let table = Contingency::new(&a, &b).expect("valid");
    close(expected_mutual_information(&table) * 2.0 * n as f64 / (19.0 * 29.0), 1.0, 1e-3);
    let singletons: Vec<u32> = (0..n as u32).collect();
    close(adjusted_mutual_information(&a, &singletons).expect("valid"), 0.0, 1e-9);
}

#[test]
fn observations_without_truth_are_left_out_and_counted() {
    let pairs = paired(&[Some(1), None, Some(2), None], &[5, 6, 7, 8]).expect("same length");
    assert_eq!(pairs, PairedLabels { truth: vec![1, 2], pred: vec![5, 7], n_missing: 2 });
    assert!(paired(&[None], &[1, 2]).is_err());
}

#[test]
fn silhouette_of_four_points_by_hand() {
    let x = array![[0.0], [1.0], [10.0], [12.0]];
    let widths =
        silhouette(x.view(), &[4, 4, 0, 0], &SilhouetteOptions::default(), SEED, &Silent).expect("valid");
    // a = 1, b = 11; a = 1, b = 10; a = 2, b = 9.5; a = 2, b = 11.5.
    let expected = [10.0 / 11.0, 0.9, 7.5 / 9.5, 9.5 / 11.5];
    for (found, expected) in widths.samples.iter().zip(expected) {
        close(*found, expected, 1e-15);
    }
}

#[test]
fn duplicates_have_distance_zero_far_from_the_origin() {
    // The expanded ‖a‖² + ‖b‖² − 2 a·b would leave about 1e-2 here.
    let x = array![[1e6, 1e6], [1e6, 1e6], [-1e6, 3.0], [-1e6, 3.0], [-1e6, 3.0]];
    let widths =
        silhouette(x.view(), &[0, 0, 1, 1, 1], &SilhouetteOptions::default(), SEED, &Silent).expect("valid");
    assert_eq!(widths.samples, vec![1.0; 5]);
    let found = exact_neighbors(x.view(), None, 2, &Silent).expect("valid");
    assert_eq!(found.distances[[2, 1]], 0.0);
    assert_eq!(found.indices.row(2).to_vec(), [3, 4]);
}

#[test]
fn a_sampled_silhouette_has_exact_widths() {
    let x = cloud(1500, 4);
    let labels: Vec<u32> = (0..1500).map(|i| i % 7).collect();
    let all = silhouette(x.view(), &labels, &SilhouetteOptions::default(), SEED, &Silent).expect("valid");
    let options = SilhouetteOptions { sample_size: Some(200) };
    let sample = silhouette(x.view(), &labels, &options, SEED, &Silent).expect("valid");
    assert_eq!(sample.rows.len(), 200);
    for (row, width) in sample.rows.iter().zip(&sample.samples) {
        // A different block gives a different shape of product, hence other last digits.
        close(*width, all.samples[*row as usize], 1e-12);
    }
    assert_eq!(sample.rows, sample_rows(1500, 200, SEED.derive("silhouette/sample", 0)));
}

#[test]
fn geometric_scores_refuse_what_they_cannot_score() {
    let x = array![[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]];
    let run = |x: &Array2<f64>, labels: &[u32]| {
        silhouette(x.view(), labels, &SilhouetteOptions::default(), SEED, &Silent).map(|s| s.mean)
    };
    for labels in [[0, 0, 0], [0, 1, 2]] {
        let expected = MetricsError::ClusterCount { found: if labels[1] == 0 { 1 } else { 3 }, n_obs: 3 };
        assert_eq!(run(&x, &labels), Err(expected.clone()));
        assert_eq!(davies_bouldin(x.view(), &labels), Err(expected.clone()));
        assert_eq!(calinski_harabasz(x.view(), &labels), Err(expected));
    }
    for bad in [f64::NAN, f64::INFINITY, 1e200] {
        let mut broken = x.clone();
        broken[[1, 1]] = bad;
        assert_eq!(run(&broken, &[0, 0, 1]), Err(MetricsError::NonFinite { row: 1, column: 1 }));
        assert!(davies_bouldin(broken.view(), &[0, 0, 1]).is_err());
        assert!(exact_neighbors(broken.view(), None, 1, &Silent).is_err());
    }
    assert!(run(&x, &[0, 1]).is_err());
    assert!(run(&Array2::zeros((0, 2)), &[]).is_err());
    assert!(run(&Array2::zeros((1, 2)), &[0]).is_err());
    let none = SilhouetteOptions { sample_size: Some(0) };
    assert_eq!(
        silhouette(x.view(), &[0, 0, 1], &none, SEED, &Silent),
        Err(error::empty_sample("sample_size").into())
    );
}

#[test]
fn a_singleton_has_width_zero_and_identical_points_score_as_in_scikit_learn() {
    let x = array![[0.0], [0.0], [5.0]];
    let widths =
        silhouette(x.view(), &[0, 0, 1], &SilhouetteOptions::default(), SEED, &Silent).expect("valid");
    assert_eq!(widths.samples, [1.0, 1.0, 0.0]);
    let same = array![[2.0], [2.0], [2.0]];
    let widths =
        silhouette(same.view(), &[0, 0, 1], &SilhouetteOptions::default(), SEED, &Silent).expect("valid");
    assert_eq!(widths.samples, [0.0; 3]);
    assert_eq!(davies_bouldin(same.view(), &[0, 0, 1]), Ok(0.0));
    assert_eq!(calinski_harabasz(same.view(), &[0, 0, 1]), Ok(1.0));
}

#[test]
fn neighbors_equal_brute_force_with_ties_by_index() {
    // An integer grid: almost every distance is tied.
    let x = Array2::from_shape_fn((900, 2), |(i, j)| if j == 0 { (i % 30) as f64 } else { (i / 30) as f64 });
    let found = exact_neighbors(x.view(), None, 11, &Silent).expect("valid");
    for i in 0..900 {
        let mut all: Vec<(i64, u32)> = (0..900_i64)
            .filter(|&j| j != i as i64)
            .map(|j| {
                let (dx, dy) = (i as i64 % 30 - j % 30, i as i64 / 30 - j / 30);
                (dx * dx + dy * dy, j as u32)
            })
            .collect();
        all.sort_unstable();
        let expected: Vec<u32> = all[..11].iter().map(|e| e.1).collect();
        assert_eq!(found.indices.row(i).to_vec(), expected, "row {i}");
    }
}

#[test]
fn many_duplicates_and_few_observations_still_have_neighbors() {
    let found = exact_neighbors(Array2::zeros((700, 3)).view(), Some(&[699, 0]), 3, &Silent).expect("valid");
    assert_eq!(found.indices, array![[0, 1, 2], [1, 2, 3]]);
    let found = exact_neighbors(cloud(3, 2).view(), None, 90, &Silent).expect("valid");
    assert_eq!(found.indices.dim(), (3, 2));
    assert_eq!(exact_neighbors(cloud(1, 2).view(), None, 5, &Silent).expect("valid").indices.dim(), (1, 0));
    assert_eq!(
        exact_neighbors(Array2::zeros((0, 2)).view(), None, 5, &Silent).expect("valid").indices.dim(),
        (0, 0)
    );
    assert!(exact_neighbors(cloud(3, 2).view(), Some(&[3]), 1, &Silent).is_err());
}

#[test]
fn lisi_counts_effective_labels() {
    // Equidistant neighbours weigh the same: shares ½ ½ give 2, shares ¾ ¼ give 1.6.
    let (indices, distances) = (array![[0_u32, 1, 2, 3]], Array2::ones((1, 4)));
    let value = |labels: &[u32]| {
        lisi(indices.view(), distances.view(), labels, &LisiOptions::default()).expect("valid").median
    };
    close(value(&[0, 0, 9, 9]), 2.0, 1e-14);
    close(value(&[0, 0, 9, 0]), 1.6, 1e-14);
    close(value(&[5, 5, 5, 5]), 1.0, 1e-14);
}

#[test]
fn lisi_of_far_outliers_is_a_number() {
    let mut x = cloud(200, 3);
    x[[0, 0]] = 1e12;
    let labels: Vec<u32> = (0..200).map(|i| i % 2).collect();
    let found = lisi_of_embedding(x.view(), &labels, &LisiOptions::default(), &Silent).expect("valid");
    assert!(found.per_obs.iter().all(|v| (1.0 - 1e-12..=2.0 + 1e-12).contains(v)), "{found:?}");
}

#[test]
fn lisi_and_batch_kl_refuse_bad_input() {
    let x = cloud(5, 2);
    let bad = LisiOptions { perplexity: f64::NAN };
    assert!(matches!(lisi_of_embedding(x.view(), &[0; 5], &bad, &Silent), Err(MetricsError::Option(_))));
    let options = LisiOptions::default();
    assert!(lisi_of_embedding(cloud(1, 2).view(), &[0], &options, &Silent).is_err());
    let far = lisi(array![[7_u32]].view(), array![[1.0]].view(), &[0, 1], &options);
    assert_eq!(far, Err(MetricsError::NeighborOutOfRange { row: 0, neighbor: 7, n_obs: 2 }));
    let none = lisi(Array2::zeros((1, 0)).view(), Array2::zeros((1, 0)).view(), &[0], &options);
    assert_eq!(none, Err(MetricsError::NoNeighbors));
    assert!(batch_kl_of_embedding(x.view(), &[0; 4], &Silent).is_err());
    assert!(batch_kl_of_embedding(Array2::zeros((0, 2)).view(), &[], &Silent).is_err());
}

#[test]
fn one_batch_is_perfectly_mixed() {
    let found = batch_kl_of_embedding(cloud(30, 2).view(), &[4; 30], &Silent).expect("valid");
    assert_eq!(found.mean, 0.0);
}

#[test]
fn abnormal_spots_of_a_line_by_hand() {
    let edge = |i: u32, j: u32| [(i, j), (j, i)];
    let mut rows = vec![Vec::new(); 6];
    for (i, j) in [edge(0, 1), edge(1, 2), edge(2, 3), edge(3, 4)].concat() {
        rows[i as usize].push((j, 1.0));
    }
    for row in &mut rows {
        row.sort_by_key(|e: &(u32, f64)| e.0);
    }
    let graph = CsrMatrix::from_rows(6, &rows);
    // Only spot 2 differs from both neighbours; 1 and 3 differ from half; spot 5 has none and is not counted.
    assert_eq!(percentage_of_abnormal_spots(&[0, 0, 1, 0, 0, 3], graph.view()), Ok(0.2));
    let empty = CsrMatrix::from_rows(2, &[Vec::new(), Vec::new()]);
    assert_eq!(percentage_of_abnormal_spots(&[0, 1], empty.view()), Err(MetricsError::Empty));
}

#[test]
fn chaos_of_a_line_by_hand() {
    // Standard deviation √1.25; each spot's nearest of its own domain is 1 (contiguous) or 2 (alternating) away.
    let x = array![[0.0], [1.0], [2.0], [3.0]];
    let scale = 1.25_f64.sqrt();
    close(chaos(x.view(), &[0, 0, 1, 1], &Silent).expect("valid"), 1.0 / scale, 1e-14);
    close(chaos(x.view(), &[0, 1, 0, 1], &Silent).expect("valid"), 2.0 / scale, 1e-14);
    assert_eq!(chaos(x.view(), &[0, 1, 2, 3], &Silent), Ok(0.0));
}

#[test]
fn every_score_is_the_same_bits_on_any_number_of_threads() {
    let x = cloud(3000, 5);
    let labels: Vec<u32> = (0..3000).map(|i| (Seed(1).word(i) % 9) as u32).collect();
    let truth: Vec<Option<u32>> = (0..3000).map(|i| Some((Seed(2).word(i) % 11) as u32)).collect();
    let rows: Vec<Vec<(u32, f64)>> = (0..3000_u32).map(|i| vec![((i + 1) % 3000, 1.0)]).collect();
    let graph = CsrMatrix::from_rows(3000, &rows);
    let run = |threads| {
        on_threads(threads, || {
            let inputs = EvaluationInputs {
                pred: &labels,
                truth: Some(&truth),
                embedding: Some(x.view()),
                batch: Some(&labels),
                spatial: Some(graph.view()),
            };
            evaluate(&inputs, &EvaluationOptions::default(), SEED, &Silent).expect("valid")
        })
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert!(one.morans_i.is_some() && one.batch_kl.is_some() && one.silhouette.is_some());
}

#[test]
fn evaluation_gathers_the_scores_of_the_oracle() {
    let mut o = Oracle::open();
    let truth: Vec<Option<u32>> = o.pred.iter().map(|&l| Some(l)).collect();
    let x = o.embedding.clone();
    let inputs = EvaluationInputs {
        pred: &o.truth.clone(),
        truth: Some(&truth),
        embedding: Some(x.view()),
        batch: Some(&o.batch.clone()),
        spatial: None,
    };
    let found = evaluate(&inputs, &EvaluationOptions::default(), SEED, &Silent).expect("valid");
    for (name, value) in [
        ("ARI", found.ari),
        ("NMI", found.nmi),
        ("AMI", found.ami),
        ("completeness", found.homogeneity),
        ("silhouette", found.silhouette),
        ("davies_bouldin", found.davies_bouldin),
        ("calinski", found.calinski_harabasz),
        ("iLISI_median", found.ilisi_median),
        ("batchkl_all_mean", found.batch_kl),
    ] {
        close(value.expect(name), o.scalar(name), 1e-9);
    }
    assert_eq!((found.n_obs, found.n_clusters, found.n_without_truth), (240, 5, Some(0)));
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    let json = serde_json::to_value(&found).expect("serialisable");
    assert!(json["ari"].is_number() && json["morans_i"].is_null());
}

#[test]
fn evaluation_says_what_it_left_out_and_what_it_sampled() {
    let x = cloud(50, 2);
    let no_edges = CsrMatrix::from_rows(50, &vec![Vec::new(); 50]);
    let inputs = EvaluationInputs {
        pred: &[1; 50],
        truth: Some(&[None; 50]),
        embedding: Some(x.view()),
        batch: None,
        spatial: Some(no_edges.view()),
    };
    let options = EvaluationOptions { max_queries: Some(10), ..EvaluationOptions::default() };
    let found = evaluate(&inputs, &options, SEED, &Silent).expect("valid");
    assert_eq!((found.ari, found.silhouette, found.morans_i, found.pas), (None, None, None, None));
    assert_eq!((found.n_without_truth, found.n_queries), (Some(50), Some(10)));
    assert_eq!(found.notes.len(), 4, "{:?}", found.notes);
    assert_eq!(found.clisi_median, Some(1.0));

    let bare = EvaluationInputs { pred: &[0], truth: None, embedding: None, batch: None, spatial: None };
    assert_eq!(evaluate(&bare, &options, SEED, &Silent).expect("valid").n_clusters, 1);
    let one = EvaluationInputs { embedding: Some(x.slice_axis(ndarray::Axis(0), (..1).into())), ..bare };
    assert!(evaluate(&one, &options, SEED, &Silent).is_ok());
    let none = EvaluationInputs { pred: &[], ..bare };
    assert_eq!(evaluate(&none, &options, SEED, &Silent), Err(MetricsError::Empty));
    let wrong = EvaluationInputs { embedding: Some(x.view()), ..bare };
    assert!(matches!(
        evaluate(&wrong, &options, SEED, &Silent),
        Err(MetricsError::LengthMismatch { what: "embedding", found: 50, expected: 1 })
    ));
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let x = cloud(700, 4);
    let labels: Vec<u32> = (0..700).map(|i| (Seed(1).word(i) % 5) as u32).collect();
    let reversed = x.slice_axis(ndarray::Axis(0), ndarray::Slice::new(0, None, -1));
    let back: Vec<u32> = labels.iter().rev().copied().collect();
    let widths = |x, labels: &[u32]| {
        silhouette(x, labels, &SilhouetteOptions::default(), SEED, &Silent).expect("valid").samples
    };
    for (a, b) in widths(x.view(), &labels).iter().zip(widths(reversed, &back).iter().rev()) {
        close(*a, *b, 1e-12);
    }
    let options = LisiOptions::default();
    let mixing = |x, labels: &[u32]| lisi_of_embedding(x, labels, &options, &Silent).expect("valid").per_obs;
    for (a, b) in mixing(x.view(), &labels).iter().zip(mixing(reversed, &back).iter().rev()) {
        close(*a, *b, 1e-9);
    }
    close(
        davies_bouldin(reversed, &back).expect("valid"),
        davies_bouldin(x.view(), &labels).expect("valid"),
        1e-12,
    );
    let ch = |x, labels: &[u32]| calinski_harabasz(x, labels).expect("valid");
    close(ch(reversed, &back), ch(x.view(), &labels), 1e-12);
}

#[test]
fn an_interruption_ends_the_pairwise_scores() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let x = cloud(50, 2);
    let labels: Vec<u32> = (0..50).map(|i| i % 3).collect();
    let stopped = Err(MetricsError::Interrupted(Interrupted));
    assert_eq!(silhouette(x.view(), &labels, &SilhouetteOptions::default(), SEED, &Stop), stopped);
    assert!(exact_neighbors(x.view(), None, 3, &Stop).is_err());
}

#[test]
fn messages_hold_one_hint_each() {
    for error in [
        MetricsError::Empty,
        MetricsError::NoNeighbors,
        error::empty_sample("sample_size").into(),
        MetricsError::ClusterCount { found: 1, n_obs: 3 },
        MetricsError::LengthMismatch { what: "pred", found: 1, expected: 2 },
        MetricsError::NonFinite { row: 1, column: 2 },
        MetricsError::TooFewObservations { found: 1, expected: 2 },
        MetricsError::NeighborOutOfRange { row: 0, neighbor: 9, n_obs: 2 },
        MetricsError::from(OptionError::new("perplexity", 0.0, "a finite number of at least 1")),
    ] {
        assert_eq!(flaw(&error), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn label_scores_are_symmetric_bounded_and_blind_to_names(
        pairs in prop::collection::vec((0_u32..5, 0_u32..4), 1..60),
    ) {
        let (a, b): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
        let renamed: Vec<u32> = a.iter().map(|&l| (7 - l) * 1_000_003).collect();
        type Score = fn(&[u32], &[u32]) -> Result<f64, MetricsError>;
        let scores: [(Score, f64); 3] = [
            (adjusted_rand_index, -0.5),
            (normalized_mutual_information, 0.0),
            (adjusted_mutual_information, -1.0),
        ];
        for (score, lowest) in scores {
            let value = score(&a, &b).expect("valid");
            prop_assert!((value - score(&b, &a).expect("valid")).abs() < 1e-12);
            prop_assert!((value - score(&renamed, &b).expect("valid")).abs() < 1e-12);
            prop_assert!(value >= lowest - 1e-12 && value <= 1.0 + 1e-12, "{value}");
            prop_assert_eq!(score(&a, &renamed).expect("valid"), 1.0);
        }
        let (one, two) = (
            homogeneity_completeness_v(&a, &b).expect("valid"),
            homogeneity_completeness_v(&b, &a).expect("valid"),
        );
        prop_assert!((one.homogeneity - two.completeness).abs() < 1e-12);
        let nmi = normalized_mutual_information(&a, &b).expect("valid");
        prop_assert!((one.v_measure - nmi).abs() < 1e-12, "V is NMI with the arithmetic mean");
    }

    #[test]
    fn tiled_silhouettes_equal_the_definition(
        values in prop::collection::vec((-3_i8..4, -3_i8..4, 0_u32..4), 3..40),
    ) {
        let x = Array2::from_shape_fn((values.len(), 2), |(i, j)| {
            f64::from(if j == 0 { values[i].0 } else { values[i].1 })
        });
        let labels: Vec<u32> = values.iter().map(|v| v.2).collect();
        let found = silhouette(x.view(), &labels, &SilhouetteOptions::default(), SEED, &Silent);
        let Ok(found) = found else { return Ok(()) };
        for i in 0..values.len() {
            let mean_to = |label: u32| {
                let others: Vec<usize> =
                    (0..values.len()).filter(|&j| j != i && labels[j] == label).collect();
                let sum: f64 =
                    others.iter().map(|&j| (x[[i, 0]] - x[[j, 0]]).hypot(x[[i, 1]] - x[[j, 1]])).sum();
                (!others.is_empty()).then(|| sum / others.len() as f64)
            };
            let nearest =
                (0..4).filter(|&l| l != labels[i]).filter_map(mean_to).fold(f64::INFINITY, f64::min);
            let expected = match mean_to(labels[i]) {
                Some(a) if a.max(nearest) > 0.0 => (nearest - a) / a.max(nearest),
                _ => 0.0,
            };
            prop_assert!((found.samples[i] - expected).abs() < 1e-12);
        }
    }
}
