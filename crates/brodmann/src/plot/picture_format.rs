//! Which kind of file a picture becomes.

use std::path::Path;

use super::chart::{self, Chart};
use super::figure::{Figure, PlotError, RenderOptions};
use super::layout::{Scene, layout};
use super::pdf::scene_pdf;
use super::png::scene_png;
use super::sheet::{self, Sheet};
use super::svg::scene_svg;

/// A kind of picture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Pixels.
    Png,
    /// Lines and text, for the web and for drawing programs.
    Svg,
    /// Lines and text, for papers.
    Pdf,
}

impl PictureFormat {
    /// The endings there are, in words.
    pub const ENDINGS: &'static str = ".png, .svg or .pdf";

    /// By the ending of a name, in any case; `None` for any other.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "svg" => Some(Self::Svg),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }

    /// The bytes of a figure.
    ///
    /// # Errors
    /// As [`super::render_png`].
    pub fn figure(self, figure: &Figure, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
        self.scene(&layout(figure, options)?, options)
    }

    /// The bytes of a sheet.
    ///
    /// # Errors
    /// As [`super::render_sheet_png`].
    pub fn sheet(self, sheet: &Sheet, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
        self.scene(&sheet::stacked(sheet, options)?, options)
    }

    /// The bytes of a chart.
    ///
    /// # Errors
    /// As [`super::render_chart_png`].
    pub fn chart(self, chart: &Chart, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
        self.scene(&chart::layout(chart)?, options)
    }

    fn scene(self, scene: &Scene, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
        match self {
            Self::Png => scene_png(scene, options),
            Self::Svg => Ok(scene_svg(scene, options)?.into_bytes()),
            Self::Pdf => scene_pdf(scene, options),
        }
    }
}
