//! Do the spots lie on the tissue? Whether coordinates and picture belong together, seen from far away.
//!
//! Tissue is what absorbs light: Otsu's threshold of the optical density of a small copy of the picture, kept within
//! bounds that hold for stained sections. Spots are then looked up as they are given, and as they would lie were rows and
//! columns swapped or mirrored, or the scale factor another.
//!
//! # Source
//! Otsu 1979, IEEE Trans. Syst. Man Cybern. 9:62.

use std::fmt::{self, Display, Formatter};

use brodmann_kernels::Opt;
use ndarray::{Array2, ArrayView2};

use super::HistologyError;
use super::patches::check_centres;
use super::pixels::Pixels;
use super::slide_stains::BLACK;
use super::stains::{StainScale, density_of};

/// Longest side of the copy that is looked at.
const OVERVIEW_SIDE: usize = 512;
/// Bounds of the threshold, natural optical density.
const THRESHOLD: (f64, f64) = (0.05, 0.25);
/// Colours whose channels differ by more are no glass.
const COLOURLESS: u8 = 24;
/// With less background than this nothing can be said of where the tissue ends.
const LEAST_BACKGROUND: f64 = 0.03;
/// Share of spots off the tissue, or outside, that is worth a word.
const MANY: f64 = 0.1;
/// How much better another reading must cover the tissue.
const CLEARLY: f64 = 0.1;

/// Where the tissue is, seen from far away.
#[derive(Clone, Debug, PartialEq)]
pub struct TissueMask {
    /// `(height, width)` of the copy; true on tissue.
    pub tissue: Array2<bool>,
    /// Pixels of the picture per pixel of the mask.
    pub factor: f64,
    /// Optical density of the background: 0 where it is white.
    pub light: f64,
    /// Optical density beyond that from which on a pixel is tissue.
    pub threshold: f64,
    /// Share of the picture that is background.
    pub share_background: f64,
}

/// Another way to read the coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Rows and columns swapped.
    Swapped,
    /// Rows counted from the bottom.
    RowsMirrored,
    /// Columns counted from the right.
    ColumnsMirrored,
    /// Both counted from the other end: turned by 180°.
    Turned,
}

impl Reading {
    const ALL: [Self; 4] = [Self::Swapped, Self::RowsMirrored, Self::ColumnsMirrored, Self::Turned];

    fn read(self, (row, column): (f64, f64), height: f64, width: f64) -> (f64, f64) {
        match self {
            Self::Swapped => (column, row),
            Self::RowsMirrored => (height - 1.0 - row, column),
            Self::ColumnsMirrored => (row, width - 1.0 - column),
            Self::Turned => (height - 1.0 - row, width - 1.0 - column),
        }
    }
}

/// What is wrong with where the spots lie, with the numbers behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Many spots lie outside of the picture.
    Outside {
        /// Their share.
        share: f64,
    },
    /// The spots fill a corner of the picture; multiplied by `factor` they would cover the tissue.
    Corner {
        /// Share of the picture's height that they span.
        height_share: f64,
        /// Share of its width.
        width_share: f64,
        /// What to multiply them with.
        factor: f64,
    },
    /// Read in another way the spots cover the tissue clearly better.
    Misread {
        /// In which way.
        reading: Reading,
        /// Share of the spots on tissue as they are.
        share_now: f64,
        /// Share of them then.
        share_then: f64,
    },
    /// Many spots lie on background.
    OnBackground {
        /// Their share.
        share: f64,
    },
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| 100.0 * share;
        match self {
            Self::Outside { share } => {
                write!(f, "{:.0} % of the spots lie outside the picture", percent(share))
            }
            Self::Corner { height_share, width_share, .. } => write!(
                f,
                "the spots fill a corner of the picture, {:.0} % of its width and {:.0} % of its height",
                percent(width_share),
                percent(height_share)
            ),
            Self::Misread { reading, share_now, share_then } => {
                let how = match reading {
                    Reading::Swapped => "with x and y exchanged",
                    Reading::RowsMirrored => "mirrored top to bottom",
                    Reading::ColumnsMirrored => "mirrored left to right",
                    Reading::Turned => "turned by 180 degrees",
                };
                let (now, then) = (percent(share_now), percent(share_then));
                write!(f, "{now:.0} % of the spots lie on tissue, and {then:.0} % would {how}")
            }
            Self::OnBackground { share } => {
                write!(f, "{:.0} % of the spots lie on background", percent(share))
            }
        }
    }
}

