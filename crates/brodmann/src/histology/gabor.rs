//! Waves in a picture: energies of Gabor filters at three wavelengths and four directions.
//!
//! A filter is `exp(−(x² + y²)/2σ²) · exp(i(ux + vy))` with its mean removed, so that even light has no energy. It is a
//! product of a filter along the rows and one along the columns. Wavelength 4 pixels, σ 2 pixels, on the picture at 64,
//! 32 and 16 pixels.
//!
//! # Source
//! Daugman 1985, J. Opt. Soc. Am. A 2:1160.

use super::border::Border;
use super::resize::shrink;

/// Sides of the planes on which the filters work; wavelengths are a sixteenth, an eighth and a quarter of a patch.
pub(super) const SIDES: [usize; 3] = [64, 32, 16];

const SIGMA: f64 = 2.0;
const REACH: usize = 6;
const TAPS: usize = 2 * REACH + 1;

/// Real and imaginary part of a filter along one axis.
type Taps = [[f32; 2]; TAPS];

/// The filters of four directions: along the columns' axis, along the rows' axis.
pub(super) struct Gabor {
    filters: [(Taps, Taps); 4],
    plain: [f32; TAPS],
    /// What each filter answers to a constant of one.
    mean: [[f32; 2]; 4],
}

impl Gabor {
    pub(super) fn new() -> Self {
        let weight = |i: usize| libm::exp(-0.5 * ((i as f64 - REACH as f64) / SIGMA).powi(2));
        let sum: f64 = (0..TAPS).map(weight).sum();
        let wave = |frequency: f64| -> Taps {
            std::array::from_fn(|i| {
                let phase = frequency * (i as f64 - REACH as f64);
                let w = weight(i) / sum;
                [(w * libm::cos(phase)) as f32, (w * libm::sin(phase)) as f32]
            })
        };
        let frequency = std::f64::consts::TAU / 4.0;
        let filters = super::glcm::ANGLES
            .map(|angle| (wave(frequency * libm::cos(angle)), wave(frequency * libm::sin(angle))));
        let total = |taps: &Taps| taps.iter().fold([0f32; 2], |s, t| [s[0] + t[0], s[1] + t[1]]);
        let mean = filters.each_ref().map(|(x, y)| {
            let (a, b) = (total(x), total(y));
            [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
        });
        Self { filters, plain: std::array::from_fn(|i| (weight(i) / sum) as f32), mean }
    }

    /// Mean energy of each direction on a square plane.
    fn energies(&self, plane: &[f32], side: usize) -> [f32; 4] {
        let columns: Vec<[usize; TAPS]> = (0..side)
            .map(|i| std::array::from_fn(|t| Border::Reflect101.index((i + t) as i64 - REACH as i64, side)))
            .collect();
        let smooth = self.smoothed(plane, side, &columns);
        let mut out = [0f32; 4];
        let mut across = vec![[0f32; 2]; side * side];
        for ((energy, (x, y)), mean) in out.iter_mut().zip(&self.filters).zip(&self.mean) {
            for (line, pixels) in across.chunks_exact_mut(side).zip(plane.chunks_exact(side)) {
                for (sum, places) in line.iter_mut().zip(&columns) {
                    *sum = [0.0; 2];
                    for (tap, &place) in x.iter().zip(places) {
                        sum[0] += tap[0] * pixels[place];
                        sum[1] += tap[1] * pixels[place];
                    }
                }
            }
            let mut total = 0f64;
            let mut sums = vec![[0f32; 2]; side];
            for (row, places) in columns.iter().enumerate() {
                sums.fill([0.0; 2]);
                for (tap, &place) in y.iter().zip(places) {
                    for (sum, v) in sums.iter_mut().zip(&across[place * side..][..side]) {
                        sum[0] += tap[0] * v[0] - tap[1] * v[1];
                        sum[1] += tap[0] * v[1] + tap[1] * v[0];
                    }
                }
                for (sum, light) in sums.iter().zip(&smooth[row * side..][..side]) {
                    let (re, im) = (sum[0] - mean[0] * light, sum[1] - mean[1] * light);
                    total += f64::from(re * re + im * im);
                }
            }
            *energy = (total / (side * side) as f64).sqrt() as f32;
        }
        out
    }

    fn smoothed(&self, plane: &[f32], side: usize, columns: &[[usize; TAPS]]) -> Vec<f32> {
        let mut across = vec![0f32; side * side];
        for (line, pixels) in across.chunks_exact_mut(side).zip(plane.chunks_exact(side)) {
            for (sum, places) in line.iter_mut().zip(columns) {
                *sum = self.plain.iter().zip(places).map(|(w, &place)| w * pixels[place]).sum();
            }
        }
        let mut out = vec![0f32; side * side];
        for (line, places) in out.chunks_exact_mut(side).zip(columns) {
            for (w, &place) in self.plain.iter().zip(places) {
                for (sum, v) in line.iter_mut().zip(&across[place * side..][..side]) {
                    *sum += w * v;
                }
            }
        }
        out
    }

    /// For each wavelength, the root mean energy over the directions and how much the directions differ (0 to 1).
    pub(super) fn describe(&self, plane: &[f32], side: usize) -> [[f32; 2]; 3] {
        SIDES.map(|small| {
            let shrunk = shrink(plane, (side, side), (small, small));
            let energies = self.energies(&shrunk, small);
            let mean = energies.iter().sum::<f32>() / 4.0;
            let (low, high) = energies.iter().fold((f32::MAX, 0f32), |(l, h), e| (l.min(*e), h.max(*e)));
            [mean, if high > 1e-6 { (high - low) / high } else { 0.0 }]
        })
    }
}
