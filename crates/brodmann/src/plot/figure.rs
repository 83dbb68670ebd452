//! What is to be seen: the description both backends draw from.

use brodmann_kernels::Diagnosis;
use std::sync::Arc;

use ndarray::Array2;

use super::boundaries::Boundaries;
use super::color::{ColorMap, Rgb};
use super::shape::SpotShape;

/// A picture of one or several panels.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Panels, row by row.
    pub panels: Vec<Panel>,
    /// Panels side by side; `None`: up to four, as square as can be.
    pub columns: Option<usize>,
    /// A line over all panels; empty for none.
    pub title: String,
    /// Longest side of a panel's plot in pixels (96 to the inch).
    pub panel_size: f64,
    /// Width of the whole figure in pixels (96 to the inch); overrides `panel_size`.
    pub width: Option<f64>,
    /// Height of an em in pixels (96 to the inch); 12 is 9 pt.
    pub font_size: f64,
    /// Behind everything.
    pub background: Rgb,
}

impl Default for Figure {
    fn default() -> Self {
        Self {
            panels: Vec::new(),
            columns: None,
            title: String::new(),
            panel_size: 340.0,
            width: None,
            font_size: 12.0,
            background: Rgb(255, 255, 255),
        }
    }
}

impl Panel {
    /// Where a number lies on the scale of colours.
    pub(super) fn scaled(&self, v: f64) -> f64 {
        if self.log { v.ln_1p() } else { v }
    }
}

/// One view of a tissue.
#[derive(Clone, Debug)]
pub struct Panel {
    /// A line over the plot.
    pub title: String,
    /// `(n_obs, ≥2)`: x, y; spots with non-finite coordinates are left out ([`Panel::n_unplaced`]).
    pub coordinates: Arc<Array2<f64>>,
    /// Shape and size of the spots.
    pub spot: SpotShape,
    /// A line around each spot, drawn instead of its shape.
    pub boundaries: Option<Arc<Boundaries>>,
    /// What the spots show.
    pub color: Color,
    /// The tissue image below the spots.
    pub image: Option<Arc<Image>>,
    /// y grows downwards, as in images and on Visium slides.
    pub y_down: bool,
    /// Opacity of the spots, 0 to 1.
    pub opacity: f64,
    /// Micrometres per coordinate unit: draws a scale bar.
    pub um_per_unit: Option<f64>,
    /// Show how many spots each category has.
    pub counts: bool,
    /// A thin frame around the plot.
    pub frame: bool,
    /// Numbers are coloured by `ln(1 + x)`; what is not above −1 is missing.
    pub log: bool,
    /// Spots with a ring around them.
    pub ringed: Vec<u32>,
    /// Width in pixels (96 to the inch) of a line around each spot, in its colour and opaque whatever the opacity.
    pub edge: Option<f64>,
    /// Lines around whole categories, drawn over the spots.
    pub borders: Vec<Border>,
    /// Whose colours are explained beside the plot.
    pub legend: PanelLegend,
}

/// A closed line around a piece of a category, or around a hole in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Border {
    /// The category.
    pub code: u32,
    /// Corners in units of the coordinates; the category lies to the left where y grows upwards.
    pub ring: Vec<[f64; 2]>,
}

/// Whose colours the legend of a panel explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanelLegend {
    /// Its own.
    #[default]
    Own,
    /// Its own and those of panels without a legend; `missing` where a spot of any of them has no value.
    Shared {
        /// Whether any of them has a spot without a value.
        missing: bool,
    },
    /// None: another panel explains them.
    Hidden,
}

impl Default for Panel {
    fn default() -> Self {
        Self {
            title: String::new(),
            coordinates: Arc::new(Array2::zeros((0, 2))),
            spot: SpotShape::Auto,
            boundaries: None,
            color: Color::None,
            image: None,
            y_down: true,
            opacity: 1.0,
            um_per_unit: None,
            counts: false,
            frame: false,
            log: false,
            ringed: Vec::new(),
            edge: None,
            borders: Vec::new(),
            legend: PanelLegend::Own,
        }
    }
}

/// What the spots of a panel show.
#[derive(Clone, Debug)]
pub enum Color {
    /// No spots, the image alone; without an image all spots in one colour.
    None,
    /// A category for each spot.
    Categorical {
        /// Index into `names`; `None` is missing.
        codes: Vec<Option<u32>>,
        /// Names, in legend order.
        names: Vec<String>,
        /// A colour for each name; `None`: [`super::palette`].
        palette: Option<Vec<Rgb>>,
    },
    /// A number for each spot.
    Continuous {
        /// Values; NaN and infinities are missing.
        values: Vec<f64>,
        /// What the numbers are, over the colour bar; empty for nothing.
        name: String,
        /// Values of the end colours; `None`: the smallest and largest value.
        limits: Option<(f64, f64)>,
        /// The colours.
        colormap: ColorMap,
        /// Small print below the colour bar: what the limits are; empty for nothing.
        note: String,
    },
}

