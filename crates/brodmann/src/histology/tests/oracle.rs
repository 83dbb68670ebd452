//! Against OpenCV, NumPy and scikit-image.

use std::fs::File;

use brodmann_kernels::Silent;
use ndarray::{Array1, Array2, Array3, Array4, Axis};
use ndarray_npy::{NpzReader, ReadableElement};

use super::*;

struct Oracle(NpzReader<File>);

impl Oracle {
    fn open() -> Self {
        Self(crate::oracles::open("histology"))
    }

    fn plane<T: ReadableElement>(&mut self, name: &str) -> Array2<T> {
        self.0.by_name(name).expect(name)
    }

    fn picture<T: ReadableElement>(&mut self, name: &str) -> Array3<T> {
        self.0.by_name(name).expect(name)
    }

    fn grey(&mut self) -> Array2<f64> {
        grey_f64(self.picture("img").view()).expect("three channels")
    }
}

fn block<T: Clone>(image: &Array3<T>, from: usize, to: usize) -> Array3<T> {
    let rows: Vec<usize> = (from..to).collect();
    image.select(Axis(0), &rows).select(Axis(1), &rows)
}

fn worst<'a>(found: impl IntoIterator<Item = &'a f64>, expected: impl IntoIterator<Item = &'a f64>) -> f64 {
    found.into_iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn blurred_bytes_are_those_of_opencv() {
    let mut oracle = Oracle::open();
    let image: Array3<u8> = oracle.picture("img");
    for (size, name) in [(5, "blur5_u8"), (7, "blur7_u8"), (15, "blur15_u8")] {
        assert_eq!(blur_u8(image.view(), size), oracle.picture::<u8>(name), "{name}");
    }
}

#[test]
fn blurred_doubles_are_those_of_opencv_to_rounding() {
    let mut oracle = Oracle::open();
    let image: Array3<u8> = oracle.picture("img");
    let corner = block(&image, 0, 32).index_axis(Axis(2), 0).mapv(f64::from);
    let expected: Array2<f64> = oracle.plane("blur15_f64");
    assert!(worst(&blur_f64(corner.view(), 15), &expected) < 1e-11);
}

#[test]
fn grey_bytes_are_those_of_opencv() {
    let mut oracle = Oracle::open();
    let image: Array3<u8> = oracle.picture("img");
    assert_eq!(grey_u8(image.view()).expect("three channels"), oracle.plane::<u8>("grey_u8"));
}

#[test]
fn bands_are_those_of_numpy_to_rounding() {
    let mut oracle = Oracle::open();
    let grey = oracle.grey();
    let window = Frequencies::Window { from: 46, to: 52 };
    let ring = Frequencies::Ring { from: 20, to: 30 };
    for (frequencies, passing, part, name) in [
        (window, Passing::Keep, Part::Magnitude, "fft_win46_52_keep_abs"),
        (window, Passing::Drop, Part::Magnitude, "fft_win46_52_drop_abs"),
        (ring, Passing::Keep, Part::Real, "fft_ring20_30_keep_real"),
    ] {
        let found = band_pass(grey.view(), &Band { frequencies, passing, part }).expect("a band");
        let expected: Array2<f64> = oracle.plane(name);
        // Grey levels reach 255: twelve digits.
        assert!(worst(&found, &expected) < 1e-10, "{name}");
    }
}

#[test]
fn the_filter_in_single_precision_differs_by_a_ten_thousandth_of_a_grey_level() {
    let grey = Oracle::open().grey();
    let frequencies = Frequencies::Window { from: 46, to: 52 };
    for passing in [Passing::Keep, Passing::Drop] {
        let band = Band { frequencies, passing, part: Part::Magnitude };
        let single: Vec<f32> = grey.iter().map(|v| *v as f32).collect();
        let found = BandFilter::<f32>::new(band, 96, 96).expect("a band").filter(&single);
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        assert!(worst(&found, &band_pass(grey.view(), &band).expect("a band")) < 1e-4);
    }
}

#[test]
fn patches_are_mirrored_either_way() {
    let mut oracle = Oracle::open();
    let image: Array3<u8> = oracle.picture("img");
    let centres = oracle.plane::<i64>("patch_centres").mapv(|v| v as f64);
    for (border, name) in
        [(Border::Reflect101, "patches32_reflect101"), (Border::Reflect, "patches32_reflect")]
    {
        let expected: Array4<u8> = oracle.0.by_name(name).expect(name);
        let options = PatchOptions { border, blur: 0 };
        let mut seen = 0;
        patches(
            &image,
            centres.view(),
            32.0,
            &options,
            &Silent,
            |_, patch| Ok(patch),
            |spot, patch| {
                assert_eq!(patch, expected.index_axis(Axis(0), spot), "{name} {spot}");
                seen += 1;
                Ok(())
            },
        )
        .expect("patches");
        assert_eq!(seen, 5);
    }
}