/// Where the spots lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Per spot: it lies on background or outside of the picture.
    pub on_background: Vec<bool>,
    /// Share of such spots.
    pub share_on_background: f64,
    /// Share of spots whose centre lies outside of the picture.
    pub share_outside: f64,
    /// What is wrong, the likeliest cause first; empty where nothing is.
    pub findings: Vec<Finding>,
    /// What to do, one sentence; `None` where nothing is wrong.
    pub advice: Option<String>,
}

/// Finds the tissue on a small copy of the picture.
///
/// # Errors
/// Those of the picture.
pub fn tissue_mask(slide: &(impl Pixels + ?Sized)) -> Result<TissueMask, HistologyError> {
    let view = slide.overview(OVERVIEW_SIDE)?;
    let table: Vec<f64> = (0..=255u8).map(|v| density_of(v, StainScale::Natural)).collect();
    let density = view.rgb.map_axis(ndarray::Axis(2), |p| {
        let density = p.iter().map(|v| table[usize::from(*v)]).sum::<f64>() / p.len().max(1) as f64;
        // Background that somebody made black.
        if density < BLACK { density } else { 0.0 }
    });
    let light = light_of_background(&view.rgb, &density);
    let density = density.mapv(|d| (d - light).max(0.0));
    let threshold = otsu(density.iter().copied()).clamp(THRESHOLD.0, THRESHOLD.1);
    // What has a colour is tissue, however pale: glass has none.
    let colour = view.rgb.map_axis(ndarray::Axis(2), |p| {
        let (low, high) = p.iter().fold((255u8, 0u8), |(l, h), v| (l.min(*v), h.max(*v)));
        high - low
    });
    let tissue = ndarray::Zip::from(&density)
        .and(&colour)
        .map_collect(|d, colour| *d >= threshold || *colour > COLOURLESS);
    let background = tissue.iter().filter(|t| !**t).count() as f64 / tissue.len().max(1) as f64;
    Ok(TissueMask { tissue, factor: view.factor, light, threshold, share_background: background })
}

/// Density of a background that is grey rather than white: that of the commonest colourless pixels, where little is
/// brighter; 0 where there is no such background.
fn light_of_background(rgb: &ndarray::Array3<u8>, density: &Array2<f64>) -> f64 {
    /// Bins of densities from 0 to 1, and how many beside the commonest are of its kind.
    const BINS: usize = 64;
    const NEAR: usize = 3;
    let bin = |d: f64| ((d * BINS as f64) as usize).min(BINS);
    let (mut grey, mut all) = ([0usize; BINS + 1], [0usize; BINS + 1]);
    for (pixel, &d) in rgb.lanes(ndarray::Axis(2)).into_iter().zip(density) {
        let (low, high) = pixel.iter().fold((255u8, 0u8), |(l, h), v| (l.min(*v), h.max(*v)));
        // Zero is also what was blacked out.
        if high > 0 && d > 0.0 {
            all[bin(d)] += 1;
            grey[bin(d)] += usize::from(high - low <= 20);
        }
    }
    let commonest = (0..BINS).rev().max_by_key(|&b| grey[b]).unwrap_or(0);
    let first = commonest.saturating_sub(NEAR);
    let alike: usize = grey[first..=(commonest + NEAR).min(BINS - 1)].iter().sum();
    let brighter: usize = all[..first].iter().sum();
    let n = density.len();
    if 10 * alike >= n && 20 * brighter <= n { commonest as f64 / BINS as f64 } else { 0.0 }
}

