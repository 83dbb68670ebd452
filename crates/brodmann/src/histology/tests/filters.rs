//! Blur, resizing, patches and the filter: properties and edges.

use brodmann_kernels::Silent;
use ndarray::{Array2, Array3, Axis, arr2};

use super::*;

fn all_patches(
    slide: &dyn Pixels,
    centres: &Array2<f64>,
    side: f64,
    options: &PatchOptions,
) -> Vec<Array3<u8>> {
    let mut out = vec![Array3::zeros((0, 0, 0)); centres.nrows()];
    let sink = |spot: usize, patch| {
        out[spot] = patch;
        Ok(())
    };
    patches(slide, centres.view(), side, options, &Silent, |_, patch| Ok(patch), sink).expect("patches");
    out
}

#[test]
fn the_border_is_mirrored_by_hand() {
    let at = |border: Border, n| (-4..7).map(|i| border.index(i, n)).collect::<Vec<_>>();
    assert_eq!(at(Border::Reflect101, 3), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
    assert_eq!(at(Border::Reflect, 3), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
    assert_eq!(at(Border::Reflect101, 1), [0; 11]);
    assert_eq!(at(Border::Reflect, 0), [0; 11]);
    assert_eq!(Border::Reflect101.index(i64::MIN / 4, 7), Border::Reflect101.index((i64::MIN / 4) % 12, 7));
}

#[test]
fn patches_of_the_blurred_slide_equal_a_blur_of_the_whole() {
    let slide = picture(61, 83);
    let whole = blur_u8(slide.view(), 7);
    let centres = arr2(&[[0.0, 0.0], [30.4, 41.5], [60.0, 82.0], [2.0, 80.0], [-9.0, 200.0]]);
    for border in [Border::Reflect101, Border::Reflect] {
        let blurred = all_patches(&slide, &centres, 20.0, &PatchOptions { border, blur: 7 });
        let cut = all_patches(&whole, &centres, 20.0, &PatchOptions { border, blur: 0 });
        assert_eq!(blurred, cut);
    }
}

#[test]
fn the_middle_of_a_patch_is_the_pixel_of_its_spot() {
    let slide = picture(40, 50);
    for (side, middle) in [(1.0, 0), (5.0, 2), (6.0, 3)] {
        let patch = &all_patches(&slide, &arr2(&[[20.2, 29.7]]), side, &PatchOptions::default())[0];
        for k in 0..3 {
            assert_eq!(patch[[middle, middle, k]], slide[[20, 30, k]]);
        }
    }
}

#[test]
fn patches_arrive_tile_by_tile_and_know_their_spot() {
    let slide = Array3::<u8>::zeros((10, 10, 3));
    let centres = arr2(&[[0.0, 5000.0], [0.0, 0.0], [1500.0, 0.0], [0.0, 1.0], [1500.0, 5000.0]]);
    let mut order = Vec::new();
    let sink = |spot, found: usize| {
        assert_eq!(spot, found);
        order.push(spot);
        Ok(())
    };
    patches(&slide, centres.view(), 3.0, &PatchOptions::default(), &Silent, |spot, _| Ok(spot), sink)
        .expect("patches");
    assert_eq!(order, [1, 3, 0, 4, 2]);
}

#[test]
fn the_filter_gives_the_same_bits_on_one_thread_and_on_four() {
    let slide = picture(90, 120);
    let centres = Array2::from_shape_fn((70, 2), |(i, k)| (i * 37 % 90 + k * 11) as f64);
    let options = FilterOptions { filtered_side: 64, output_side: 28, ..small_band() };
    let run = |threads| {
        with_threads(threads, || {
            let mut bits = vec![Vec::new(); 70];
            preprocess(&slide, centres.view(), 33.0, &options, &Silent, |spot, plane| {
                bits[spot] = plane.iter().map(|v| v.to_bits()).collect();
                Ok(())
            })
            .expect("filtered");
            bits
        })
    };
    assert_eq!(run(1), run(4));
}

fn small_band() -> FilterOptions {
    let frequencies = Frequencies::Window { from: 30, to: 35 };
    FilterOptions { band: Band { frequencies, ..Band::default() }, ..FilterOptions::default() }
}

#[test]
fn a_constant_patch_stays_constant_when_kept_and_vanishes_when_dropped() {
    let patch = Array3::from_elem((50, 50, 3), 200u8);
    for (passing, level) in [(Passing::Keep, 200.0), (Passing::Drop, 0.0)] {
        for blur_grey in [false, true] {
            let band = Band { passing, ..Band::default() };
            let options = FilterOptions { blur_grey, band, ..FilterOptions::default() };
            let plane =
                PatchFilter::new(&options).expect("options").apply(patch.view()).expect("three channels");
            assert_eq!(plane.dim(), (224, 224));
            assert!(plane.iter().all(|v: &f32| (v - level).abs() < 1e-2), "{passing:?}");
        }
    }
    let channels = imagenet_channels(Array2::from_elem((2, 3), 255.0).view());
    assert_eq!(channels.dim(), (3, 2, 3));
    assert!((channels[[0, 0, 0]] - (1.0 - 0.485) / 0.229).abs() < 1e-6);
}

#[test]
fn what_is_kept_and_what_is_dropped_sum_to_the_picture_whatever_the_size() {
    for (height, width) in [(16, 16), (15, 17), (17, 16), (40, 33)] {
        let plane = picture(height, width).index_axis(Axis(2), 0).mapv(f64::from);
        for frequencies in [Frequencies::Window { from: 5, to: 11 }, Frequencies::Ring { from: 2, to: 6 }] {
            let of = |passing| {
                band_pass(plane.view(), &Band { frequencies, passing, part: Part::Real }).expect("a band")
            };
            let sum = of(Passing::Keep) + of(Passing::Drop);
            assert!(sum.iter().zip(&plane).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }
}

#[test]
fn a_window_of_all_frequencies_is_the_picture() {
    let plane = picture(24, 24).index_axis(Axis(2), 1).mapv(f64::from);
    let frequencies = Frequencies::Window { from: 0, to: 24 };
    let found = band_pass(plane.view(), &Band { frequencies, ..Band::default() }).expect("a band");
    assert!(found.iter().zip(&plane).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn kernels_sum_to_one_and_tiny_pictures_are_blurred() {
    for size in (1..40).step_by(2) {
        assert!((gaussian_kernel(size).iter().sum::<f64>() - 1.0).abs() < 1e-14, "{size}");
        for (height, width) in [(1, 1), (1, 5), (2, 3)] {
            let image = Array3::from_elem((height, width, 3), 77u8);
            assert_eq!(blur_u8(image.view(), size), image, "{size}");
        }
    }
    assert_eq!(blur_u8(Array3::zeros((0, 4, 3)).view(), 7).dim(), (0, 4, 3));
}

#[test]
fn an_overview_is_the_mean_of_whole_blocks() {
    let slide = picture(50, 2100);
    let view = slide.overview(700).expect("a picture");
    assert_eq!((view.rgb.dim(), view.factor), ((17, 700, 3), 3.0));
    let mean = |i: usize, j: usize| {
        let rows = 3 * i..(3 * i + 3).min(50);
        let n = rows.len() * 3;
        let sum: usize = rows
            .flat_map(|r| (3 * j..3 * j + 3).map(move |c| (r, c)))
            .map(|(r, c)| usize::from(slide[[r, c, 2]]))
            .sum();
        ((sum + n / 2) / n) as u8
    };
    for (i, j) in [(0, 0), (16, 3), (5, 699), (9, 341), (9, 342)] {
        assert_eq!(view.rgb[[i, j, 2]], mean(i, j));
    }
}

#[test]
fn unfit_requests_are_refused_in_words() {
    let slide = picture(5, 5);
    let none = Array3::<u8>::zeros((0, 5, 3));
    let run = |slide: &dyn Pixels, centres: Array2<f64>, side: f64, blur: usize| {
        let options = PatchOptions { blur, ..PatchOptions::default() };
        patches(slide, centres.view(), side, &options, &Silent, |_, _| Ok(()), |_, ()| Ok(()))
            .expect_err("unfit")
            .to_string()
    };
    let one = arr2(&[[1.0, 1.0]]);
    assert_eq!(run(&none, one.clone(), 3.0, 0), "the picture has 0 × 5 pixels; expected at least 1 × 1");
    assert_eq!(run(&slide, one.clone(), f64::NAN, 0), "`side` is NaN; expected 1 to 8192 pixels");
    assert_eq!(run(&slide, one.clone(), 1e9, 0), "`side` is 1000000000; expected 1 to 8192 pixels");
    assert_eq!(run(&slide, one, 3.0, 4), "`blur` is 4; expected an odd number up to 99, or 0 for none");
    assert!(run(&slide, arr2(&[[1.0, f64::NAN]]), 3.0, 0).starts_with("spot 0 lies at row 1, column NaN"));
    assert!(run(&slide, arr2(&[[1.0, 1.0, 1.0]]), 3.0, 0).starts_with("the positions of the spots have 3"));
    let band = Band { frequencies: Frequencies::Window { from: 9, to: 9 }, ..Band::default() };
    let error = band_pass(Array2::<f64>::zeros((10, 10)).view(), &band).expect_err("empty");
    let wanted =
        "`frequencies` is the window from 9 to 9; expected two ends from 0 to 10, the first below the second";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn an_error_of_the_file_passes_through_unchanged() {
    use brodmann_kernels::{Diagnosis, OptionError};
    struct Broken;
    impl Pixels for Broken {
        fn height(&self) -> usize {
            9
        }
        fn width(&self) -> usize {
            9
        }
        fn region(
            &self,
            _: std::ops::Range<usize>,
            _: std::ops::Range<usize>,
        ) -> Result<Array3<u8>, PixelsError> {
            Err(OptionError::new("tile", 3, "a tile that is whole").advise("copy the file again").into())
        }
    }
    let centres = arr2(&[[1.0, 1.0]]);
    let error = patches(
        &Broken,
        centres.view(),
        3.0,
        &PatchOptions::default(),
        &Silent,
        |_, _| Ok(()),
        |_, ()| Ok(()),
    )
    .expect_err("broken");
    assert_eq!(error.to_string(), "`tile` is 3; expected a tile that is whole");
    assert_eq!(error.advice().as_deref(), Some("copy the file again"));
}

#[test]
fn no_spots_are_no_work_and_a_sheet_of_none_is_empty() {
    let slide = picture(5, 5);
    assert!(all_patches(&slide, &Array2::zeros((0, 2)), 3.0, &PatchOptions::default()).is_empty());
    assert_eq!(contact_sheet(&[], &[], 4, 10).dim(), (0, 0, 3));
}

#[test]
fn a_contact_sheet_holds_pairs_with_gaps() {
    let before = vec![Array3::from_elem((4, 4, 3), 10u8); 3];
    let after = vec![Array3::from_elem((8, 8, 3), 20u8); 2];
    let sheet = contact_sheet(&before, &after, 2, 4);
    // Two rows of 4 and a gap of 8; two pairs of 4 + 2 + 4 and a gap of 8.
    assert_eq!(sheet.dim(), (16, 28, 3));
    assert_eq!((sheet[[0, 0, 0]], sheet[[0, 4, 0]], sheet[[0, 6, 0]], sheet[[0, 12, 0]]), (10, 255, 20, 255));
    assert_eq!((sheet[[12, 0, 0]], sheet[[12, 6, 0]], sheet[[12, 18, 0]]), (10, 255, 255));
}
