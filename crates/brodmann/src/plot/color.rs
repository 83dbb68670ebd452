//! Colours: an order of distinguishable ones for categories, smooth maps for numbers.

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// Spots without a value or a category.
pub const MISSING: Rgb = Rgb(0xD9, 0xD9, 0xD9);

impl Rgb {
    pub(super) const fn hex(value: u32) -> Self {
        Self((value >> 16) as u8, (value >> 8) as u8, value as u8)
    }

    /// `#rrggbb`, as in CSS and in scanpy's `uns["…_colors"]`.
    pub fn to_hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Reads `#rrggbb` (an alpha byte after it is ignored); `None` when it is nothing of the kind.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if !matches!(digits.len(), 6 | 8) || !digits.is_ascii() {
            return None;
        }
        u32::from_str_radix(digits.get(..6)?, 16).ok().map(Self::hex)
    }

    /// Black or white, whichever is easier to read on this colour (the larger contrast of WCAG 2).
    #[must_use]
    pub fn text_color(self) -> Self {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = 0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2);
        // (1 + .05) / (L + .05) = (L + .05) / .05.
        if luminance > 0.179 { Self(0x1A, 0x1A, 0x1A) } else { Self(255, 255, 255) }
    }

    /// The colour a fraction `t` of the way to `other`.
    #[must_use]
    pub fn mix(self, other: Self, t: f64) -> Self {
        let m = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * t).round() as u8;
        Self(m(self.0, other.0), m(self.1, other.1), m(self.2, other.2))
    }
}

/// The first eight are Okabe & Ito's (2008). Each further one was chosen greedily, in OKLab, far from all before
/// it, from white and from the grey of missing values, in normal, deuteranope and protanope sight (Machado et al.
/// 2009). Smallest distance between any two, in these three sights: first 8: .156, .076, .096; first 16: .101,
/// .075, .076; all 32: .078, .053, .055.
const PALETTE: [u32; 32] = [
    0xE69F00, 0x56B4E9, 0x009E73, 0xF0E442, 0x0072B2, 0xD55E00, 0xCC79A7, 0x000000, 0x6C183C, 0x3C2490,
    0x844800, 0x9C3C78, 0x6CCC90, 0x7884F0, 0xA8F09C, 0xB44848, 0x9CCCFC, 0x3C3C60, 0x4848B4, 0x603000,
    0x00CCCC, 0x843C48, 0xC0CC60, 0x906C90, 0xE4606C, 0x546CD8, 0xD8843C, 0x189CCC, 0x783C90, 0xFC9CC0,
    0x78F0FC, 0x84B49C,
];

/// The default colours of `n` categories; a category keeps its colour whatever `n` is.
///
/// Beyond about 16 read the legend with care; beyond 32 the hue turns by the golden angle and lightness alternates: distinct, but no longer colour-blind safe.
pub fn palette(n: usize) -> Vec<Rgb> {
    (0..n)
        .map(|k| {
            PALETTE.get(k).map_or_else(
                || {
                    let hue = (k as f64 * 137.507_764).to_radians();
                    oklch([0.5, 0.72, 0.6, 0.82][k % 4], 0.10 + 0.03 * (k % 3) as f64, hue)
                },
                |&c| Rgb::hex(c),
            )
        })
        .collect()
}

/// The colours of `n` categories: those `given` (`uns["…_colors"]`), else [`palette`]'s.
///
/// Given colours count where there is one for each category and all can be read; more than needed do no harm.
pub fn category_colors<S: AsRef<str>>(n: usize, given: Option<&[S]>) -> Vec<Rgb> {
    let read = |given: &[S]| -> Option<Vec<Rgb>> {
        given.get(..n)?.iter().map(|text| Rgb::from_hex(text.as_ref())).collect()
    };
    given.and_then(read).unwrap_or_else(|| palette(n))
}