/// The threshold that parts values into two groups of the largest distance, among 256 from 0 to 2.
fn otsu(values: impl Iterator<Item = f64>) -> f64 {
    const BINS: usize = 256;
    const MOST: f64 = 2.0;
    let mut counts = [0u64; BINS];
    for v in values {
        counts[((v / MOST * BINS as f64).max(0.0) as usize).min(BINS - 1)] += 1;
    }
    let weighted = |range: std::ops::Range<usize>| -> (f64, f64) {
        range.fold((0.0, 0.0), |(n, s), i| (n + counts[i] as f64, s + i as f64 * counts[i] as f64))
    };
    let mut best = (0.0, 0);
    for cut in 1..BINS {
        let ((n0, s0), (n1, s1)) = (weighted(0..cut), weighted(cut..BINS));
        if n0 > 0.0 && n1 > 0.0 {
            let between = n0 * n1 * (s0 / n0 - s1 / n1).powi(2);
            if between > best.0 {
                best = (between, cut);
            }
        }
    }
    best.1 as f64 * MOST / BINS as f64
}

/// A mask with the questions that are asked of it.
struct Ground<'a> {
    mask: &'a TissueMask,
    height: f64,
    width: f64,
    radius: f64,
}

impl Ground<'_> {
    fn inside(&self, (row, column): (f64, f64)) -> bool {
        row >= -0.5 && column >= -0.5 && row < self.height - 0.5 && column < self.width - 0.5
    }

    /// Whether at least half of the square around a spot is tissue.
    fn on_tissue(&self, (row, column): (f64, f64)) -> bool {
        if !self.inside((row, column)) {
            return false;
        }
        let (h, w) = self.mask.tissue.dim();
        let range = |centre: f64, n: usize| {
            let place = |v: f64| (v / self.mask.factor).floor().clamp(0.0, n as f64 - 1.0) as usize;
            place(centre + 0.5 - self.radius)..=place(centre + 0.5 + self.radius)
        };
        let (mut tissue, mut all) = (0usize, 0usize);
        for i in range(row, h) {
            for j in range(column, w) {
                tissue += usize::from(self.mask.tissue[[i, j]]);
                all += 1;
            }
        }
        2 * tissue >= all
    }

    fn share(&self, places: impl Iterator<Item = (f64, f64)>) -> f64 {
        let (mut on, mut n) = (0usize, 0usize);
        for place in places {
            on += usize::from(self.on_tissue(place));
            n += 1;
        }
        on as f64 / n.max(1) as f64
    }

    /// The last row and column of tissue, pixels of the picture; a few stray pixels do not count.
    fn extent(&self) -> (f64, f64) {
        let of = |axis: usize| {
            let lanes = self.mask.tissue.axis_iter(ndarray::Axis(axis));
            let counts: Vec<usize> = lanes.map(|lane| lane.iter().filter(|t| **t).count()).collect();
            let total: usize = counts.iter().sum();
            let mut beyond = total / 100;
            let last = counts.iter().rposition(|n| {
                let enough = *n > beyond;
                beyond = beyond.saturating_sub(*n);
                enough
            });
            last.map_or(0.0, |i| (i + 1) as f64 * self.mask.factor)
        };
        (of(0), of(1))
    }
}

/// Looks up where the spots lie.
///
/// # Inputs
/// `centres`: `(n_obs, 2)`, row and column in pixels; `diameter_px`: of a spot.
/// # Returns
/// [`Placement`]. On a picture without background nothing is known but which spots are outside.
/// # Errors
/// Those of the picture; positions that are not numbers.
/// # Cost
/// One small copy of the picture.
pub fn placement(
    slide: &(impl Pixels + ?Sized),
    centres: ArrayView2<'_, f64>,
    diameter_px: f64,
) -> Result<Placement, HistologyError> {
    check_centres(centres)?;
    let mask = tissue_mask(slide)?;
    let (height, width) = (slide.height() as f64, slide.width() as f64);
    let radius =
        if diameter_px.is_finite() { (diameter_px / 2.0).clamp(0.0, height.max(width)) } else { 0.0 };
    let ground = Ground { mask: &mask, height, width, radius };
    let places = || centres.rows().into_iter().map(|r| (r[0], r[1]));
    let n = centres.nrows().max(1) as f64;
    let on_background: Vec<bool> = places().map(|p| !ground.on_tissue(p)).collect();
    let share_on_background = on_background.iter().filter(|b| **b).count() as f64 / n;
    let share_outside = places().filter(|p| !ground.inside(*p)).count() as f64 / n;
    let mut findings = Vec::new();
    let has_background = mask.share_background >= LEAST_BACKGROUND && mask.share_background < 1.0;
    let share_now = 1.0 - share_on_background;
    if centres.nrows() > 0 {
        if has_background {
            findings.extend(corner(&ground, centres));
            if findings.is_empty() {
                findings.extend(misread(&ground, centres, share_now));
            }
        }
        if share_outside > 0.02 {
            findings.push(Finding::Outside { share: share_outside });
        }
        if has_background && share_on_background - share_outside > MANY {
            findings.push(Finding::OnBackground { share: share_on_background });
        }
    }
    let advice = findings.first().map(advice);
    Ok(Placement { on_background, share_on_background, share_outside, findings, advice })
}

