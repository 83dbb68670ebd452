//! Random views of a patch.
//!
//! What a view may change is what the features shall not depend on: where exactly and how large the patch was cut, how
//! it lies, how it was stained and how sharp it is. Grill et al. 2020, appendix B, with rotations and flips up and down
//! added, as tissue has no upper side, and without solarisation, which no stain does.

use brodmann_kernels::{OptionError, Seed};
use ndarray::{Array3, ArrayView3};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::weights::uniform;

/// Weights of red, green and blue in what the eye sees as grey (ITU-R BT.601).
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// How views are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AugmentOptions {
    /// Least and largest part of the patch's area that a view shows.
    pub crop_area: [f64; 2],
    /// Least and largest ratio of width to height of that part.
    pub crop_aspect: [f64; 2],
    /// Largest angle a view is turned by either way, in degrees.
    pub rotation_degrees: f64,
    /// Probability that left and right, and that up and down are exchanged.
    pub flip: [f64; 2],
    /// Probability that the colours are changed.
    pub jitter: f64,
    /// Most that brightness, contrast and saturation change by, as a part of themselves.
    pub brightness_contrast_saturation: [f64; 3],
    /// Most that the hue moves by, as a part of the circle.
    pub hue: f64,
    /// Probability that a view is grey.
    pub grey: f64,
    /// Probability that the first and the second view are blurred.
    pub blur: [f64; 2],
    /// Least and largest standard deviation of the blur, in pixels of a patch of 224.
    pub blur_sigma: [f64; 2],
}

impl Default for AugmentOptions {
    fn default() -> Self {
        Self {
            crop_area: [0.08, 1.0],
            crop_aspect: [0.75, 4.0 / 3.0],
            rotation_degrees: 180.0,
            flip: [0.5; 2],
            jitter: 0.8,
            brightness_contrast_saturation: [0.4, 0.4, 0.2],
            hue: 0.1,
            grey: 0.2,
            blur: [1.0, 0.1],
            blur_sigma: [0.1, 2.0],
        }
    }
}

impl AugmentOptions {
    /// Refuses values that describe no view.
    ///
    /// # Errors
    /// [`OptionError`] naming the option.
    pub fn validate(&self) -> Result<(), OptionError> {
        let interval = |name, [least, most]: [f64; 2], low: f64, high: f64| {
            let fits = low <= least && least <= most && most <= high;
            let found = format!("{least} to {most}");
            if fits {
                Ok(())
            } else {
                Err(OptionError::new(name, found, format!("an interval in {low} to {high}")))
            }
        };
        interval("crop_area", self.crop_area, 1e-3, 1.0)?;
        interval("crop_aspect", self.crop_aspect, 0.1, 10.0)?;
        interval("blur_sigma", self.blur_sigma, 1e-3, 100.0)?;
        let part = |name, value: f64, most: f64| {
            let fits = (0.0..=most).contains(&value);
            if fits { Ok(()) } else { Err(OptionError::new(name, value, format!("between 0 and {most}"))) }
        };
        part("rotation_degrees", self.rotation_degrees, 180.0)?;
        part("jitter", self.jitter, 1.0)?;
        part("hue", self.hue, 0.5)?;
        part("grey", self.grey, 1.0)?;
        for probability in self.flip.into_iter().chain(self.blur).chain(self.brightness_contrast_saturation) {
            part("augment", probability, 1.0)?;
        }
        Ok(())
    }
}

/// View 0 or 1 of a patch (3, h, w) of values between 0 and 1; as large as the patch.
///
/// Drawn from the stream `histology/augment` at `index`, which names epoch, patch and view.
pub fn augment(
    patch: ArrayView3<'_, f32>,
    view: usize,
    options: &AugmentOptions,
    seed: Seed,
    index: u64,
) -> Array3<f32> {
    let mut rng = seed.stream("histology/augment", index);
    // Everything is drawn, in this order, whether it is used or not: an option changes what it is about alone.
    let map = Placement::draw(&mut rng, patch.dim(), options);
    let colours = Colours::draw(&mut rng, options);
    let is_grey = uniform(&mut rng) < options.grey;
    let is_blurred = uniform(&mut rng) < options.blur[view.min(1)];
    let sigma = between(&mut rng, options.blur_sigma) * patch.dim().2 as f64 / 224.0;

    let mut picture = place(patch, &map);
    if let Some(colours) = colours {
        colours.apply(&mut picture);
    }
    if is_grey {
        grey(&mut picture);
    }
    if is_blurred { blur(&picture, sigma) } else { picture }
}

