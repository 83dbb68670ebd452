//! A picture like a haematoxylin and eosin stain, whose texture follows the domains.
//!
//! Each domain has its own density, size and hue of nuclei and its own pink. The picture carries the truth the
//! way tissue does: locally, noisily, not as flat colour; how strongly, and what staining and optics do to it, are options.

use brodmann_kernels::{ParallelLoop, Seed};
use rayon::prelude::*;

use super::options::SimulationOptions;
use super::pattern::domain_at;
use super::sampler::{normal, poisson, uniform};
use super::staining::stain_and_blur;

/// Pixels per spot, where the picture then stays below [`MAX_SIDE_PX`].
const PX_PER_SPOT: usize = 16;
/// Longest side of a picture.
const MAX_SIDE_PX: usize = 4096;

/// An RGB image of one slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedImage {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `width · height · 3` bytes, rows from the top, red green blue.
    pub rgb: Vec<u8>,
    /// Coordinates times this are pixels (scanpy's `tissue_hires_scalef`).
    pub scale: f64,
}

/// How the tissue of a domain looks.
struct Texture {
    /// Nuclei per spot.
    density: f64,
    /// Nuclear radius in spots.
    radius: f64,
    nucleus: [f64; 3],
    stroma: [f64; 3],
}

const TEXTURES: [Texture; 5] = [
    Texture { density: 1.2, radius: 0.09, nucleus: [112.0, 84.0, 150.0], stroma: [240.0, 205.0, 220.0] },
    Texture { density: 6.0, radius: 0.11, nucleus: [84.0, 56.0, 132.0], stroma: [222.0, 170.0, 202.0] },
    Texture { density: 2.5, radius: 0.18, nucleus: [120.0, 70.0, 150.0], stroma: [236.0, 176.0, 196.0] },
    Texture { density: 3.5, radius: 0.08, nucleus: [70.0, 52.0, 120.0], stroma: [214.0, 140.0, 172.0] },
    Texture { density: 0.6, radius: 0.13, nucleus: [98.0, 62.0, 140.0], stroma: [228.0, 150.0, 160.0] },
];

/// How the domains look: at strength 1 as in [`TEXTURES`], at 0 all like their mean.
fn textures(strength: f64) -> [Texture; 5] {
    if strength == 1.0 {
        return TEXTURES;
    }
    let n = TEXTURES.len() as f64;
    let mix = |of: &dyn Fn(&Texture) -> f64| {
        let mean = TEXTURES.iter().map(of).sum::<f64>() / n;
        TEXTURES.each_ref().map(|texture| mean + strength * (of(texture) - mean))
    };
    let (density, radius) = (mix(&|t| t.density), mix(&|t| t.radius));
    let [nuclei, stroma] = [0, 1].map(|which| {
        [0, 1, 2].map(|k| mix(&|t: &Texture| if which == 0 { t.nucleus[k] } else { t.stroma[k] }))
    });
    std::array::from_fn(|d| Texture {
        density: density[d],
        radius: radius[d],
        nucleus: [0, 1, 2].map(|k| nuclei[k][d]),
        stroma: [0, 1, 2].map(|k| stroma[k][d]),
    })
}

struct Nucleus {
    x: f64,
    y: f64,
    radius: f64,
    /// Length over width of the ellipse, and its direction.
    stretch: f64,
    angle: f64,
    shade: f64,
    colour: [f64; 3],
}

/// The picture of slice `slice`; the same on any number of threads.
pub(crate) fn draw_image(options: &SimulationOptions, slice: usize) -> SimulatedImage {
    let side = options.side;
    let px = (MAX_SIDE_PX / side).clamp(1, PX_PER_SPOT);
    let width = side * px;
    let first = slice * side * side;
    let textures = textures(options.image_strength);
    let nuclei: Vec<Vec<Nucleus>> = (0..side * side)
        .into_par_iter()
        .map(|i| nuclei_of(options.seed, &textures, side, first + i, i))
        .collect_vec();
    let tint = options.seed.derive("simulate/image/tint", slice as u64);
    let rows: Vec<Vec<u8>> =
        (0..side).into_par_iter().map(|r| draw_spot_row(side, px, r, &textures, &nuclei, tint)).collect_vec();
    let rgb = stain_and_blur(options, slice, width, rows.concat());
    SimulatedImage { width, height: width, rgb, scale: px as f64 / options.spot_pitch }
}

