//! What holds on every graph.

use proptest::prelude::*;

use super::*;

/// Edges, directed, weighted, quality, resolution, weight.
type LayerCase = (Vec<(u32, u32, f64)>, bool, bool, Quality, f64, f64);

#[derive(Clone, Debug)]
struct Case {
    n: usize,
    layers: Vec<LayerCase>,
    membership: Vec<u32>,
    seed: u64,
}

impl Case {
    fn graphs(&self) -> Vec<CsrMatrix<f64>> {
        self.layers.iter().map(|l| graph(self.n, &l.0, !l.1)).collect()
    }
    fn layers<'a>(&self, graphs: &'a [CsrMatrix<f64>]) -> Vec<Layer<'a>> {
        let parts = self.layers.iter().zip(graphs);
        parts
            .map(|(l, g)| Layer {
                graph: g.into(),
                directed: l.1,
                use_weights: l.2,
                quality: l.3,
                // Resolutions of CPM are densities.
                resolution: if l.3 == Quality::Cpm { 0.3 * l.4 } else { l.4 },
                weight: l.5,
            })
            .collect()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (2usize..24).prop_flat_map(|n| {
        let edge = (0..n as u32, 0..n as u32, 1u32..9).prop_map(|(i, j, w)| (i, j, f64::from(w) * 0.37));
        let kind = prop_oneof![
            Just(Quality::RbConfiguration),
            Just(Quality::Modularity),
            Just(Quality::Cpm),
            Just(Quality::Rber)
        ];
        let layer = (
            prop::collection::vec(edge, 1..60),
            any::<bool>(),
            any::<bool>(),
            kind,
            0.2f64..2.5,
            0.1f64..3.0,
        );
        (prop::collection::vec(layer, 1..4), prop::collection::vec(0u32..5, n), any::<u64>())
            .prop_map(move |(layers, membership, seed)| Case { n, layers, membership, seed })
    })
}

