//! Input at the edge, and beyond it.

use super::*;
use brodmann_kernels::Interrupted;
use brodmann_kernels::proofread::flaw;

use crate::cluster::leiden::LayerId;

fn run(layers: &[Layer<'_>]) -> Result<Partition, LeidenError> {
    leiden_multiplex(layers, &LeidenOptions::default(), Seed(0))
}

#[test]
fn zero_one_and_two_nodes() {
    for quality in [Quality::RbConfiguration, Quality::Modularity, Quality::Cpm, Quality::Rber] {
        for n in 0..3 {
            let empty = graph(n, &[], true);
            let found = run(&[Layer { quality, ..Layer::new(&empty) }]).expect("valid");
            assert_eq!(found.membership, (0..n as u32).collect::<Vec<_>>());
            assert_eq!((found.n_clusters, found.converged, found.quality), (n, true, 0.0));
        }
        let pair =
            Layer { quality, resolution: 0.1, ..Layer::new(&undirected(2, &[(0, 1)]).clone()) }.quality;
        let g = undirected(2, &[(0, 1)]);
        let found = run(&[Layer { quality: pair, resolution: 0.1, ..Layer::new(&g) }]).expect("valid");
        assert_eq!(found.membership, [0, 0]);
        let loop_only = graph(1, &[(0, 0, 2.0)], true);
        assert_eq!(run(&[Layer { quality, ..Layer::new(&loop_only) }]).expect("valid").membership, [0]);
    }
}

#[test]
fn isolated_nodes_keep_their_own_cluster() {
    let g = undirected(7, &[(0, 1), (1, 2), (0, 2)]);
    let found = run(&[Layer::new(&g)]).expect("valid");
    assert_eq!(found.membership, [0, 0, 0, 1, 2, 3, 4]);
    // Even when the start puts them together.
    let options = LeidenOptions { initial: Some(vec![0; 7]), ..LeidenOptions::default() };
    let found = leiden(&g, 1.0, &options, Seed(0)).expect("valid");
    assert_eq!(found.membership, [0, 0, 0, 1, 2, 3, 4]);
}

#[test]
fn a_disconnected_start_is_taken_apart_even_in_one_iteration() {
    let g = ring_of_cliques(4, 4);
    for n in 1..4 {
        let options = LeidenOptions {
            initial: Some((0..16).map(|v| v % 2).collect()),
            n_iterations: Some(n),
            ..LeidenOptions::default()
        };
        let found = leiden(&g, 0.05, &options, Seed(0)).expect("valid");
        assert_connected(&[Layer::new(&g)], &found.membership);
    }
}

#[test]
fn single_and_double_precision_graphs_agree() {
    let g = karate();
    let single = g.view().map(|v| v as f32);
    let options = LeidenOptions::default();
    assert_eq!(leiden(&g, 1.0, &options, Seed(5)), leiden(&single, 1.0, &options, Seed(5)));
}

#[test]
fn weights_can_be_ignored_and_stored_zeros_are_no_edges() {
    let weighted = graph(4, &[(0, 1, 9.0), (1, 2, 0.5), (2, 3, 4.0), (0, 3, 0.0)], true);
    let plain = undirected(4, &[(0, 1), (1, 2), (2, 3)]);
    let layer = Layer { use_weights: false, ..Layer::new(&weighted) };
    let membership = [0, 0, 1, 1];
    assert_eq!(quality(&[layer], &membership), quality(&[Layer::new(&plain)], &membership));
}

#[test]
fn negative_weights_are_for_cpm_alone() {
    let g = graph(4, &[(0, 1, 1.0), (1, 2, -2.0), (2, 3, 1.0), (0, 2, -1.0)], true);
    for kind in [Quality::RbConfiguration, Quality::Modularity, Quality::Rber] {
        let refused = run(&[Layer { quality: kind, ..Layer::new(&g) }]);
        assert!(matches!(refused, Err(LeidenError::NegativeWeight { layer: LayerId { index: 0, .. }, .. })));
    }
    let cpm = Layer { quality: Quality::Cpm, resolution: 0.1, ..Layer::new(&g) };
    let found = run(&[cpm]).expect("valid");
    assert_eq!(found.membership, [0, 0, 1, 1]);
    assert_no_better_move(&[cpm], &found);
}

#[test]
fn bad_layers_are_refused() {
    let g = undirected(3, &[(0, 1)]);
    let good = Layer::new(&g);
    assert_eq!(run(&[]), Err(LeidenError::NoLayers));
    for resolution in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            run(&[good, Layer { resolution, ..good }]),
            Err(LeidenError::Resolution { layer: LayerId { index: 1, .. }, .. })
        ));
    }
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            run(&[Layer { weight, ..good }]),
            Err(LeidenError::LayerWeight { layer: LayerId { index: 0, .. }, .. })
        ));
    }
    assert_eq!(run(&[Layer { weight: 0.0, ..good }]), Err(LeidenError::AllLayerWeightsZero));
    for w in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let bad = graph(3, &[(0, 1, 1.0), (1, 2, w)], true);
        assert!(matches!(
            run(&[good, Layer::new(&bad)]),
            Err(LeidenError::NonFiniteWeight { layer: LayerId { index: 1, .. }, row: 1, column: 2, .. })
        ));
    }
    let zeros = graph(3, &[(0, 1, 0.0)], true);
    assert_eq!(
        run(&[Layer::new(&zeros)]),
        Err(LeidenError::AllWeightsZero { layer: 0.into(), n_entries: 2 })
    );
    let other = undirected(4, &[(0, 1)]);
    assert_eq!(
        run(&[good, Layer::new(&other)]),
        Err(LeidenError::NodeCount { layer: 1.into(), found: 4, expected: 3 })
    );
    let flat = CsrMatrix::try_new(2, 3, vec![0, 1, 1], vec![1], vec![1.0]).expect("valid");
    assert_eq!(
        run(&[Layer::new(&flat)]),
        Err(LeidenError::NotSquare { layer: 0.into(), n_rows: 2, n_cols: 3 })
    );
}

