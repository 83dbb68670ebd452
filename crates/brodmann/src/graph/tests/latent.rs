use brodmann_kernels::{Interrupted, Monitor, Opt, OptionError, Seed, Silent};
use ndarray::{Array2, array};
use proptest::prelude::*;

use super::super::blocked_distances::squared_distance;
use super::super::*;
use super::{noise, oracle, with_threads};

fn brute_force(points: &Array2<f64>, k: usize) -> (Array2<u32>, Array2<f64>) {
    let n = points.nrows();
    let k = k.min(n.saturating_sub(1));
    let (mut indices, mut distances) = (Array2::zeros((n, k)), Array2::zeros((n, k)));
    for i in 0..n {
        let row = |i: usize| points.row(i).to_vec();
        let mut all: Vec<(f64, u32)> =
            (0..n).filter(|&j| j != i).map(|j| (squared_distance(&row(i), &row(j)), j as u32)).collect();
        all.sort_by(|a, b| a.partial_cmp(b).expect("finite"));
        for (slot, &(d2, j)) in all[..k].iter().enumerate() {
            indices[[i, slot]] = j;
            distances[[i, slot]] = d2.sqrt();
        }
    }
    (indices, distances)
}

/// Gaussian-like values around `n_centres` far centres.
fn clusters(n: usize, d: usize, n_centres: usize, seed: u64) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, a)| {
        let at = i * d + a;
        let centre = if n_centres > 1 { 6.0 * noise(seed + 1, (i % n_centres) * d + a) } else { 0.0 };
        centre + (0..4).map(|t| noise(seed, 4 * at + t) - 0.5).sum::<f64>()
    })
}

#[test]
fn connectivities_and_distances_equal_scanpys() {
    let pca = oracle::<f32>("scanpy", "pca");
    let connectivities = oracle::<f32>("scanpy", "nb_conn");
    let distances = oracle::<f64>("scanpy", "nb_dist");
    let graph =
        neighbors(pca.mapv(f64::from).view(), &NeighborsOptions::default(), Seed(0), &Silent).expect("valid");
    let ours = graph.connectivities.view().to_dense();
    let worst =
        |a: &Array2<f64>, b: &Array2<f64>| a.iter().zip(b).fold(0.0f64, |w, (x, y)| w.max((x - y).abs()));
    let connectivities = connectivities.mapv(f64::from);
    eprintln!("largest difference: {:e}", worst(&ours, &connectivities));
    // umap-learn bisects in f32 up to 1e-5 of the sum.
    assert!(worst(&ours, &connectivities) < 1e-5);
    assert_eq!(ours.mapv(|v| v > 0.0), connectivities.mapv(|v| v > 0.0));
    // scanpy took f32 coordinates: its distances carry their rounding.
    let ours = graph.distances.view().to_dense();
    assert!(worst(&ours, &distances) < 1e-5, "{:e}", worst(&ours, &distances));
    assert_eq!(graph.recall, None);
    assert!(graph.notes.is_empty());
}

#[test]
fn three_points_on_a_line_have_the_weights_worked_by_hand() {
    // k = 1 neighbour: target log2(2) = 1 is met at once, every directed weight is 1.
    let line = array![[0.0], [1.0], [3.0]];
    let options = NeighborsOptions { n_neighbors: 2, ..Default::default() };
    let graph = neighbors(line.view(), &options, Seed(0), &Silent).expect("valid");
    let expected = array![[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]];
    assert_eq!(graph.connectivities.view().to_dense(), expected);
    assert_eq!(graph.distances.view().to_dense(), array![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]);
}

