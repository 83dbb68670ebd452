use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, Monitor, Seed, Silent};

use super::model::RowBuffer;
use super::pattern::domain_at;
use super::sampler::{CountLaw, gamma, normal, poisson};
use super::*;

fn run(options: &SimulationOptions) -> Simulation {
    simulate(options, &Silent).expect("valid options")
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

/// Mean count of the features with `wanted` factor, over spots of `domain`.
fn mean_in(s: &Simulation, modality: usize, wanted: impl Fn(u32) -> bool, domain: u32) -> f64 {
    let m = &s.modalities[modality];
    let (mut sum, mut n) = (0.0, 0usize);
    let columns = m.feature_factor.iter().filter(|&&f| wanted(f)).count();
    for (i, _) in s.ground_truth.iter().enumerate().filter(|(_, d)| **d == domain) {
        let (c, v) = m.counts.view().row(i);
        sum += c
            .iter()
            .zip(v)
            .filter(|(j, _)| wanted(m.feature_factor[**j as usize]))
            .map(|(_, v)| f64::from(*v))
            .sum::<f64>();
        n += columns;
    }
    sum / n as f64
}

#[test]
fn the_domains_have_the_sizes_of_the_papers_and_scale_with_the_side() {
    for (side, factor) in [(6, 1), (36, 36), (72, 144)] {
        let mut sizes = [0; 5];
        for i in 0..side * side {
            sizes[domain_at(side, i / side, i % side) as usize] += 1;
        }
        assert_eq!(sizes, [12, 5, 8, 6, 5].map(|n| n * factor), "side {side}");
    }
}

#[test]
fn every_side_is_legal_from_one_spot_up() {
    for side in [1, 2, 3, 7] {
        let s = run(&SimulationOptions { side, image: true, n_genes: 20, ..Default::default() });
        assert_eq!(s.coordinates.dim(), (side * side, 2));
        assert_eq!(s.modalities[0].counts.n_rows(), side * side);
        assert_eq!(s.images[0].rgb.len(), s.images[0].width * s.images[0].height * 3);
    }
}

#[test]
fn each_factor_is_hidden_from_one_modality_and_seen_by_the_others() {
    let s = run(&SimulationOptions::default());
    assert_eq!(s.modalities.iter().map(|m| m.name).collect::<Vec<_>>(), ["rna", "adt", "atac"]);
    let visible = SimulationOptions::default().visible_factors();
    for (k, m) in s.modalities.iter().enumerate() {
        for f in 0..4 {
            let domain = f as u32 + 1;
            let marked = m.feature_factor.contains(&domain);
            assert_eq!(marked, visible[k][f]);
            // Over all features, a domain that is not seen has the background's mean.
            let ratio = mean_in(&s, k, |_| true, domain) / mean_in(&s, k, |_| true, 0);
            if marked {
                let own = mean_in(&s, k, |x| x == domain, domain) / mean_in(&s, k, |x| x == domain, 0);
                assert!(own > 1.5, "{} factor{domain}: {own}", m.name);
            } else {
                assert!((ratio - 1.0).abs() < 0.12, "{} factor{domain}: {ratio}", m.name);
            }
        }
    }
    assert!((0..4).all(|f| visible.iter().filter(|v| v[f]).count() == 2));
}

#[test]
fn a_lone_modality_sees_all_and_a_mask_can_blind_it() {
    let rna = SimulationOptions { modalities: vec![SimModality::Rna], ..Default::default() };
    assert_eq!(rna.visible_factors(), [[true; 4]]);
    let blind = run(&SimulationOptions { visible: Some(vec![[false; 4]]), ..rna });
    assert!(blind.modalities[0].feature_factor.iter().all(|&f| f == 0));
}

#[test]
fn zero_fractions_and_means_are_those_of_the_model() {
    let s = run(&SimulationOptions::default());
    let expected = [(0.80..0.83, 0.25..0.33), (0.01..0.04, 13.0..17.0), (0.85..0.89, 0.14..0.20)];
    for (m, (zeros, means)) in s.modalities.iter().zip(expected) {
        let n = (m.counts.n_rows() * m.counts.n_cols()) as f64;
        let zero = 1.0 - m.counts.nnz() as f64 / n;
        let mean = m.counts.data().iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        assert!(zeros.contains(&zero) && means.contains(&mean), "{}: {zero} {mean}", m.name);
        assert!(m.counts.data().iter().all(|v| *v >= 1.0 && v.fract() == 0.0));
    }
}

#[test]
fn variates_have_their_moments() {
    let mut rng = Seed(1).stream("test", 0);
    let n = 200_000;
    let mut check = |name: &str,
                     mean: f64,
                     variance: f64,
                     draw: &mut dyn FnMut(&mut rand_chacha::ChaCha8Rng) -> f64| {
        let values: Vec<f64> = (0..n).map(|_| draw(&mut rng)).collect();
        let (m, v) = mean_and_variance(&values);
        // Five standard errors each; that of the variance from the fourth moment, which is large where a count
        // is nearly always 1.
        let fourth = values.iter().map(|x| (x - m).powi(4)).sum::<f64>() / f64::from(n);
        let variance_error = ((fourth - v * v).max(0.0) / f64::from(n)).sqrt();
        assert!((m - mean).abs() < 5.0 * (variance / f64::from(n)).sqrt(), "{name}: mean {m}, not {mean}");
        assert!((v - variance).abs() < 5.0 * variance_error, "{name}: variance {v}, not {variance}");
    };
    check("normal", 0.0, 1.0, &mut normal);
    for shape in [0.4, 1.0, 7.5] {
        check("gamma", shape, shape, &mut |r| gamma(r, shape));
    }
    for mean in [0.3, 9.0, 11.0, 70.0, 3000.0] {
        check("poisson", mean, mean, &mut |r| poisson(r, mean));
    }
    // Below and above the change from inversion to rejection at 30.
    for mean in [0.01, 0.5, 5.0, 29.0, 31.0, 200.0] {
        for (law, variance) in
            [(CountLaw::Poisson, mean), (CountLaw::NegativeBinomial { shape: 2.0 }, mean + mean * mean / 2.0)]
        {
            let p = law.probability_nonzero(mean);
            let conditional = mean / p;
            let second = (variance + mean * mean) / p;
            check("non-zero count", conditional, second - conditional * conditional, &mut |r| {
                law.sample_nonzero(r, mean, p)
            });
        }
    }
}

#[test]
fn streamed_rows_are_the_rows_in_memory() {
    for noise in [0.0, 0.7] {
        let options = SimulationOptions {
            side: 11,
            slices: 2,
            noise,
            batch_effect: 0.3,
            n_genes: 60,
            ..Default::default()
        };
        let whole = run(&options);
        let stream = SimulationStream::new(&options).expect("valid");
        for rows_per_block in [1, 7, 1000] {
            let blocks = stream.blocks(rows_per_block);
            assert_eq!(blocks.len(), 242usize.div_ceil(rows_per_block));
            let mut next = 0;
            for block in blocks {
                assert_eq!(block.rows.start, next);
                let rows: Vec<usize> = block.rows.clone().collect();
                for (m, counts) in whole.modalities.iter().zip(&block.counts) {
                    assert_eq!(&m.counts.view().select_rows(&rows), counts);
                }
                assert_eq!(block.ground_truth, whole.ground_truth[block.rows.clone()]);
                assert_eq!(block.library, whole.library[block.rows.clone()]);
                for (k, i) in rows.iter().enumerate() {
                    assert_eq!(block.coordinates.row(k), whole.coordinates.row(*i));
                }
                next = block.rows.end;
            }
            assert_eq!(next, 242);
        }
        // Any one row alone.
        let (columns, values) = whole.modalities[0].counts.view().row(200);
        let mut buffer = RowBuffer::default();
        let alone: Vec<(u32, f32)> = stream.models()[0].row(200, &mut buffer).to_vec();
        assert_eq!(alone, columns.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>());
        assert_eq!(stream.block(500..600).rows, 242..242);
    }
}

#[test]
fn one_thread_gives_the_bits_of_many() {
    let options = SimulationOptions { side: 40, image: true, noise: 0.2, n_genes: 100, ..Default::default() };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| run(&options))
    };
    assert_eq!(on(1), on(4));
}