/// Another reading that covers the tissue clearly better, the best of them.
fn misread(ground: &Ground<'_>, centres: ArrayView2<'_, f64>, share_now: f64) -> Option<Finding> {
    let read = |reading: Reading| {
        let places = centres.rows().into_iter().map(|r| (r[0], r[1]));
        ground.share(places.map(|p| reading.read(p, ground.height, ground.width)))
    };
    let mut best: Option<(Reading, f64)> = None;
    for reading in Reading::ALL {
        let share = read(reading);
        if best.is_none_or(|(_, most)| share > most) {
            best = Some((reading, share));
        }
    }
    let (reading, share_then) = best?;
    (share_then >= 0.8 && share_then > share_now + CLEARLY).then_some(Finding::Misread {
        reading,
        share_now,
        share_then,
    })
}

/// Spots that fill a corner alone, although multiplied by a factor they would fit the tissue.
fn corner(ground: &Ground<'_>, centres: ArrayView2<'_, f64>) -> Option<Finding> {
    let last = |k: usize| centres.column(k).iter().copied().fold(f64::MIN, f64::max);
    let (bottom, right) = (last(0), last(1));
    let (rows, columns) = ground.extent();
    if !(bottom > 0.0 && right > 0.0) || bottom >= 0.6 * rows || right >= 0.6 * columns {
        return None;
    }
    let (down, across) = (rows / bottom, columns / right);
    // The tissue's two ends ask for the same factor: not a small piece somewhere on a large slide.
    if (down / across).max(across / down) > 1.6 {
        return None;
    }
    let share = |factor: f64| {
        let places = centres.rows().into_iter().map(|r| (r[0], r[1]));
        ground.share(places.map(|(r, c)| (r * factor, c * factor)))
    };
    let (factor, then) = (0..=40)
        .map(|i| {
            let factor = down.min(across) * (0.8 + f64::from(i) * 0.01);
            (factor, share(factor))
        })
        .fold((1.0, -1.0), |best, this| if this.1 > best.1 + 1e-9 { this } else { best });
    (then >= 0.8 && then >= share(1.0) - 0.02).then_some(Finding::Corner {
        height_share: bottom / ground.height,
        width_share: right / ground.width,
        factor,
    })
}

fn advice(finding: &Finding) -> String {
    let scale = Opt("image_scale");
    match finding {
        Finding::Outside { .. } => {
            format!("check {scale}: the coordinates may belong to a larger copy of the picture")
        }
        Finding::Corner { factor, .. } => {
            format!("check {scale}: coordinates {factor:.2} times as large would cover the tissue")
        }
        Finding::Misread { reading, .. } => match reading {
            Reading::Swapped => "swap the two columns of the coordinates".to_owned(),
            Reading::RowsMirrored => "mirror the picture top to bottom".to_owned(),
            Reading::ColumnsMirrored => "mirror the picture left to right".to_owned(),
            Reading::Turned => "turn the picture by 180 degrees".to_owned(),
        },
        Finding::OnBackground { .. } => {
            "check that picture and coordinates are of the same slice, or remove spots off the tissue"
                .to_owned()
        }
    }
}