#[test]
fn small_tables_take_scanpys_smaller_number() {
    // (n_obs, n_neighbors scanpy 1.11.5 falls back to)
    for (n, expected) in [(2, 2), (3, 2), (5, 3), (14, 8), (15, 15), (16, 15)] {
        let points = clusters(n, 4, 1, 3);
        let graph = neighbors(points.view(), &NeighborsOptions::default(), Seed(0), &Silent).expect("valid");
        assert_eq!(graph.n_neighbors, expected);
        assert_eq!(graph.distances.nnz(), n * (expected - 1));
        assert_eq!(graph.notes.len(), usize::from(n < 15));
    }
    for n in 0..2 {
        let graph = neighbors(Array2::zeros((n, 4)).view(), &NeighborsOptions::default(), Seed(0), &Silent)
            .expect("valid");
        assert_eq!((graph.connectivities.n_rows(), graph.connectivities.nnz()), (n, 0));
    }
}

#[test]
fn duplicates_are_neighbours_with_full_weight() {
    let mut points = Array2::zeros((20, 4));
    points.slice_axis_mut(ndarray::Axis(0), (10..).into()).fill(1.0);
    let options = NeighborsOptions { n_neighbors: 5, ..Default::default() };
    let graph = neighbors(points.view(), &options, Seed(0), &Silent).expect("valid");
    assert_eq!(graph.distances.view().row(7).0, [0, 1, 2, 3]);
    assert_eq!(graph.distances.view().row(7).1, [0.0; 4]);
    assert!(graph.connectivities.data().iter().all(|&w| w == 1.0));
}

#[test]
fn f32_candidates_never_lose_a_true_neighbour() {
    // Far from the origin, at very different scales, and with near-ties below f32 resolution.
    let offset = clusters(700, 12, 5, 21).mapv(|v| v + 1e4);
    let tiny = clusters(700, 9, 3, 22).mapv(|v| v * 1e-25);
    let mut outlier = clusters(700, 9, 3, 23);
    outlier[[0, 0]] = 1e12;
    let near_ties =
        Array2::from_shape_fn((700, 3), |(i, a)| ((i / [1, 9, 81][a]) % 9) as f64 + 1e-9 * noise(9, i));
    let huge = clusters(300, 7, 1, 24).mapv(|v| v * 1e100);
    for points in [offset, tiny, outlier, near_ties, huge] {
        let found = exact_knn(points.view(), 15, &Silent).expect("valid");
        let (indices, distances) = brute_force(&points, 15);
        assert_eq!(found.indices, indices);
        assert_eq!(found.distances, distances);
    }
}

#[test]
fn latent_graphs_are_the_same_bits_on_any_thread_count() {
    let points = clusters(3000, 20, 8, 31);
    let run = || neighbors(points.view(), &NeighborsOptions::default(), Seed(1), &Silent).expect("valid");
    assert_eq!(with_threads(1, run), with_threads(3, run));
}

#[test]
fn bad_embeddings_and_options_are_refused() {
    let run = |points: &Array2<f64>, options: &NeighborsOptions| {
        neighbors(points.view(), options, Seed(0), &Silent).expect_err("refused")
    };
    let mut points = clusters(30, 3, 1, 5);
    let bad = NeighborsOptions { n_neighbors: 1, ..Default::default() };
    assert!(matches!(run(&points, &bad), GraphError::Option(OptionError { option: Opt("n_neighbors"), .. })));
    let bad = NeighborsOptions { min_recall: 0.0, ..Default::default() };
    assert!(matches!(run(&points, &bad), GraphError::Option(OptionError { option: Opt("min_recall"), .. })));
    points[[4, 2]] = f64::INFINITY;
    let error = run(&points, &NeighborsOptions::default());
    assert!(matches!(error, GraphError::NonFinite { row: 4, column: 2, .. }));
    assert_eq!(run(&Array2::zeros((5, 0)), &NeighborsOptions::default()), GraphError::NoColumns);
}

