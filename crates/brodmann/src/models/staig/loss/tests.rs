use std::fs::File;

use brodmann_kernels::{CsrMatrix, Seed, Silent, Slices};
use ndarray::{Array0, Array1, Array2, ArrayView2, Axis};
use ndarray_npy::NpzReader;

use super::*;

fn uniform(seed: u64, i: usize) -> f64 {
    (Seed(seed).word(i as u64) >> 11) as f64 / (1u64 << 53) as f64
}

/// A ring with a few chords: undirected, no diagonal.
fn ring(n: usize) -> CsrMatrix<f64> {
    let mut dense = Array2::zeros((n, n));
    for i in 0..n {
        for step in [1, 2] {
            let j = (i + step) % n;
            if j != i && uniform(3, i * 4 + step) < 0.8 {
                dense[[i, j]] = 1.0;
                dense[[j, i]] = 1.0;
            }
        }
    }
    CsrMatrix::from_dense(dense.view())
}

/// `n` rows around `groups` centres; the smaller the spread, the tighter.
fn clustered(seed: u64, n: usize, d: usize, groups: usize, spread: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let centre = uniform(seed, 1_000_000 + (i * groups / n) * d + j) - 0.5;
        centre + spread * (uniform(seed, i * d + j) - 0.5)
    })
}

struct Oracle(NpzReader<File>);

impl Oracle {
    fn open() -> Self {
        Self(crate::oracles::open("staig_loss"))
    }
    fn matrix(&mut self, name: &str) -> Array2<f64> {
        self.0.by_name(&format!("{name}.npy")).unwrap()
    }
    fn vector(&mut self, name: &str) -> Array1<f64> {
        self.0.by_name(&format!("{name}.npy")).unwrap()
    }
    fn number(&mut self, name: &str) -> f64 {
        let value: Array0<f64> = self.0.by_name(&format!("{name}.npy")).unwrap();
        value.into_scalar()
    }
    fn graph(&mut self, name: &str) -> CsrMatrix<f64> {
        CsrMatrix::from_dense(self.matrix(name).view())
    }
}

fn close(found: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
    let scale = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * scale, "{a} {b} (scale {scale})");
    }
}

#[test]
fn values_and_gradients_are_those_of_the_reference() {
    let mut oracle = Oracle::open();
    let (z1, z2) = (oracle.matrix("z1"), oracle.matrix("z2"));
    let slices: Vec<u32> = (0..40).map(|i| u32::from(i >= 20)).collect();
    let labels: Array1<i64> = oracle.0.by_name("pseudo_labels.npy").unwrap();
    let labels: Vec<u32> = labels.iter().map(|&l| l as u32).collect();
    let (whole, blocks) = (oracle.graph("adj"), oracle.graph("adj_blockdiag"));
    for (tau, suffix) in [(0.5, "tau0p5"), (2.0, "tau2p0"), (10.0, "tau10p0")] {
        let forms = [
            ("nei", ContrastPairs::try_new(whole.view(), None, None)),
            ("mask", ContrastPairs::try_new(blocks.view(), Some(&Slices::from_codes(&slices, &[])), None)),
            ("bias", ContrastPairs::try_new(whole.view(), None, Some(&labels))),
        ];
        for (form, pairs) in forms {
            let options =
                ContrastOptions { tau, negatives: Negatives::Exact, released_denominator: form == "bias" };
            let mut loss = ContrastLoss::<f64>::new(pairs.unwrap(), options).unwrap();
            let value = loss.evaluate(z1.view(), z2.view(), &Silent).unwrap();
            let expected = oracle.number(&format!("{form}_loss_{suffix}"));
            // Both sides sum in double precision, in different orders.
            assert!((value.loss - expected).abs() < 1e-12 * expected.abs(), "{form} {tau}: {value:?}");
            assert_eq!(value.bound, 0.0);
            for (view, name) in ["l12", "l21"].into_iter().enumerate() {
                let expected = oracle.vector(&format!("{form}_{name}_{suffix}"));
                for (a, b) in loss.spot_losses(view).iter().zip(&expected) {
                    assert!((a - b).abs() < 1e-11, "{form} {tau} {name}: {a} {b}");
                }
                let expected = oracle.matrix(&format!("{form}_gz{}_{suffix}", view + 1));
                close(&loss.gradient(view), &expected, 1e-11);
            }
        }
    }
}

