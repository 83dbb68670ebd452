use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{Interrupted, Silent};
use ndarray::{Array1, array};

use super::*;

fn uniform(i: usize, axis: usize) -> f64 {
    Seed(20 + axis as u64).word(i as u64) as f64 / u64::MAX as f64
}

fn random_spots(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, 2), |(i, axis)| if axis == 0 { 100.0 } else { 40.0 } * uniform(i, axis))
}

fn labels_of(n: usize, k: u64) -> Vec<Option<u32>> {
    (0..n).map(|i| (i % 13 > 0).then_some((Seed(99).word(i as u64) % k) as u32)).collect()
}

fn radii(edges: &[f64]) -> RipleyOptions {
    RipleyOptions { radii: Intervals::Edges(edges.to_vec()), ..RipleyOptions::default() }
}

fn run(x: &Array2<f64>, codes: &[Option<u32>], n_groups: usize, options: &RipleyOptions) -> Ripley {
    ripley(x.view(), Labels { codes, n_groups }, None, options, Seed(1), &Silent).expect("valid")
}

fn close(found: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
    assert_eq!(found.dim(), expected.dim());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance || (f.is_nan() && e.is_nan()), "{f} instead of {e}");
    }
}

#[test]
fn l_equals_squidpy_and_the_formula_in_numpy() {
    let mut npz = crate::oracles::open("explain");
    let xy: Array2<f64> = npz.by_name("sp_xy").expect("sp_xy");
    let labels: Array1<i64> = npz.by_name("sp_label").expect("sp_label");
    let bins: Array1<f64> = npz.by_name("rip_bins").expect("rip_bins");
    let codes: Vec<Option<u32>> = labels.iter().map(|&l| Some(l as u32)).collect();
    for (name, normalization) in
        [("rip_L", PairNormalization::AllSpots), ("rip_L_own_n", PairNormalization::Group)]
    {
        let options = RipleyOptions { normalization, ..radii(bins.as_slice().expect("contiguous")) };
        let expected: Array2<f64> = npz.by_name(name).expect(name);
        close(&run(&xy, &codes, 3, &options).statistic, &expected, 1e-10);
    }
}

/// The three functions over all pairs, in rectangles.
fn by_all_pairs(
    x: &Array2<f64>,
    codes: &[Option<u32>],
    slices: &[u32],
    k: usize,
    options: &RipleyOptions,
) -> Array2<f64> {
    let Intervals::Edges(radii) = &options.radii else { panic!("edges are given") };
    let n_slices = slices.iter().max().map_or(0, |s| s + 1);
    Array2::from_shape_fn((k, radii.len()), |(group, at)| {
        let (mut sum, mut whole) = (0.0, 0.0);
        for slice in 0..n_slices {
            let rows: Vec<usize> = (0..x.nrows()).filter(|&i| slices[i] == slice).collect();
            let side = |axis: usize| {
                let values: Vec<f64> = rows.iter().map(|&i| x[[i, axis]]).collect();
                values.iter().copied().fold(f64::MIN, f64::max)
                    - values.iter().copied().fold(f64::MAX, f64::min)
            };
            let (width, height) = (side(0), side(1));
            let own: Vec<usize> = rows.iter().copied().filter(|&i| codes[i] == Some(group as u32)).collect();
            for &i in &own {
                let mut nearest = f64::INFINITY;
                for &j in own.iter().filter(|&&j| j != i) {
                    let (dx, dy) = ((x[[i, 0]] - x[[j, 0]]).abs(), (x[[i, 1]] - x[[j, 1]]).abs());
                    let distance = dx.hypot(dy);
                    nearest = nearest.min(distance);
                    if options.function == RipleyFunction::L && distance <= radii[at] {
                        let corrected = options.correction == EdgeCorrection::Translation;
                        sum += if corrected { width * height / ((width - dx) * (height - dy)) } else { 1.0 };
                    }
                }
                if options.function == RipleyFunction::G && nearest <= radii[at] {
                    sum += 1.0;
                }
            }
            let n = own.len() as f64;
            whole += if options.function == RipleyFunction::L { n * (n - 1.0) / (width * height) } else { n };
        }
        if options.function == RipleyFunction::L {
            (sum / whole / std::f64::consts::PI).sqrt()
        } else {
            sum / whole
        }
    })
}

