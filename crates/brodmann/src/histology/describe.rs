//! One patch as numbers.

use ndarray::{Array3, ArrayView2};

use super::HistologyError;
use super::gabor::Gabor;
use super::glcm::{ANGLES, cooccurrence, count, offset};
use super::lbp::{N_UNIFORM, UNIFORM, bits_of};
use super::nuclei::NucleusFinder;
use super::resize::{resize_u8, shrink};
use super::slide_stains::{BACKGROUND, BLACK, SlideStains};
use super::stains::{StainScale, density_of};

/// Sides to which patches are brought.
const SMALL: usize = 64;
const LARGE: usize = 128;
/// Levels of haematoxylin whose co-occurrence is counted.
const LEVELS: usize = 16;

/// Every feature, in the order of columns.
pub(super) const FEATURES: &[(&str, &str)] = &[
    ("haematoxylin_mean", "how much blue-violet nuclear stain there is"),
    ("haematoxylin_std", "how unevenly the nuclear stain is spread"),
    ("haematoxylin_p90", "how dark the darkest tenth of the nuclear stain is"),
    ("eosin_mean", "how much pink stain of cytoplasm and fibres there is"),
    ("eosin_std", "how unevenly the pink stain is spread"),
    ("density_mean", "how dark the tissue is, whatever its colour"),
    ("density_std", "how much light and dark alternate"),
    ("background_share", "share of white (glass, lumen, fat) and of what was blacked out"),
    ("gradient_mean", "how sharp the edges of the nuclear stain are"),
    ("gradient_coherence", "whether edges run in one direction, as in fibres (1) or in all (0)"),
    ("glcm_contrast_fine", "how much the nuclear stain changes within a sixty-fourth of the patch"),
    ("glcm_homogeneity_fine", "how even the nuclear stain is within a sixty-fourth of the patch"),
    ("glcm_energy_fine", "how few shades of nuclear stain lie beside each other"),
    ("glcm_correlation_fine", "how well a shade foretells the one beside it"),
    ("glcm_contrast_coarse", "how much the nuclear stain changes within a sixteenth of the patch"),
    ("glcm_homogeneity_coarse", "how even the nuclear stain is within a sixteenth of the patch"),
    ("glcm_energy_coarse", "how few shades lie a sixteenth of the patch apart"),
    ("glcm_correlation_coarse", "how well a shade foretells the one a sixteenth of the patch away"),
    ("lbp_0", "share of points darker than all around them"),
    ("lbp_1", "share of tips: one of eight neighbours at least as dense"),
    ("lbp_2", "share of narrow corners: two neighbours in a row at least as dense"),
    ("lbp_3", "share of corners: three neighbours in a row at least as dense"),
    ("lbp_4", "share of straight edges: four neighbours in a row at least as dense"),
    ("lbp_5", "share of inner corners: five neighbours in a row at least as dense"),
    ("lbp_6", "share of narrow inner corners: six neighbours in a row at least as dense"),
    ("lbp_7", "share of line ends: seven neighbours at least as dense"),
    ("lbp_8", "share of flat or lightest points: all neighbours at least as dense"),
    ("lbp_other", "share of irregular points"),
    ("gabor_energy_fine", "strength of waves a sixteenth of the patch long, the grain of nuclei"),
    ("gabor_direction_fine", "whether these waves run in one direction (1) or in all (0)"),
    ("gabor_energy_medium", "strength of waves an eighth of the patch long"),
    ("gabor_direction_medium", "whether these waves run in one direction (1) or in all (0)"),
    ("gabor_energy_coarse", "strength of waves a quarter of the patch long, bands and glands"),
    ("gabor_direction_coarse", "whether these waves run in one direction (1) or in all (0)"),
    ("nuclear_density", "round dark spots, nuclei, per patch"),
    ("nuclear_diameter", "their mean diameter, as a share of the patch's side"),
    ("nuclear_diameter_std", "how much their diameters differ"),
    ("nuclear_contrast", "how much they stand out of their surroundings"),
    ("nuclear_area_share", "share of the patch with half the slide's strongest nuclear stain or more"),
];