#[test]
fn another_seed_is_another_tissue_with_the_same_truth() {
    let a = run(&SimulationOptions { n_genes: 30, ..Default::default() });
    let b = run(&SimulationOptions { n_genes: 30, seed: Seed(7), ..Default::default() });
    assert_ne!(a.modalities[0].counts, b.modalities[0].counts);
    assert_eq!(a.ground_truth, b.ground_truth);
}

#[test]
fn the_density_asked_for_is_reached() {
    for density in [0.02, 0.05, 0.3] {
        let options = SimulationOptions { n_genes: 2000, density: Some(density), ..Default::default() };
        for m in run(&options).modalities.iter().filter(|m| m.kind != SimModality::Adt) {
            let found = m.counts.nnz() as f64 / (m.counts.n_rows() * m.counts.n_cols()) as f64;
            assert!((found / density - 1.0).abs() < 0.05, "{}: {found}, not {density}", m.name);
        }
    }
    let too_dense = SimulationOptions { density: Some(0.9), ..Default::default() };
    assert!(matches!(SimulationStream::new(&too_dense), Err(SimulateError::Density { name: "rna", .. })));
}

#[test]
fn noise_grows_from_the_same_counts_and_keeps_them_whole() {
    let at = |noise| run(&SimulationOptions { noise, n_genes: 200, ..Default::default() });
    let (clean, faint, strong) = (at(0.0), at(1e-6), at(1.5));
    // A noise far below one half rounds away.
    assert_eq!(clean.modalities, faint.modalities);
    for (a, b) in clean.modalities.iter().zip(&strong.modalities) {
        assert_ne!(a.counts, b.counts);
        assert!(b.counts.data().iter().all(|v| *v >= 1.0 && v.fract() == 0.0));
    }
    assert!(strong.modalities[0].counts.nnz() > clean.modalities[0].counts.nnz());
}

