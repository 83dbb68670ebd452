//! What is common to the patches of a slide: its stains' vectors, how strongly it is stained, and how bright its
//! background is. Taken from a sample of spots, the same for the same spots.

use brodmann_kernels::Monitor;
use brodmann_kernels::eigen::symmetric_eigen;
use ndarray::{Array2, ArrayView2};

use super::HistologyError;
use super::patches::patches;
use super::pixels::Pixels;
use super::stains::{StainScale, Stains, density_of, dot};
use super::texture::{StainVectors, TextureOptions};

/// Spots looked at, evenly over the slide's list.
const SPOTS: usize = 256;
/// Pixels taken from each.
const PIXELS: usize = 256;
/// Densities below this (natural logarithm, mean of the three colours) are background: four fifths of white.
pub(super) const BACKGROUND: f64 = 0.15;
/// Densities above this are no tissue either: a thirtieth of white, where a picture was blacked out. The darkest stain
/// lets more light through.
pub(super) const BLACK: f64 = 3.4;

/// The stains of a slide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SlideStains {
    pub(super) stains: Stains,
    /// 99th percentiles of haematoxylin and eosin: amounts are divided by them.
    pub(super) reference: [f64; 2],
}

pub(super) fn slide_stains(
    slide: &(impl Pixels + ?Sized),
    centres: ArrayView2<'_, f64>,
    side_px: f64,
    options: &TextureOptions,
    monitor: &dyn Monitor,
) -> Result<SlideStains, HistologyError> {
    let n = centres.nrows();
    let step = n.div_ceil(SPOTS).max(1);
    let sample = Array2::from_shape_fn((n.div_ceil(step), centres.ncols()), |(i, k)| centres[[i * step, k]]);
    let mut of_spots = vec![Vec::new(); sample.nrows()];
    let table: Vec<f64> = (0..=255u8).map(|v| density_of(v, StainScale::Natural)).collect();
    let work = |_, patch: ndarray::Array3<u8>| {
        let bytes = patch.as_slice().unwrap_or(&[]);
        // An odd stride, so that rows are not all met at the same columns.
        let stride = ((bytes.len() / 3) / PIXELS).max(1) | 1;
        let pixels = bytes.as_chunks::<3>().0.iter().step_by(stride);
        Ok(pixels.map(|p| p.map(|v| table[usize::from(v)])).collect::<Vec<[f64; 3]>>())
    };
    patches(slide, sample.view(), side_px, &options.patches, monitor, work, |spot, pixels| {
        of_spots[spot] = pixels;
        Ok(())
    })?;
    let is_tissue = |d: &[f64; 3]| (BACKGROUND..BLACK).contains(&(d.iter().sum::<f64>() / 3.0));
    let tissue: Vec<[f64; 3]> = of_spots.into_iter().flatten().filter(is_tissue).collect();
    let standard = Stains::of_two(Stains::default().0[0], Stains::default().0[1]);
    let stains = match options.stain_vectors {
        StainVectors::Standard => standard,
        StainVectors::Slide => estimate(&tissue).unwrap_or(standard),
    };
    let inverse = stains.inverse()?;
    let reference = [0, 1].map(|k| {
        let amounts =
            tissue.iter().map(|d| d[0] * inverse[0][k] + d[1] * inverse[1][k] + d[2] * inverse[2][k]);
        // A slide without tissue, or without one of the stains, keeps its amounts.
        percentile(amounts.collect(), 0.99).filter(|v| *v > 0.05).unwrap_or(1.0)
    });
    Ok(SlideStains { stains, reference })
}

/// The value below which a share of the values lies.
fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = (share * (values.len().checked_sub(1)? as f64)).round() as usize;
    values.get(at).copied()
}

/// The two directions that bound the densities within their plane (1st and 99th percentile of the angle).
fn estimate(densities: &[[f64; 3]]) -> Option<Stains> {
    if densities.len() < 1000 {
        return None;
    }
    let n = densities.len() as f64;
    let product = |i: usize, j: usize| densities.iter().map(|d| d[i] * d[j]).sum::<f64>() / n;
    let moments = Array2::from_shape_fn((3, 3), |(i, j)| product(i, j));
    let (_, vectors) = symmetric_eigen(moments.view(), 2).ok()?;
    // Both may point either way.
    let column = |k: usize| [vectors[[0, k]], vectors[[1, k]], vectors[[2, k]]];
    let (mut first, second) = (column(0), column(1));
    if first.iter().sum::<f64>() < 0.0 {
        first = first.map(|v| -v);
    }
    let angles = || densities.iter().map(|d| libm::atan2(dot(*d, second), dot(*d, first))).collect();
    let ends = [percentile(angles(), 0.01)?, percentile(angles(), 0.99)?];
    if ends[1] - ends[0] < 0.1 {
        return None;
    }
    let [a, b] = ends.map(|angle| {
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        [0, 1, 2].map(|k| cos * first[k] + sin * second[k])
    });
    // Haematoxylin takes more red.
    let (haematoxylin, eosin) = if a[0] > b[0] { (a, b) } else { (b, a) };
    Some(Stains::of_two(haematoxylin, eosin))
}