/// An RGB image of the tissue.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `width · height · 3` bytes, rows from the top.
    pub rgb: Vec<u8>,
    /// Coordinates times this are pixels of the image (`tissue_hires_scalef`, `tissue_lowres_scalef`).
    pub scale: f64,
}

/// How a figure becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderOptions {
    /// Dots per inch of PNG output and of images embedded in SVG; lengths in pixels are 1/96 inch.
    pub dpi: f64,
    /// SVG: a panel of more spots than this embeds them as one image.
    pub max_vector_spots: usize,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { dpi: 200.0, max_vector_spots: 50_000 }
    }
}

/// Why a figure cannot be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlotError {
    /// No panel.
    #[error("the figure has no panel; expected at least one")]
    NoPanels,
    /// No spot with a place.
    #[error("panel {title:?} has {n_obs} spots, none of which has finite coordinates; expected at least one")]
    NoSpots {
        /// Panel title.
        title: String,
        /// Spots given.
        n_obs: usize,
    },
    /// Fewer than two coordinate columns.
    #[error("panel {title:?} has coordinates of {found} columns; expected at least 2")]
    CoordinateColumns {
        /// Panel title.
        title: String,
        /// Columns found.
        found: usize,
    },
    /// One value per spot was expected.
    #[error("panel {title:?} has {found} values; expected {expected}, one per spot")]
    Length {
        /// Panel title.
        title: String,
        /// Values found.
        found: usize,
        /// Spots.
        expected: usize,
    },
    /// Two lists of a plot do not belong together.
    #[error("plot {title:?} has {found} {what}; expected {expected}")]
    Mismatch {
        /// Title of the plot.
        title: String,
        /// What there are too many or too few of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A category code has no name.
    #[error("panel {title:?} has the category {code}; expected a number below {n_names}, as there are names")]
    UnnamedCategory {
        /// Panel title.
        title: String,
        /// The code.
        code: u32,
        /// Names given.
        n_names: usize,
    },
    /// Fewer colours than categories.
    #[error("panel {title:?} has {found} colours; expected {expected}, one per category")]
    PaletteLength {
        /// Panel title.
        title: String,
        /// Colours given.
        found: usize,
        /// Categories.
        expected: usize,
    },
    /// The image's bytes do not match its size.
    #[error("the image of panel {title:?} has {found} bytes; expected {expected} (width × height × 3)")]
    ImageSize {
        /// Panel title.
        title: String,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A ring around a spot that is not there.
    #[error(
        "panel {title:?} has a ring around spot {spot}; expected a number below {n_obs}, as there are spots"
    )]
    UnknownSpot {
        /// Panel title.
        title: String,
        /// The spot.
        spot: u32,
        /// Spots.
        n_obs: usize,
    },
    /// A number is out of its range.
    #[error("{what} is {value}; expected {expected}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The range in words.
        expected: &'static str,
    },
    /// The picture would be too large to draw.
    #[error("the picture would have {width} × {height} pixels; expected at most {limit} altogether")]
    TooLarge {
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
        /// The most drawn.
        limit: u64,
    },
    /// The colour map is unknown.
    #[error(
        "the colour map is called {name:?}; expected one of {}",
        super::ColorMap::NAMES.join(", ")
    )]
    UnknownColorMap {
        /// Name found.
        name: String,
    },
    /// An end of a colour scale is neither a number nor a percentile.
    #[error("an end of the colours is {text:?}; expected a number, or a percentile from p0 to p100")]
    UnknownBound {
        /// What was found.
        text: String,
    },
    /// The PNG encoder failed.
    #[error("the PNG could not be encoded ({reason})")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
}

impl Diagnosis for PlotError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoPanels => "name what to colour by".to_owned(),
            Self::NoSpots { .. } => "check the coordinates (obsm \"spatial\")".to_owned(),
            Self::CoordinateColumns { .. } => "give x and y".to_owned(),
            Self::Length { .. } => "give one value per spot".to_owned(),
            Self::Mismatch { .. } => "give lists of one length".to_owned(),
            Self::UnnamedCategory { .. } => "name every category once".to_owned(),
            Self::PaletteLength { .. } => "give one colour per category, or none".to_owned(),
            Self::ImageSize { .. } => "give RGB bytes".to_owned(),
            Self::UnknownSpot { .. } => "number the spots from 0".to_owned(),
            Self::OutOfRange { .. } => "choose another value".to_owned(),
            Self::TooLarge { .. } => "lower the DPI or the size".to_owned(),
            Self::UnknownBound { .. } => "write 2.5, or p99 for the 99th percentile".to_owned(),
            Self::UnknownColorMap { .. } => "correct the name".to_owned(),
            Self::Encode { .. } => "report this as a bug".to_owned(),
        })
    }
}

