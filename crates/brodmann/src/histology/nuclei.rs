//! Nuclei as dark round spots of haematoxylin: maxima of differences of Gaussians over place and scale.
//!
//! # Source
//! Lindeberg 1998, Int. J. Comput. Vis. 30:79; Lowe 2004, Int. J. Comput. Vis. 60:91.

use super::blur::convolve;

/// Scales of the blurs, as multiples of the smallest; a blob is looked for between neighbours.
const SCALES: [f64; 5] = [1.0, 1.5, 2.25, 3.375, 5.0625];
/// Smallest blur, shares of the side of a patch: a disc of radius `σ√2` answers most.
const FINEST: f64 = 1.0 / 110.0;
/// A blob must answer with this share of the reference amount of haematoxylin.
const CONTRAST: f32 = 0.12;

/// What the blobs of one patch are like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Nuclei {
    /// Number.
    pub(super) count: f32,
    /// Mean diameter, shares of the side; 0 where there is none.
    pub(super) diameter: f32,
    /// Standard deviation of the diameters.
    pub(super) diameter_sd: f32,
    /// Mean answer, shares of the reference amount.
    pub(super) contrast: f32,
}

/// Kernels of the blurs for planes of one side.
pub(super) struct NucleusFinder {
    kernels: Vec<Vec<f32>>,
}

impl NucleusFinder {
    pub(super) fn new(side: usize) -> Self {
        // Each plane is blurred on from the one before.
        let mut before = 0.0f64;
        let kernels = SCALES
            .iter()
            .map(|scale| {
                let sigma = (scale * FINEST * side as f64).max(0.5);
                let step = (sigma * sigma - before * before).max(1e-6).sqrt();
                before = sigma;
                gaussian(step)
            })
            .collect();
        Self { kernels }
    }

    /// Finds the blobs of a square plane of haematoxylin whose reference amount is `reference`.
    pub(super) fn find(&self, plane: &[f32], side: usize, reference: f32) -> Nuclei {
        let mut blurred: Vec<Vec<f32>> = Vec::with_capacity(SCALES.len());
        for kernel in &self.kernels {
            let next = convolve(blurred.last().map_or(plane, Vec::as_slice), side, side, kernel);
            blurred.push(next);
        }
        let answers: Vec<Vec<f32>> = blurred
            .windows(2)
            .map(|pair| pair[0].iter().zip(&pair[1]).map(|(a, b)| a - b).collect())
            .collect();
        let least = CONTRAST * reference;
        let (mut n, mut sum, mut square, mut contrast) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
        for (s, answer) in answers.iter().enumerate() {
            for i in 1..side.saturating_sub(1) {
                for j in 1..side - 1 {
                    let at = i * side + j;
                    let v = answer[at];
                    if v <= least || !is_peak(&answers, s, at, side) {
                        continue;
                    }
                    // Between the scales of the two blurs.
                    let sigma = (SCALES[s] * SCALES[s + 1]).sqrt() * FINEST;
                    let diameter = 2.0 * std::f64::consts::SQRT_2 * sigma;
                    n += 1.0;
                    sum += diameter;
                    square += diameter * diameter;
                    contrast += f64::from(v / reference);
                }
            }
        }
        if n == 0.0 {
            return Nuclei::default();
        }
        let mean = sum / n;
        Nuclei {
            count: n as f32,
            diameter: mean as f32,
            diameter_sd: (square / n - mean * mean).max(0.0).sqrt() as f32,
            contrast: (contrast / n) as f32,
        }
    }
}

/// Above its neighbours in place and scale; of equals the first counts.
fn is_peak(answers: &[Vec<f32>], scale: usize, at: usize, side: usize) -> bool {
    let v = answers[scale][at];
    let scales = scale.saturating_sub(1)..(scale + 2).min(answers.len());
    scales.into_iter().all(|s| {
        [at - side - 1, at - side, at - side + 1, at - 1, at, at + 1, at + side - 1, at + side, at + side + 1]
            .into_iter()
            .all(|other| {
                let w = answers[s][other];
                (s, other) == (scale, at) || v > w || (v == w && (scale, at) < (s, other))
            })
    })
}

/// A sampled Gaussian of sum one.
pub(super) fn gaussian(sigma: f64) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil().max(1.0) as usize;
    let weights: Vec<f64> =
        (0..=2 * reach).map(|i| libm::exp(-0.5 * (i.abs_diff(reach) as f64 / sigma).powi(2))).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| (w / sum) as f32).collect()
}