#[test]
fn l_and_g_equal_those_over_all_pairs_slice_by_slice() {
    let (x, codes) = (random_spots(300), labels_of(300, 3));
    let codes_of_slices: Vec<u32> = (0..300).map(|i| (i / 7 % 2) as u32).collect();
    let slices = Slices::from_codes(&codes_of_slices, &[]);
    for function in [RipleyFunction::L, RipleyFunction::G] {
        for correction in [EdgeCorrection::None, EdgeCorrection::Translation] {
            let options = RipleyOptions {
                function,
                correction,
                window: Window::Rectangle,
                ..radii(&[0.0, 1.0, 5.0, 12.0, 30.0])
            };
            close(
                &run(&x, &codes, 3, &options).statistic,
                &by_all_pairs(&x, &codes, &[0; 300], 3, &options),
                1e-10,
            );
            let labels = Labels { codes: &codes, n_groups: 3 };
            let found = ripley(x.view(), labels, Some(&slices), &options, Seed(1), &Silent).expect("valid");
            let expected = by_all_pairs(&x, &codes, &codes_of_slices, 3, &options);
            close(&found.statistic, &expected, 1e-10);
        }
    }
}

#[test]
fn the_translation_makes_l_unbiased() {
    // 300 patterns of 60 points: K is known to about 0.5 %. Without the correction it falls short by a tenth.
    let (mut corrected, mut plain) = (0.0, 0.0);
    let radius: f64 = 10.0;
    for pattern in 0..300 {
        // Corners without a label hold the window.
        let x = Array2::from_shape_fn((64, 2), |(i, axis)| {
            let side = if axis == 0 { 100.0 } else { 60.0 };
            if i < 60 {
                side * uniform(64 * pattern + i, axis)
            } else {
                side * f64::from(u8::from((i >> axis) % 2 > 0))
            }
        });
        let codes: Vec<Option<u32>> = (0..64).map(|i| (i < 60).then_some(0)).collect();
        let with = |correction| {
            let options = RipleyOptions { correction, window: Window::Rectangle, ..radii(&[0.0, radius]) };
            run(&x, &codes, 1, &options).statistic[[0, 1]].powi(2) / 300.0
        };
        corrected += with(EdgeCorrection::Translation);
        plain += with(EdgeCorrection::None);
    }
    let ratio = corrected / (radius * radius);
    assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
    assert!(plain / (radius * radius) < 0.93, "{plain}");
}

