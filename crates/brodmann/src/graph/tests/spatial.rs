use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{Opt, OptionError, Slices};
use ndarray::{Array2, array};
use proptest::prelude::*;

use super::super::*;
use super::{csr, edges, hexagons, lattice, noise, oracle, with_threads};

fn options(kind: SpatialKind) -> SpatialGraphOptions {
    SpatialGraphOptions { kind, ..Default::default() }
}

fn degrees(graph: &SpatialGraph) -> Vec<usize> {
    graph.distances.indptr().windows(2).map(|w| w[1] - w[0]).collect()
}

/// The k nearest of every point by sorting all `(squared distance, index)`.
fn brute_force(points: &Array2<f64>, k: usize) -> Vec<Vec<u32>> {
    let n = points.nrows();
    (0..n)
        .map(|i| {
            let mut all: Vec<(f64, u32)> = (0..n)
                .filter(|&j| j != i)
                .map(|j| {
                    let d2 =
                        points.row(i).iter().zip(points.row(j)).fold(0.0, |s, (a, b)| s + (a - b) * (a - b));
                    (d2, j as u32)
                })
                .collect();
            all.sort_by(|a, b| a.partial_cmp(b).expect("finite"));
            all.truncate(k);
            all.into_iter().map(|e| e.1).collect()
        })
        .collect()
}

fn nearest_indices(points: &Array2<f64>, k: usize) -> Vec<Vec<u32>> {
    let found = spatial_nearest(points.view(), k).expect("valid");
    found.indices.rows().into_iter().map(|r| r.to_vec()).collect()
}

#[test]
fn ties_on_a_small_lattice_go_to_the_lowest_index() {
    // 0 1 2
    // 3 4 5
    // 6 7 8
    let found = spatial_nearest(lattice(3).view(), 3).expect("valid");
    assert_eq!(found.indices.row(4).to_vec(), [1, 3, 5]);
    assert_eq!(found.indices.row(0).to_vec(), [1, 3, 4]);
    assert_eq!(found.distances.row(0).to_vec(), [1.0, 1.0, 2f64.sqrt()]);
}

#[test]
fn directed_rows_equal_squidpys_on_a_lattice() {
    let (position, expected) = (oracle::<f64>("metrics", "moran_pos"), oracle::<f32>("metrics", "moran_W6"));
    let graph = spatial_knn(position.view(), None, 6, false).expect("valid");
    // Which of several equally distant spots is taken is arbitrary in squidpy: compare the distances kept.
    let length = |i: usize, j: usize| {
        let (a, b) = (position.row(i), position.row(j));
        (a[0] - b[0]).hypot(a[1] - b[1])
    };
    for i in 0..position.nrows() {
        let mut ours = graph.distances.view().row(i).1.to_vec();
        let mut theirs: Vec<f64> =
            (0..position.nrows()).filter(|&j| expected[[i, j]] > 0.0).map(|j| length(i, j)).collect();
        ours.sort_by(f64::total_cmp);
        theirs.sort_by(f64::total_cmp);
        assert_eq!(ours, theirs, "row {i}");
    }
}

#[test]
fn the_grid_equals_squidpys_eight_neighbours() {
    let (position, expected) = (oracle::<f64>("metrics", "moran_pos"), oracle::<f32>("metrics", "moran_W8"));
    let graph = grid_neighbors(position.view(), None, 8, 1, false).expect("valid");
    // The oracle's weights may be row-normalised: only its pattern is compared.
    let pattern = expected.mapv(|v| if v > 0.0 { 1.0 } else { 0.0 });
    assert_eq!(graph.connectivities.view().to_dense(), pattern);
    assert_eq!(graph.distances.view().to_dense(), pattern);
}

#[test]
fn edge_counts_on_a_lattice_equal_squidpys_for_every_ring() {
    // squidpy 1.8.2, coord_type="grid" on the 12 × 12 lattice: (n_neighs, n_rings, stored entries).
    let expected = [
        (4, 1, 528),
        (4, 2, 1492),
        (4, 3, 2804),
        (6, 1, 528),
        (6, 2, 1492),
        (8, 1, 1012),
        (8, 2, 2772),
        (8, 3, 5040),
    ];
    for (n_neighbors, n_rings, nnz) in expected {
        let graph = grid_neighbors(lattice(12).view(), None, n_neighbors, n_rings, false).expect("valid");
        assert_eq!(graph.distances.nnz(), nnz, "{n_neighbors} neighbours, {n_rings} rings");
        assert!(is_symmetric(graph.distances.view()));
    }
}