fn nuclei_of(seed: Seed, textures: &[Texture; 5], side: usize, stream: usize, spot: usize) -> Vec<Nucleus> {
    let (r, c) = (spot / side, spot % side);
    let kind = domain_at(side, r, c) as usize;
    let texture = &textures[kind];
    let mut rng = seed.stream("simulate/image/nuclei", stream as u64);
    let n = poisson(&mut rng, texture.density) as usize;
    (0..n)
        .map(|_| Nucleus {
            x: c as f64 + uniform(&mut rng),
            y: r as f64 + uniform(&mut rng),
            radius: texture.radius * (0.2 * normal(&mut rng).clamp(-2.0, 2.0)).exp(),
            stretch: 1.0 + 0.8 * uniform(&mut rng),
            angle: std::f64::consts::PI * uniform(&mut rng),
            shade: 1.0 + 0.12 * normal(&mut rng).clamp(-2.0, 2.0),
            colour: texture.nucleus,
        })
        .collect()
}

/// The pixels of one row of spots.
fn draw_spot_row(
    side: usize,
    px: usize,
    r: usize,
    textures: &[Texture; 5],
    nuclei: &[Vec<Nucleus>],
    tint: Seed,
) -> Vec<u8> {
    let width = side * px;
    let mut colours = vec![[0.0f64; 3]; width * px];
    for py in 0..px {
        for x in 0..width {
            let stroma = &textures[domain_at(side, r, x / px) as usize].stroma;
            let y = r * px + py;
            // Two octaves of smooth noise (fibres are longer along x), and a grain.
            let (u, v) = (x as f64 / px as f64, y as f64 / px as f64);
            let shade = 0.07 * smooth_noise(tint, 0, u * 0.7, v * 1.9)
                + 0.05 * smooth_noise(tint, 1, u * 3.1, v * 5.3)
                + 0.02 * (unit(tint.word(((2u64 << 60) ^ (y * width + x) as u64).wrapping_mul(3))) - 0.5);
            colours[py * width + x] = std::array::from_fn(|k| stroma[k] * (1.0 + shade * [0.5, 1.0, 0.7][k]));
        }
    }
    // Nuclei reach into the next spots, no further: radius · stretch · 2 sd stays below one spot.
    for rr in r.saturating_sub(1)..(r + 2).min(side) {
        for nucleus in nuclei[rr * side..(rr + 1) * side].iter().flatten() {
            stamp(&mut colours, width, px, r, nucleus);
        }
    }
    colours.iter().flatten().map(|v| v.round().clamp(0.0, 255.0) as u8).collect()
}

fn stamp(colours: &mut [[f64; 3]], width: usize, px: usize, r: usize, nucleus: &Nucleus) {
    let scale = px as f64;
    let (cx, cy) = (nucleus.x * scale, (nucleus.y - r as f64) * scale);
    let (minor, major) = (nucleus.radius * scale, nucleus.radius * nucleus.stretch * scale);
    let reach = major + 1.0;
    let (y0, y1) = ((cy - reach).floor().max(0.0) as usize, (cy + reach).ceil().clamp(0.0, scale) as usize);
    let (x0, x1) =
        ((cx - reach).floor().max(0.0) as usize, (cx + reach).ceil().clamp(0.0, width as f64) as usize);
    let (sin, cos) = nucleus.angle.sin_cos();
    for y in y0..y1 {
        for x in x0..x1 {
            let (dx, dy) = (x as f64 + 0.5 - cx, y as f64 + 0.5 - cy);
            let (along, across) = ((dx * cos + dy * sin) / major, (dy * cos - dx * sin) / minor);
            let distance = along.hypot(across);
            // Soft over one pixel; nuclei smaller than a pixel tint it by their area.
            let cover =
                ((1.0 - distance) * minor + 0.5).clamp(0.0, 1.0) * (4.0 * minor * major).min(1.0) * 0.9;
            if cover > 0.0 {
                let rim = 1.0 - 0.18 * (distance.min(1.0)).powi(2);
                let target = nucleus.colour;
                for k in 0..3 {
                    let value = &mut colours[y * width + x][k];
                    *value += cover * (target[k] * nucleus.shade * rim - *value);
                }
            }
        }
    }
}

/// Value noise: random values on the integer lattice, smoothly joined; from -1 to 1.
fn smooth_noise(seed: Seed, octave: u64, x: f64, y: f64) -> f64 {
    let (ix, iy) = (x.floor(), y.floor());
    let ease = |t: f64| t * t * (3.0 - 2.0 * t);
    let (fx, fy) = (ease(x - ix), ease(y - iy));
    let at = |dx: u64, dy: u64| {
        let key = (octave << 62) ^ ((ix as u64 + dx) << 31) ^ (iy as u64 + dy);
        2.0 * unit(seed.word(key)) - 1.0
    };
    let top = at(0, 0) * (1.0 - fx) + at(1, 0) * fx;
    let bottom = at(0, 1) * (1.0 - fx) + at(1, 1) * fx;
    top * (1.0 - fy) + bottom * fy
}

fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}