#[test]
fn f_is_the_share_of_the_region_near_a_spot() {
    // A spot in the middle of a square of 4 × 4: within 1 and 2, π/16 and π/4 of it.
    let x = array![[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [2.0, 2.0]];
    let codes = [None, None, None, None, Some(1)];
    let options =
        RipleyOptions { function: RipleyFunction::F, n_places: 200_000, ..radii(&[0.0, 1.0, 2.0, 3.0]) };
    let found = run(&x, &codes, 2, &options);
    let pi = std::f64::consts::PI;
    let expected = [0.0, pi / 16.0, pi / 4.0, 1.0];
    for (f, e) in found.statistic.row(1).iter().zip(expected) {
        assert!((f - e).abs() < 0.005, "{f} instead of {e}");
    }
    assert!(found.statistic.row(0).iter().all(|v| v.is_nan()));
    assert!((found.expected[[1, 1]] - (1.0 - (-pi / 16.0).exp())).abs() < 1e-15);
}

#[test]
fn randomness_lies_within_its_envelope_and_clusters_do_not() {
    // Group 0 anywhere, group 1 in a corner.
    let x = Array2::from_shape_fn((400, 2), |(i, axis)| {
        let u = uniform(i, axis);
        if i % 4 == 0 { 0.2 * u } else { u }
    });
    let codes: Vec<Option<u32>> = (0..400).map(|i| Some(u32::from(i % 4 == 0))).collect();
    for function in [RipleyFunction::L, RipleyFunction::G, RipleyFunction::F] {
        for null in [NullPattern::CompleteRandomness, NullPattern::RandomLabels] {
            let envelope = Some(Envelope { null, n_simulations: 39 });
            let options =
                RipleyOptions { function, envelope, n_places: 500, ..radii(&[0.0, 0.02, 0.05, 0.1]) };
            let found = run(&x, &codes, 2, &options);
            let (low, high) = (found.low.expect("asked for"), found.high.expect("asked for"));
            if null == NullPattern::CompleteRandomness {
                assert!(found.statistic[[0, 2]] >= low[[0, 2]] * 0.95);
                assert!(found.statistic[[0, 2]] <= high[[0, 2]] * 1.05);
            }
            let clustered = found.statistic[[1, 2]];
            // Clusters have near neighbours, and leave the rest of the region empty.
            let outside = if function == RipleyFunction::F {
                clustered < low[[1, 2]]
            } else {
                clustered > high[[1, 2]]
            };
            assert!(outside, "{function:?} {null:?}: {clustered} in {} to {}", low[[1, 2]], high[[1, 2]]);
            assert_eq!(run(&x, &codes, 2, &options).low, Some(low));
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let (x, codes) = (random_spots(5000), labels_of(5000, 3));
    for (function, correction) in [
        (RipleyFunction::L, EdgeCorrection::None),
        (RipleyFunction::L, EdgeCorrection::Translation),
        (RipleyFunction::G, EdgeCorrection::None),
        (RipleyFunction::F, EdgeCorrection::None),
    ] {
        let options = RipleyOptions {
            function,
            correction,
            window: Window::Rectangle,
            envelope: Some(Envelope { null: NullPattern::RandomLabels, n_simulations: 2 }),
            ..RipleyOptions::default()
        };
        let threads = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("pool");
            pool.install(|| run(&x, &codes, 3, &options))
        };
        let one = threads(1);
        assert_eq!(one, threads(4));
        // A quarter of the shorter side: 40 less a little at the edges.
        assert!((one.radii[49] - 10.0).abs() < 0.1, "{}", one.radii[49]);
    }
}

#[test]
fn hulls_are_found_and_points_drawn_in_them() {
    let points =
        [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [4.0, 3.0], [1.0, 1.0], [0.0, 3.0], [2.0, 4.0], [0.0, 0.0]];
    let hull = Region::hull(&points).expect("an area");
    // A rectangle of 4 × 3 under a triangle of height 1.
    assert!((hull.area() - 14.0).abs() < 1e-12);
    assert_eq!(hull.extent(), [4.0, 4.0]);
    let mut rng = Seed(3).stream("test", 0);
    let drawn: Vec<[f64; 2]> = (0..20_000).map(|_| hull.draw(&mut rng)).collect();
    let share =
        |inside: &dyn Fn(&[f64; 2]) -> bool| drawn.iter().filter(|p| inside(p)).count() as f64 / 20_000.0;
    assert!((share(&|p| p[1] > 3.0) - 2.0 / 14.0).abs() < 0.01);
    assert!((share(&|p| p[0] < 1.0) - 3.25 / 14.0).abs() < 0.01);
    assert_eq!(share(&|p| p[1] <= 3.0 + (2.0 - (p[0] - 2.0).abs()) / 2.0 + 1e-12 && p[1] >= 0.0), 1.0);
    assert!(Region::hull(&[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]).is_none());
    assert!(Region::hull(&[[1.0, 1.0]; 5]).is_none() && Region::hull(&[]).is_none());
    assert!(Region::rectangle(&[]).is_none() && Region::rectangle(&[[0.0, 0.0], [1.0, 0.0]]).is_none());
}

#[test]
fn groups_of_one_and_none_have_no_function() {
    let x = random_spots(30);
    let mut codes = vec![None; 30];
    codes[3] = Some(1);
    for function in [RipleyFunction::L, RipleyFunction::G] {
        let found = run(&x, &codes, 2, &RipleyOptions { function, ..radii(&[0.0, 5.0]) });
        assert!(found.statistic.iter().all(|v| v.is_nan()));
    }
    let none = Array2::zeros((0, 2));
    assert!(run(&none, &[], 1, &RipleyOptions::default()).statistic.iter().all(|v| v.is_nan()));
}

#[test]
fn what_has_no_answer_is_refused() {
    let (x, codes) = (random_spots(30), labels_of(30, 2));
    let labels = Labels { codes: &codes, n_groups: 2 };
    let with = |x: &Array2<f64>, options: &RipleyOptions| {
        let error = ripley(x.view(), labels, None, options, Seed(0), &Silent).expect_err("no answer");
        assert_eq!(flaw(&error), None);
        error
    };
    let plain = RipleyOptions::default();
    let hull = RipleyOptions { correction: EdgeCorrection::Translation, ..plain.clone() };
    assert!(matches!(with(&x, &hull), StatsError::Option(_)));
    let far = RipleyOptions { window: Window::Rectangle, radii: Intervals::Edges(vec![0.0, 40.0]), ..hull };
    assert!(matches!(with(&x, &far), StatsError::Option(_)));
    let no_places = RipleyOptions { function: RipleyFunction::F, n_places: 0, ..plain.clone() };
    assert!(matches!(with(&x, &no_places), StatsError::Option(_)));
    let space = Array2::zeros((30, 3));
    assert!(matches!(with(&space, &plain), StatsError::NotPlanar { .. }));
    let line = Array2::from_shape_fn((30, 2), |(i, axis)| (i * axis) as f64);
    assert_eq!(with(&line, &plain), StatsError::NoArea { slice: 0 });
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    for function in [RipleyFunction::L, RipleyFunction::G, RipleyFunction::F] {
        let options = RipleyOptions { function, ..plain.clone() };
        let stopped = ripley(x.view(), labels, None, &options, Seed(0), &Stop);
        assert_eq!(stopped, Err(StatsError::Interrupted(Interrupted)));
    }
}