#[test]
fn resized_bytes_are_those_of_opencv() {
    let mut oracle = Oracle::open();
    let image: Array3<u8> = oracle.picture("img");
    for (side, name) in [(64, "resize64_u8"), (40, "resize40_u8")] {
        assert_eq!(resize_u8(image.view(), side, side), oracle.picture::<u8>(name), "{name}");
    }
    // Where a picture grows OpenCV rounds elsewhere: 131 of 67500 values differ, by one.
    let (found, expected) = (resize_u8(image.view(), 150, 150), oracle.picture::<u8>("resize150_u8"));
    let differing: Vec<u8> =
        found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).filter(|d| *d > 0).collect();
    assert!(differing.len() <= 131 && differing.iter().all(|d| *d == 1), "{}", differing.len());
}

#[test]
fn resized_doubles_are_those_of_opencv_to_rounding() {
    let mut oracle = Oracle::open();
    let image: Array3<u8> = oracle.picture("img");
    let expected: Array3<f64> = oracle.picture("resize64_f64_block");
    for k in 0..3 {
        let plane = image.index_axis(Axis(2), k).mapv(f64::from);
        let found = resize_f64(plane.view(), 64, 64);
        for ((i, j), v) in expected.index_axis(Axis(2), k).indexed_iter() {
            assert!((found[[i, j]] - v).abs() < 1e-10);
        }
    }
}

#[test]
fn stains_are_those_of_scikit_image() {
    let mut oracle = Oracle::open();
    let image: Array3<u8> = oracle.picture("img");
    let hed = separate_stains(image.view(), Stains::default(), StainScale::Relative).expect("stains");
    let expected: Array3<f64> = oracle.picture("hed_block");
    assert!(worst(&block(&hed, 32, 64), &expected) < 1e-12);
    let unit = separate_stains(image.view(), Stains::default().unit(), StainScale::Natural).expect("stains");
    assert!(worst(&block(&unit, 32, 64), &oracle.picture("hed_unit_natural_block")) < 1e-12);
    // Means and spreads of haematoxylin and eosin over nine tiles.
    let (mean, sd): (Array2<f64>, Array2<f64>) =
        (oracle.plane("hed_patch_mean"), oracle.plane("hed_patch_std"));
    for tile in 0..9 {
        let pick = |i: usize| (32 * i..32 * (i + 1)).collect::<Vec<_>>();
        let tile_of = hed.select(Axis(0), &pick(tile / 3)).select(Axis(1), &pick(tile % 3));
        for k in 0..2 {
            let values: Array1<f64> = tile_of.index_axis(Axis(2), k).iter().copied().collect();
            assert!((values.mean().expect("values") - mean[[tile, k]]).abs() < 1e-12);
            assert!((values.std(0.0) - sd[[tile, k]]).abs() < 1e-12);
        }
    }
}

#[test]
fn cooccurrences_are_those_of_scikit_image() {
    let mut oracle = Oracle::open();
    let levels: Array2<u8> = oracle.plane("glcm_levels");
    let expected: Array4<f64> = oracle.0.by_name("glcm").expect("glcm");
    let names = ["contrast", "homogeneity", "energy", "correlation"];
    let tables = names.map(|name| oracle.plane::<f64>(&format!("glcm_{name}")));
    for (d, distance) in [1.0, 2.0].into_iter().enumerate() {
        for (a, angle) in ANGLES.into_iter().enumerate() {
            let shares = glcm(levels.view(), 16, distance, angle);
            let wanted = expected.index_axis(Axis(0), d).index_axis_move(Axis(0), a).to_owned();
            assert!(worst(&shares, &wanted) < 1e-15);
            let found = cooccurrence(shares.view());
            let found = [found.contrast, found.homogeneity, found.energy, found.correlation];
            for (value, table) in found.iter().zip(&tables) {
                assert!((value - table[[d, a]]).abs() < 1e-11);
            }
        }
    }
}

#[test]
fn local_binary_patterns_are_those_of_scikit_image() {
    let mut oracle = Oracle::open();
    let grey = oracle.plane::<u8>("texture_patch").mapv(f64::from);
    for (pattern, name) in [(Pattern::Default, "lbp_default"), (Pattern::Uniform, "lbp_uniform")] {
        assert_eq!(local_binary_pattern(grey.view(), pattern), oracle.plane::<u8>(name), "{name}");
    }
}
