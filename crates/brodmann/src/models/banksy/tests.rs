use brodmann_kernels::{CsrMatrix, Silent};
use ndarray::{Array1, Array2, Axis, Slice};

use super::*;
use crate::preprocess::svd::made_rows::columns_product;

fn grid(side: usize) -> Array2<f64> {
    Array2::from_shape_fn((side * side, 2), |(i, axis)| if axis == 0 { i % side } else { i / side } as f64)
}

/// Genes without order, but the same on every machine.
fn genes(n_obs: usize, n_genes: usize) -> CsrMatrix<f32> {
    let dense = Array2::from_shape_fn((n_obs, n_genes), |(i, j)| {
        let mixed =
            (i as u64 * 2654435761 + j as u64 * 40503 + 12345).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        if mixed.is_multiple_of(3) { (mixed % 1000) as f32 / 200.0 } else { 0.0 }
    });
    CsrMatrix::from_dense(dense.view())
}

fn run(x: &CsrMatrix<f32>, spots: &Array2<f64>, slices: Option<&Slices>, options: &BanksyOptions) -> Banksy {
    banksy(x.view(), spots.view(), slices, options, Seed(0), &Silent).expect("valid")
}

fn of(lambda: f64, n_components: usize) -> BanksyOptions {
    BanksyOptions { lambdas: vec![lambda], n_components, ..BanksyOptions::default() }
}

/// The plain definition, dense, without a thought for size: the matrix whose components are taken.
fn plain(x: &Array2<f64>, spots: &Array2<f64>, options: &BanksyOptions, lambda: f64) -> Array2<f64> {
    let (n, g) = x.dim();
    let (mut mean, mut gradient) = (Array2::<f64>::zeros((n, g)), Array2::<f64>::zeros((n, g)));
    for i in 0..n {
        let step = |j: usize| (spots[[j, 0]] - spots[[i, 0]], spots[[j, 1]] - spots[[i, 1]]);
        let mut others: Vec<(f64, usize)> =
            (0..n).filter(|&j| j != i).map(|j| (step(j).0.hypot(step(j).1), j)).collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let weights = |k: usize| {
            let near = &others[..k];
            let median = f64::midpoint(near[(k - 1) / 2].0, near[k / 2].0);
            let raw: Vec<f64> = near.iter().map(|(d, _)| (-(d / median).powi(2)).exp()).collect();
            let total: f64 = raw.iter().sum();
            near.iter().zip(raw).map(|((_, j), w)| (*j, w / total)).collect::<Vec<_>>()
        };
        for (j, w) in weights(options.n_neighbors) {
            mean.row_mut(i).scaled_add(w, &x.row(j));
        }
        let near = weights(options.n_neighbors_agf);
        let mut centre = Array1::<f64>::zeros(g);
        if options.centred {
            for (j, _) in &near {
                centre.scaled_add(1.0 / near.len() as f64, &x.row(*j));
            }
        }
        let (mut re, mut im) = (Array1::<f64>::zeros(g), Array1::<f64>::zeros(g));
        for (j, w) in near {
            let angle = step(j).1.atan2(step(j).0);
            let moved = &x.row(j) - &centre;
            re.scaled_add(w * angle.cos(), &moved);
            im.scaled_add(w * angle.sin(), &moved);
        }
        gradient.row_mut(i).assign(&(re.mapv(|v| v * v) + im.mapv(|v| v * v)).mapv(f64::sqrt));
    }
    let factors = options.factors(lambda);
    let mut all = Array2::zeros((n, 3 * g));
    for (b, block) in [x, &mean, &gradient].into_iter().enumerate() {
        for j in 0..g {
            let column = block.column(j);
            let centre = column.mean().expect("spots");
            let deviation = column.std(0.0);
            let scaled = column.mapv(|v| if deviation > 1e-9 { (v - centre) / deviation } else { 0.0 });
            all.column_mut(b * g + j).assign(&(scaled * factors[b]));
        }
    }
    all
}

