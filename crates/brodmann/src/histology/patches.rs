//! The picture around each spot.
//!
//! Spots are visited tile by tile, so that a file that keeps the tiles it read last reads each about once, a block of
//! spots at a time, so that memory does not grow with their number. Beyond the border the picture is mirrored.

use std::ops::Range;

use brodmann_kernels::{Monitor, OptionError, ParallelLoop};
use ndarray::{Array3, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::HistologyError;
use super::blur::blur_u8_within_margin;
use super::border::Border;
use super::pixels::{Pixels, check_picture, read_mirrored};

/// Longest side of a patch.
pub const MAX_SIDE_PX: usize = 8192;

/// How patches are cut out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchOptions {
    /// How the picture goes on beyond its border.
    pub border: Border,
    /// Taps of a Gaussian blur of the whole slide before patches are cut out (odd); 0: none.
    pub blur: usize,
}

impl PatchOptions {
    fn validate(&self) -> Result<(), OptionError> {
        if self.blur == 0 || (self.blur % 2 == 1 && self.blur <= 99) {
            return Ok(());
        }
        Err(OptionError::new("blur", self.blur, "an odd number up to 99, or 0 for none"))
    }
}

/// The side of patches in whole pixels.
///
/// # Errors
/// [`OptionError`] for less than one pixel, more than [`MAX_SIDE_PX`], or NaN.
pub fn patch_side(side_px: f64) -> Result<usize, OptionError> {
    let whole = side_px.round();
    if whole >= 1.0 && whole <= MAX_SIDE_PX as f64 {
        return Ok(whole as usize);
    }
    let expected = format!("1 to {MAX_SIDE_PX} pixels");
    Err(OptionError::new("side", side_px, expected).advise("check the spot's diameter and the scale factor"))
}

/// Rows or columns of a patch around `centre`: `side` of them, from `round(centre) − ⌊side/2⌋` on.
pub(super) fn patch_range(centre: f64, side: usize) -> Range<i64> {
    // Beyond any picture, where `i64` could overflow.
    let limit = (1u64 << 50) as f64;
    let first = (centre + 0.5).floor().clamp(-limit, limit) as i64 - (side / 2) as i64;
    first..first + side as i64
}

/// Refuses positions that are not numbers.
pub(super) fn check_centres(centres: ArrayView2<'_, f64>) -> Result<(), HistologyError> {
    if centres.ncols() != 2 {
        return Err(HistologyError::CentreColumns { found: centres.ncols() });
    }
    for (spot, centre) in centres.rows().into_iter().enumerate() {
        let (row, column) = (centre[0], centre[1]);
        if !row.is_finite() || !column.is_finite() {
            return Err(HistologyError::BadCentre { spot, row, column });
        }
    }
    Ok(())
}

/// Side of the squares by which spots are ordered, pixels.
const TILE_PX: f64 = 1024.0;

/// Spots in the order in which they are visited: by rows of tiles, back and forth.
pub(super) fn visiting_order(centres: ArrayView2<'_, f64>) -> Vec<usize> {
    let key = |i: usize| {
        let tile = |v: f64| (v / TILE_PX).floor() as i64;
        let (row, column) = (tile(centres[[i, 0]]), tile(centres[[i, 1]]));
        (row, if row % 2 == 0 { column } else { -column }, i)
    };
    let mut order: Vec<usize> = (0..centres.nrows()).collect();
    order.sort_by_cached_key(|&i| key(i));
    order
}

/// One patch, `(side, side, 3)`, around `(row, column)`.
pub(super) fn cut(
    slide: &(impl Pixels + ?Sized),
    (row, column): (f64, f64),
    side: usize,
    options: &PatchOptions,
) -> Result<Array3<u8>, HistologyError> {
    let (rows, columns) = (patch_range(row, side), patch_range(column, side));
    read_mirrored(slide, rows, columns, options.border, |rows, columns| {
        let margin = (options.blur / 2) as i64;
        let wider = |r: Range<usize>| r.start as i64 - margin..r.end as i64 + margin;
        // The blur mirrors by its own rule, whatever that of the patches.
        let around = Border::Reflect101;
        let region = read_mirrored(slide, wider(rows), wider(columns), around, |r, c| {
            super::pixels::read(slide, r, c)
        })?;
        Ok(if margin == 0 { region } else { blur_u8_within_margin(&region, options.blur) })
    })
}

/// Spots worked on at a time: bounds memory, and lets the caller interrupt.
const SPOTS_AT_ONCE: usize = 64;

/// Cuts out the patch of every spot, does `work` on it, and hands the outcome to `sink`.
///
/// # Inputs
/// `centres`: `(n_obs, 2)`, row and column in pixels of the picture. `side_px`: rounded to whole pixels.
/// `work` is called in parallel with the spot's row in `centres` and its patch, `(side, side, 3)`; `sink` is
/// called on this thread, in the order in which tiles are visited.
/// # Errors
/// Those of the picture, of `work` and of `sink`, the first in that order.
/// # Cost
/// One patch per thread and 64 outcomes in memory.
pub fn patches<T: Send>(
    slide: &(impl Pixels + ?Sized),
    centres: ArrayView2<'_, f64>,
    side_px: f64,
    options: &PatchOptions,
    monitor: &dyn Monitor,
    work: impl Fn(usize, Array3<u8>) -> Result<T, HistologyError> + Sync,
    mut sink: impl FnMut(usize, T) -> Result<(), HistologyError>,
) -> Result<(), HistologyError> {
    options.validate()?;
    let side = patch_side(side_px)?;
    check_picture(slide)?;
    check_centres(centres)?;
    for spots in visiting_order(centres).chunks(SPOTS_AT_ONCE) {
        monitor.check()?;
        let done: Vec<Result<T, HistologyError>> = spots
            .par_iter()
            .map(|&spot| {
                monitor.check()?;
                work(spot, cut(slide, (centres[[spot, 0]], centres[[spot, 1]]), side, options)?)
            })
            .collect_vec();
        for (&spot, outcome) in spots.iter().zip(done) {
            sink(spot, outcome?)?;
        }
        monitor.advance(spots.len() as u64);
    }
    Ok(())
}
