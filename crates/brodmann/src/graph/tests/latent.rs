use brodmann_kernels::{Interrupted, Monitor, Seed, Silent};
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
    let (Some(pca), Some(connectivities), Some(distances)) = (
        oracle::<f32>("scanpy.npz", "pca"),
        oracle::<f32>("scanpy.npz", "nb_conn"),
        oracle::<f64>("scanpy.npz", "nb_dist"),
    ) else {
        return;
    };
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
    assert!(matches!(run(&points, &bad), GraphError::InvalidOption { name: "n_neighbors", .. }));
    let bad = NeighborsOptions { min_recall: 0.0, ..Default::default() };
    assert!(matches!(run(&points, &bad), GraphError::InvalidOption { name: "min_recall", .. }));
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
