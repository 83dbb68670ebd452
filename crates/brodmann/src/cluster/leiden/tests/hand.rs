//! Cases small enough to check by hand, or known by heart.

use super::*;

#[test]
fn two_triangles_joined_by_an_edge_are_two_clusters() {
    let g = undirected(6, &[(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (2, 3)]);
    let found = leiden(&g, 1.0, &LeidenOptions::default(), Seed(0)).expect("valid");
    assert_eq!(found.membership, [0, 0, 0, 1, 1, 1]);
    assert_eq!((found.n_clusters, found.converged), (2, true));
    // 2·3 inside each, K = 7 each, m = 14 (both directions): 12 − 2·49/14 = 5.
    assert!((found.quality - 5.0).abs() < 1e-12);
    let modularity = Layer { quality: Quality::Modularity, ..Layer::new(&g) };
    let (q, _) = quality(&[modularity], &found.membership).expect("valid");
    assert!((q - 5.0 / 14.0).abs() < 1e-12);
}

#[test]
fn a_ring_of_cliques_gives_the_cliques() {
    let g = ring_of_cliques(12, 5);
    for seed in 0..5 {
        let found = leiden(&g, 1.0, &LeidenOptions::default(), Seed(seed)).expect("valid");
        assert_eq!(found.n_clusters, 12);
        assert!(found.membership.chunks(5).all(|c| c.iter().all(|m| *m == c[0])));
        // Equal sizes: numbered by smallest node.
        assert!(found.membership.iter().enumerate().all(|(v, m)| *m as usize == v / 5));
    }
}

#[test]
fn the_karate_club_reaches_its_known_best_modularity() {
    let g = karate();
    let layer = Layer { quality: Quality::Modularity, directed: false, ..Layer::new(&g) };
    let best = (0..10)
        .map(|s| leiden_multiplex(&[layer], &LeidenOptions::default(), Seed(s)).expect("valid").quality)
        .fold(f64::NEG_INFINITY, f64::max);
    // Brandes et al. 2008: the optimum is 0.41979.
    assert!((best - 0.419790).abs() < 5e-6, "{best}");
}

#[test]
fn clusters_are_numbered_by_size() {
    let g = undirected(9, &[(0, 1), (2, 3), (3, 4), (2, 4), (5, 6), (6, 7), (7, 8), (5, 7), (6, 8), (5, 8)]);
    let found = leiden(&g, 1.0, &LeidenOptions::default(), Seed(3)).expect("valid");
    assert_eq!(found.membership, [2, 2, 1, 1, 1, 0, 0, 0, 0]);
}

#[test]
fn a_layer_of_its_own_decides_where_the_other_is_silent() {
    // Layer 0 joins 0-1 and 2-3; layer 1 joins 1-2 only when it weighs enough.
    let a = undirected(4, &[(0, 1), (2, 3)]);
    let b = undirected(4, &[(1, 2), (0, 3)]);
    let run = |weight| {
        let layers = [Layer::new(&a), Layer { weight, ..Layer::new(&b) }];
        leiden_multiplex(&layers, &LeidenOptions::default(), Seed(0)).expect("valid").membership
    };
    assert_eq!(run(0.5), [0, 0, 1, 1]);
    assert_eq!(run(2.0), [0, 1, 1, 0]);
    assert_eq!(run(0.0), [0, 0, 1, 1]);
}

#[test]
fn a_starting_partition_is_used_and_improved() {
    let g = ring_of_cliques(6, 4);
    let initial: Vec<u32> = (0..24).map(|v| 7 + v / 4).collect();
    let options = LeidenOptions { initial: Some(initial.clone()), ..LeidenOptions::default() };
    let found = leiden(&g, 1.0, &options, Seed(1)).expect("valid");
    // Already optimal: one changeless pass.
    assert_eq!((found.n_iterations, found.converged, found.n_clusters), (1, true, 6));
    let start_all_in_one = LeidenOptions { initial: Some(vec![5; 24]), ..LeidenOptions::default() };
    assert_eq!(leiden(&g, 1.0, &start_all_in_one, Seed(1)).expect("valid").n_clusters, 6);
}

#[test]
fn the_exhaustive_optimum_of_small_graphs_is_reached() {
    // All partitions of 8 nodes, by restricted growth strings.
    fn partitions(n: usize, prefix: &mut Vec<u32>, visit: &mut dyn FnMut(&[u32])) {
        if prefix.len() == n {
            visit(prefix);
            return;
        }
        let next = prefix.iter().max().map_or(0, |m| m + 1);
        for c in 0..=next {
            prefix.push(c);
            partitions(n, prefix, visit);
            prefix.pop();
        }
    }
    let mut reached = 0;
    for case in 0..12u64 {
        let seed = Seed(case);
        let edges: Vec<(u32, u32, f64)> = (0..8u32)
            .flat_map(|i| (i + 1..8).map(move |j| (i, j)))
            .filter(|&(i, j)| seed.word(u64::from(i * 8 + j)) % 5 < 2)
            .map(|(i, j)| (i, j, 0.25 + (seed.word(u64::from(100 + i * 8 + j)) % 4) as f64))
            .collect();
        let a = graph(8, &edges, true);
        let b = undirected(8, &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]);
        let layers =
            [Layer::new(&a), Layer { weight: 0.7, quality: Quality::Cpm, resolution: 0.2, ..Layer::new(&b) }];
        let mut optimum = f64::NEG_INFINITY;
        partitions(8, &mut Vec::new(), &mut |p| {
            optimum = optimum.max(quality(&layers, p).expect("valid").0);
        });
        let best = (0..5)
            .map(|s| leiden_multiplex(&layers, &LeidenOptions::default(), Seed(s)).expect("valid").quality)
            .fold(f64::NEG_INFINITY, f64::max);
        assert!(best <= optimum + 1e-9);
        reached += usize::from(best > optimum - 1e-9);
    }
    assert!(reached >= 10, "only {reached} of 12 optima reached");
}