/// Distances between spots in all components are those in the matrix itself, whatever basis was found.
fn assert_same_geometry(scores: &Array2<f64>, matrix: &Array2<f64>, tolerance: f64) {
    let centre = matrix.mean_axis(Axis(0)).expect("spots");
    let matrix = matrix - &centre;
    let (found, expected) = (scores.dot(&scores.t()), matrix.dot(&matrix.t()));
    let worst = (&found - &expected).iter().fold(0.0f64, |w, v| w.max(v.abs()));
    assert!(worst < tolerance, "{worst}");
}

#[test]
fn all_components_are_the_plain_definition() {
    // Places without ties, so that the order of neighbours is one.
    let spots = Array2::from_shape_fn((60, 2), |(i, a)| {
        f64::from(((i * 37 + a * 11) % 61) as u32) + 0.01 * f64::from((i * (a + 3) % 17) as u32)
    });
    for (n_genes, what) in [(4, "more spots than columns"), (30, "more columns than spots")] {
        let x = genes(60, n_genes);
        for centred in [true, false] {
            for lambda in [0.0, 0.2, 0.8, 1.0] {
                let options = BanksyOptions { centred, ..of(lambda, 1000) };
                let made = run(&x, &spots, None, &options);
                let expected = plain(&x.view().to_dense().mapv(f64::from), &spots, &options, lambda);
                assert_same_geometry(&made.components[0].scores, &expected, 1e-8);
                let ratio: f64 = made.components[0].variance_ratio.iter().sum();
                assert!((ratio - 1.0).abs() < 1e-9, "{what}: {ratio}");
            }
        }
    }
}

#[test]
fn components_are_those_of_pybanksy() {
    let mut npz = crate::oracles::open("banksy");
    let xy: Array2<f64> = npz.by_name("xy.npy").expect("places");
    let genes: Array2<f64> = npz.by_name("X.npy").expect("genes");
    let x = CsrMatrix::from_dense(genes.mapv(|v| v as f32).view());
    for (variant, centred) in [("plain", false), ("centred", true)] {
        let options = BanksyOptions { lambdas: vec![0.2, 0.8], centred, ..BanksyOptions::default() };
        let made = run(&x, &xy, None, &options);
        for (name, found) in ["0p2", "0p8"].into_iter().zip(&made.components) {
            let singular: Array1<f64> = npz.by_name(&format!("sv_{variant}_l{name}.npy")).expect("values");
            let scores: Array2<f64> = npz.by_name(&format!("pca_{variant}_l{name}.npy")).expect("scores");
            for (t, expected) in singular.iter().enumerate() {
                let value = (found.variance[t] * 199.0).sqrt();
                assert!(
                    (value - expected).abs() < 1e-6 * singular[0],
                    "{variant} {name}: {value} {expected}"
                );
                // Signs are arbitrary; close values mix their vectors by the rounding of the genes over their distance.
                let (a, b) = (found.scores.column(t), scores.column(t));
                let sign = a.dot(&b).signum();
                let worst = a.iter().zip(b).fold(0.0f64, |w, (a, b)| w.max((a - sign * b).abs()));
                assert!(worst < 1e-4, "{variant} {name}, component {t}: {worst}");
            }
        }
    }
}

#[test]
fn the_ways_to_the_components_agree() {
    let (x, spots) = (genes(400, 5), grid(20));
    let slices = Slices::one(400);
    let options = of(0.3, 6);
    let around = Surroundings::new(spots.view(), &slices, &options).expect("spots");
    let blocks = Blocks::new(x.view(), &slices, Some(around), true, &Silent).expect("goes on");
    let factors = options.factors(0.3);
    let formed = components::leading(&blocks, &[factors], 6, Seed(0), &Silent).expect("valid").remove(0);
    let streamed = components::streamed(&blocks, &factors, 6, Seed(0), &Silent).expect("valid");
    for (t, value) in streamed.values.iter().enumerate() {
        let variance = value / 399.0;
        assert!((variance - formed.variance[t]).abs() < 1e-8 * formed.variance[0], "{t}");
    }
}

