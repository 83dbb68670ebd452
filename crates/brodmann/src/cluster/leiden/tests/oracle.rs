//! Numbers of leidenalg 0.11.0 on 60 nodes: qualities and move differences to 1e-9, optima by seeds.

use std::fs::File;

use ndarray::{Array0, Array1, Array2};
use ndarray_npy::{NpzReader, ReadableElement};

use super::*;

struct Oracle(NpzReader<File>);

impl Oracle {
    fn open() -> Self {
        Self(crate::oracles::open("leiden"))
    }
    fn number(&mut self, name: &str) -> f64 {
        let value: Array0<f64> = self.0.by_name(name).expect("number");
        value.into_scalar()
    }
    fn vector<T: ReadableElement>(&mut self, name: &str) -> Array1<T> {
        self.0.by_name(name).expect("vector")
    }
    fn matrix<T: ReadableElement>(&mut self, name: &str) -> Array2<T> {
        self.0.by_name(name).expect("matrix")
    }
    fn graph(&mut self, name: &str, undirected: bool) -> CsrMatrix<f64> {
        let edges: Array2<i64> = self.matrix(&format!("{name}_edges"));
        let weights: Array1<f64> = self.vector(&format!("{name}_w"));
        let list: Vec<_> =
            edges.rows().into_iter().zip(&weights).map(|(e, w)| (e[0] as u32, e[1] as u32, *w)).collect();
        graph(60, &list, undirected)
    }
    fn partition(&mut self) -> Vec<u32> {
        self.vector::<i64>("partition").iter().map(|p| *p as u32).collect()
    }
}

#[track_caller]
fn close(ours: f64, theirs: f64) {
    // 1e-9: both sum a few hundred terms in f64, in other orders.
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "ours {ours}, oracle {theirs}");
}

#[test]
fn qualities_equal_leidenalg() {
    let mut oracle = Oracle::open();
    let membership = oracle.partition();
    for (name, undirected) in [("und", true), ("dir", false)] {
        let g = oracle.graph(name, undirected);
        let base = Layer { directed: !undirected, ..Layer::new(&g) };
        let of = |layer: Layer<'_>| quality(&[layer], &membership).expect("valid").0;
        for (suffix, use_weights) in [("w", true), ("u", false)] {
            let base = Layer { use_weights, ..base };
            for (gamma, tag) in [(0.5, "0p5"), (1.0, "1p0"), (1.7, "1p7")] {
                let rb = Layer { resolution: gamma, ..base };
                close(of(rb), oracle.number(&format!("{name}_{suffix}_RBC_{tag}")));
                let cpm = Layer { quality: Quality::Cpm, resolution: 0.1 * gamma, ..base };
                close(of(cpm), oracle.number(&format!("{name}_{suffix}_CPM_{tag}")));
            }
            let modularity = Layer { quality: Quality::Modularity, ..base };
            close(of(modularity), oracle.number(&format!("{name}_{suffix}_Mod")));
        }
        let rber = Layer { quality: Quality::Rber, ..base };
        close(of(rber), oracle.number(&format!("{name}_RBER_1p0")));
    }
}

#[test]
fn multiplex_quality_and_move_differences_equal_leidenalg() {
    let mut oracle = Oracle::open();
    let membership = oracle.partition();
    let (a, b) = (oracle.graph("dir", false), oracle.graph("dir2", false));
    let weights: Array1<f64> = oracle.vector("mx_layer_weights");
    let resolutions: Array1<f64> = oracle.vector("mx_resolution");
    let layers = [
        Layer { weight: weights[0], resolution: resolutions[0], ..Layer::new(&a) },
        Layer { weight: weights[1], resolution: resolutions[1], ..Layer::new(&b) },
    ];
    let (total, per_layer) = quality(&layers, &membership).expect("valid");
    close(total, oracle.number("mx_quality"));
    let expected: Array1<f64> = oracle.vector("mx_layer_quality");
    per_layer.iter().zip(&expected).for_each(|(q, e)| close(*q, *e));
    for row in oracle.matrix::<f64>("mx_diff_move").rows() {
        let found = move_difference(&layers, &membership, row[0] as usize, row[1] as u32).expect("valid");
        close(found[0], row[2]);
        close(found[1], row[3]);
    }
}

#[test]
fn the_best_of_ten_seeds_is_at_least_leidenalgs() {
    let mut oracle = Oracle::open();
    let (a, b) = (oracle.graph("dir", false), oracle.graph("dir2", false));
    let u = oracle.graph("und", true);
    let weights: Array1<f64> = oracle.vector("mx_layer_weights");
    let resolutions: Array1<f64> = oracle.vector("mx_resolution");
    let multiplex = [
        Layer { weight: weights[0], resolution: resolutions[0], ..Layer::new(&a) },
        Layer { weight: weights[1], resolution: resolutions[1], ..Layer::new(&b) },
    ];
    let single = [Layer::new(&a)];
    let symmetric = [Layer { directed: false, ..Layer::new(&u) }];
    let cases: [(&[Layer<'_>], &str); 3] =
        [(&multiplex, "mx_seed_quality"), (&single, "dir_opt_RBC_1p0"), (&symmetric, "und_opt_RBC_1p0")];
    for (layers, name) in cases {
        let theirs: Array1<f64> = oracle.vector(name);
        let ours: Vec<f64> = (0..10)
            .map(|s| {
                let found = leiden_multiplex(layers, &LeidenOptions::default(), Seed(s)).expect("valid");
                assert!(found.converged);
                assert_connected(layers, &found.membership);
                assert_no_better_move(layers, &found);
                found.quality
            })
            .collect();
        let best = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (ours_best, theirs_best) = (best(&ours), best(theirs.as_slice().expect("contiguous")));
        eprintln!("{name}: ours {ours:.4?}\n theirs {theirs:.4}");
        assert!(ours_best >= theirs_best * (1.0 - 1e-9), "{name}: {ours_best} < {theirs_best}");
        // And no worse on the whole.
        let mean = ours.iter().sum::<f64>() / 10.0;
        assert!(mean >= theirs.mean().expect("ten") * 0.995, "{name}: mean {mean}");
    }
    let memberships: Array2<i64> = oracle.matrix("mx_seed_membership");
    let theirs: Vec<u32> = memberships.row(0).iter().map(|m| *m as u32).collect();
    let (total, _) = quality(&multiplex, &theirs).expect("valid");
    close(total, oracle.vector::<f64>("mx_seed_quality")[0]);
}