/// A clustering that leaves settled communities alone, whatever the size of the graph.
fn remembering(layers: &[Layer<'_>], options: &LeidenOptions, seed: Seed) -> Partition {
    let prepared = Prepared { remembers_from: 0, ..Prepared::new(layers, &Silent).expect("valid") };
    prepared.optimise(layers, options, seed, &Silent).expect("valid")
}

#[test]
fn weights_below_zero_on_the_whole_come_to_an_end() {
    let graph = graph(4, &[(0, 1, -2.0), (1, 2, -1.0), (2, 3, 0.5)], true);
    let layers = [Layer { quality: Quality::Cpm, resolution: 0.1, ..Layer::new(&graph) }];
    let found = remembering(&layers, &LeidenOptions::default(), Seed(0));
    assert!(found.converged);
    assert_eq!(found.membership, [1, 2, 0, 0]);
}

#[test]
fn what_is_left_alone_costs_no_quality_and_depends_on_no_thread() {
    let (latent, spatial) = planted(2_000, 10, Seed(3));
    // Finer than what was planted, so that passes find more to do.
    let layers = [Layer { resolution: 3.0, ..Layer::new(&latent) }, Layer::new(&spatial)];
    let options = LeidenOptions::default();
    let (mut all, mut some) = (0.0, 0.0);
    for seed in 0..8 {
        let whole = leiden_multiplex(&layers, &options, Seed(seed)).expect("valid");
        let found = on_threads(1, || remembering(&layers, &options, Seed(seed)));
        assert_eq!(found, on_threads(3, || remembering(&layers, &options, Seed(seed))));
        assert!(found.converged);
        if seed == 0 {
            assert_no_better_move(&layers, &found);
        }
        assert_connected(&layers, &found.membership);
        (all, some) = (all + whole.quality, some + found.quality);
    }
    assert!(some > 0.999 * all, "{some} {all}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn at_convergence_clusters_are_connected_and_no_move_improves(case in cases()) {
        let graphs = case.graphs();
        let layers = case.layers(&graphs);
        for initial in [None, Some(case.membership.clone())] {
            let options = LeidenOptions { initial, ..LeidenOptions::default() };
            let found = leiden_multiplex(&layers, &options, Seed(case.seed)).expect("valid");
            prop_assert!(found.converged);
            assert_connected(&layers, &found.membership);
            assert_no_better_move(&layers, &found);
        }
    }

    #[test]
    fn the_same_holds_where_settled_communities_are_left_alone(case in cases()) {
        let graphs = case.graphs();
        let layers = case.layers(&graphs);
        for initial in [None, Some(case.membership.clone())] {
            let options = LeidenOptions { initial, ..LeidenOptions::default() };
            let found = remembering(&layers, &options, Seed(case.seed));
            prop_assert!(found.converged);
            assert_connected(&layers, &found.membership);
            assert_no_better_move(&layers, &found);
        }
    }

    #[test]
    fn quality_never_falls_and_never_below_the_start(case in cases()) {
        let graphs = case.graphs();
        let layers = case.layers(&graphs);
        let mut last = quality(&layers, &case.membership).expect("valid").0;
        let tolerance = 1e-9 * last.abs().max(1.0);
        for n in 1..6 {
            let options = LeidenOptions {
                n_iterations: Some(n),
                initial: Some(case.membership.clone()),
                ..LeidenOptions::default()
            };
            let found = leiden_multiplex(&layers, &options, Seed(case.seed)).expect("valid");
            assert_connected(&layers, &found.membership);
            prop_assert!(found.quality >= last - tolerance, "{} after {}", found.quality, last);
            last = found.quality;
        }
    }

    #[test]
    fn a_move_difference_is_the_difference_of_qualities(case in cases(), node in 0usize..24, target in 0u32..7) {
        let graphs = case.graphs();
        let layers = case.layers(&graphs);
        let node = node % case.n;
        let mut moved = case.membership.clone();
        moved[node] = target;
        let (_, before) = quality(&layers, &case.membership).expect("valid");
        let (_, after) = quality(&layers, &moved).expect("valid");
        let difference = move_difference(&layers, &case.membership, node, target).expect("valid");
        for l in 0..layers.len() {
            let expected = after[l] - before[l];
            prop_assert!((difference[l] - expected).abs() < 1e-9, "{} {}", difference[l], expected);
        }
    }

    #[test]
    fn quality_does_not_depend_on_the_order_of_nodes(case in cases()) {
        let n = case.n as u32;
        // A fixed permutation: reversal.
        let flip = |v: u32| n - 1 - v;
        let mut flipped = case.clone();
        for layer in &mut flipped.layers {
            for edge in &mut layer.0 {
                *edge = (flip(edge.0), flip(edge.1), edge.2);
            }
        }
        flipped.membership.reverse();
        let (g, h) = (case.graphs(), flipped.graphs());
        let a = quality(&case.layers(&g), &case.membership).expect("valid").0;
        let b = quality(&flipped.layers(&h), &flipped.membership).expect("valid").0;
        prop_assert!((a - b).abs() < 1e-9 * a.abs().max(1.0));
    }

    #[test]
    fn the_scale_of_all_layers_changes_no_label(case in cases()) {
        let graphs = case.graphs();
        // Powers of two, so that not even the last bit differs; down to far below what single precision holds.
        let at = |scale: f64| {
            let mut layers = case.layers(&graphs);
            for layer in &mut layers {
                layer.weight *= scale;
            }
            leiden_multiplex(&layers, &LeidenOptions::default(), Seed(case.seed)).expect("valid")
        };
        let found = at(1.0);
        for exponent in [-400, 20] {
            prop_assert_eq!(&at(2.0f64.powi(exponent)).membership, &found.membership);
        }
    }

    #[test]
    fn a_symmetric_graph_is_the_same_directed_or_not(case in cases()) {
        let graphs: Vec<_> = case.layers.iter().map(|l| {
            let edges: Vec<_> = l.0.iter().copied().filter(|e| e.0 != e.1).collect();
            graph(case.n, &edges, true)
        }).collect();
        prop_assume!(graphs.iter().all(|g| g.nnz() > 0));
        let mut layers = case.layers(&graphs);
        let qualities: Vec<_> = [true, false].map(|directed| {
            for layer in &mut layers {
                layer.directed = directed;
            }
            quality(&layers, &case.membership).expect("valid")
        }).to_vec();
        prop_assert_eq!(&qualities[0], &qualities[1]);
    }
}

/// A planted graph large enough for batches and parallel refinement.
fn planted(n: usize, n_blocks: usize, seed: Seed) -> (CsrMatrix<f64>, CsrMatrix<f64>) {
    let per_block = n / n_blocks;
    let mut latent = Vec::new();
    let mut spatial = Vec::new();
    for v in 0..n {
        for k in 0..8u64 {
            let word = seed.word(v as u64 * 8 + k);
            let block = v / per_block * per_block;
            let other = if word.is_multiple_of(4) {
                (word >> 8) as usize % n
            } else {
                (block + (word >> 8) as usize % per_block).min(n - 1)
            };
            if other != v {
                latent.push((v as u32, other as u32, 0.1 + (word >> 40) as f64 / (1u64 << 25) as f64));
            }
        }
        if v + 1 < n {
            spatial.push((v as u32, v as u32 + 1, 1.0));
        }
        if v + 100 < n {
            spatial.push((v as u32, v as u32 + 100, 1.0));
        }
    }
    (graph(n, &latent, false), graph(n, &spatial, true))
}

#[test]
fn one_thread_or_many_give_the_same_bits() {
    let (latent, spatial) = planted(40_000, 20, Seed(1));
    let layers = [Layer::new(&latent), Layer { weight: 0.8, directed: false, ..Layer::new(&spatial) }];
    let options = LeidenOptions { n_iterations: Some(2), ..LeidenOptions::default() };
    let run = |threads| on_threads(threads, || leiden_multiplex(&layers, &options, Seed(9)).expect("valid"));
    let one = run(1);
    assert_connected(&layers, &one.membership);
    for threads in [2, 3] {
        let many = run(threads);
        assert_eq!(one.quality.to_bits(), many.quality.to_bits());
        assert_eq!(one, many);
    }
}

#[test]
fn another_seed_gives_another_but_equally_good_partition() {
    let (latent, spatial) = planted(5_000, 10, Seed(2));
    let layers = [Layer::new(&latent), Layer { weight: 0.5, ..Layer::new(&spatial) }];
    let run = |seed| leiden_multiplex(&layers, &LeidenOptions::default(), Seed(seed)).expect("valid");
    let (a, b) = (run(1), run(2));
    assert_eq!(a, run(1));
    assert!((a.quality - b.quality).abs() < 0.02 * a.quality);
}

#[test]
fn a_planted_partition_is_recovered() {
    let (latent, _) = planted(5_000, 10, Seed(3));
    let found = leiden(&latent, 1.0, &LeidenOptions::default(), Seed(0)).expect("valid");
    let planted: Vec<u32> = (0..5_000).map(|v| v / 500).collect();
    let (best, _) = quality(&[Layer::new(&latent)], &planted).expect("valid");
    assert!(found.quality >= best * (1.0 - 1e-9), "{} < {best}", found.quality);
}

#[test]
fn scouts_find_where_the_search_in_a_large_graph_begins() {
    let (latent, _) = planted(24_000, 12, Seed(4));
    let layers = [Layer::new(&latent)];
    let search = |n, start, threads| {
        let options = SearchOptions { start: Some(start), ..SearchOptions::default() };
        on_threads(threads, || {
            search_resolution(&layers, &[0], n, &options, Seed(3), &Silent).expect("valid")
        })
    };
    // Numbers that the graph has and, as far from where the search begins, some that it has not.
    for (n, start, most) in [(12, 30.0, 2), (12, 0.01, 2), (5, 1.0, 12), (40, 1.0, 12)] {
        let found = search(n, start, 2);
        assert!(found.trace.len() <= most, "{n} from {start}: {:?}", found.trace);
        assert!(found.n_clusters_found.abs_diff(n) <= n / 20, "{n} from {start}: {:?}", found.trace);
        let again = leiden(&latent, found.resolution, &LeidenOptions::default(), Seed(3)).expect("valid");
        assert_eq!(again, found.partition);
    }
    let found = search(12, 30.0, 1);
    assert!(found.exact);
    assert_eq!(found, search(12, 30.0, 3));
}
