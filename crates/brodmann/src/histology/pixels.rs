//! A picture that is read by region, never whole.

use std::ops::Range;

use brodmann_kernels::ParallelLoop;
use ndarray::Array3;
use rayon::prelude::*;

use super::border::Border;
use super::{HistologyError, PixelsError};

/// A picture that is read by region.
pub trait Pixels: Sync {
    /// Rows.
    fn height(&self) -> usize;
    /// Columns.
    fn width(&self) -> usize;
    /// RGB bytes, `(rows.len(), columns.len(), 3)`; both ranges lie within the picture.
    fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Array3<u8>, PixelsError>;

    /// The picture made smaller by a whole number, so that neither side exceeds `max_side`, each pixel the mean of
    /// those it stands for.
    ///
    /// Reads every region once. A file that holds smaller copies of itself does better.
    fn overview(&self, max_side: usize) -> Result<Overview, HistologyError> {
        overview_by_region(self, max_side)
    }
}

/// A small copy of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// RGB bytes, `(height, width, 3)`.
    pub rgb: Array3<u8>,
    /// Pixels of the picture per pixel of the copy, along each side.
    pub factor: f64,
}

impl Pixels for Array3<u8> {
    fn height(&self) -> usize {
        self.dim().0
    }

    fn width(&self) -> usize {
        self.dim().1
    }

    fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Array3<u8>, PixelsError> {
        let (first_row, first_column, channels) = (rows.start, columns.start, self.dim().2);
        // A grey picture may come as one channel.
        Ok(Array3::from_shape_fn((rows.len(), columns.len(), 3), |(i, j, k)| {
            self[[first_row + i, first_column + j, k.min(channels.saturating_sub(1))]]
        }))
    }
}

/// Refuses a picture without a pixel.
pub(super) fn check_picture(slide: &(impl Pixels + ?Sized)) -> Result<(), HistologyError> {
    let (height, width) = (slide.height(), slide.width());
    if height == 0 || width == 0 {
        return Err(HistologyError::EmptyPicture { height, width });
    }
    Ok(())
}

/// A region whose shape has been checked.
pub(super) fn read(
    slide: &(impl Pixels + ?Sized),
    rows: Range<usize>,
    columns: Range<usize>,
) -> Result<Array3<u8>, HistologyError> {
    let expected = [rows.len(), columns.len(), 3];
    let region = slide.region(rows, columns)?;
    if region.shape() != expected {
        return Err(HistologyError::RegionShape { found: region.shape().to_vec(), expected });
    }
    Ok(if region.is_standard_layout() { region } else { region.as_standard_layout().into_owned() })
}

/// A region that may reach beyond the picture, which goes on mirrored there.
///
/// `prepare` is applied to what is read before it is mirrored; it is given the rows and columns read.
pub(super) fn read_mirrored(
    slide: &(impl Pixels + ?Sized),
    rows: Range<i64>,
    columns: Range<i64>,
    border: Border,
    prepare: impl FnOnce(Range<usize>, Range<usize>) -> Result<Array3<u8>, HistologyError>,
) -> Result<Array3<u8>, HistologyError> {
    let (height, width) = (slide.height(), slide.width());
    let inside = |range: &Range<i64>, n: usize| range.start >= 0 && range.end <= n as i64;
    if inside(&rows, height) && inside(&columns, width) {
        return prepare(rows.start as usize..rows.end as usize, columns.start as usize..columns.end as usize);
    }
    let places = |range: Range<i64>, n: usize| -> Vec<usize> { range.map(|i| border.index(i, n)).collect() };
    let (r, c) = (places(rows, height), places(columns, width));
    let span = |places: &[usize]| {
        let first = places.iter().copied().min().unwrap_or(0);
        first..places.iter().copied().max().map_or(first, |last| last + 1)
    };
    let (r_span, c_span) = (span(&r), span(&c));
    let source = prepare(r_span.clone(), c_span.clone())?;
    Ok(Array3::from_shape_fn((r.len(), c.len(), 3), |(i, j, k)| {
        source[[r[i] - r_span.start, c[j] - c_span.start, k]]
    }))
}

/// Pixels along one side of a region that is read at once.
const BLOCK: usize = 1024;

/// What [`Pixels::overview`] does for a picture that holds no smaller copies of itself.
///
/// # Errors
/// Those of the picture; [`HistologyError::EmptyPicture`].
pub fn overview_by_region(
    slide: &(impl Pixels + ?Sized),
    max_side: usize,
) -> Result<Overview, HistologyError> {
    check_picture(slide)?;
    let (height, width) = (slide.height(), slide.width());
    let factor = height.max(width).div_ceil(max_side.max(1));
    let (rows, columns) = (height.div_ceil(factor), width.div_ceil(factor));
    // Blocks hold whole pixels of the copy.
    let step = (BLOCK / factor).max(1);
    let blocks: Vec<(usize, usize)> = (0..rows.div_ceil(step))
        .flat_map(|i| (0..columns.div_ceil(step)).map(move |j| (i * step, j * step)))
        .collect();
    let parts: Vec<Result<Array3<u8>, HistologyError>> = blocks
        .par_iter()
        .map(|&(i0, j0)| {
            let (i1, j1) = ((i0 + step).min(rows), (j0 + step).min(columns));
            let pixels =
                read(slide, i0 * factor..(i1 * factor).min(height), j0 * factor..(j1 * factor).min(width))?;
            let (h, w, _) = pixels.dim();
            Ok(Array3::from_shape_fn((i1 - i0, j1 - j0, 3), |(i, j, k)| {
                let (top, left) = (i * factor, j * factor);
                let (bottom, right) = ((top + factor).min(h), (left + factor).min(w));
                let mut sum = 0u64;
                for y in top..bottom {
                    for x in left..right {
                        sum += u64::from(pixels[[y, x, k]]);
                    }
                }
                let n = ((bottom - top) * (right - left)) as u64;
                ((sum + n / 2) / n) as u8
            }))
        })
        .collect_vec();
    let mut rgb = Array3::zeros((rows, columns, 3));
    for ((i0, j0), part) in blocks.into_iter().zip(parts) {
        for ((i, j, k), v) in part?.indexed_iter() {
            rgb[[i0 + i, j0 + j, k]] = *v;
        }
    }
    Ok(Overview { rgb, factor: factor as f64 })
}
