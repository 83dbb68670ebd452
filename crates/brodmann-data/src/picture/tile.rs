//! Decoded pieces of a picture, and how their samples become colours.

use std::ops::Range;

/// Red, green and blue of a piece of a picture, row by row.
pub(super) struct Tile {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) rgb: Vec<u8>,
}

impl Tile {
    /// Copies what lies in a region; `at` is the row and column of the tile's first pixel.
    pub(super) fn copy_into(
        &self,
        at: (usize, usize),
        out: &mut [u8],
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) {
        let (top, bottom) = (rows.start.max(at.0), rows.end.min(at.0 + self.height));
        let (left, right) = (columns.start.max(at.1), columns.end.min(at.1 + self.width));
        if left >= right {
            return;
        }
        let len = (right - left) * 3;
        for y in top..bottom {
            let from = ((y - at.0) * self.width + left - at.1) * 3;
            let to = ((y - rows.start) * columns.len() + left - columns.start) * 3;
            out[to..to + len].copy_from_slice(&self.rgb[from..from + len]);
        }
    }
}

/// The numbers of some pixels, as they are stored.
pub(super) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
    F32(Vec<f32>),
}

impl Samples {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }

    /// Every finite value, for percentiles.
    pub(super) fn finite(&self) -> Vec<f32> {
        match self {
            Self::U8(v) => v.iter().map(|&v| f32::from(v)).collect(),
            Self::U16(v) => v.iter().map(|&v| f32::from(v)).collect(),
            Self::F32(v) => v.iter().copied().filter(|v| v.is_finite()).collect(),
        }
    }

    /// Several planes of the same pixels as one, pixel by pixel; `None` where they are not alike.
    pub(super) fn interleaved(mut planes: Vec<Self>) -> Option<Self> {
        if planes.len() == 1 {
            return planes.pop();
        }
        fn woven<T: Copy>(planes: Vec<Vec<T>>) -> Option<Vec<T>> {
            let len = planes.first()?.len();
            if planes.iter().any(|p| p.len() != len) {
                return None;
            }
            let mut out = Vec::with_capacity(len * planes.len());
            for i in 0..len {
                out.extend(planes.iter().map(|p| p[i]));
            }
            Some(out)
        }
        macro_rules! all {
            ($kind:ident) => {{
                let planes: Option<Vec<_>> =
                    planes.into_iter().map(|p| if let Self::$kind(v) = p { Some(v) } else { None }).collect();
                woven(planes?).map(Self::$kind)
            }};
        }
        match planes.first()? {
            Self::U8(_) => all!(U8),
            Self::U16(_) => all!(U16),
            Self::F32(_) => all!(F32),
        }
    }
}

/// What the samples of one pixel are, in the order in which they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// One sample.
    Grey,
    /// One sample, zero is white.
    WhiteIsZero,
    /// Three samples.
    Rgb,
    /// Grey and how opaque it is.
    GreyAlpha(Alpha),
    /// Three samples and how opaque they are.
    Rgba(Alpha),
    /// The place of a colour in a palette.
    Palette,
}

/// Whether colours are multiplied by their opacity already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpha {
    Multiplied,
    Apart,
}

impl Colours {
    pub(super) fn n_samples(self) -> usize {
        match self {
            Self::Grey | Self::WhiteIsZero | Self::Palette => 1,
            Self::GreyAlpha(_) => 2,
            Self::Rgb => 3,
            Self::Rgba(_) => 4,
        }
    }
}

/// The value that becomes 0 and the one that becomes 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) low: f32,
    pub(super) high: f32,
}

/// Share of the values beyond each end of a window.
const BEYOND: f64 = 0.001;

impl Window {
    pub(super) const BYTES: Self = Self { low: 0.0, high: 255.0 };

    /// From the 0.1 to the 99.9 percentile.
    pub(super) fn percentiles(mut values: Vec<f32>) -> Self {
        if values.is_empty() {
            return Self::BYTES;
        }
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        let (low, high) = (at(BEYOND), at(1.0 - BEYOND));
        // One value all over: black where it is zero, else white.
        if low < high { Self { low, high } } else { Self { low: low.min(0.0), high: high.max(low + 1.0) } }
    }