#[test]
fn hexagonal_neighbours_are_as_drawn_by_hand() {
    // 0   1   2
    //   3   4   5
    // 6   7   8
    let graph = grid_neighbors(hexagons(3, 3).view(), None, 6, 1, true).expect("valid");
    let pairs = [
        (0, 1),
        (1, 2),
        (3, 4),
        (4, 5),
        (6, 7),
        (7, 8), // along rows
        (0, 3),
        (1, 3),
        (1, 4),
        (2, 4),
        (2, 5), // first to second row
        (3, 6),
        (3, 7),
        (4, 7),
        (4, 8),
        (5, 8), // second to third
    ];
    let mut expected: Vec<(usize, u32, f64)> =
        pairs.iter().flat_map(|&(i, j)| [(i, j as u32, 1.0), (j, i as u32, 1.0)]).collect();
    expected.sort_by_key(|e| (e.0, e.1));
    assert_eq!(edges(graph.distances.view()), expected);
}

#[test]
fn the_second_hexagonal_ring_has_twelve_spots() {
    let graph = grid_neighbors(hexagons(9, 9).view(), None, 6, 2, true).expect("valid");
    let centre = graph.distances.view().row(4 * 9 + 4).1;
    assert_eq!(centre.iter().filter(|&&r| r == 1.0).count(), 6);
    assert_eq!(centre.iter().filter(|&&r| r == 2.0).count(), 12);
}

#[test]
fn the_grid_cut_off_is_strictly_below_1_3_medians() {
    for (gap, linked) in [(1.299, true), (1.3, false), (1.35, false)] {
        let mut points = lattice(12).into_raw_vec_and_offset().0;
        points.extend([-gap, 0.0]);
        let points = Array2::from_shape_vec((145, 2), points).expect("shape");
        let graph = grid_neighbors(points.view(), None, 4, 1, false).expect("valid");
        assert_eq!(graph.distances.view().get(144, 0).is_some(), linked, "gap {gap}");
        assert_eq!(graph.notes.len(), usize::from(!linked));
    }
}

#[test]
fn jitter_is_forgiven_and_the_lattice_recognised() {
    let exact = hexagons(20, 20);
    let shaken =
        Array2::from_shape_fn(exact.dim(), |(i, a)| exact[[i, a]] + 0.08 * (noise(1, 2 * i + a) - 0.5));
    let expected = grid_neighbors(exact.view(), None, 6, 1, true).expect("valid");
    assert_eq!(expected.distances.nnz(), 2242, "as squidpy 1.8.2");
    assert_eq!(grid_neighbors(shaken.view(), None, 6, 1, true).expect("valid"), expected);
    assert_eq!(detect_lattice(shaken.view(), None).expect("valid"), Some(Lattice::Hexagonal));
    assert_eq!(detect_lattice(lattice(12).view(), None).expect("valid"), Some(Lattice::Square));
    let scattered = Array2::from_shape_fn((400, 2), |(i, a)| noise(2, 2 * i + a));
    assert_eq!(detect_lattice(scattered.view(), None).expect("valid"), None);
}

#[test]
fn auto_takes_the_lattice_where_there_is_one() {
    let auto = |points: &Array2<f64>, n_neighbors| {
        let options = SpatialGraphOptions { n_neighbors, ..Default::default() };
        let graph = spatial_neighbors(points.view(), None, &options).expect("valid");
        let degree = degrees(&graph).into_iter().max().expect("spots");
        (graph.kind, degree)
    };
    assert_eq!(auto(&hexagons(12, 12), None), (SpatialKind::Grid, 6));
    assert_eq!(auto(&lattice(12), None), (SpatialKind::Grid, 4));
    assert_eq!(auto(&lattice(12), Some(8)), (SpatialKind::Grid, 8));
    assert_eq!(auto(&lattice(12), Some(10)).0, SpatialKind::Knn);
    let scattered = Array2::from_shape_fn((100, 2), |(i, a)| noise(3, 2 * i + a));
    assert_eq!(auto(&scattered, None).0, SpatialKind::Knn);
    let options = SpatialGraphOptions { radius: Some(0.1), ..Default::default() };
    assert_eq!(spatial_neighbors(scattered.view(), None, &options).expect("valid").kind, SpatialKind::Radius);
}