fn between(rng: &mut ChaCha8Rng, [least, most]: [f64; 2]) -> f64 {
    least + (most - least) * uniform(rng)
}

/// Which part of a patch a view shows, and how it lies: pixels of the view, from its middle, are turned and stretched by
/// `matrix` and moved to `middle`.
struct Placement {
    matrix: [[f64; 2]; 2],
    middle: [f64; 2],
}

impl Placement {
    fn draw(
        rng: &mut ChaCha8Rng,
        (_, height, width): (usize, usize, usize),
        options: &AugmentOptions,
    ) -> Self {
        let (h, w) = (height as f64, width as f64);
        let area = between(rng, options.crop_area) * h * w;
        let aspect = between(rng, options.crop_aspect.map(f64::ln)).exp();
        // A part that is wider or higher than the patch is cut to it.
        let (crop_w, crop_h) = ((area * aspect).sqrt().min(w), (area / aspect).sqrt().min(h));
        let middle = [
            0.5 * crop_h + (h - crop_h) * uniform(rng) - 0.5,
            0.5 * crop_w + (w - crop_w) * uniform(rng) - 0.5,
        ];
        let angle = between(rng, [-1.0, 1.0]) * options.rotation_degrees.to_radians();
        let mut sign = |probability: f64| if uniform(rng) < probability { -1.0 } else { 1.0 };
        let across = sign(options.flip[0]) * crop_w / w;
        let down = sign(options.flip[1]) * crop_h / h;
        let (sin, cos) = angle.sin_cos();
        Self { matrix: [[cos * down, sin * across], [-sin * down, cos * across]], middle }
    }
}

/// Bilinear values of the patch under each pixel of the view; beyond its border the patch is reflected.
fn place(patch: ArrayView3<'_, f32>, map: &Placement) -> Array3<f32> {
    let (channels, height, width) = patch.dim();
    let [[a, b], [c, d]] = map.matrix;
    let mut view = Array3::zeros((channels, height, width));
    for i in 0..height {
        for j in 0..width {
            let (y, x) = (i as f64 - 0.5 * (height - 1) as f64, j as f64 - 0.5 * (width - 1) as f64);
            let row = a * y + b * x + map.middle[0];
            let column = c * y + d * x + map.middle[1];
            let (top, left) = (row.floor(), column.floor());
            let (down, right) = ((row - top) as f32, (column - left) as f32);
            let rows = [reflect(top as isize, height), reflect(top as isize + 1, height)];
            let columns = [reflect(left as isize, width), reflect(left as isize + 1, width)];
            for channel in 0..channels {
                let at = |r: usize, k: usize| patch[[channel, rows[r], columns[k]]];
                let upper = at(0, 0) + right * (at(0, 1) - at(0, 0));
                let lower = at(1, 0) + right * (at(1, 1) - at(1, 0));
                view[[channel, i, j]] = upper + down * (lower - upper);
            }
        }
    }
    view
}

/// The pixel that stands at `index` when a row of `n` is mirrored at its ends, the last pixel not repeated.
fn reflect(index: isize, n: usize) -> usize {
    let last = n as isize - 1;
    if last == 0 {
        return 0;
    }
    let folded = index.rem_euclid(2 * last);
    folded.min(2 * last - folded) as usize
}

/// Changes of the colours, in the order in which they are made.
struct Colours {
    order: [usize; 4],
    factors: [f32; 3],
    hue: f32,
}