/// OKLab in polar form to sRGB, clipped (Ottosson 2020).
fn oklch(lightness: f64, chroma: f64, hue: f64) -> Rgb {
    let (a, b) = (chroma * hue.cos(), chroma * hue.sin());
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    let encode = |v: f64| {
        let v = v.clamp(0.0, 1.0);
        let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (v * 255.0).round() as u8
    };
    Rgb(
        encode(4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s),
        encode(-1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s),
        encode(-0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s),
    )
}

/// Colours of numbers, from low to high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorMap {
    /// Perceptually uniform, dark blue to yellow.
    #[default]
    Viridis,
    /// As viridis, and nearly the same to colour-blind eyes.
    Cividis,
    /// Black through purple to cream.
    Magma,
    /// Black through red to pale yellow.
    Inferno,
    /// Blue through red to yellow, without black.
    Plasma,
    /// Diverging: blue, light grey in the middle, red, softer than [`ColorMap::BlueRed`]. Give symmetric limits.
    CoolWarm,
    /// Diverging: blue, white in the middle, red. Give symmetric limits.
    BlueRed,
    /// White to black.
    Greys,
    /// White to dark red: the upper half of [`ColorMap::BlueRed`].
    Reds,
}

impl std::str::FromStr for ColorMap {
    type Err = super::PlotError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "viridis" => Ok(Self::Viridis),
            "cividis" => Ok(Self::Cividis),
            "magma" => Ok(Self::Magma),
            "inferno" => Ok(Self::Inferno),
            "plasma" => Ok(Self::Plasma),
            "coolwarm" => Ok(Self::CoolWarm),
            "bluered" | "blue-red" | "rdbu_r" => Ok(Self::BlueRed),
            "greys" | "grays" => Ok(Self::Greys),
            "reds" => Ok(Self::Reds),
            _ => Err(super::PlotError::UnknownColorMap { name: text.to_owned() }),
        }
    }
}

impl ColorMap {
    /// What a map is called; [`str::parse`] takes these in any case, and spellings that are nearly the same.
    pub const NAMES: [&'static str; 9] =
        ["viridis", "cividis", "magma", "inferno", "plasma", "coolwarm", "RdBu_r", "Greys", "Reds"];

    fn stops(self) -> &'static [u32] {
        match self {
            Self::Viridis => &VIRIDIS,
            Self::Cividis => &CIVIDIS,
            Self::Magma => &MAGMA,
            Self::Inferno => &INFERNO,
            Self::Plasma => &PLASMA,
            Self::CoolWarm => &COOLWARM,
            Self::BlueRed => {
                &[0x053061, 0x2166AC, 0x4393C3, 0x92C5DE, 0xF7F7F7, 0xF4A582, 0xD6604D, 0xB2182B, 0x67001F]
            }
            Self::Greys => &[0xF7F7F7, 0x000000],
            Self::Reds => &[0xF7F7F7, 0xF4A582, 0xD6604D, 0xB2182B, 0x67001F],
        }
    }

    /// The colour at `t` from 0 to 1; beyond, the end colours; NaN gives [`MISSING`].
    pub fn at(self, t: f64) -> Rgb {
        if t.is_nan() {
            return MISSING;
        }
        let stops = self.stops();
        let x = t.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let k = (x as usize).min(stops.len() - 2);
        Rgb::hex(stops[k]).mix(Rgb::hex(stops[k + 1]), x - k as f64)
    }
}