#[test]
fn batch_effects_grow_from_slice_to_slice_and_leave_the_first_alone() {
    let plain = SimulationOptions { slices: 3, n_genes: 150, ..Default::default() };
    let shifted = run(&SimulationOptions { batch_effect: 0.4, ..plain.clone() });
    let plain = run(&plain);
    let per_slice = 36 * 36;
    let first: Vec<usize> = (0..per_slice).collect();
    let rows = |m: &CsrMatrix<f32>| m.view().select_rows(&first);
    assert_eq!(rows(&plain.modalities[0].counts), rows(&shifted.modalities[0].counts));
    // The spread over genes of the log ratio of a slice's mean to the first slice's.
    let spread = |s: &Simulation, slice: usize| {
        let dense = s.modalities[0].counts.view().to_dense();
        let mean = |from: usize, j: usize| {
            (from..from + per_slice).map(|i| f64::from(dense[[i, j]])).sum::<f64>() / per_slice as f64
        };
        let ratios: Vec<f64> = (0..150).map(|j| (mean(slice * per_slice, j) / mean(0, j)).ln()).collect();
        mean_and_variance(&ratios).1.sqrt()
    };
    assert!(spread(&plain, 1) < 0.15 && spread(&plain, 2) < 0.15);
    assert!((0.3..0.5).contains(&spread(&shifted, 1)), "{}", spread(&shifted, 1));
    assert!((0.6..1.0).contains(&spread(&shifted, 2)), "{}", spread(&shifted, 2));
    assert_eq!(shifted.slice_rows(2), 2 * per_slice..3 * per_slice);
    let places = |slice: usize| {
        shifted.coordinates.slice_axis(ndarray::Axis(0), ndarray::Slice::from(shifted.slice_rows(slice)))
    };
    assert_eq!(places(1), places(0));
}