impl Colours {
    fn draw(rng: &mut ChaCha8Rng, options: &AugmentOptions) -> Option<Self> {
        let is_used = uniform(rng) < options.jitter;
        let factors =
            options.brightness_contrast_saturation.map(|most| between(rng, [1.0 - most, 1.0 + most]) as f32);
        let hue = between(rng, [-options.hue, options.hue]) as f32;
        let mut order = [0, 1, 2, 3];
        for last in (1..4).rev() {
            order.swap(last, ((last + 1) as f64 * uniform(rng)) as usize);
        }
        is_used.then_some(Self { order, factors, hue })
    }

    fn apply(&self, picture: &mut Array3<f32>) {
        for change in self.order {
            match change {
                0 => picture.mapv_inplace(|v| (v * self.factors[0]).clamp(0.0, 1.0)),
                1 => {
                    let (_, height, width) = picture.dim();
                    let mut sum = 0.0f64;
                    for_pixels(picture, |[r, g, b]| {
                        sum += f64::from(luma([r, g, b]));
                        [r, g, b]
                    });
                    let mean = (sum / (height * width).max(1) as f64) as f32;
                    picture.mapv_inplace(|v| (mean + self.factors[1] * (v - mean)).clamp(0.0, 1.0));
                }
                2 => for_pixels(picture, |pixel| {
                    let grey = luma(pixel);
                    pixel.map(|v| (grey + self.factors[2] * (v - grey)).clamp(0.0, 1.0))
                }),
                _ => for_pixels(picture, |pixel| turn_hue(pixel, self.hue)),
            }
        }
    }
}

fn luma(pixel: [f32; 3]) -> f32 {
    pixel.iter().zip(GREY).map(|(v, weight)| v * weight).sum()
}

fn for_pixels(picture: &mut Array3<f32>, mut change: impl FnMut([f32; 3]) -> [f32; 3]) {
    let (_, height, width) = picture.dim();
    for i in 0..height {
        for j in 0..width {
            let pixel = change([picture[[0, i, j]], picture[[1, i, j]], picture[[2, i, j]]]);
            for (channel, value) in pixel.into_iter().enumerate() {
                picture[[channel, i, j]] = value;
            }
        }
    }
}