// 33 samples each of matplotlib's maps (van der Walt & Smith 2015; Nuñez et al. 2018; Moreland 2009; CC0). Straight lines
// between them stay within 3 of 255 (cividis: 5, at its kink).
const VIRIDIS: [u32; 33] = [
    0x440154, 0x470D60, 0x48186A, 0x482374, 0x472D7B, 0x453781, 0x424086, 0x3E4989, 0x3B528B, 0x375B8D,
    0x33638D, 0x2F6B8E, 0x2C728E, 0x297A8E, 0x26828E, 0x23898E, 0x21918C, 0x1F988B, 0x1FA088, 0x22A785,
    0x28AE80, 0x32B67A, 0x3FBC73, 0x4EC36B, 0x5EC962, 0x70CF57, 0x84D44B, 0x98D83E, 0xADDC30, 0xC2DF23,
    0xD8E219, 0xECE51B, 0xFDE725,
];
const CIVIDIS: [u32; 33] = [
    0x00224E, 0x00285B, 0x002E6A, 0x053371, 0x1A386F, 0x273E6E, 0x32436D, 0x3B496C, 0x434E6C, 0x4B546C,
    0x535A6D, 0x5A5F6E, 0x61656F, 0x686A71, 0x6F7073, 0x767676, 0x7D7C78, 0x848279, 0x8C8878, 0x938E78,
    0x9B9476, 0xA39A74, 0xABA072, 0xB4A76F, 0xBCAE6C, 0xC4B468, 0xCDBB63, 0xD5C25E, 0xDEC958, 0xE7D150,
    0xF0D846, 0xF9E03A, 0xFEE838,
];
const MAGMA: [u32; 33] = [
    0x000004, 0x030312, 0x0A0822, 0x130D34, 0x1D1147, 0x29115A, 0x36106B, 0x440F76, 0x51127C, 0x5D177F,
    0x6A1C81, 0x762181, 0x832681, 0x902A81, 0x9C2E7F, 0xAA337D, 0xB73779, 0xC43C75, 0xD0416F, 0xDC4869,
    0xE75263, 0xEF5D5E, 0xF56B5C, 0xF9795D, 0xFC8961, 0xFD9869, 0xFEA772, 0xFEB67C, 0xFEC488, 0xFED395,
    0xFDE2A3, 0xFCF0B2, 0xFCFDBF,
];
const INFERNO: [u32; 33] = [
    0x000004, 0x040312, 0x0B0724, 0x150B37, 0x210C4A, 0x2F0A5B, 0x3D0965, 0x4A0C6B, 0x57106E, 0x64156E,
    0x71196E, 0x7D1E6D, 0x8A226A, 0x972766, 0xA32C61, 0xB0315B, 0xBC3754, 0xC73E4C, 0xD24644, 0xDB503B,
    0xE45A31, 0xEB6628, 0xF1731D, 0xF68013, 0xF98E09, 0xFB9D07, 0xFCAC11, 0xFBBC21, 0xF9CB35, 0xF5DB4C,
    0xF2EA69, 0xF3F68A, 0xFCFFA4,
];
const PLASMA: [u32; 33] = [
    0x0D0887, 0x220690, 0x310597, 0x3F049C, 0x4C02A1, 0x5901A5, 0x6600A7, 0x7201A8, 0x7E03A8, 0x8A09A5,
    0x9511A1, 0xA01A9C, 0xAA2395, 0xB32C8E, 0xBC3587, 0xC43E7F, 0xCC4778, 0xD35171, 0xDA5A6A, 0xE06363,
    0xE66C5C, 0xEB7655, 0xF0804E, 0xF58B47, 0xF89540, 0xFBA139, 0xFDAC33, 0xFEB82C, 0xFDC527, 0xFCD225,
    0xF8DF25, 0xF4ED27, 0xF0F921,
];
const COOLWARM: [u32; 33] = [
    0x3B4CC0, 0x445ACC, 0x4E68D8, 0x5875E1, 0x6282EA, 0x6C8FF1, 0x779AF7, 0x82A6FB, 0x8DB0FE, 0x98B9FF,
    0xA3C2FE, 0xAEC9FC, 0xB9D0F9, 0xC3D5F4, 0xCCD9ED, 0xD5DBE5, 0xDDDCDC, 0xE5D8D1, 0xECD3C5, 0xF1CCB8,
    0xF5C4AC, 0xF7BA9F, 0xF7B093, 0xF6A586, 0xF4987A, 0xF08B6E, 0xEB7D62, 0xE46E56, 0xDD5F4B, 0xD44E41,
    0xCA3B37, 0xBE242E, 0xB40426,
];
