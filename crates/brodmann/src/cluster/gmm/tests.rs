//! Mixtures against mclust, cases worked by hand, and their own laws.

use brodmann_kernels::Silent;
use brodmann_kernels::proofread::flaw;
use ndarray::{Array1, Array2, array};
use ndarray_npy::{NpzReader, ReadableElement};

use super::*;

type Npz = NpzReader<std::fs::File>;

fn oracle() -> Npz {
    crate::oracles::open("mclust")
}

fn read<T: ReadableElement, D: ndarray::Dimension>(npz: &mut Npz, name: &str) -> ndarray::Array<T, D> {
    npz.by_name(name).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn scalar(npz: &mut Npz, name: &str) -> f64 {
    read::<f64, ndarray::Ix0>(npz, name).into_scalar()
}

fn options(n_components: usize, model: CovarianceModel) -> GmmOptions {
    GmmOptions { n_components, model, n_init: 1, ..GmmOptions::default() }
}

fn run(x: &Array2<f64>, options: &GmmOptions, seed: u64) -> GaussianMixture {
    gmm(x.view(), options, Seed(seed), &Silent).expect("valid")
}

/// Uniform in (−1, 1).
fn unit(counter: usize) -> f64 {
    2.0 * Seed(11).word(counter as u64) as f64 / u64::MAX as f64 - 1.0
}

/// Nearly normal: a sum of uniforms.
fn normal(counter: usize) -> f64 {
    (0..6).map(|t| unit(6 * counter + t)).sum::<f64>() / 2f64.sqrt()
}

/// `n` points in `d` dimensions, group = index modulo `k`, groups stretched differently.
fn groups(n: usize, d: usize, k: usize, apart: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let g = i % k;
        apart * unit(5_000_000 + g * d + j) + normal(i * d + j) * (1.0 + ((g + j) % 3) as f64)
    })
}

fn ari(a: &[u32], b: &[u32]) -> f64 {
    crate::metrics::adjusted_rand_index(a, b).expect("same length")
}

#[test]
fn the_hierarchy_is_that_of_mclust() {
    let mut npz = oracle();
    let x: Array2<f64> = read(&mut npz, "x");
    let pairs: Array2<i64> = read(&mut npz, "hc_pairs");
    let found = hierarchy(x.view(), &Silent).expect("not interrupted");
    let expected: Vec<(u32, u32)> =
        pairs.columns().into_iter().map(|c| (c[0] as u32 - 1, c[1] as u32 - 1)).collect();
    // All 299 merges, in order.
    assert_eq!(found.merges, expected);
    let classes: Array1<i64> = read(&mut npz, "hclass4");
    let cut: Vec<i64> = found.cut(4).into_iter().map(|c| i64::from(c) + 1).collect();
    assert_eq!(cut, classes.to_vec());
}

