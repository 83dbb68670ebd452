//! The features of the picture around each spot, slide by slide.

use std::path::Path;

use brodmann_data::{Column, DataFrame, Value};
use brodmann_kernels::{Opt, Slices};
use indexmap::IndexMap;
use ndarray::{Array2, Axis};
use serde::Serialize;

use super::encoder::{Encoder, EncoderOptions, made};
use super::request::SlideOptions;
use super::slides::{Placed, placed};
use crate::histology::{Placement, TextureOptions, placement, texture_feature_names, texture_features};
use crate::pipeline::PipelineError;
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::tissue::Tissue;

/// Pixels of a patch that textures are seen well at: the level of the slide is chosen by it.
const SEEN_AT: f64 = 128.0;
/// Pixels of a spot that placement is judged at.
const JUDGED_AT: f64 = 4.0;
/// Fewest pixels across a patch that tell anything.
const FEWEST: f64 = 3.0;

/// How the spots lie on a slide.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlideReport {
    /// The slice; empty where there is one.
    pub slice: String,
    /// The picture, and its format.
    pub image: String,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels per unit of the coordinates.
    pub scale: f64,
    /// Diameter of a spot in pixels.
    pub spot_px: f64,
    /// Side of a patch in pixels of the full slide.
    pub patch_px: f64,
    /// Side of a patch as it was seen, in pixels.
    pub seen_px: f64,
    /// Share of the spots outside the picture.
    pub outside: f64,
    /// Share of the spots on background.
    pub background: f64,
    /// What looks wrong.
    pub findings: Vec<String>,
}

/// Features of all spots.
pub(in crate::pipeline) struct ImageFeatures {
    pub names: Vec<String>,
    /// What each tells.
    pub descriptions: Vec<String>,
    /// `(n_obs, n_features)`, as measured.
    pub measured: Array2<f32>,
    /// The same, of mean 0 and variance 1 in each slice: stains differ from slide to slide.
    pub comparable: Array2<f64>,
    /// Whether each spot lies on background; empty where no slide was looked at.
    pub on_background: Vec<bool>,
    pub slides: Vec<SlideReport>,
    /// The slides, for a picture of how the spots lie.
    pub placed: Vec<Placed>,
}

impl ImageFeatures {
    /// As a table of named columns under the names of the spots.
    pub(in crate::pipeline) fn frame(&self, obs_names: &[String]) -> Value {
        let columns: IndexMap<String, Column> = self
            .names
            .iter()
            .zip(self.measured.columns())
            .map(|(name, column)| (name.clone(), Column::Float32(column.to_vec())))
            .collect();
        Value::Frame(DataFrame { index: obs_names.to_vec(), columns, ..DataFrame::default() })
    }

    /// What each column is, for `uns`.
    pub(in crate::pipeline) fn about(&self) -> Value {
        Value::from([
            ("names", Value::from(self.names.clone())),
            ("descriptions", Value::from(self.descriptions.clone())),
        ])
    }
}

/// Makes features of the patches around all spots.
///
/// # Errors
/// As [`placed`]; [`PipelineError::Option`] where no spot lies on its slide.
pub(in crate::pipeline) fn image_features(
    tissue: &Tissue,
    (options, encoder): (&SlideOptions, &EncoderOptions),
    (spatial_key, slices): (&str, Option<&Slices>),
    run: &mut Run<'_>,
) -> Result<ImageFeatures, PipelineError> {
    let monitor = run.monitor;
    if let Encoder::Made(path) = &encoder.encoder {
        return made_elsewhere(tissue, path, slices, run);
    }
    let all = run.timed(Stage::Read, || placed(tissue, options, (spatial_key, slices), monitor))?;
    let n_obs = tissue.n_obs();
    let mut made: Option<ImageFeatures> = None;
    for placed in all {
        let side = options.patch_size * placed.diameter;
        if side < FEWEST {
            let found = format!("patches of {side:.1} pixels");
            let expected = format!(
                "at least {FEWEST} pixels: a finer picture with {}, or larger patches with {}",
                Opt("image"),
                Opt("patch_size")
            );
            return Err(PipelineError::option("image", found, expected));
        }
        let (report, on_background) = judged(&placed, side, run)?;
        for finding in &report.findings {
            let of = if placed.name.is_empty() { String::new() } else { format!("slice {}: ", placed.name) };
            monitor.warn(&format!("{of}{finding}"));
        }
        let (level, factor) = placed.level(side, SEEN_AT);
        let centres = &placed.centres * factor;
        let texture = TextureOptions::default();
        let found = run.timed(Stage::Preprocess, || {
            texture_features(&level, centres.view(), side * factor, &texture, monitor)
        })?;
        let made = made.get_or_insert_with(|| ImageFeatures {
            measured: Array2::zeros((n_obs, found.names.len())),
            comparable: Array2::zeros((n_obs, found.names.len())),
            names: found.names.clone(),
            descriptions: texture_feature_names().iter().map(|(_, what)| (*what).to_owned()).collect(),
            on_background: vec![false; n_obs],
            slides: Vec::new(),
            placed: Vec::new(),
        });
        let comparable = standardised(found.values.mapv(f64::from));
        for (k, &i) in placed.rows.iter().enumerate() {
            made.measured.row_mut(i).assign(&found.values.row(k));
            made.comparable.row_mut(i).assign(&comparable.row(k));
            made.on_background[i] = on_background[k];
        }
        made.slides.push(report);
        made.placed.push(placed);
    }
    made.ok_or_else(|| PipelineError::TooFewObservations { n_obs, expected: 1 })
}