#[test]
fn a_resolution_search_finds_what_exists_and_says_what_does_not() {
    let g = ring_of_cliques(12, 5);
    let layers = [Layer::new(&g)];
    let search =
        |n| search_resolution(&layers, &[0], n, &SearchOptions::default(), Seed(0), &Silent).expect("valid");
    for n in [1, 3, 6, 12] {
        let found = search(n);
        assert!(found.exact && found.unreached.is_none(), "{n}: {:?}", found.trace);
        assert_eq!(found.n_clusters_found, n);
        // The resolution found is the answer by itself.
        let again = leiden(&g, found.resolution, &LeidenOptions::default(), Seed(0)).expect("valid");
        assert_eq!(again, found.partition);
    }
    // Every node alone is no clustering.
    let alone = search_resolution(&layers, &[0], 60, &SearchOptions::default(), Seed(0), &Silent);
    assert!(matches!(alone, Err(LeidenError::Option(e)) if e.option.0 == "n_clusters"));
    let parts = undirected(6, &[(0, 1), (2, 3), (4, 5)]);
    let layers = [Layer::new(&parts)];
    let found =
        search_resolution(&layers, &[0], 2, &SearchOptions::default(), Seed(0), &Silent).expect("valid");
    assert!(!found.exact);
    assert_eq!(
        (found.n_clusters_found, found.unreached),
        (3, Some(Unreached::Components { n_components: 3 }))
    );
    // By symmetry all three pairs break at once.
    let found =
        search_resolution(&layers, &[0], 4, &SearchOptions::default(), Seed(0), &Silent).expect("valid");
    assert!(!found.exact);
    assert_eq!(found.unreached, Some(Unreached::Skipped { below: 3, above: 6 }));
    assert!(found.trace.len() > 3);
}

#[test]
fn a_search_counts_clusterings_not_passes() {
    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicU64);
    impl Monitor for Count {
        fn advance(&self, steps: u64) {
            self.0.fetch_add(steps, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let g = ring_of_cliques(12, 5);
    let count = Count::default();
    let found = search_resolution(&[Layer::new(&g)], &[0], 6, &SearchOptions::default(), Seed(0), &count);
    assert_eq!(found.expect("valid").trace.len() as u64, count.0.into_inner());
}

#[test]
fn the_two_step_search_fixes_the_latent_resolution_first() {
    let latent = ring_of_cliques(12, 5);
    let n = 60u32;
    let spatial = undirected(60, &(0..n).map(|i| (i, (i + 1) % n)).collect::<Vec<_>>());
    let layers = [Layer::new(&latent), Layer { weight: 0.5, ..Layer::new(&spatial) }];
    let found = search_resolution_latent_spatial(&layers, 1, 12, &SearchOptions::default(), Seed(0), &Silent)
        .expect("valid");
    assert!(found.latent.exact && found.spatial.exact, "{:?}", found.spatial.trace);
    let fixed = [
        Layer { resolution: found.latent.resolution, ..layers[0] },
        Layer { resolution: found.spatial.resolution, ..layers[1] },
    ];
    let again = leiden_multiplex(&fixed, &LeidenOptions::default(), Seed(0)).expect("valid");
    assert_eq!(again, found.spatial.partition);
    // With a heavy latent layer no spatial resolution can bring the number far down.
    let heavy = [Layer { weight: 1000.0, ..layers[0] }, layers[1]];
    let options = SearchOptions { lowest: 0.5, highest: 2.0, ..SearchOptions::default() };
    let found = search_resolution(&heavy, &[1], 3, &options, Seed(0), &Silent).expect("valid");
    assert!(!found.exact);
    assert!(matches!(found.unreached, Some(Unreached::OutOfRange { .. })), "{:?}", found.unreached);
}