#[test]
fn an_asymmetric_matrix_is_refused_as_undirected_wherever_it_is_asymmetric() {
    for edge in [(0, 3, 1.0), (3, 0, 1.0), (1, 2, 1.0), (2, 1, 1.0)] {
        let mut edges = vec![(0, 1, 1.0), (1, 0, 1.0), (2, 3, 0.5), (3, 2, 0.5), (1, 1, 3.0)];
        edges.push(edge);
        let g = graph(4, &edges, false);
        let layer = Layer { directed: false, ..Layer::new(&g) };
        let found = run(&[layer]).expect_err("asymmetric");
        let LeidenError::NotSymmetric { row, column, forward, backward, .. } = found else {
            panic!("{found}")
        };
        assert_eq!(((row as u32, column as u32), backward), ((edge.0, edge.1), 0.0), "{forward}");
        assert!(run(&[Layer::new(&g)]).is_ok());
    }
    let unequal = graph(3, &[(0, 1, 1.0), (1, 0, 2.0)], false);
    assert!(matches!(
        run(&[Layer { directed: false, ..Layer::new(&unequal) }]),
        Err(LeidenError::NotSymmetric { row: 0, column: 1, forward: 1.0, backward: 2.0, .. })
    ));
    // Rounding is not direction.
    let rounded = graph(3, &[(0, 1, 1.0), (1, 0, 1.0 + 1e-9), (1, 2, 1.0), (2, 1, 1.0)], false);
    assert!(run(&[Layer { directed: false, ..Layer::new(&rounded) }]).is_ok());
}

#[test]
fn bad_options_are_refused_with_what_to_do() {
    let g = undirected(3, &[(0, 1)]);
    let with = |options: LeidenOptions| leiden(&g, 1.0, &options, Seed(0)).expect_err("bad option");
    let default = LeidenOptions::default;
    let errors = [
        with(LeidenOptions { n_iterations: Some(0), ..default() }),
        with(LeidenOptions { randomness: 0.0, ..default() }),
        with(LeidenOptions { initial: Some(vec![0; 2]), ..default() }),
        quality(&[Layer::new(&g)], &[0, 0]).expect_err("short"),
        move_difference(&[Layer::new(&g)], &[0, 0, 0], 3, 0).expect_err("range"),
        search_resolution(&[Layer::new(&g)], &[1], 2, &SearchOptions::default(), Seed(0), &Silent)
            .expect_err("layer"),
        search_resolution(&[Layer::new(&g)], &[], 2, &SearchOptions::default(), Seed(0), &Silent)
            .expect_err("none"),
        search_resolution(&[Layer::new(&g)], &[0], 4, &SearchOptions::default(), Seed(0), &Silent)
            .expect_err("too many clusters"),
        search_resolution(
            &[Layer { quality: Quality::Modularity, ..Layer::new(&g) }],
            &[0],
            2,
            &SearchOptions::default(),
            Seed(0),
            &Silent,
        )
        .expect_err("no resolution"),
        LeidenError::Interrupted(Interrupted),
        LeidenError::NoLayers,
    ];
    for error in errors {
        assert_eq!(flaw(&error), None);
    }
}

#[test]
fn a_run_can_be_interrupted() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let g = karate();
    let found = leiden_multiplex_with(&[Layer::new(&g)], &LeidenOptions::default(), Seed(0), &Stop);
    assert_eq!(found, Err(LeidenError::Interrupted(Interrupted)));
}