/// Features that another program made.
fn made_elsewhere(
    tissue: &Tissue,
    path: &Path,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<ImageFeatures, PipelineError> {
    let (names, features) = run.timed(Stage::Read, || made(tissue, path))?;
    run.monitor.note(&format!("{} image features of each spot from {}", names.len(), path.display()));
    let one = Slices::one(tissue.n_obs());
    let mut comparable = Array2::zeros(features.dim());
    for rows in slices.unwrap_or(&one).rows() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let own = standardised(features.select(Axis(0), &rows));
        rows.iter().zip(own.rows()).for_each(|(&i, row)| comparable.row_mut(i).assign(&row));
    }
    Ok(ImageFeatures {
        descriptions: names.iter().map(|_| format!("made elsewhere: {}", path.display())).collect(),
        names,
        measured: features.mapv(|v| v as f32),
        comparable,
        on_background: Vec::new(),
        slides: Vec::new(),
        placed: Vec::new(),
    })
}

/// How the spots of a slide lie, and which of them lie on background.
fn judged(placed: &Placed, side: f64, run: &mut Run<'_>) -> Result<(SlideReport, Vec<bool>), PipelineError> {
    let (level, factor) = placed.level(placed.diameter, JUDGED_AT);
    let centres = &placed.centres * factor;
    let found =
        run.timed(Stage::Preprocess, || placement(&level, centres.view(), placed.diameter * factor))?;
    if found.share_outside >= 1.0 {
        let (height, width) = (placed.slide.height(), placed.slide.width());
        let (y, x) = (placed.centres[(0, 0)], placed.centres[(0, 1)]);
        let expected = format!(
            "spots within it (the first is at {x:.0}, {y:.0}); say how large the picture is with {}",
            Opt("image_scale")
        );
        let found = format!("{}, {width} × {height} pixels, with no spot on it", placed.origin);
        return Err(PipelineError::option("image", found, expected));
    }
    let seen = placed.level(side, SEEN_AT).1 * side;
    let report = SlideReport {
        slice: placed.name.clone(),
        image: placed.origin.clone(),
        width: placed.slide.width(),
        height: placed.slide.height(),
        scale: placed.factor,
        spot_px: placed.diameter,
        patch_px: side,
        seen_px: seen,
        outside: found.share_outside,
        background: found.share_on_background,
        findings: told(&found),
    };
    Ok((report, found.on_background))
}

/// What looks wrong, as sentences; what to do stands behind the likeliest cause.
fn told(found: &Placement) -> Vec<String> {
    let mut told: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
    if let (Some(first), Some(advice)) = (told.first_mut(), &found.advice) {
        *first = format!("{first}; {advice}");
    }
    told
}

/// Columns of mean 0 and variance 1; constant ones become 0.
pub(in crate::pipeline) fn standardised(mut features: Array2<f64>) -> Array2<f64> {
    let n = features.nrows().max(1) as f64;
    for mut column in features.axis_iter_mut(Axis(1)) {
        let mean = column.sum() / n;
        column.mapv_inplace(|v| v - mean);
        let sd = (column.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
        column.mapv_inplace(|v| if sd > 0.0 { v / sd } else { 0.0 });
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_features_are_put_on_one_scale() {
        let x = ndarray::array![[1.0, 7.0, 100.0], [3.0, 7.0, 300.0]];
        assert_eq!(standardised(x), ndarray::array![[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]);
    }
}