#[test]
fn radius_includes_its_bound() {
    let graph = radius_neighbors(lattice(12).view(), None, 1.0).expect("valid");
    assert_eq!(graph.distances.nnz(), 528, "as squidpy 1.8.2");
    let none = radius_neighbors(lattice(4).view(), None, 0.5).expect("valid");
    assert_eq!(none.distances.nnz(), 0);
    assert_eq!(none.notes[0].text, "16 of 16 spots have no neighbour within 0.5");
    let all = radius_neighbors(lattice(4).view(), None, f64::INFINITY).expect("valid");
    assert_eq!(all.distances.nnz(), 16 * 15);
}

#[test]
fn a_square_with_its_centre_triangulates_into_four() {
    let points = array![[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [1.0, 1.0]];
    let graph = delaunay(points.view(), None, None).expect("valid");
    let r = 2f64.sqrt();
    let expected = csr(
        5,
        &[
            (0, 1, 2.0),
            (0, 3, 2.0),
            (0, 4, r),
            (1, 0, 2.0),
            (1, 2, 2.0),
            (1, 4, r),
            (2, 1, 2.0),
            (2, 3, 2.0),
            (2, 4, r),
            (3, 0, 2.0),
            (3, 2, 2.0),
            (3, 4, r),
            (4, 0, r),
            (4, 1, r),
            (4, 2, r),
            (4, 3, r),
        ],
    );
    assert_eq!(graph.distances, expected);
    let short = delaunay(points.view(), None, Some(1.5)).expect("valid");
    assert_eq!(short.distances.nnz(), 8);
    assert_eq!(short.notes[0].text, "4 of 8 edges longer than max_length dropped");
}

#[test]
fn every_delaunay_circle_is_empty() {
    let points = Array2::from_shape_fn((60, 2), |(i, a)| noise(5, 2 * i + a));
    let graph = delaunay(points.view(), None, None).expect("valid");
    let linked = |i: usize, j: usize| graph.distances.view().get(i, j).is_some();
    // A pair is an edge exactly when some circle through both is empty: true of every empty triangle's circle.
    let mut expected = std::collections::BTreeSet::new();
    for i in 0..60 {
        for j in i + 1..60 {
            for k in j + 1..60 {
                let p = |a: usize| (points[[a, 0]], points[[a, 1]]);
                let ((ax, ay), (bx, by), (cx, cy)) = (p(i), p(j), p(k));
                let d = 2.0 * (ax * (by - cy) + bx * (cy - ay) + cx * (ay - by));
                let (a2, b2, c2) = (ax * ax + ay * ay, bx * bx + by * by, cx * cx + cy * cy);
                let ux = (a2 * (by - cy) + b2 * (cy - ay) + c2 * (ay - by)) / d;
                let uy = (a2 * (cx - bx) + b2 * (ax - cx) + c2 * (bx - ax)) / d;
                let r = (ax - ux).hypot(ay - uy);
                if (0..60).all(|l| [i, j, k].contains(&l) || (p(l).0 - ux).hypot(p(l).1 - uy) > r) {
                    expected.extend([(i, j), (i, k), (j, k)]);
                }
            }
        }
    }
    let found: std::collections::BTreeSet<_> =
        (0..60).flat_map(|i| (i + 1..60).map(move |j| (i, j))).filter(|&(i, j)| linked(i, j)).collect();
    assert_eq!(found, expected);
}

#[test]
fn degenerate_spots_still_have_delaunay_neighbours() {
    let line = array![[3.0, 3.0], [1.0, 1.0], [2.0, 2.0], [0.0, 0.0]];
    let graph = delaunay(line.view(), None, None).expect("valid");
    let found: Vec<(usize, u32)> = edges(graph.distances.view()).iter().map(|e| (e.0, e.1)).collect();
    assert_eq!(found, [(0, 2), (1, 2), (1, 3), (2, 0), (2, 1), (3, 1)]);
    let twins = array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, -0.0]];
    let graph = delaunay(twins.view(), None, None).expect("valid");
    assert_eq!(graph.distances.view().get(0, 3), Some(0.0));
    assert_eq!(graph.distances.view().get(0, 4), Some(0.0));
    assert_eq!(degrees(&graph), [4, 2, 2, 1, 1]);
    assert!(graph.notes[0].to_string().starts_with("2 spots lie exactly on another"));
    for n in 0..4 {
        let same = Array2::from_elem((n, 2), 1.0);
        let graph = delaunay(same.view(), None, None).expect("valid");
        assert_eq!(connected_components(graph.distances.view()).count(), n.min(1));
    }
    let huge = array![[0.0, 0.0], [1e80, 0.0], [0.0, 1.0]];
    assert!(matches!(delaunay(huge.view(), None, None), Err(GraphError::TooLarge { .. })));
}