#[test]
fn several_lambdas_at_once_are_each_alone() {
    let (x, spots) =
        (genes(200, 6), Array2::from_shape_fn((200, 2), |(i, a)| ((i * 31 + a * 7) % 97) as f64));
    let both = run(&x, &spots, None, &BanksyOptions { lambdas: vec![0.2, 0.8], ..of(0.0, 5) });
    for (lambda, found) in [0.2, 0.8].into_iter().zip(&both.components) {
        assert_eq!(found.scores, run(&x, &spots, None, &of(lambda, 5)).components[0].scores);
    }
}

#[test]
fn rows_made_anew_are_the_rows_kept_and_threads_do_not_matter() {
    let (x, spots) =
        (genes(1300, 7), Array2::from_shape_fn((1300, 2), |(i, a)| ((i * 31 + a * 7) % 997) as f64));
    let codes: Vec<u32> = (0..1300).map(|i| u32::from(i % 3 == 0)).collect();
    let slices = Slices::from_codes(&codes, &[]);
    let options = of(0.5, 4);
    let make = || {
        let around = Surroundings::new(spots.view(), &slices, &options).expect("spots");
        Blocks::new(x.view(), &slices, Some(around), true, &Silent).expect("goes on")
    };
    let find = |blocks: &Blocks<'_>| {
        components::leading(blocks, &[options.factors(0.5)], 4, Seed(0), &Silent)
            .expect("valid")
            .remove(0)
            .scores
    };
    let kept = find(&make());
    let mut anew = make();
    anew.forget();
    let same = |a: &Array2<f64>, b: &Array2<f64>| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(same(&find(&anew), &kept));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    assert_eq!(pool.install(|| find(&make())), kept);
}