/// Moves the hue of a pixel around the circle, its lightest and darkest channel kept (HSV).
fn turn_hue([r, g, b]: [f32; 3], by: f32) -> [f32; 3] {
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    if chroma <= 0.0 {
        return [r, g, b];
    }
    let sector = if value == r {
        (g - b) / chroma
    } else if value == g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    let hue = sector + 6.0 * by;
    [5.0f32, 3.0, 1.0].map(|n| {
        let k = (n + hue).rem_euclid(6.0);
        value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

fn grey(picture: &mut Array3<f32>) {
    for_pixels(picture, |pixel| [luma(pixel); 3]);
}

/// A Gaussian blur of `sigma` pixels, over three of them either way, the border reflected.
fn blur(picture: &Array3<f32>, sigma: f64) -> Array3<f32> {
    let radius = (3.0 * sigma).ceil() as usize;
    let weights: Vec<f64> = (0..=radius).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let total = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
    let weights: Vec<f32> = weights.iter().map(|w| (w / total) as f32).collect();
    let (channels, height, width) = picture.dim();
    let mut pass = picture.clone();
    let mut out = picture.clone();
    let sweep = |from: &Array3<f32>, to: &mut Array3<f32>, down: bool| {
        for c in 0..channels {
            for i in 0..height {
                for j in 0..width {
                    let at = |k: isize| {
                        let (row, column) =
                            if down { (i as isize + k, j as isize) } else { (i as isize, j as isize + k) };
                        from[[c, reflect(row, height), reflect(column, width)]]
                    };
                    let sides = (1..=radius as isize).map(|k| weights[k as usize] * (at(-k) + at(k)));
                    to[[c, i, j]] = weights[0] * at(0) + sides.sum::<f32>();
                }
            }
        }
    };
    sweep(picture, &mut pass, false);
    sweep(&pass, &mut out, true);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes nothing.
    fn nothing() -> AugmentOptions {
        AugmentOptions {
            crop_area: [1.0; 2],
            crop_aspect: [1.0; 2],
            rotation_degrees: 0.0,
            flip: [0.0; 2],
            jitter: 0.0,
            grey: 0.0,
            blur: [0.0; 2],
            ..AugmentOptions::default()
        }
    }

    fn patch() -> Array3<f32> {
        Array3::from_shape_fn((3, 9, 9), |(c, i, j)| ((7 * c + 3 * i + 5 * j) % 11) as f32 / 10.0)
    }

    #[test]
    fn a_view_that_may_change_nothing_is_the_patch() {
        let seen = augment(patch().view(), 0, &nothing(), Seed(1), 0);
        let far = (&seen - &patch()).iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(far < 1e-6, "{far}");
    }

    #[test]
    fn flips_and_half_turns_move_pixels_to_where_they_belong() {
        let seen = |options: AugmentOptions| augment(patch().view(), 0, &options, Seed(1), 0);
        let across = seen(AugmentOptions { flip: [1.0, 0.0], ..nothing() });
        let down = seen(AugmentOptions { flip: [0.0, 1.0], ..nothing() });
        for (i, j) in [(0, 0), (2, 7), (8, 3)] {
            assert!((across[[1, i, j]] - patch()[[1, i, 8 - j]]).abs() < 1e-6);
            assert!((down[[1, i, j]] - patch()[[1, 8 - i, j]]).abs() < 1e-6);
        }
        // A quarter turn: what is at the right comes to the top.
        let map = Placement { matrix: [[0.0, 1.0], [-1.0, 0.0]], middle: [4.0, 4.0] };
        let turned = place(patch().view(), &map);
        assert!((turned[[0, 0, 3]] - patch()[[0, 3, 8]]).abs() < 1e-6);
    }

    #[test]
    fn views_stay_between_0_and_1_and_differ_by_what_the_index_names() {
        let options = AugmentOptions::default();
        let seen = |index| augment(patch().view(), 0, &options, Seed(1), index);
        for index in 0..50 {
            assert!(seen(index).iter().all(|v| (-1e-6..=1.0 + 1e-6).contains(v)));
        }
        assert_eq!(seen(3), seen(3));
        assert_ne!(seen(3), seen(4));
    }

    #[test]
    fn a_third_of_the_circle_turns_red_into_green_and_leaves_grey() {
        let far = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(far(turn_hue([1.0, 0.0, 0.0], 1.0 / 3.0), [0.0, 1.0, 0.0]) < 1e-6);
        assert!(far(turn_hue([0.8, 0.6, 0.3], 0.0), [0.8, 0.6, 0.3]) < 1e-6);
        assert!(far(turn_hue([0.2, 0.7, 0.5], 1.0), [0.2, 0.7, 0.5]) < 1e-5);
        assert_eq!(turn_hue([0.4; 3], 0.2), [0.4; 3]);
    }

    #[test]
    fn a_grey_view_has_three_equal_channels_and_a_blur_keeps_the_mean() {
        let seen = augment(patch().view(), 0, &AugmentOptions { grey: 1.0, ..nothing() }, Seed(1), 0);
        assert!((0..9).all(|i| seen[[0, i, 4]] == seen[[2, i, 4]]));
        let plain = Array3::from_elem((3, 8, 8), 0.3f32);
        assert!(blur(&plain, 1.5).iter().all(|v| (v - 0.3).abs() < 1e-6));
        let mut dot = Array3::zeros((1, 15, 15));
        dot[[0, 7, 7]] = 1.0;
        let spread = blur(&dot, 1.0);
        assert!((spread.sum() - 1.0).abs() < 1e-5);
        // The two-dimensional Gaussian at its middle and a pixel beside it.
        assert!((spread[[0, 7, 7]] / spread[[0, 7, 8]] - 0.5f32.exp()).abs() < 1e-4);
    }

    #[test]
    fn options_beyond_their_range_are_refused_by_name() {
        let bad = AugmentOptions { crop_area: [0.5, 0.2], ..AugmentOptions::default() };
        assert!(bad.validate().expect_err("refused").to_string().contains("crop_area"));
        assert!(AugmentOptions { hue: f64::NAN, ..AugmentOptions::default() }.validate().is_err());
        assert!(AugmentOptions::default().validate().is_ok());
    }
}