#[test]
fn no_edge_crosses_a_slice_and_each_slice_stands_alone() {
    let points = Array2::from_shape_fn((120, 2), |(i, a)| noise(7, 2 * i + a));
    let slices: Vec<u32> = (0..120).map(|i| [9, 2, 5][i % 3]).collect();
    for kind in [SpatialKind::Knn, SpatialKind::Radius, SpatialKind::Delaunay, SpatialKind::Grid] {
        let options = SpatialGraphOptions { radius: Some(0.2), n_rings: 2, ..options(kind) };
        let whole = spatial_neighbors(points.view(), Some(&Slices::from_codes(&slices, &[])), &options)
            .expect("valid");
        for part in 0..3 {
            let rows: Vec<usize> = (0..120).filter(|i| i % 3 == part).collect();
            let local = points.select(ndarray::Axis(0), &rows);
            let alone = spatial_neighbors(local.view(), None, &options).expect("valid");
            for (row, &i) in rows.iter().enumerate() {
                let (columns, values) = whole.distances.view().row(i);
                let (local_columns, local_values) = alone.distances.view().row(row);
                let mapped: Vec<u32> = local_columns.iter().map(|&c| rows[c as usize] as u32).collect();
                assert_eq!(columns, mapped);
                assert_eq!(values, local_values);
            }
        }
    }
}

#[test]
fn few_spots_are_linked_to_all_others() {
    let points = array![[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]];
    let graph = spatial_knn(points.view(), None, 6, true).expect("valid");
    assert_eq!(degrees(&graph), [2, 2, 2]);
    assert_eq!(graph.notes.len(), 1);
    for kind in
        [SpatialKind::Auto, SpatialKind::Knn, SpatialKind::Radius, SpatialKind::Delaunay, SpatialKind::Grid]
    {
        for n in 0..3 {
            let spots = Array2::from_shape_fn((n, 2), |(i, _)| i as f64);
            // `Auto` with a radius is `Radius`.
            let radius = (kind == SpatialKind::Radius).then_some(2.0);
            let options = SpatialGraphOptions { radius, ..options(kind) };
            let graph = spatial_neighbors(spots.view(), None, &options).expect("valid");
            assert_eq!(graph.distances.n_rows(), n);
            assert_eq!(graph.distances.nnz(), if n == 2 { 2 } else { 0 }, "{kind:?}, {n} spots");
        }
    }
}

#[test]
fn many_spots_in_one_place_take_the_lowest_indices() {
    let mut points = Array2::zeros((5000, 2));
    points[[4999, 0]] = 1.0;
    let found = spatial_nearest(points.view(), 3).expect("valid");
    assert_eq!(found.indices.row(0).to_vec(), [1, 2, 3]);
    assert_eq!(found.indices.row(4000).to_vec(), [0, 1, 2]);
    assert_eq!(found.indices.row(4999).to_vec(), [0, 1, 2]);
    assert_eq!(found.distances.row(7).to_vec(), [0.0; 3]);
    let graph = spatial_knn(points.view(), None, 3, false).expect("valid");
    assert_eq!(graph.distances.nnz(), 15_000, "zero distances are stored");
}