/// The planes of a patch at the side at which it is described.
struct Planes {
    haematoxylin: Vec<f32>,
    eosin: Vec<f32>,
    density: Vec<f32>,
}

/// What the descriptions of all patches of a slide share; used by many threads at once.
pub(super) struct Describer {
    side: usize,
    /// Densities of the 256 bytes.
    table: Vec<f32>,
    /// Columns of the inverse stain matrix for haematoxylin and eosin, over the reference amounts.
    unmix: [[f32; 3]; 2],
    gabor: Gabor,
    nuclei: NucleusFinder,
}

impl Describer {
    pub(super) fn new(patch_side: usize, stains: &SlideStains) -> Result<Self, HistologyError> {
        let inverse = stains.stains.inverse()?;
        let side = if patch_side >= LARGE { LARGE } else { SMALL };
        Ok(Self {
            side,
            table: (0..=255u8).map(|v| density_of(v, StainScale::Natural) as f32).collect(),
            unmix: [0, 1].map(|k| [0, 1, 2].map(|c| (inverse[c][k] / stains.reference[k]) as f32)),
            gabor: Gabor::new(),
            nuclei: NucleusFinder::new(side),
        })
    }

    fn planes(&self, patch: &Array3<u8>) -> Planes {
        let side = self.side;
        let (height, width, _) = patch.dim();
        let bytes: Vec<u8> = if height.min(width) <= side {
            resize_u8(patch.view(), side, side).into_raw_vec_and_offset().0
        } else {
            let mut bytes = vec![0u8; side * side * 3];
            for k in 0..3 {
                let channel: Vec<f32> = patch.iter().skip(k).step_by(3).map(|v| f32::from(*v)).collect();
                for (i, v) in shrink(&channel, (height, width), (side, side)).into_iter().enumerate() {
                    bytes[3 * i + k] = v.round() as u8;
                }
            }
            bytes
        };
        let mut planes = Planes {
            haematoxylin: Vec::with_capacity(side * side),
            eosin: Vec::with_capacity(side * side),
            density: Vec::with_capacity(side * side),
        };
        let [h, e] = self.unmix;
        for pixel in bytes.as_chunks::<3>().0 {
            let d = pixel.map(|v| self.table[usize::from(v)]);
            // What was blacked out is read as white: it holds no stain.
            let d = if d[0] + d[1] + d[2] < 3.0 * BLACK as f32 { d } else { [0.0; 3] };
            let amount = |stain: [f32; 3]| (d[0] * stain[0] + d[1] * stain[1] + d[2] * stain[2]).max(0.0);
            planes.haematoxylin.push(amount(h));
            planes.eosin.push(amount(e));
            planes.density.push((d[0] + d[1] + d[2]) / 3.0);
        }
        planes
    }

    /// The features of one patch, in the order of [`FEATURES`].
    pub(super) fn describe(&self, patch: &Array3<u8>) -> Vec<f32> {
        let planes = self.planes(patch);
        let side = self.side;
        let mut out = Vec::with_capacity(FEATURES.len());
        let (mean, sd) = moments(&planes.haematoxylin);
        out.extend([mean, sd, upper_tenth(&planes.haematoxylin)]);
        out.extend(<[f32; 2]>::from(moments(&planes.eosin)));
        out.extend(<[f32; 2]>::from(moments(&planes.density)));
        out.push(share(&planes.density, |v| v < BACKGROUND as f32));
        out.extend(gradients(&planes.haematoxylin, side));
        let levels: Vec<u8> =
            planes.haematoxylin.iter().map(|v| (v * LEVELS as f32).min(LEVELS as f32 - 1.0) as u8).collect();
        for distance in [side / 64, side / 16] {
            out.extend(cooccurrences(&levels, side, distance));
        }
        out.extend(patterns(&planes.density, side));
        out.extend(self.gabor.describe(&planes.haematoxylin, side).as_flattened());
        let nuclei = self.nuclei.find(&planes.haematoxylin, side, 1.0);
        out.extend([nuclei.count, nuclei.diameter, nuclei.diameter_sd, nuclei.contrast]);
        out.push(share(&planes.haematoxylin, |v| v >= 0.5));
        out
    }
}

