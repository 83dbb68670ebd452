//! Whether spots lie on the tissue.

use ndarray::{Array2, Array3};

use super::*;

/// Tissue in an L, on white; nothing about it is symmetric.
fn slide() -> Array3<u8> {
    Array3::from_shape_fn((600, 800, 3), |(i, j, k)| {
        let on = (60..560).contains(&i) && (80..300).contains(&j)
            || (380..560).contains(&i) && (80..740).contains(&j);
        if on { [190, 110, 160][k] } else { [246, 245, 247][k] }
    })
}

/// Spots every 20 pixels on that tissue.
fn spots() -> Array2<f64> {
    let places: Vec<[f64; 2]> = (0..30)
        .flat_map(|i| (0..40).map(move |j| [f64::from(i) * 20.0 + 10.0, f64::from(j) * 20.0 + 10.0]))
        .filter(|[r, c]| {
            (70.0..550.0).contains(r) && (90.0..290.0).contains(c)
                || (390.0..550.0).contains(r) && (90.0..730.0).contains(c)
        })
        .collect();
    Array2::from_shape_fn((places.len(), 2), |(i, k)| places[i][k])
}

fn place(centres: &Array2<f64>) -> Placement {
    placement(&slide(), centres.view(), 12.0).expect("a picture")
}

#[test]
fn spots_on_tissue_leave_nothing_to_say() {
    let found = place(&spots());
    assert_eq!((found.share_on_background, found.share_outside), (0.0, 0.0));
    assert!(found.findings.is_empty() && found.advice.is_none());
    let mask = tissue_mask(&slide()).expect("a picture");
    let expected = 1.0 - (500.0 * 220.0 + 180.0 * 440.0) / (600.0 * 800.0);
    assert!((mask.share_background - expected).abs() < 0.02, "{}", mask.share_background);
}

#[test]
fn other_readings_are_recognised() {
    let spots = spots();
    let turned = |f: &dyn Fn(f64, f64) -> [f64; 2]| {
        Array2::from_shape_fn(spots.dim(), |(i, k)| f(spots[[i, 0]], spots[[i, 1]])[k])
    };
    for (centres, wanted) in [
        (turned(&|r, c| [c, r]), Reading::Swapped),
        (turned(&|r, c| [599.0 - r, c]), Reading::RowsMirrored),
        (turned(&|r, c| [r, 799.0 - c]), Reading::ColumnsMirrored),
        (turned(&|r, c| [599.0 - r, 799.0 - c]), Reading::Turned),
    ] {
        let found = place(&centres);
        let Some(Finding::Misread { reading, share_now, share_then }) = found.findings.first() else {
            panic!("{wanted:?}: {:?}", found.findings);
        };
        assert_eq!(*reading, wanted);
        assert!(*share_then > 0.99 && *share_now < 0.9);
        assert!(found.advice.is_some());
    }
}

#[test]
fn a_wrong_scale_factor_is_recognised_both_ways() {
    let small = place(&(spots() * 0.3));
    let Some(Finding::Corner { factor, height_share, .. }) = small.findings.first() else {
        panic!("{:?}", small.findings);
    };
    assert!((factor - 1.0 / 0.3).abs() < 0.15, "{factor}");
    assert!(*height_share < 0.3);
    let large = place(&(spots() * 3.0));
    assert!(matches!(large.findings.first(), Some(Finding::Outside { share }) if *share > 0.5));
    assert!(large.share_on_background >= large.share_outside);
}

#[test]
fn spots_of_another_slide_lie_on_background() {
    let grid = Array2::from_shape_fn((600, 2), |(i, k)| [(i / 30) as f64 * 30.0, (i % 30) as f64 * 26.0][k]);
    let found = place(&grid);
    let off = found.on_background.iter().filter(|b| **b).count() as f64 / 600.0;
    assert_eq!(off, found.share_on_background);
    assert!(matches!(found.findings[..], [Finding::OnBackground { share }] if (share - off).abs() < 1e-12));
}

#[test]
fn a_picture_without_background_says_nothing_of_it() {
    let full = Array3::from_shape_fn((200, 200, 3), |(i, j, k)| 90 + ((i * 3 + j * 5 + k * 40) % 90) as u8);
    let centres = Array2::from_shape_fn((50, 2), |(i, k)| (i * 4 * (2 - k)) as f64 % 200.0);
    let found = placement(&full, centres.view(), 10.0).expect("a picture");
    assert!(found.findings.is_empty() && found.share_on_background == 0.0, "{:?}", found.findings);
    let white = Array3::from_elem((50, 50, 3), 255u8);
    let found = placement(&white, centres.view(), f64::NAN).expect("a picture");
    assert_eq!(found.share_on_background, 1.0);
    let none = placement(&white, Array2::zeros((0, 2)).view(), 1.0).expect("a picture");
    assert!(none.findings.is_empty() && none.share_on_background == 0.0);
}

#[test]
fn a_background_that_was_blacked_out_is_background() {
    let black = slide().mapv(|v| if v > 240 { 0 } else { v });
    let found = placement(&black, spots().view(), 12.0).expect("a picture");
    assert!(found.findings.is_empty() && found.share_on_background == 0.0);
    let white = tissue_mask(&slide()).expect("a picture");
    let same = tissue_mask(&black).expect("a picture");
    assert!((white.share_background - same.share_background).abs() < 0.02);
}

#[test]
fn a_grey_background_is_background() {
    let grey = slide().mapv(|v| (f64::from(v) * 0.68) as u8);
    let found = placement(&grey, spots().view(), 12.0).expect("a picture");
    assert!(found.findings.is_empty() && found.share_on_background == 0.0);
    let (white, same) = (tissue_mask(&slide()), tissue_mask(&grey));
    let share = |mask: Result<TissueMask, HistologyError>| mask.expect("a picture").share_background;
    assert!((share(white) - share(same)).abs() < 0.02);
}

#[test]
fn numbers_do_not_depend_on_the_threads() {
    let centres = spots();
    let run = |threads| with_threads(threads, || place(&centres));
    assert_eq!(run(1), run(4));
}
