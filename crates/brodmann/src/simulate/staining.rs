//! What a laboratory does to a picture: stain that varies over the slide and between slides, optics that blur.
//!
//! Stains absorb exponentially: a pixel's densities are split into haematoxylin, eosin and a rest, their amounts are
//! changed, and the densities put together again. Light is blurred after that, as in a microscope.

use brodmann_kernels::ParallelLoop;
use std::f64::consts::TAU;

use rayon::prelude::*;

use super::options::SimulationOptions;
use super::sampler::{normal, uniform};

/// Density vectors of haematoxylin and eosin (Ruifrok & Johnston 2001) and the direction at right angles to both.
const STAINS: [[f64; 3]; 3] = [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [-0.2101, -0.0512, 0.5945]];

/// Waves that the drift consists of, for each stain.
const WAVES: usize = 3;

/// How a slide was stained: haematoxylin and eosin.
struct Staining {
    /// Log of the amount over the whole slide.
    level: [f64; 2],
    /// Waves over the slide: amplitude, cycles along x and y, phase.
    waves: [[[f64; 4]; WAVES]; 2],
    /// Log of the light in red, green and blue.
    light: [f64; 3],
}

impl Staining {
    fn draw(options: &SimulationOptions, slice: usize) -> Self {
        let mut rng = options.seed.stream("simulate/image/staining", slice as u64);
        let level = [0, 1].map(|_| options.stain_tint * normal(&mut rng));
        // The lamp differs less than the staining.
        let light = [0, 1, 2].map(|_| 0.1 * options.stain_tint * normal(&mut rng));
        let waves = [0, 1].map(|_| {
            [0; WAVES].map(|_| {
                // A sum of waves whose variance is one; at most one cycle over the slide.
                let amplitude = options.stain_drift * (2.0 / WAVES as f64).sqrt();
                let [x, y] = [0, 1].map(|_| 2.0 * uniform(&mut rng) - 1.0);
                [amplitude, x, y, TAU * uniform(&mut rng)]
            })
        });
        Self { level, waves, light }
    }

    /// Factor of a stain's amount at a place, both coordinates from 0 to 1.
    fn factor(&self, stain: usize, x: f64, y: f64) -> f64 {
        let drift: f64 =
            self.waves[stain].iter().map(|[a, u, v, phase]| a * (TAU * (u * x + v * y) + phase).sin()).sum();
        (self.level[stain] + drift).exp()
    }
}

/// Changes a picture as the options say; leaves it as it is where they say nothing.
pub(super) fn stain_and_blur(
    options: &SimulationOptions,
    slice: usize,
    width: usize,
    rgb: Vec<u8>,
) -> Vec<u8> {
    let mut rgb = rgb;
    if width == 0 {
        return rgb;
    }
    if options.stain_drift > 0.0 || options.stain_tint > 0.0 {
        restain(&Staining::draw(options, slice), width, &mut rgb);
    }
    if options.image_blur_px > 0.0 { blur(&rgb, width, options.image_blur_px) } else { rgb }
}

fn restain(staining: &Staining, width: usize, rgb: &mut [u8]) {
    let height = rgb.len() / (3 * width);
    let [h, e, rest] = STAINS;
    // Amount of a stain = densities · its column of the inverse matrix.
    let columns = [cross(e, rest), cross(rest, h)];
    let determinant = dot(h, columns[0]);
    rgb.par_chunks_exact_mut(3 * width).enumerate().each(|(row, line)| {
        let y = (row as f64 + 0.5) / height as f64;
        for (column, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let x = (column as f64 + 0.5) / width as f64;
            let density = pixel.map(|v| -(f64::from(v.max(1)) / 255.0).ln());
            let more = [0, 1].map(|k| {
                (staining.factor(k, x, y) - 1.0) * (dot(density, columns[k]) / determinant).max(0.0)
            });
            for (k, v) in pixel.iter_mut().enumerate() {
                let density = density[k] + more[0] * h[k] + more[1] * e[k] - staining.light[k];
                *v = (255.0 * (-density).exp()).round().clamp(0.0, 255.0) as u8;
            }
        }
    });
}

/// Gaussian blur of standard deviation `sigma` pixels; beyond the border the last pixel goes on.
fn blur(rgb: &[u8], width: usize, sigma: f64) -> Vec<u8> {
    let height = rgb.len() / (3 * width);
    let reach = (3.0 * sigma).ceil() as usize;
    let weights: Vec<f64> =
        (0..=2 * reach).map(|i| (-0.5 * ((i as f64 - reach as f64) / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|w| (w / sum) as f32).collect();
    let place = |i: usize, t: usize, n: usize| (i + t).saturating_sub(reach).min(n - 1);
    let mut across = vec![0f32; rgb.len()];
    across.par_chunks_exact_mut(3 * width).zip(rgb.par_chunks_exact(3 * width)).each(|(out, line)| {
        for (i, v) in out.iter_mut().enumerate() {
            let (column, k) = (i / 3, i % 3);
            for (t, w) in weights.iter().enumerate() {
                *v += w * f32::from(line[3 * place(column, t, width) + k]);
            }
        }
    });
    let mut blurred = vec![0u8; rgb.len()];
    blurred.par_chunks_exact_mut(3 * width).enumerate().each(|(row, out)| {
        let mut sums = vec![0f32; 3 * width];
        for (t, w) in weights.iter().enumerate() {
            let line = &across[place(row, t, height) * 3 * width..][..3 * width];
            for (sum, v) in sums.iter_mut().zip(line) {
                *sum += w * v;
            }
        }
        for (v, sum) in out.iter_mut().zip(&sums) {
            *v = sum.round().clamp(0.0, 255.0) as u8;
        }
    });
    blurred
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