#[test]
fn the_mixtures_are_those_of_mclust() {
    let mut npz = oracle();
    let x: Array2<f64> = read(&mut npz, "x");
    for model in [CovarianceModel::Eee, CovarianceModel::Vvv, CovarianceModel::Eii, CovarianceModel::Vii] {
        let m = model.name();
        let first = run(&x, &GmmOptions { max_iterations: 1, ..options(4, model) }, 0);
        let expected = scalar(&mut npz, &format!("{m}_loglik_after_first_mstep"));
        assert!((first.loglik / expected - 1.0).abs() < 1e-12, "{m}: {} {expected}", first.loglik);
        assert!(!first.converged);

        let found = run(&x, &options(4, model), 0);
        // mclust stops by the same rule from the same start, so agreement is to rounding, well within EM's 1e-5.
        let expected = scalar(&mut npz, &format!("{m}_loglik"));
        assert!((found.loglik / expected - 1.0).abs() < 1e-9, "{m}: {} {expected}", found.loglik);
        let bic = scalar(&mut npz, &format!("{m}_bic"));
        assert!((found.bic / bic - 1.0).abs() < 1e-9, "{m}: {} {bic}", found.bic);
        assert_eq!(found.n_parameters as f64, scalar(&mut npz, &format!("{m}_df")));
        assert!(found.converged && !found.singular && found.notes.is_empty());

        let classes: Array1<i64> = read(&mut npz, &format!("{m}_class"));
        let classes: Vec<u32> = classes.iter().map(|&c| c as u32).collect();
        assert_eq!(ari(&classes, &found.labels), 1.0, "{m}");
        // Which of our components is which of mclust's.
        let mut ours = [0usize; 4];
        for (&theirs, &own) in classes.iter().zip(&found.labels) {
            ours[theirs as usize - 1] = own as usize;
        }
        let weights: Array1<f64> = read(&mut npz, &format!("{m}_pro"));
        let means: Array2<f64> = read(&mut npz, &format!("{m}_mean"));
        let sigmas: Array3<f64> = read(&mut npz, &format!("{m}_sigma"));
        let shares: Array2<f64> = read(&mut npz, &format!("{m}_z"));
        // mclust's spherical fits return the parameters of one step beyond the likelihood they report, so there its
        // weights are the mean shares; for the others they are the parameters the likelihood belongs to.
        let one_step_on = matches!(model, CovarianceModel::Eii | CovarianceModel::Vii);
        for (theirs, &own) in ours.iter().enumerate() {
            if one_step_on {
                let share = found.responsibilities.column(own).sum() / 300.0;
                assert!((weights[theirs] - share).abs() < 1e-6, "{m}: {weights} {share}");
            } else {
                assert!(
                    (weights[theirs] - found.weights[own]).abs() < 1e-6,
                    "{m}: {weights} {:?}",
                    found.weights
                );
                for j in 0..8 {
                    assert!((means[[theirs, j]] - found.means[[own, j]]).abs() < 1e-6, "{m}");
                    for l in 0..8 {
                        assert!(
                            (sigmas[[theirs, j, l]] - found.covariances[[own, j, l]]).abs() < 1e-6,
                            "{m}"
                        );
                    }
                }
            }
            for i in 0..300 {
                assert!((shares[[i, theirs]] - found.responsibilities[[i, own]]).abs() < 1e-5, "{m}");
            }
        }
    }
}

#[test]
fn one_component_is_mean_and_covariance_by_hand() {
    let x = array![[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]];
    for (model, covariance) in [
        (CovarianceModel::Eii, [[2.5, 0.0], [0.0, 2.5]]),
        (CovarianceModel::Vii, [[2.5, 0.0], [0.0, 2.5]]),
        (CovarianceModel::Eei, [[1.0, 0.0], [0.0, 4.0]]),
        (CovarianceModel::Vvi, [[1.0, 0.0], [0.0, 4.0]]),
        (CovarianceModel::Eee, [[1.0, 0.0], [0.0, 4.0]]),
        (CovarianceModel::Vvv, [[1.0, 0.0], [0.0, 4.0]]),
    ] {
        let found = run(&x, &options(1, model), 0);
        assert_eq!(found.means, array![[1.0, 2.0]]);
        for j in 0..2 {
            for l in 0..2 {
                assert!((found.covariances[[0, j, l]] - covariance[j][l]).abs() < 1e-12, "{model}");
            }
        }
        // Every point lies one standard deviation off in both (or sums to two squared): Σ q = 4 · 2.
        let log_det: f64 = (covariance[0][0] * covariance[1][1]).ln();
        let expected = -0.5 * (4.0 * (2.0 * std::f64::consts::TAU.ln() + log_det) + 8.0);
        assert!((found.loglik - expected).abs() < 1e-12, "{model}");
    }
}

#[test]
fn parameters_are_counted_as_mclust_counts_them() {
    let counts = CovarianceModel::ALL.map(|model| model.n_parameters(4, 8));
    assert_eq!(counts, [36, 39, 43, 67, 71, 179]);
    for model in CovarianceModel::ALL {
        assert_eq!(CovarianceModel::from_name(&model.name().to_lowercase()), Some(model));
    }
    assert_eq!(CovarianceModel::from_name("EVE"), None);
}

#[test]
fn the_likelihood_never_falls() {
    let x = groups(400, 3, 4, 2.5);
    for model in CovarianceModel::ALL {
        let mut previous = f64::NEG_INFINITY;
        for max_iterations in 1..25 {
            let found = run(&x, &GmmOptions { max_iterations, tolerance: 0.0, ..options(4, model) }, 0);
            assert!(found.loglik >= previous - 1e-9 * previous.abs(), "{model} at {max_iterations}");
            previous = found.loglik;
        }
    }
}