    /// From zero to 1 or 255, whichever holds all values, or from zero to the largest.
    pub(super) fn of_floats(values: &[f32]) -> Self {
        let most = values.iter().copied().fold(0.0, f32::max);
        let high = if most <= 1.0 {
            1.0
        } else if most <= 255.0 {
            255.0
        } else {
            most
        };
        Self { low: 0.0, high }
    }

    fn byte(self, value: f32) -> u8 {
        // A cast of NaN is 0.
        ((value - self.low) / (self.high - self.low) * 255.0).round().clamp(0.0, 255.0) as u8
    }

    /// Samples as bytes.
    pub(super) fn bytes(self, samples: Samples) -> Vec<u8> {
        match samples {
            Samples::U8(v) if self == Self::BYTES => v,
            Samples::U8(v) => v.into_iter().map(|v| self.byte(f32::from(v))).collect(),
            Samples::U16(v) => v.into_iter().map(|v| self.byte(f32::from(v))).collect(),
            Samples::F32(v) => v.into_iter().map(|v| self.byte(v)).collect(),
        }
    }
}

/// Red, green and blue of pixels whose samples are bytes.
pub(super) fn rgb(colours: Colours, palette: &[[u8; 3]], bytes: Vec<u8>) -> Vec<u8> {
    let over_white = |value: u8, opaque: u8, alpha: Alpha| {
        let (value, opaque) = (u32::from(value), u32::from(opaque));
        match alpha {
            Alpha::Multiplied => (value + 255 - opaque).min(255) as u8,
            Alpha::Apart => ((value * opaque + 255 * (255 - opaque) + 127) / 255) as u8,
        }
    };
    match colours {
        Colours::Rgb => bytes,
        Colours::Grey => bytes.into_iter().flat_map(|v| [v; 3]).collect(),
        Colours::WhiteIsZero => bytes.into_iter().flat_map(|v| [255 - v; 3]).collect(),
        Colours::Palette => {
            bytes.into_iter().flat_map(|v| palette.get(usize::from(v)).copied().unwrap_or_default()).collect()
        }
        Colours::GreyAlpha(alpha) => {
            bytes.chunks_exact(2).flat_map(|p| [over_white(p[0], p[1], alpha); 3]).collect()
        }
        Colours::Rgba(alpha) => {
            bytes.chunks_exact(4).flat_map(|p| [0, 1, 2].map(|c| over_white(p[c], p[3], alpha))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_transparency_by_hand() {
        let w = Window { low: 100.0, high: 355.0 };
        assert_eq!(w.bytes(Samples::U16(vec![0, 100, 101, 355, 9999])), [0, 0, 1, 255, 255]);
        assert_eq!(w.bytes(Samples::F32(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY])), [0, 255, 0]);
        let values: Vec<f32> = (0..=1000).map(|v| v as f32).collect();
        assert_eq!(Window::percentiles(values), Window { low: 1.0, high: 999.0 });
        let flat = Window::percentiles(vec![7.0; 5]);
        assert_eq!(flat.bytes(Samples::F32(vec![7.0])), [223]);
        assert_eq!(Window::percentiles(vec![0.0]).bytes(Samples::F32(vec![0.0])), [0]);
        let of = |alpha, bytes: &[u8]| rgb(Colours::Rgba(alpha), &[], bytes.to_vec());
        assert_eq!(of(Alpha::Apart, &[10, 20, 30, 0, 10, 20, 30, 255]), [255, 255, 255, 10, 20, 30]);
        assert_eq!(of(Alpha::Apart, &[100, 0, 255, 51]), [224, 204, 255]);
        assert_eq!(of(Alpha::Multiplied, &[20, 0, 51, 51]), [224, 204, 255]);
        assert_eq!(rgb(Colours::Palette, &[[1, 2, 3]], vec![0, 9]), [1, 2, 3, 0, 0, 0]);
    }

    #[test]
    fn only_what_both_share_is_copied() {
        let tile = Tile { height: 2, width: 2, rgb: (0..12).collect() };
        let mut out = vec![99; 3 * 2 * 3];
        tile.copy_into((4, 4), &mut out, &(5..8), &(3..5));
        assert_eq!(out[3..6], [6, 7, 8]);
        let untouched = out.iter().filter(|v| **v == 99);
        assert_eq!(untouched.count(), 15);
        tile.copy_into((40, 40), &mut out, &(5..8), &(3..5));
    }
}