fn moments(values: &[f32]) -> (f32, f32) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    (mean as f32, variance.sqrt() as f32)
}

fn share(values: &[f32], holds: impl Fn(f32) -> bool) -> f32 {
    values.iter().filter(|v| holds(**v)).count() as f32 / values.len() as f32
}

fn upper_tenth(values: &[f32]) -> f32 {
    let mut values = values.to_vec();
    let at = values.len() * 9 / 10;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

/// Mean length of the gradient, and how far the gradients agree in direction (coherence of the structure tensor).
fn gradients(plane: &[f32], side: usize) -> [f32; 2] {
    let (mut length, mut xx, mut yy, mut xy) = (0f64, 0f64, 0f64, 0f64);
    for i in 1..side - 1 {
        for j in 1..side - 1 {
            let at = i * side + j;
            let dx = f64::from(plane[at + 1] - plane[at - 1]) / 2.0;
            let dy = f64::from(plane[at + side] - plane[at - side]) / 2.0;
            length += (dx * dx + dy * dy).sqrt();
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
    }
    let n = ((side - 2) * (side - 2)) as f64;
    let coherence =
        if xx + yy > 1e-9 * n { ((xx - yy) * (xx - yy) + 4.0 * xy * xy).sqrt() / (xx + yy) } else { 0.0 };
    // Per sixty-fourth of the patch, whatever its pixels.
    [(length / n * side as f64 / 64.0) as f32, coherence as f32]
}

/// Contrast, homogeneity, energy and correlation, the means over four directions.
fn cooccurrences(levels: &[u8], side: usize, distance: usize) -> [f32; 4] {
    let mut sums = [0f64; 4];
    for angle in ANGLES {
        let mut counts = [0u32; LEVELS * LEVELS];
        let total = count(levels, (side, side), LEVELS, offset(distance as f64, angle), &mut counts);
        let mut shares = [0f64; LEVELS * LEVELS];
        for i in 0..LEVELS {
            for j in 0..LEVELS {
                let both = counts[i * LEVELS + j] + counts[j * LEVELS + i];
                shares[i * LEVELS + j] = f64::from(both) / f64::from(2 * total.max(1));
            }
        }
        let table = ArrayView2::from_shape((LEVELS, LEVELS), &shares).expect("a square table");
        let found = cooccurrence(table);
        let found = [found.contrast, found.homogeneity, found.energy, found.correlation];
        for (sum, v) in sums.iter_mut().zip(found) {
            *sum += v / ANGLES.len() as f64;
        }
    }
    sums.map(|v| v as f32)
}

/// Shares of the uniform local binary patterns, the outermost pixels left out.
fn patterns(plane: &[f32], side: usize) -> [f32; N_UNIFORM] {
    let mut counts = [0u32; N_UNIFORM];
    for i in 1..side - 1 {
        for j in 1..side - 1 {
            let near = [0, 1, 2].map(|a| [0, 1, 2].map(|b| f64::from(plane[(i + a - 1) * side + j + b - 1])));
            // Of equal neighbours the rounding of the interpolation must not decide.
            let centre = near[1][1];
            let near = near.map(|row| row.map(|v| if v == centre { v + 1e-9 } else { v }));
            let near = [near[0], [near[1][0], centre, near[1][2]], near[2]];
            counts[usize::from(UNIFORM[usize::from(bits_of(near))])] += 1;
        }
    }
    counts.map(|n| n as f32 / ((side - 2) * (side - 2)) as f32)
}