#[test]
fn single_precision_is_the_reference_to_its_own_rounding() {
    let mut oracle = Oracle::open();
    let (z1, z2) = (oracle.matrix("z1").mapv(|x| x as f32), oracle.matrix("z2").mapv(|x| x as f32));
    let pairs = ContrastPairs::try_new(oracle.graph("adj").view(), None, None).unwrap();
    let options = ContrastOptions { tau: 2.0, ..Default::default() };
    let mut loss = ContrastLoss::<f32>::new(pairs, options).unwrap();
    let value = loss.evaluate(z1.view(), z2.view(), &Silent).unwrap();
    assert!((value.loss - oracle.number("nei_loss_tau2p0")).abs() < 1e-6);
    close(&loss.gradient(0).mapv(f64::from), &oracle.matrix("nei_gz1_tau2p0"), 1e-5);
}

/// Two spots that are neighbours, both views equal and orthogonal, τ = 1.
#[test]
fn two_spots_by_hand() {
    let graph = CsrMatrix::from_dense(ndarray::array![[0.0, 1.0], [1.0, 0.0]].view());
    let z = ndarray::array![[3.0, 0.0], [0.0, 5.0]];
    let pairs = ContrastPairs::try_new(graph.view(), None, None).unwrap();
    let options = ContrastOptions { tau: 1.0, ..Default::default() };
    let mut loss = ContrastLoss::<f64>::new(pairs, options).unwrap();
    let value = loss.evaluate(z.view(), z.view(), &Silent).unwrap();
    // Positives f(1) + f(0) + f(0), denominator f(0) + f(1) + f(0), three positives: −log(1/3).
    assert!((value.loss - 3f64.ln()).abs() < 1e-14);
}

fn every_form(n: usize) -> Vec<(ContrastPairs, bool, &'static str)> {
    let graph = ring(n);
    let slices: Vec<u32> = (0..n).map(|i| u32::from(i >= n / 3)).collect();
    let classes: Vec<u32> = (0..n).map(|i| (uniform(9, i) * 4.0) as u32).collect();
    let mut cut = graph.view().to_dense();
    for ((i, j), v) in cut.indexed_iter_mut() {
        if slices[i] != slices[j] {
            *v = 0.0;
        }
    }
    let cut = CsrMatrix::from_dense(cut.view());
    let new = |g: &CsrMatrix<f64>, s: Option<&[u32]>, c: Option<&[u32]>| {
        ContrastPairs::try_new(g.view(), s.map(|s| Slices::from_codes(s, &[])).as_ref(), c).unwrap()
    };
    vec![
        (new(&graph, None, None), false, "plain"),
        (new(&cut, Some(&slices), None), false, "slices"),
        (new(&graph, None, Some(&classes)), false, "classes"),
        (new(&cut, Some(&slices), Some(&classes)), false, "slices and classes"),
        (new(&cut, Some(&slices), Some(&classes)), true, "released denominator"),
    ]
}

#[test]
fn gradients_are_finite_differences_of_the_loss() {
    let n = 23;
    // The polynomial has four powers at the lower temperature, two at the higher.
    for (negatives, tau) in [(Negatives::Exact, 1.7), (Negatives::Moments, 1.7), (Negatives::Moments, 6.0)] {
        for (pairs, released_denominator, form) in every_form(n) {
            let options = ContrastOptions { tau, negatives, released_denominator };
            let mut loss = ContrastLoss::<f64>::new(pairs, options).unwrap();
            let mut views = [clustered(1, n, 5, 3, 1.0), clustered(2, n, 5, 3, 1.0)];
            loss.evaluate(views[0].view(), views[1].view(), &Silent).unwrap();
            let gradients = [loss.gradient(0), loss.gradient(1)];
            for probe in 0..40 {
                let (view, i, j) = (probe % 2, (probe * 7) % n, probe % 5);
                let step = 1e-5;
                let mut at = |x: f64| {
                    views[view][[i, j]] += x;
                    let value = loss.evaluate(views[0].view(), views[1].view(), &Silent).unwrap().loss;
                    views[view][[i, j]] -= x;
                    value
                };
                let expected = (at(step) - at(-step)) / (2.0 * step);
                let found = gradients[view][[i, j]];
                assert!(
                    (found - expected).abs() < 1e-8,
                    "{negatives:?} τ {tau}, {form}, view {view} ({i}, {j}): {found} {expected}"
                );
            }
        }
    }
}

