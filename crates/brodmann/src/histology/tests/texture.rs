//! Texture features: what they see, and what they do where there is nothing to see.

use brodmann_kernels::Silent;
use ndarray::{Array2, Array3, arr2};

use super::*;

/// A disc of haematoxylin on pink.
fn with_nuclei(side: usize, discs: &[(f64, f64)], radius: f64) -> Array3<u8> {
    Array3::from_shape_fn((side, side, 3), |(i, j, k)| {
        let inside = discs.iter().any(|(r, c)| (i as f64 - r).hypot(j as f64 - c) <= radius);
        if inside { [80, 60, 130][k] } else { [235, 190, 210][k] }
    })
}

fn of(slide: &Array3<u8>, centres: &Array2<f64>, side: f64) -> TextureFeatures {
    texture_features(slide, centres.view(), side, &TextureOptions::default(), &Silent).expect("features")
}

fn feature(features: &TextureFeatures, spot: usize, name: &str) -> f32 {
    features.values[[spot, features.names.iter().position(|n| n == name).expect(name)]]
}

#[test]
fn names_are_unique_snake_case_and_explained() {
    let names = texture_feature_names();
    let distinct: std::collections::BTreeSet<_> = names.iter().map(|(name, _)| name).collect();
    assert_eq!(distinct.len(), names.len());
    for (name, meaning) in names {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        assert!(meaning.len() > 10 && !meaning.ends_with('.'), "{name}");
    }
}

#[test]
fn nothing_to_see_gives_finite_numbers_whatever_the_size() {
    for value in [255u8, 0, 200] {
        let slide = Array3::from_elem((60, 60, 3), value);
        for side in [1.0, 2.0, 20.0, 64.0, 127.6, 200.0] {
            let features = of(&slide, &arr2(&[[0.0, 0.0], [30.0, 30.0]]), side);
            assert_eq!(features.values.dim(), (2, texture_feature_names().len()));
            assert!(features.values.iter().all(|v| v.is_finite()));
            // Black is what somebody blacked out, and grey everywhere is glass in dim light.
            assert_eq!(feature(&features, 1, "background_share"), 1.0);
            assert_eq!(feature(&features, 1, "nuclear_density"), 0.0, "{value} {side}");
            assert!(feature(&features, 1, "gradient_mean").abs() < 1e-6);
            assert!(feature(&features, 1, "gabor_energy_fine").abs() < 1e-5);
            assert_eq!(feature(&features, 1, "lbp_8"), 1.0);
        }
    }
    assert_eq!(of(&Array3::zeros((5, 5, 3)), &Array2::zeros((0, 2)), 9.0).values.nrows(), 0);
}

#[test]
fn nuclei_are_counted_and_measured_at_either_resolution() {
    let discs: Vec<(f64, f64)> = (0..3)
        .flat_map(|i| (0..3).map(move |j| (i, j)))
        .map(|(i, j)| (f64::from(i) * 0.3 + 0.2, f64::from(j) * 0.3 + 0.2))
        .collect();
    for side in [64usize, 128, 400] {
        let places: Vec<_> = discs.iter().map(|(r, c)| (r * side as f64, c * side as f64)).collect();
        // Radius a thirtieth of the patch.
        let slide = with_nuclei(side, &places, side as f64 / 30.0);
        let middle = (side / 2) as f64;
        let features = of(&slide, &arr2(&[[middle, middle]]), side as f64);
        assert_eq!(feature(&features, 0, "nuclear_density"), 9.0, "{side}");
        let diameter = feature(&features, 0, "nuclear_diameter");
        assert!((diameter - 2.0 / 30.0).abs() < 0.02, "{side}: {diameter}");
    }
}

#[test]
fn stripes_have_a_direction_and_a_wavelength() {
    let side = 128;
    let stripes = |period: f64, down: bool| {
        Array3::from_shape_fn((side, side, 3), |(i, j, _)| {
            let x = if down { i } else { j } as f64;
            (150.0 + 60.0 * (std::f64::consts::TAU * x / period).sin()) as u8
        })
    };
    let names = ["gabor_energy_fine", "gabor_energy_medium", "gabor_energy_coarse"];
    for (which, period) in [8.0, 16.0, 32.0].into_iter().enumerate() {
        for down in [false, true] {
            let features = of(&stripes(period, down), &arr2(&[[64.0, 64.0]]), 128.0);
            let energies = names.map(|name| feature(&features, 0, name));
            let strongest = (0..3).max_by(|a, b| energies[*a].total_cmp(&energies[*b]));
            assert_eq!(strongest, Some(which), "{energies:?}");
            assert!(feature(&features, 0, "gradient_coherence") > 0.9);
            let direction =
                ["gabor_direction_fine", "gabor_direction_medium", "gabor_direction_coarse"][which];
            assert!(feature(&features, 0, direction) > 0.5);
        }
    }
}