#[test]
fn names_are_unique_and_of_their_kind() {
    let s = run(&SimulationOptions { slices: 2, side: 5, n_peaks: 23, ..Default::default() });
    assert_eq!(s.modalities[0].feature_names[0], "gene_0001");
    assert_eq!(s.modalities[1].feature_names[99], "protein_100");
    assert_eq!(
        s.modalities[2].feature_names[..3],
        ["chr1:1000-1500", "chr1:101000-101500", "chr2:1000-1500"]
    );
    assert_eq!(s.obs_names[25], "slice2_spot_0001");
    for names in s.modalities.iter().map(|m| &m.feature_names).chain([&s.obs_names]) {
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}

#[test]
fn the_image_is_darker_where_nuclei_are_dense() {
    let s = run(&SimulationOptions { image: true, n_genes: 1, ..Default::default() });
    let image = &s.images[0];
    assert_eq!((image.width, image.height), (576, 576));
    let mut mean = [0.0; 5];
    let mut n = [0.0; 5];
    for (i, &d) in s.ground_truth.iter().enumerate() {
        let (x, y) = (s.coordinates[[i, 0]] * image.scale, s.coordinates[[i, 1]] * image.scale);
        for (dx, dy) in (0..16).flat_map(|a| (0..16).map(move |b| (a, b))) {
            let at = ((y as usize - 8 + dy) * image.width + x as usize - 8 + dx) * 3;
            mean[d as usize] += f64::from(image.rgb[at + 1]);
            n[d as usize] += 1.0;
        }
    }
    let green: Vec<f64> = mean.iter().zip(n).map(|(m, n)| m / n).collect();
    assert!(green[1] + 20.0 < green[0] && green[3] + 20.0 < green[0], "{green:?}");
    // A large grid stays within the largest side.
    let wide = image::draw_image(&SimulationOptions { side: 1500, ..Default::default() }, 0);
    assert_eq!(wide.width, 3000);
}

/// Mean red, green and blue, and the spread of green, of the pixels of each domain.
fn looks(options: &SimulationOptions, slice: usize) -> [[f64; 4]; 5] {
    let image = image::draw_image(options, slice);
    let px = image.width / options.side;
    let mut looks = [[0.0; 4]; 5];
    let mut n = [0.0; 5];
    for (at, pixel) in image.rgb.as_chunks::<3>().0.iter().enumerate() {
        let d = domain_at(options.side, at / image.width / px, at % image.width / px) as usize;
        let [r, g, b] = pixel.map(f64::from);
        for (sum, v) in looks[d].iter_mut().zip([r, g, b, g * g]) {
            *sum += v;
        }
        n[d] += 1.0;
    }
    for (look, n) in looks.iter_mut().zip(n) {
        *look = look.map(|sum| sum / n);
        look[3] = (look[3] - look[1] * look[1]).sqrt();
    }
    looks
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_default_picture_has_kept_its_bits() {
    let image = image::draw_image(&SimulationOptions::default(), 1);
    // As drawn before there were options of its looks.
    assert_eq!(fnv(&image.rgb), 0x1602_313e_00d4_29e7);
}

#[test]
fn at_strength_zero_the_domains_look_alike() {
    let spread = |strength: f64| {
        let options = SimulationOptions { image_strength: strength, side: 60, ..Default::default() };
        let looks = looks(&options, 0);
        (0..4)
            .map(|k| {
                let of = || looks.iter().map(|look| look[k]);
                of().fold(f64::MIN, f64::max) - of().fold(f64::MAX, f64::min)
            })
            .fold(0.0, f64::max)
    };
    let found = [0.0, 0.5, 1.0].map(spread);
    // Of 256 levels; what remains at 0 is the noise of 500 spots a domain.
    assert!(found[0] < 4.0 && found[1] > 15.0 && found[2] > 1.5 * found[1], "{found:?}");
}

#[test]
fn staining_drifts_over_a_slide_and_differs_between_slices() {
    let plain = SimulationOptions { image_strength: 0.0, side: 30, ..Default::default() };
    let quarters = |options: &SimulationOptions, slice| {
        let image = image::draw_image(options, slice);
        let mut sums = [0u64; 4];
        for (at, pixel) in image.rgb.as_chunks::<3>().0.iter().enumerate() {
            let (row, column) = (at / image.width, at % image.width);
            sums[2 * usize::from(2 * row >= image.height) + usize::from(2 * column >= image.width)] +=
                u64::from(pixel[1]);
        }
        sums.map(|sum| sum as f64 * 4.0 / (image.width * image.height) as f64)
    };
    let range = |values: [f64; 4]| {
        values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min)
    };
    let drifting = SimulationOptions { stain_drift: 0.5, ..plain.clone() };
    let tinted = SimulationOptions { stain_tint: 0.5, ..plain.clone() };
    assert!(range(quarters(&plain, 0)) < 4.0);
    assert!(range(quarters(&drifting, 0)) > 8.0, "{:?}", quarters(&drifting, 0));
    // A tint is the same everywhere in a slice.
    assert!(range(quarters(&tinted, 0)) < 8.0, "{:?}", quarters(&tinted, 0));
    let means = [0, 1, 2, 3].map(|slice| quarters(&tinted, slice).iter().sum::<f64>() / 4.0);
    assert!(range(means) > 8.0, "{means:?}");
}

#[test]
fn blur_keeps_the_mean_and_takes_the_detail() {
    let of = |image_blur_px| looks(&SimulationOptions { image_blur_px, ..Default::default() }, 0);
    let (sharp, blurred) = (of(0.0), of(3.0));
    for (a, b) in sharp.iter().zip(&blurred) {
        assert!((a[1] - b[1]).abs() < 8.0 && b[3] < 0.7 * a[3], "{a:?} {b:?}");
    }
}

#[test]
fn the_picture_is_the_same_on_one_thread_and_on_four() {
    let options = SimulationOptions {
        side: 12,
        image_strength: 0.4,
        image_blur_px: 1.5,
        stain_drift: 0.3,
        stain_tint: 0.2,
        ..Default::default()
    };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| image::draw_image(&options, 1))
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn impossible_options_are_refused_with_one_hint() {
    let d = SimulationOptions::default;
    let bad = [
        SimulationOptions { side: 0, ..d() },
        SimulationOptions { side: usize::MAX, ..d() },
        SimulationOptions { slices: 0, ..d() },
        SimulationOptions { slices: 1_000_000, side: 1, ..d() },
        SimulationOptions { n_genes: 0, ..d() },
        SimulationOptions { n_peaks: usize::MAX, ..d() },
        SimulationOptions { modalities: vec![], ..d() },
        SimulationOptions { modalities: vec![SimModality::Adt, SimModality::Adt], ..d() },
        SimulationOptions { noise: -1.0, ..d() },
        SimulationOptions { noise: f64::NAN, ..d() },
        SimulationOptions { noise: f64::INFINITY, ..d() },
        SimulationOptions { batch_effect: f64::NAN, ..d() },
        SimulationOptions { batch_effect: -0.1, ..d() },
        SimulationOptions { library_size_sd: f64::INFINITY, ..d() },
        SimulationOptions { spot_pitch: 0.0, ..d() },
        SimulationOptions { image_strength: 2.0, ..d() },
        SimulationOptions { image_blur_px: -1.0, ..d() },
        SimulationOptions { stain_drift: f64::NAN, ..d() },
        SimulationOptions { stain_tint: 9.0, ..d() },
        SimulationOptions { density: Some(0.0), ..d() },
        SimulationOptions { density: Some(f64::NAN), ..d() },
        SimulationOptions { visible: Some(vec![[true; 4]]), ..d() },
    ];
    for options in bad {
        let error = simulate(&options, &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None);
    }
    assert_eq!("Protein".parse(), Ok(SimModality::Adt));
    assert!("dna".parse::<SimModality>().is_err());
}

#[test]
fn an_interrupted_simulation_says_so() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let error = simulate(&SimulationOptions::default(), &Stop).expect_err("interrupted");
    assert!(matches!(error, SimulateError::Interrupted(_)));
}

/// Prints how long the stream of a million spots takes; run with `--ignored --nocapture`.
#[test]
#[ignore = "takes half a minute"]
fn a_million_spots_stream_in_blocks() {
    let options = SimulationOptions {
        side: 1000,
        n_genes: 2000,
        density: Some(0.05),
        modalities: vec![SimModality::Rna],
        ..Default::default()
    };
    let start = std::time::Instant::now();
    let stream = SimulationStream::new(&options).expect("valid");
    let (mut rows, mut nnz, mut largest) = (0, 0, 0);
    for block in stream.blocks(16_384) {
        rows += block.rows.len();
        nnz += block.counts[0].nnz();
        largest = largest.max(block.counts[0].nnz());
    }
    assert_eq!(rows, 1_000_000);
    let density = nnz as f64 / 2e9;
    eprintln!("{:?}, density {density}, largest block {largest} counts", start.elapsed());
    assert!((density - 0.05).abs() < 0.002);
}