/// The definition, written out densely.
fn dense_loss(views: [ArrayView2<'_, f64>; 2], graph: &CsrMatrix<f64>, classes: &[u32], tau: f64) -> f64 {
    let unit = views.map(|v| {
        let mut v = v.to_owned();
        for mut row in v.axis_iter_mut(Axis(0)) {
            let norm = row.dot(&row).sqrt();
            row /= norm;
        }
        v
    });
    let n = classes.len();
    let mut total = 0.0;
    for (own, other) in [(0, 1), (1, 0)] {
        let f = |a: usize, i: usize, b: usize, j: usize| (unit[a].row(i).dot(&unit[b].row(j)) / tau).exp();
        for i in 0..n {
            let neighbors = graph.view().row(i).0;
            let mut positive = f(own, i, other, i);
            for &j in neighbors {
                positive += f(own, i, own, j as usize) + f(own, i, other, j as usize);
            }
            let mut denominator = positive;
            for j in (0..n).filter(|&j| classes[j] != classes[i] && !neighbors.contains(&(j as u32))) {
                denominator += f(own, i, own, j) + f(own, i, other, j);
            }
            total -= (positive / denominator / (2 * neighbors.len() + 1) as f64).ln();
        }
    }
    total / (2 * n) as f64
}

#[test]
fn classes_leave_the_negatives_and_positives_stay() {
    let n = 60;
    let graph = ring(n);
    let classes: Vec<u32> = (0..n).map(|i| (uniform(9, i) * 4.0) as u32).collect();
    let views = [clustered(1, n, 5, 3, 1.0), clustered(2, n, 5, 3, 1.0)];
    let pairs = ContrastPairs::try_new(graph.view(), None, Some(&classes)).unwrap();
    let mut loss =
        ContrastLoss::<f64>::new(pairs, ContrastOptions { tau: 0.7, ..Default::default() }).unwrap();
    let found = loss.evaluate(views[0].view(), views[1].view(), &Silent).unwrap().loss;
    let expected = dense_loss([views[0].view(), views[1].view()], &graph, &classes, 0.7);
    assert!((found - expected).abs() < 1e-13, "{found} {expected}");
}

/// Relative difference of two matrices, in the Frobenius norm.
fn relative(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).mapv(|x| x * x).sum().sqrt() / b.mapv(|x| x * x).sum().sqrt()
}