#[test]
fn grey_pictures_of_one_channel_have_features_too() {
    let slide = Array3::from_shape_fn((70, 70, 1), |(i, j, _)| ((i * 7 + j * 13) % 200) as u8);
    let features = of(&slide, &arr2(&[[35.0, 35.0]]), 40.0);
    assert!(features.values.iter().all(|v| v.is_finite()));
    assert!(feature(&features, 0, "density_std") > 0.0);
}

#[test]
fn one_thread_gives_the_bits_of_four_and_spots_keep_their_rows() {
    let slide = picture(200, 1100);
    let centres =
        Array2::from_shape_fn((150, 2), |(i, k)| ((i * 7919 + k * 331) % 1100) as f64 / [6.0, 1.0][k]);
    for stain_vectors in [StainVectors::Standard, StainVectors::Slide] {
        let options = TextureOptions { stain_vectors, ..TextureOptions::default() };
        let run = |threads, centres: &Array2<f64>| {
            with_threads(threads, || {
                texture_features(&slide, centres.view(), 30.0, &options, &Silent).expect("features").values
            })
        };
        let found = run(1, &centres);
        assert_eq!(found.mapv(f32::to_bits), run(4, &centres).mapv(f32::to_bits));
    }
    // The spots of a sample decide on the stains: with all in the sample, order does not matter but for ties.
    let twice = arr2(&[[50.0, 900.0], [100.0, 20.0], [50.0, 900.0]]);
    let found = of(&slide, &twice, 30.0).values;
    assert_eq!(found.row(0), found.row(2));
    assert_ne!(found.row(0), found.row(1));
}

#[test]
fn a_stronger_stain_of_the_whole_slide_changes_little() {
    // Twice the densities: the amounts are divided by the slide's own percentile.
    let light = picture(150, 150).mapv(|v| 120 + v / 2);
    let strong = light.mapv(|v| (f64::from(v) / 255.0).powi(2).mul_add(255.0, 0.5) as u8);
    let centres = arr2(&[[40.0, 40.0], [70.0, 110.0], [110.0, 70.0]]);
    let (a, b) = (of(&light, &centres, 50.0), of(&strong, &centres, 50.0));
    for name in ["haematoxylin_mean", "haematoxylin_std", "glcm_contrast_fine", "gabor_energy_medium"] {
        for spot in 0..3 {
            let (a, b) = (feature(&a, spot, name), feature(&b, spot, name));
            assert!((a - b).abs() < 0.12 * a.abs().max(0.05), "{name}: {a} {b}");
        }
    }
}

#[test]
fn a_slide_in_dim_light_looks_as_in_full_light() {
    let discs: Vec<(f64, f64)> = (0..9).map(|i| (40.0 + 12.0 * f64::from(i), 50.0)).collect();
    let mut bright = with_nuclei(160, &discs, 4.0);
    // The right half is glass.
    bright.slice_axis_mut(ndarray::Axis(1), (90..160).into()).fill(255);
    let dim = bright.mapv(|v| (f64::from(v) * 170.0 / 255.0).round() as u8);
    let at = arr2(&[[80.0, 50.0], [80.0, 130.0]]);
    let (full, low) = (of(&bright, &at, 40.0), of(&dim, &at, 40.0));
    assert_eq!(feature(&full, 1, "background_share"), 1.0);
    for name in ["background_share", "density_mean", "haematoxylin_mean", "eosin_mean", "nuclear_density"] {
        for spot in [0, 1] {
            let (a, b) = (feature(&full, spot, name), feature(&low, spot, name));
            assert!((a - b).abs() < 0.05 + 0.2 * a.abs(), "{name} of spot {spot}: {a} {b}");
        }
    }
}