#[test]
fn bad_input_is_refused_by_name() {
    let bad = array![[0.0, 1.0], [f64::NAN, 0.0]];
    for kind in [SpatialKind::Auto, SpatialKind::Knn, SpatialKind::Delaunay, SpatialKind::Grid] {
        let error = spatial_neighbors(bad.view(), None, &options(kind)).expect_err("NaN");
        assert!(matches!(error, GraphError::NonFinite { row: 1, column: 0, .. }));
        assert_eq!(flaw(&error), None);
    }
    let points = lattice(3);
    let refused = |options: SpatialGraphOptions, slices: Option<&[u32]>| {
        spatial_neighbors(points.view(), slices.map(|s| Slices::from_codes(s, &[])).as_ref(), &options)
            .expect_err("refused")
    };
    assert!(matches!(refused(options(SpatialKind::Radius), None), GraphError::Option(_)));
    let radius = SpatialGraphOptions { radius: Some(-1.0), ..options(SpatialKind::Radius) };
    assert!(matches!(refused(radius, None), GraphError::Option(OptionError { option: Opt("radius"), .. })));
    let k = SpatialGraphOptions { n_neighbors: Some(0), ..options(SpatialKind::Knn) };
    assert!(matches!(refused(k, None), GraphError::Option(OptionError { option: Opt("n_neighbors"), .. })));
    let grid = SpatialGraphOptions { n_neighbors: Some(5), ..options(SpatialKind::Grid) };
    assert!(matches!(
        refused(grid, None),
        GraphError::Option(OptionError { option: Opt("n_neighbors"), .. })
    ));
    let rings = SpatialGraphOptions { n_rings: 0, ..options(SpatialKind::Grid) };
    assert!(matches!(refused(rings, None), GraphError::Option(OptionError { option: Opt("n_rings"), .. })));
    let length = SpatialGraphOptions { max_length: Some(f64::NAN), ..options(SpatialKind::Delaunay) };
    assert!(matches!(
        refused(length, None),
        GraphError::Option(OptionError { option: Opt("max_length"), .. })
    ));
    assert!(matches!(
        refused(options(SpatialKind::Knn), Some(&[0, 1])),
        GraphError::SliceLength { found: 2, expected: 9 }
    ));
    let space = Array2::zeros((4, 3));
    assert!(matches!(delaunay(space.view(), None, None), Err(GraphError::NotPlanar { .. })));
    let wide = Array2::zeros((4, 4));
    assert!(matches!(
        spatial_knn(wide.view(), None, 2, true),
        Err(GraphError::CoordinateColumns { found: 4 })
    ));
}

#[test]
fn notes_name_the_slice_by_its_code() {
    let points = array![[0.0, 0.0], [1.0, 0.0], [5.0, 0.0], [6.0, 0.0]];
    let graph =
        spatial_knn(points.view(), Some(&Slices::from_codes(&[7, 7, 3, 3], &[])), 1, true).expect("valid");
    assert!(graph.notes.is_empty());
    let graph =
        spatial_knn(points.view(), Some(&Slices::from_codes(&[7, 7, 3, 3], &[])), 2, true).expect("valid");
    assert!(graph.notes[0].to_string().starts_with("slice 3: 2 spots are too few"));
    assert!(graph.notes[1].to_string().starts_with("slice 7: 2 spots are too few"));
}

#[test]
fn more_rings_than_memory_are_refused() {
    let first = grid_neighbors(lattice(12).view(), None, 4, 1, true).expect("valid").distances;
    let run = |limit| grid::rings(first.view(), 2, limit);
    assert_eq!(run(1492).expect("exactly as many").nnz(), 1492);
    assert_eq!(run(1491), Err(GraphError::TooManyEdges { limit: 1491 }));
}

#[test]
fn values_whose_squares_overflow_are_refused() {
    let points = array![[0.0, 0.0], [1e200, 0.0]];
    assert!(matches!(spatial_knn(points.view(), None, 1, true), Err(GraphError::TooLarge { .. })));
}

#[test]
fn a_radius_that_would_link_everything_is_refused() {
    let points = Array2::from_shape_fn((40_000, 2), |(i, a)| noise(11, 2 * i + a));
    assert!(matches!(
        radius_neighbors(points.view(), None, 2.0),
        Err(GraphError::TooManyEdges { limit: 500_000_000 })
    ));
}

#[test]
fn spatial_graphs_are_the_same_bits_on_any_thread_count() {
    let points = Array2::from_shape_fn((40_000, 2), |(i, a)| (noise(13, 2 * i + a) * 300.0).floor());
    for kind in [SpatialKind::Knn, SpatialKind::Radius, SpatialKind::Delaunay, SpatialKind::Grid] {
        let options = SpatialGraphOptions { radius: Some(2.0), n_rings: 2, ..options(kind) };
        let run = || spatial_neighbors(points.view(), None, &options).expect("valid");
        assert_eq!(with_threads(1, run), with_threads(3, run), "{kind:?}");
    }
}