#[test]
fn a_wider_family_fits_no_worse() {
    let x = groups(600, 3, 3, 6.0);
    let fit = |model| run(&x, &GmmOptions { tolerance: 1e-10, ..options(3, model) }, 0).loglik;
    let [eii, vii, eei, vvi, eee, vvv] = CovarianceModel::ALL.map(fit);
    assert!(eii <= vii && eii <= eei && eei <= vvi && eei <= eee && eee <= vvv && vvi <= vvv);
}

#[test]
fn the_families_have_the_form_their_names_say() {
    let x = groups(500, 3, 3, 5.0);
    for model in CovarianceModel::ALL {
        let found = run(&x, &options(3, model), 0);
        let sigma = &found.covariances;
        if model.is_shared() {
            assert_eq!(sigma.index_axis(Axis(0), 0), sigma.index_axis(Axis(0), 2));
        }
        for c in 0..3 {
            let full = matches!(model, CovarianceModel::Eee | CovarianceModel::Vvv);
            assert_eq!(sigma[[c, 0, 1]] != 0.0, full, "{model}");
            if matches!(model, CovarianceModel::Eii | CovarianceModel::Vii) {
                assert_eq!(sigma[[c, 0, 0]], sigma[[c, 2, 2]]);
            }
        }
        assert!(found.responsibilities.outer_iter().all(|row| (row.sum() - 1.0).abs() < 1e-12));
        assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_likelihood_is_that_of_the_definition() {
    let x = groups(300, 4, 3, 4.0);
    for model in CovarianceModel::ALL {
        let found = run(&x, &options(3, model), 0);
        let mut loglik = 0.0;
        for row in x.outer_iter() {
            let mut density = 0.0;
            for c in 0..3 {
                let factor =
                    cholesky::Factor::new(found.covariances.index_axis(Axis(0), c)).expect("regular");
                let y = (&row - &found.means.row(c)).dot(&factor.whiten);
                let log = -0.5 * (4.0 * std::f64::consts::TAU.ln() + factor.log_det + y.dot(&y));
                density += found.weights[c] * log.exp();
            }
            loglik += density.ln();
        }
        assert!((loglik / found.loglik - 1.0).abs() < 1e-10, "{model}: {loglik} {}", found.loglik);
    }
}

#[test]
fn more_starts_are_never_worse_and_the_best_is_kept() {
    let x = groups(700, 5, 6, 2.0);
    for init in [GmmInit::Mixed, GmmInit::Hierarchy, GmmInit::KMeans] {
        let one = run(&x, &GmmOptions { init, subset: 200, ..options(6, CovarianceModel::Eee) }, 3);
        let many =
            run(&x, &GmmOptions { init, subset: 200, n_init: 6, ..options(6, CovarianceModel::Eee) }, 3);
        assert_eq!(many.start_logliks.len(), 6);
        assert_eq!(many.start_logliks[0], one.loglik);
        let best = many.start_logliks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(many.loglik, best);
        assert_eq!(many.start_logliks[many.best_start], best);
    }
}

#[test]
fn clear_groups_are_found_by_every_model_and_start() {
    let x = groups(900, 6, 5, 40.0);
    let truth: Vec<u32> = (0..900).map(|i| i % 5).collect();
    for model in CovarianceModel::ALL {
        for init in [GmmInit::Hierarchy, GmmInit::KMeans] {
            let found = run(&x, &GmmOptions { init, n_init: 3, ..options(5, model) }, 1);
            assert_eq!(ari(&truth, &found.labels), 1.0, "{model} {init:?}");
        }
    }
}

#[test]
fn labels_are_numbered_by_size() {
    let x = Array2::from_shape_fn((90, 2), |(i, j)| {
        let g = if i % 9 == 0 { 2.0 } else { f64::from(u8::from(i % 3 == 0)) };
        30.0 * g + normal(2 * i + j)
    });
    let found = run(&x, &options(3, CovarianceModel::Eei), 0);
    let mut counts = [0; 3];
    found.labels.iter().for_each(|&l| counts[l as usize] += 1);
    assert_eq!(counts, [60, 20, 10]);
    assert_eq!(found.n_clusters(), 3);
}

#[test]
fn the_bits_depend_on_the_seed_alone() {
    let x = groups(5000, 5, 6, 2.0);
    for model in [CovarianceModel::Eee, CovarianceModel::Vvv, CovarianceModel::Vvi] {
        for init in [GmmInit::Hierarchy, GmmInit::KMeans] {
            let options =
                GmmOptions { n_init: 2, subset: 300, max_iterations: 20, init, ..options(6, model) };
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
                pool.install(|| run(&x, &options, 4))
            };
            assert_eq!(on(1), on(3), "{model} {init:?}");
        }
    }
}

#[test]
fn shifted_and_reordered_data_give_the_same_clusters() {
    let x = groups(400, 4, 4, 4.0);
    let base = run(&x, &options(4, CovarianceModel::Vvv), 0);
    let far = run(&(&x + 1e6), &options(4, CovarianceModel::Vvv), 0);
    assert_eq!(base.labels, far.labels);
    let order: Vec<usize> = (0..400).rev().collect();
    let reordered = run(&x.select(Axis(0), &order), &options(4, CovarianceModel::Vvv), 0);
    let back: Vec<u32> = reordered.labels.iter().rev().copied().collect();
    assert!(ari(&base.labels, &back) > 0.999);
}

#[test]
fn singular_data_give_labels_and_a_note() {
    // More dimensions than members: VVV cannot be fitted.
    let thin = groups(30, 20, 3, 30.0);
    let found = run(&thin, &GmmOptions { n_init: 3, ..options(3, CovarianceModel::Vvv) }, 0);
    assert!(found.singular && found.notes.iter().any(|n| n.contains("singular")), "{:?}", found.notes);
    let truth: Vec<u32> = (0..30).map(|i| i % 3).collect();
    assert_eq!(ari(&truth, &found.labels), 1.0);
    assert!(found.responsibilities.iter().all(|v| v.is_finite()));
    // The same with a regularization is regular.
    let eased = GmmOptions { regularization: 0.01, ..options(3, CovarianceModel::Vvv) };
    let eased = run(&thin, &eased, 0);
    assert!(!eased.singular && eased.notes.is_empty(), "{:?}", eased.notes);

    // A constant column, a duplicated column, all rows the same.
    let mut flat = groups(200, 4, 2, 20.0);
    flat.column_mut(1).fill(7.0);
    let copy = flat.column(0).to_owned();
    flat.column_mut(3).assign(&copy);
    for x in [flat, Array2::from_elem((20, 3), 2.5)] {
        for model in CovarianceModel::ALL {
            for init in [GmmInit::Hierarchy, GmmInit::KMeans] {
                let found = run(&x, &GmmOptions { init, n_init: 2, ..options(2, model) }, 0);
                assert!(found.labels.iter().all(|&l| l < 2));
                assert!(found.responsibilities.iter().all(|v| v.is_finite()), "{model}");
                assert!(found.means.iter().chain(&found.covariances).all(|v| v.is_finite()), "{model}");
            }
        }
    }
}

#[test]
fn duplicates_and_outliers_do_not_blow_up_the_choice() {
    // 20 copies of one point make a component of no volume and unbounded likelihood: sound starts come first.
    let mut x = groups(300, 2, 2, 15.0);
    for i in 0..20 {
        x.row_mut(i).assign(&array![50.0, 50.0]);
    }
    let found = run(&x, &GmmOptions { n_init: 4, ..options(3, CovarianceModel::Vvv) }, 0);
    assert!(found.labels.iter().all(|&l| l < 3));
    assert!(found.responsibilities.iter().all(|v| v.is_finite()));
}

#[test]
fn hierarchies_of_few_points_and_of_duplicates() {
    let empty = hierarchy(Array2::zeros((0, 3)).view(), &Silent).expect("fine");
    assert!(empty.merges.is_empty() && empty.cut(3).is_empty());
    assert_eq!(hierarchy(array![[1.0]].view(), &Silent).expect("fine").cut(1), [0]);
    let two = hierarchy(array![[1.0], [2.0]].view(), &Silent).expect("fine");
    assert_eq!((two.cut(1), two.cut(2)), (vec![0, 0], vec![0, 1]));
    let same = hierarchy(Array2::ones((5, 2)).view(), &Silent).expect("fine");
    assert_eq!(same.merges.len(), 4);
    let line = hierarchy(array![[0.0], [10.0], [0.1], [10.2], [0.3]].view(), &Silent).expect("fine");
    assert_eq!(line.cut(2), [0, 1, 0, 1, 0]);
    assert_eq!(line.merges[0], (0, 2));
}

#[test]
fn a_hierarchy_in_few_dimensions_minimises_its_criterion_at_every_merge() {
    // By brute force, determinants included: 25 points in 2 dimensions.
    let x = groups(25, 2, 3, 1.0);
    let found = hierarchy(x.view(), &Silent).expect("fine");
    let z = {
        let mean = x.mean_axis(Axis(0)).expect("rows");
        let mut z = &x - &mean;
        for mut column in z.columns_mut() {
            let sd = (column.dot(&column) / 24.0).sqrt();
            column /= sd;
        }
        let r = z.column(0).dot(&z.column(1)) / 24.0;
        // Correlation matrix [[1, r], [r, 1]]: eigenvectors (1, ±1)/√2, eigenvalues 24 (1 ± r) of the scatter.
        Array2::from_shape_fn((25, 2), |(i, t)| {
            let sign = if t == 0 { 1.0 } else { -1.0 };
            (z[[i, 0]] + sign * z[[i, 1]]) / 2f64.sqrt() / (24.0 * (1.0 + sign * r)).sqrt().sqrt()
        })
    };
    let alpha = z.iter().map(|v| v * v).sum::<f64>() / 50.0;
    let term = |members: &[usize]| {
        let n = members.len() as f64;
        let rows = z.select(Axis(0), members);
        let centred = &rows - &rows.mean_axis(Axis(0)).expect("members");
        let w = centred.t().dot(&centred) / n;
        let determinant = if n > 2.0 { w[[0, 0]] * w[[1, 1]] - w[[0, 1]] * w[[1, 0]] } else { 0.0 };
        n * (determinant + w[[0, 0]] + w[[1, 1]] + alpha / n).ln()
    };
    let mut clusters: Vec<Vec<usize>> = (0..25).map(|i| vec![i]).collect();
    for &(i, j) in &found.merges {
        let (mut best, mut pair) = (f64::INFINITY, (0, 0));
        for a in 0..25 {
            for b in a + 1..25 {
                if clusters[a].is_empty() || clusters[b].is_empty() {
                    continue;
                }
                let union = [clusters[a].clone(), clusters[b].clone()].concat();
                let cost = term(&union) - term(&clusters[a]) - term(&clusters[b]);
                if cost < best {
                    (best, pair) = (cost, (a, b));
                }
            }
        }
        assert_eq!((i as usize, j as usize), pair);
        let absorbed = std::mem::take(&mut clusters[j as usize]);
        clusters[i as usize].extend(absorbed);
    }
}

#[test]
fn bad_options_and_data_are_refused() {
    let x = groups(10, 2, 2, 3.0);
    let plain = options(2, CovarianceModel::Eee);
    let refused = |o: &GmmOptions| {
        let error = gmm(x.view(), o, Seed(0), &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None);
        error
    };
    for n_components in [0, 10, 11] {
        let error = refused(&GmmOptions { n_components, ..plain });
        assert_eq!(error, GmmError::ComponentCount { n_components, n_obs: 10 });
    }
    for bad in [
        GmmOptions { n_init: 0, ..plain },
        GmmOptions { max_iterations: 0, ..plain },
        GmmOptions { subset: 2, ..plain },
        GmmOptions { subset: 1_000_000, ..plain },
        GmmOptions { tolerance: f64::NAN, ..plain },
        GmmOptions { regularization: -0.1, ..plain },
    ] {
        assert!(matches!(refused(&bad), GmmError::Option(_)));
    }
    let mut bad = x.clone();
    bad[[3, 1]] = f64::INFINITY;
    assert_eq!(gmm(bad.view(), &plain, Seed(0), &Silent), Err(GmmError::NonFinite { row: 3, column: 1 }));
    assert_eq!(gmm(Array2::zeros((5, 0)).view(), &plain, Seed(0), &Silent), Err(GmmError::NoColumns));
    for n in [0, 1] {
        assert!(
            gmm(Array2::zeros((n, 2)).view(), &options(1, CovarianceModel::Eee), Seed(0), &Silent).is_err()
        );
    }
}

#[test]
fn an_interruption_ends_the_work() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let stopped = gmm(groups(50, 2, 2, 1.0).view(), &options(2, CovarianceModel::Eee), Seed(0), &Stop);
    assert_eq!(stopped, Err(GmmError::Interrupted(Interrupted)));
}