impl Panel {
    /// Spots that cannot be drawn because a coordinate is not finite.
    pub fn n_unplaced(&self) -> usize {
        if self.coordinates.ncols() < 2 {
            return self.coordinates.nrows();
        }
        self.coordinates.rows().into_iter().filter(|r| !(r[0].is_finite() && r[1].is_finite())).count()
    }

    pub(super) fn validate(&self) -> Result<(), PlotError> {
        let title = || self.title.clone();
        let n_obs = self.coordinates.nrows();
        if self.coordinates.ncols() < 2 && n_obs > 0 {
            return Err(PlotError::CoordinateColumns { title: title(), found: self.coordinates.ncols() });
        }
        if self.n_unplaced() == n_obs {
            return Err(PlotError::NoSpots { title: title(), n_obs });
        }
        if let Some(&spot) = self.ringed.iter().find(|&&i| i as usize >= n_obs) {
            return Err(PlotError::UnknownSpot { title: title(), spot, n_obs });
        }
        if let Some(found) = self.boundaries.as_ref().map(|b| b.len()).filter(|n| *n != n_obs) {
            return Err(PlotError::Length { title: title(), found, expected: n_obs });
        }
        match &self.color {
            Color::None => {}
            Color::Categorical { codes, names, palette } => {
                if codes.len() != n_obs {
                    return Err(PlotError::Length { title: title(), found: codes.len(), expected: n_obs });
                }
                if let Some(&code) = codes.iter().flatten().find(|&&c| c as usize >= names.len()) {
                    return Err(PlotError::UnnamedCategory { title: title(), code, n_names: names.len() });
                }
                if let Some(colors) = palette
                    && colors.len() < names.len()
                {
                    let (found, expected) = (colors.len(), names.len());
                    return Err(PlotError::PaletteLength { title: title(), found, expected });
                }
            }
            Color::Continuous { values, limits, .. } => {
                if values.len() != n_obs {
                    return Err(PlotError::Length { title: title(), found: values.len(), expected: n_obs });
                }
                if let Some((low, high)) = *limits
                    && !(low.is_finite() && high.is_finite() && low <= high)
                {
                    let value = if low.is_finite() { high } else { low };
                    let expected = "a finite number, the lower limit not above the upper";
                    return Err(PlotError::OutOfRange { what: "a colour limit", value, expected });
                }
            }
        }
        if let Some(image) = &self.image {
            let expected = image.width.saturating_mul(image.height).saturating_mul(3);
            if image.rgb.len() != expected || expected == 0 {
                return Err(PlotError::ImageSize { title: title(), found: image.rgb.len(), expected });
            }
            positive("the image's scale factor", image.scale)?;
        }
        match self.spot {
            SpotShape::Auto => {}
            SpotShape::Hexagon { pitch: length, angle } | SpotShape::Square { side: length, angle } => {
                positive("the spot size", length)?;
                if !angle.is_finite() {
                    let expected = "a finite number of radians";
                    return Err(PlotError::OutOfRange { what: "the spot angle", value: angle, expected });
                }
            }
            SpotShape::Circle { diameter } => positive("the spot diameter", diameter)?,
        }
        if let Some(edge) = self.edge {
            positive("the width of the line around a spot", edge)?;
        }
        if let Some(um) = self.um_per_unit {
            positive("the number of micrometres per unit", um)?;
        }
        if !(0.0..=1.0).contains(&self.opacity) {
            let expected = "a number from 0 to 1";
            return Err(PlotError::OutOfRange { what: "the opacity", value: self.opacity, expected });
        }
        Ok(())
    }
}

impl Figure {
    /// Checks everything a backend relies on.
    ///
    /// # Errors
    /// [`PlotError`], the first found.
    pub fn validate(&self, options: &RenderOptions) -> Result<(), PlotError> {
        if self.panels.is_empty() {
            return Err(PlotError::NoPanels);
        }
        for (what, value, most) in [
            ("the panel size", self.panel_size, 20_000.0),
            ("the font size", self.font_size, 1000.0),
            ("the figure width", self.width.unwrap_or(1.0), 50_000.0),
            ("the DPI", options.dpi, 10_000.0),
        ] {
            if !(value > 0.0 && value <= most) {
                let expected = "a number above 0, in the hundreds at most";
                return Err(PlotError::OutOfRange { what, value, expected });
            }
        }
        if self.columns == Some(0) {
            let expected = "at least 1";
            return Err(PlotError::OutOfRange { what: "the number of columns", value: 0.0, expected });
        }
        self.panels.iter().try_for_each(Panel::validate)
    }
}

fn positive(what: &'static str, value: f64) -> Result<(), PlotError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(PlotError::OutOfRange { what, value, expected: "a finite number above 0" })
}