#[test]
fn moments_stay_within_the_stated_bound_of_exact() {
    let n = 400;
    for (pairs, released_denominator, form) in every_form(n) {
        for tau in [1.0, 2.0, 5.0, 10.0, 35.0] {
            for spread in [0.1, 1.0, 4.0] {
                let views = [clustered(1, n, 16, 5, spread), clustered(2, n, 16, 5, spread)];
                let run = |negatives| {
                    let options = ContrastOptions { tau, negatives, released_denominator };
                    let mut loss = ContrastLoss::<f64>::new(pairs.clone(), options).unwrap();
                    let value = loss.evaluate(views[0].view(), views[1].view(), &Silent).unwrap();
                    (value, [loss.spot_losses(0), loss.spot_losses(1)], loss.gradient(0))
                };
                let (exact, moments) = (run(Negatives::Exact), run(Negatives::Moments));
                let bound = moments.0.bound;
                assert!(bound > 0.0, "{form} τ {tau}: {bound}");
                // A denominator off by a share b moves its logarithm by at most −log(1 − b).
                let allowed = (1.0 + bound).ln() + 1e-12;
                for (a, b) in exact.1.iter().flatten().zip(moments.1.iter().flatten()) {
                    assert!((a - b).abs() <= allowed, "{form} τ {tau} spread {spread}: {a} {b} {allowed}");
                }
                let error = relative(&moments.2, &exact.2);
                assert!(error < 2e-2, "{form} τ {tau} spread {spread}: {error}");
            }
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_thread_count() {
    for (negatives, tau) in [(Negatives::Exact, 5.0), (Negatives::Moments, 5.0), (Negatives::Moments, 2.0)] {
        for (pairs, released_denominator, form) in every_form(700) {
            let views = [1, 2].map(|seed| clustered(seed, 700, 16, 5, 1.0).mapv(|x| x as f32));
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
                pool.install(|| {
                    let options = ContrastOptions { tau, negatives, released_denominator };
                    let mut loss = ContrastLoss::<f32>::new(pairs.clone(), options).unwrap();
                    let value = loss.evaluate(views[0].view(), views[1].view(), &Silent).unwrap();
                    (value, loss.gradient(0), loss.gradient(1))
                })
            };
            assert_eq!(run(1), run(3), "{negatives:?} τ {tau}, {form}");
        }
    }
}

#[test]
fn the_order_of_the_spots_does_not_matter() {
    let n = 50;
    let graph = ring(n);
    let views = [clustered(1, n, 5, 3, 1.0), clustered(2, n, 5, 3, 1.0)];
    let order: Vec<usize> = (0..n).map(|i| (i * 17 + 5) % n).collect();
    let shuffled_graph = graph.view().to_dense().select(Axis(0), &order).select(Axis(1), &order);
    let shuffled = [0, 1].map(|v: usize| views[v].select(Axis(0), &order));
    let run = |graph: &CsrMatrix<f64>, views: &[Array2<f64>; 2]| {
        let pairs = ContrastPairs::try_new(graph.view(), None, None).unwrap();
        let mut loss = ContrastLoss::<f64>::new(pairs, ContrastOptions::default()).unwrap();
        let value = loss.evaluate(views[0].view(), views[1].view(), &Silent).unwrap();
        (value.loss, loss.gradient(0))
    };
    let plain = run(&graph, &views);
    let other = run(&CsrMatrix::from_dense(shuffled_graph.view()), &shuffled);
    assert!((plain.0 - other.0).abs() < 1e-13);
    close(&other.1, &plain.1.select(Axis(0), &order), 1e-12);
}

#[test]
fn slices_are_exact_sums() {
    let n = 40;
    let half = ring(n / 2).view().to_dense();
    let mut both = Array2::zeros((n, n));
    for ((i, j), &v) in half.indexed_iter() {
        both[[i, j]] = v;
        both[[i + n / 2, j + n / 2]] = v;
    }
    let views = [clustered(1, n, 5, 3, 1.0), clustered(2, n, 5, 3, 1.0)];
    let slices: Vec<u32> = (0..n).map(|i| u32::from(i < n / 2)).collect();
    let run = |graph: &Array2<f64>, slices: Option<&[u32]>, rows: &[usize]| {
        let graph = CsrMatrix::from_dense(graph.view());
        let pairs =
            ContrastPairs::try_new(graph.view(), slices.map(|s| Slices::from_codes(s, &[])).as_ref(), None)
                .unwrap();
        let mut loss = ContrastLoss::<f64>::new(pairs, ContrastOptions::default()).unwrap();
        let (a, b) = (views[0].select(Axis(0), rows), views[1].select(Axis(0), rows));
        loss.evaluate(a.view(), b.view(), &Silent).unwrap().loss * rows.len() as f64
    };
    let all: Vec<usize> = (0..n).collect();
    let together = run(&both, Some(&slices), &all);
    let apart = run(&half, None, &all[..n / 2]) + run(&half, None, &all[n / 2..]);
    assert!((together - apart).abs() < 1e-11);
}

#[test]
fn few_spots_isolated_spots_and_empty_rows() {
    let evaluate = |graph: &CsrMatrix<f64>, z: &Array2<f64>, negatives| {
        let pairs = ContrastPairs::try_new(graph.view(), None, None).unwrap();
        let options = ContrastOptions { negatives, ..Default::default() };
        let mut loss = ContrastLoss::<f64>::new(pairs, options).unwrap();
        let value = loss.evaluate(z.view(), z.view(), &Silent).unwrap();
        assert!(loss.gradient(0).iter().all(|g| g.is_finite()));
        value.loss
    };
    for negatives in [Negatives::Exact, Negatives::Moments] {
        let none = CsrMatrix::from_dense(Array2::zeros((0, 0)).view());
        assert_eq!(evaluate(&none, &Array2::zeros((0, 3)), negatives), 0.0);
        // One spot: its other view is all there is, so positive and denominator are equal.
        let one = CsrMatrix::from_dense(Array2::zeros((1, 1)).view());
        assert!(evaluate(&one, &Array2::ones((1, 3)), negatives).abs() < 1e-12);
        let isolated = CsrMatrix::from_dense(Array2::zeros((5, 5)).view());
        let mut z = clustered(1, 5, 3, 2, 1.0);
        z.row_mut(2).fill(0.0);
        assert!(evaluate(&isolated, &z, negatives) > 0.0);
    }
}

#[test]
fn a_vanishing_temperature_neither_overflows_nor_divides_by_zero() {
    let graph = ring(30);
    let views = [clustered(1, 30, 5, 3, 1.0), clustered(2, 30, 5, 3, 1.0)].map(|v| v.mapv(|x| x as f32));
    let pairs = ContrastPairs::try_new(graph.view(), None, None).unwrap();
    let options = ContrastOptions { tau: 0.05, ..Default::default() };
    let mut loss = ContrastLoss::<f32>::new(pairs, options).unwrap();
    assert!(loss.evaluate(views[0].view(), views[1].view(), &Silent).unwrap().loss.is_finite());
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = ring(6);
    let pairs = || ContrastPairs::try_new(graph.view(), None, None).unwrap();
    let refused =
        |tau| ContrastLoss::<f32>::new(pairs(), ContrastOptions { tau, ..Default::default() }).is_err();
    assert!(refused(0.0) && refused(f64::NAN) && refused(-1.0));
    let mut loss = ContrastLoss::<f32>::new(pairs(), ContrastOptions::default()).unwrap();
    let (five, six, wide) = (Array2::ones((5, 2)), Array2::ones((6, 2)), Array2::ones((6, 3)));
    assert!(matches!(
        loss.evaluate(five.view(), six.view(), &Silent),
        Err(StaigError::RowCount { found: 5, expected: 6, .. })
    ));
    assert!(matches!(
        loss.evaluate(six.view(), wide.view(), &Silent),
        Err(StaigError::ViewWidths { first: 2, second: 3 })
    ));
    let mut not_finite = six.clone();
    not_finite[[0, 0]] = f32::NAN;
    assert!(matches!(
        loss.evaluate(six.view(), not_finite.view(), &Silent),
        Err(StaigError::Diverged { .. })
    ));
    let refuse = |dense: Array2<f64>, slices: Option<&[u32]>| {
        ContrastPairs::try_new(
            CsrMatrix::from_dense(dense.view()).view(),
            slices.map(|s| Slices::from_codes(s, &[])).as_ref(),
            None,
        )
        .unwrap_err()
    };
    assert_eq!(
        refuse(ndarray::array![[0.0, 1.0], [0.0, 0.0]], None),
        StaigError::NotSymmetric { row: 0, column: 1 }
    );
    assert_eq!(refuse(ndarray::array![[1.0]], None), StaigError::SelfNeighbor { row: 0 });
    assert_eq!(
        refuse(ndarray::array![[0.0, 1.0], [1.0, 0.0]], Some(&[0, 1])),
        StaigError::EdgeAcrossSlices { row: 0, column: 1 }
    );
    assert_eq!(refuse(Array2::zeros((2, 3)), None), StaigError::GraphShape { n_rows: 2, n_cols: 3 });
    assert!(matches!(refuse(Array2::zeros((2, 2)), Some(&[0])), StaigError::RowCount { found: 1, .. }));
}

#[test]
fn auto_is_exact_for_small_slices_and_for_low_temperatures() {
    let pairs = ContrastPairs::try_new(ring(10).view(), None, None).unwrap();
    let resolve = |tau, pairs: &ContrastPairs| ContrastOptions { tau, ..Default::default() }.resolve(pairs);
    assert_eq!(resolve(35.0, &pairs), Negatives::Exact);
    let rows = vec![Vec::new(); 6000];
    let large = ContrastPairs::try_new(CsrMatrix::from_rows(6000, &rows).view(), None, None).unwrap();
    assert_eq!(resolve(35.0, &large), Negatives::Moments);
    assert_eq!(resolve(1.0, &large), Negatives::Moments);
    assert_eq!(resolve(0.5, &large), Negatives::Exact);
}