#[test]
fn an_interruption_stops_the_search() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let points = clusters(100, 3, 1, 5);
    assert_eq!(exact_knn(points.view(), 5, &Stop), Err(GraphError::Interrupted(Interrupted)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn exact_neighbours_equal_brute_force(
        n in 1usize..300,
        d in 1usize..20,
        k in 1usize..20,
        levels in 2u32..50,
        seed in any::<u64>(),
    ) {
        // Few levels: many ties and duplicates.
        let points =
            Array2::from_shape_fn((n, d), |(i, a)| (noise(seed, i * d + a) * f64::from(levels)).floor() / 3.0);
        let found = exact_knn(points.view(), k, &Silent).expect("valid");
        let (indices, distances) = brute_force(&points, k);
        prop_assert_eq!(found.indices, indices);
        prop_assert_eq!(found.distances, distances);
    }
}

/// The share of true neighbours found, and a check that every distance reported is the true one.
fn measured_recall(points: &Array2<f64>, found: &Neighbors, k: usize) -> f64 {
    let truth = exact_knn(points.view(), k, &Silent).expect("valid");
    let mut hits = 0;
    for i in 0..points.nrows() {
        let furthest = truth.distances[[i, k - 1]];
        hits += found.distances.row(i).iter().filter(|&&d| d <= furthest).count();
        let row: Vec<(f64, u32)> =
            found.distances.row(i).iter().copied().zip(found.indices.row(i).iter().copied()).collect();
        assert!(row.windows(2).all(|w| w[0] < w[1]), "row {i} rises and repeats nobody");
        for (d, j) in row {
            assert!(j as usize != i);
            let exact = squared_distance(&points.row(i).to_vec(), &points.row(j as usize).to_vec()).sqrt();
            assert_eq!(d, exact);
        }
    }
    hits as f64 / (points.nrows() * k) as f64
}

#[test]
fn the_approximate_search_finds_what_it_says() {
    let points = clusters(20_000, 20, 30, 41);
    for min_recall in [0.8, 0.95, 0.99] {
        let found = approximate_knn(points.view(), 14, min_recall, Seed(1), &Silent).expect("valid");
        let stated = found.recall.expect("clustered data do not need the exact search");
        let measured = measured_recall(&points, &found, 14);
        eprintln!("asked {min_recall}, stated {stated}, measured {measured}");
        assert!(stated >= min_recall);
        assert!(measured >= min_recall);
        // 500 × 14 sampled neighbours: a standard error below 0.005.
        assert!((stated - measured).abs() < 0.02);
    }
}

#[test]
fn where_cells_do_not_help_the_search_is_exact() {
    let points = clusters(6000, 40, 1, 43);
    let found = approximate_knn(points.view(), 14, 1.0, Seed(1), &Silent).expect("valid");
    assert_eq!(found, exact_knn(points.view(), 14, &Silent).expect("valid"));
}

#[test]
fn the_approximate_search_survives_piles_of_duplicates_and_lone_points() {
    // 4000 observations in one place, 2000 scattered, 12 far away: cells of a few observations.
    let points = Array2::from_shape_fn((6012, 6), |(i, a)| match i {
        0..4000 => 1.0,
        4000..6000 => 10.0 * noise(47, i * 6 + a),
        _ => 1e4 * (i - 5999) as f64,
    });
    let found = approximate_knn(points.view(), 14, 0.95, Seed(1), &Silent).expect("valid");
    assert!(measured_recall(&points, &found, 14) >= 0.95);
    assert_eq!(found.indices.row(100).to_vec(), (0..14).collect::<Vec<u32>>());
}

#[test]
fn the_approximate_search_is_the_same_bits_on_any_thread_count_and_depends_on_the_seed_alone() {
    let points = clusters(8000, 16, 20, 51);
    let run = |seed| {
        let points = &points;
        move || approximate_knn(points.view(), 14, 0.9, Seed(seed), &Silent).expect("valid")
    };
    let one = with_threads(1, run(1));
    assert_eq!(one, with_threads(3, run(1)));
    assert!(one.recall.is_some());
    let options = NeighborsOptions { exact_below: 1000, min_recall: 0.9, ..Default::default() };
    let graph = neighbors(points.view(), &options, Seed(1), &Silent).expect("valid");
    assert_eq!(graph.distances, one.to_distances());
    assert_eq!(graph.recall, one.recall);
    assert_eq!(graph.notes.len(), 1);
    assert!(is_symmetric(graph.connectivities.view()));
}