#[test]
fn distances_become_similarities_on_the_same_pattern() {
    // spatialleiden.distance2connectivity of the same four entries: [0.75, 0.5, 1, 0], all stored.
    let distances = csr(4, &[(0, 1, 1.0), (1, 2, 2.0), (2, 3, 0.0), (3, 0, 4.0)]);
    let found = distance2connectivity(distances.view(), "spatial_distances").expect("valid");
    assert_eq!(found.data(), [0.75, 0.5, 1.0, 0.0]);
    assert_eq!(found.indices(), distances.indices());
    let same = csr(2, &[(0, 1, 3.0), (1, 0, 3.0)]);
    assert_eq!(distance2connectivity(same.view(), "d").expect("valid").data(), [0.0, 0.0]);
    let zero = csr(2, &[(0, 1, 0.0), (1, 0, 0.0)]);
    assert_eq!(distance2connectivity(zero.view(), "d").expect("valid").data(), [1.0, 1.0]);
    assert_eq!(distance2connectivity(csr(2, &[]).view(), "d").expect("valid").nnz(), 0);
    let bad = csr(2, &[(0, 1, f64::INFINITY)]);
    assert!(matches!(distance2connectivity(bad.view(), "d"), Err(GraphError::NonFiniteWeight { .. })));
}

#[test]
fn graphs_from_files_are_checked() {
    let good = csr(3, &[(0, 1, 1.0), (1, 0, 1.0)]);
    assert!(validate_graph(good.view(), 3, "g").is_ok());
    assert!(matches!(validate_graph(good.view(), 4, "g"), Err(GraphError::Shape { n_obs: 4, .. })));
    let negative = csr(3, &[(0, 1, -1.0)]);
    assert!(matches!(
        validate_graph(negative.view(), 3, "g"),
        Err(GraphError::NegativeWeight { column: 1, .. })
    ));
    let nan = csr(3, &[(2, 1, f64::NAN)]);
    let error = validate_graph(nan.view(), 3, "knn").expect_err("NaN");
    assert_eq!(error.to_string(), "obsp[\"knn\"] holds NaN at (2, 1); expected finite weights");
    assert!(is_symmetric(good.view()));
    let one_way = csr(3, &[(0, 1, 1.0), (1, 0, 0.5)]);
    assert!(matches!(
        require_symmetric(one_way.view(), "g"),
        Err(GraphError::NotSymmetric { row: 0, column: 1, mirrored, .. }) if mirrored == 0.5
    ));
    assert!(require_weight(good.view(), "g").is_ok());
    assert!(matches!(require_weight(csr(3, &[(0, 1, 0.0)]).view(), "g"), Err(GraphError::NoWeight { .. })));
}

#[test]
fn components_are_numbered_by_first_appearance() {
    let graph = csr(6, &[(4, 1, 1.0), (2, 5, 1.0), (5, 0, 1.0)]);
    let found = connected_components(graph.view());
    assert_eq!(found.labels, [0, 1, 0, 2, 1, 0]);
    assert_eq!(found.sizes, [3, 2, 1]);
    assert_eq!(connected_components(csr(0, &[]).view()).count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nearest_spots_equal_brute_force(
        // Small integers: many ties and duplicates.
        places in prop::collection::vec((0i32..7, 0i32..7, 0i32..3), 1..90),
        k in 1usize..12,
        three in any::<bool>(),
    ) {
        let d = if three { 3 } else { 2 };
        let points = Array2::from_shape_fn((places.len(), d), |(i, a)| {
            f64::from([places[i].0, places[i].1, places[i].2][a])
        });
        prop_assert_eq!(nearest_indices(&points, k), brute_force(&points, k));
    }

    #[test]
    fn symmetrised_graphs_are_unions(places in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0), 2..60), k in 1usize..8) {
        let points = Array2::from_shape_fn((places.len(), 2), |(i, a)| [places[i].0, places[i].1][a]);
        let directed = spatial_knn(points.view(), None, k, false).expect("valid").distances;
        let graph = spatial_knn(points.view(), None, k, true).expect("valid").distances;
        for i in 0..places.len() {
            for j in 0..places.len() {
                let either = directed.view().get(i, j).or(directed.view().get(j, i));
                prop_assert_eq!(graph.view().get(i, j), either);
            }
        }
    }

    #[test]
    fn delaunay_is_connected_and_planar(places in prop::collection::vec((0i32..9, 0i32..9), 1..80)) {
        let points = Array2::from_shape_fn((places.len(), 2), |(i, a)| f64::from([places[i].0, places[i].1][a]));
        let graph = delaunay(points.view(), None, None).expect("valid").distances;
        prop_assert_eq!(connected_components(graph.view()).count(), 1);
        let unique: std::collections::BTreeSet<_> = places.iter().collect();
        let n_edges = graph.nnz() / 2 - (places.len() - unique.len());
        prop_assert!(n_edges <= (3 * unique.len()).saturating_sub(6).max(unique.len() - 1).max(unique.len().min(3)));
        prop_assert!(is_symmetric(graph.view()));
    }
}