#[test]
fn single_precision_gives_the_product_but_for_rounding() {
    // Panels of 256 and 44 own values, and of 256, 256 and 88 others; two blocks of rows in a slice.
    let (n, g) = (2000, 300);
    let spots = Array2::from_shape_fn((n, 2), |(i, a)| ((i * 31 + a * 7) % 1999) as f64);
    let codes: Vec<u32> = (0..n as u32).map(|i| u32::from(i % 4 == 0)).collect();
    let slices = Slices::from_codes(&codes, &[]);
    let dense = genes(n, g);
    let mut sparse = dense.view().to_dense();
    sparse
        .indexed_iter_mut()
        .filter(|((i, j), _)| (i * 7 + j * 13 + i * j) % 11 > 1)
        .for_each(|(_, v)| *v = 0.0);
    for x in [dense, CsrMatrix::from_dense(sparse.view())] {
        let around = Surroundings::new(spots.view(), &slices, &of(0.5, 4)).expect("spots");
        let blocks = Blocks::new(x.view(), &slices, Some(around), true, &Silent).expect("goes on");
        let exact = components::column_product(&blocks, &Silent).expect("goes on");
        let single = columns_product(&blocks, &Silent).expect("goes on");
        assert_eq!(single, single.t());
        let worst = exact.iter().zip(&single).fold(0.0f64, |w, (a, b)| w.max((a - b).abs()));
        assert!(worst < 1e-5 * n as f64, "{worst}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
        assert_eq!(pool.install(|| columns_product(&blocks, &Silent)).expect("goes on"), single);
    }
}

#[test]
fn slices_know_nothing_of_each_other() {
    // The same tissue twice in the same place, once with every gene shifted and doubled: the scores are the same.
    let (one, spots) = (genes(100, 5), grid(10));
    let dense = one.view().to_dense();
    let other = dense.mapv(|v| 2.0 * v + 3.0);
    let x = ndarray::concatenate(Axis(0), &[dense.view(), other.view()]).expect("same genes");
    let places = ndarray::concatenate(Axis(0), &[spots.view(), spots.view()]).expect("same axes");
    let slices = Slices::from_codes(&[vec![4; 100], vec![7; 100]].concat(), &[]);
    let made = run(&CsrMatrix::from_dense(x.view()), &places, Some(&slices), &of(0.5, 4));
    let scores = &made.components[0].scores;
    for i in 0..100 {
        for t in 0..4 {
            assert!((scores[[i, t]] - scores[[i + 100, t]]).abs() < 1e-5, "{i} {t}");
        }
    }
}

#[test]
fn no_lambda_is_plain_standardised_pca() {
    let (x, spots) = (genes(100, 6), grid(10));
    let options = crate::preprocess::PcaOptions { n_components: 4 };
    let scaling = crate::preprocess::scale(
        x.view(),
        &crate::preprocess::ScaleOptions { zero_center: true, max_value: None },
    )
    .expect("finite");
    let pca =
        crate::preprocess::pca(x.view(), Some(&scaling), &options, Seed(0), &Silent).expect("valid").scores;
    // That divides by the deviation with n − 1.
    let factor = (100f64 / 99.0).sqrt();
    let made = run(&x, &spots, None, &of(0.0, 4));
    for (a, b) in made.components[0].scores.iter().zip(&pca) {
        assert!((a - b * factor).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn small_and_strange_tissues_have_components_too() {
    // Fewer spots than neighbours, all in one place, one gene that never varies.
    let x = CsrMatrix::from_dense(ndarray::array![[1.0f32, 2.0], [2.0, 2.0], [4.0, 2.0]].view());
    let made = run(&x, &Array2::zeros((3, 2)), None, &of(0.5, 20));
    assert_eq!(made.components[0].scores.ncols(), 2);
    assert!(made.components[0].scores.iter().all(|v| v.is_finite()));
    assert!(made.notes[0].text.contains("3 spots are too few for 30 neighbours"), "{}", made.notes[0].text);
    // A slice of a single spot has no surroundings and no deviation: it lies in the middle.
    let slices = Slices::from_codes(&[0, 0, 1], &[]);
    let made = run(&x, &grid(2).slice_axis(Axis(0), Slice::from(..3)).to_owned(), Some(&slices), &of(0.5, 2));
    assert!(made.components[0].scores.row(2).iter().all(|v| *v == 0.0));
    assert_eq!(made.notes.len(), 2);
    // One gene.
    let made = run(&genes(25, 1), &grid(5), None, &of(0.2, 20));
    assert_eq!(made.components[0].scores.ncols(), 3);
    // Three coordinates.
    let space = Array2::from_shape_fn((27, 3), |(i, a)| (i / 3usize.pow(a as u32) % 3) as f64);
    assert!(run(&genes(27, 3), &space, None, &of(0.8, 2)).components[0].converged);
}

#[test]
fn what_makes_no_features_is_refused() {
    let (x, spots) = (genes(25, 3), grid(5));
    let refused = |options: BanksyOptions| {
        banksy(x.view(), spots.view(), None, &options, Seed(0), &Silent).expect_err("refused").to_string()
    };
    assert_eq!(refused(of(1.5, 2)), "`lambda_param` is 1.5; expected a number from 0 to 1");
    assert!(refused(of(f64::NAN, 2)).contains("lambda"));
    assert!(refused(BanksyOptions { lambdas: Vec::new(), ..of(0.0, 2) }).contains("lambda"));
    assert!(refused(of(0.2, 0)).contains("n_pcs"));
    assert!(refused(BanksyOptions { n_neighbors: 0, ..of(0.2, 2) }).contains("n_neighbors"));
    let wrong = banksy(x.view(), grid(4).view(), None, &of(0.2, 2), Seed(0), &Silent);
    assert!(matches!(wrong, Err(BanksyError::Preprocess(PreprocessError::ShapeMismatch { .. }))));
    let empty = CsrMatrix::<f32>::from_rows(3, &[]);
    let none = banksy(empty.view(), Array2::zeros((0, 2)).view(), None, &of(0.2, 2), Seed(0), &Silent);
    assert!(matches!(none, Err(BanksyError::Preprocess(PreprocessError::Empty { .. }))));
}
