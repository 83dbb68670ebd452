//! The features of the picture around each spot, slide by slide.

use std::path::Path;

use brodmann_data::{Column, DataFrame, Value};
use brodmann_kernels::{Opt, Slices};
use indexmap::IndexMap;
use ndarray::{Array2, Axis};
use serde::Serialize;

use super::by_network::components_of_patches;
use super::encoder::{Encoder, EncoderOptions, Made, Networks, made};
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
    /// On one scale. Named features: each of mean 0 and variance 1 in each slice, since stains differ from slide to slide.
    /// Components of a network's features, which were: with the variances they have.
    pub comparable: Array2<f64>,
    /// Whether each spot lies on background; empty where no slide was looked at.
    pub on_background: Vec<bool>,
    pub slides: Vec<SlideReport>,
    /// The slides, for a picture of how the spots lie.
    pub placed: Vec<Placed>,
    /// What made them.
    pub made_by: String,
    /// Mean loss of each epoch, where a network was trained.
    pub losses: Vec<f64>,
}

/// What features are made of, and by what.
pub(in crate::pipeline) struct Picture<'a> {
    pub slide: &'a SlideOptions,
    pub encoder: &'a EncoderOptions,
    pub networks: &'a Networks,
}

/// A slide whose spots were found to lie on it.
pub(super) struct Judged {
    pub placed: Placed,
    /// Side of a patch in pixels of the full slide.
    pub side: f64,
    report: SlideReport,
    on_background: Vec<bool>,
}

impl ImageFeatures {
    /// Of `n_obs` spots, none yet.
    pub(super) fn none(n_obs: usize, made_by: String) -> Self {
        Self {
            names: Vec::new(),
            descriptions: Vec::new(),
            measured: Array2::zeros((n_obs, 0)),
            comparable: Array2::zeros((n_obs, 0)),
            on_background: vec![false; n_obs],
            slides: Vec::new(),
            placed: Vec::new(),
            made_by,
            losses: Vec::new(),
        }
    }

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
        let mut about = vec![
            ("names", Value::from(self.names.clone())),
            ("descriptions", Value::from(self.descriptions.clone())),
            ("encoder", Value::from(self.made_by.as_str())),
        ];
        if !self.losses.is_empty() {
            about.push(("loss", serde_json::json!(self.losses).into()));
        }
        Value::Dict(about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

/// Makes features of the patches around all spots.
///
/// # Errors
/// As [`placed`]; [`PipelineError::Option`] where no spot lies on its slide; those of a network.
pub(in crate::pipeline) fn image_features(
    tissue: &Tissue,
    picture: &Picture<'_>,
    (spatial_key, slices): (&str, Option<&Slices>),
    run: &mut Run<'_>,
) -> Result<ImageFeatures, PipelineError> {
    let (options, monitor) = (picture.slide, run.monitor);
    if let Encoder::Made(path) = &picture.encoder.encoder {
        return made_elsewhere(tissue, path, picture.slide, (spatial_key, slices), run);
    }
    // Before the slides: a file of weights that does not fit is told at once.
    let seed = run.seed;
    let network = run.timed(Stage::Read, || picture.networks.open(picture.encoder, seed))?;
    let all = run.timed(Stage::Read, || placed(tissue, options, (spatial_key, slices), monitor))?;
    let mut slides = Vec::with_capacity(all.len());
    for placed in all {
        slides.push(judged(placed, options, run)?);
    }
    let n_obs = tissue.n_obs();
    let mut made = match network {
        Some(network) => components_of_patches(network, &slides, n_obs, picture.encoder, run)?,
        None => textures(&slides, n_obs, run)?,
    };
    for Judged { placed, report, on_background, .. } in slides {
        for (&i, background) in placed.rows.iter().zip(on_background) {
            made.on_background[i] = background;
        }
        made.slides.push(report);
        made.placed.push(placed);
    }
    Ok(made)
}

/// Texture features of the patches.
fn textures(slides: &[Judged], n_obs: usize, run: &mut Run<'_>) -> Result<ImageFeatures, PipelineError> {
    let monitor = run.monitor;
    let mut made: Option<ImageFeatures> = None;
    for Judged { placed, side, .. } in slides {
        let seen = placed.seen(*side, SEEN_AT);
        let texture = TextureOptions::default();
        let found = run.timed(Stage::Preprocess, || {
            texture_features(&seen.level, seen.centres.view(), seen.side, &texture, monitor)
        })?;
        let made = made.get_or_insert_with(|| ImageFeatures {
            measured: Array2::zeros((n_obs, found.names.len())),
            comparable: Array2::zeros((n_obs, found.names.len())),
            names: found.names.clone(),
            descriptions: texture_feature_names().iter().map(|(_, what)| (*what).to_owned()).collect(),
            ..ImageFeatures::none(n_obs, String::from(Encoder::Texture))
        });
        let comparable = standardised(found.values.mapv(f64::from));
        for (k, &i) in placed.rows.iter().enumerate() {
            made.measured.row_mut(i).assign(&found.values.row(k));
            made.comparable.row_mut(i).assign(&comparable.row(k));
        }
    }
    made.ok_or_else(|| PipelineError::TooFewObservations { n_obs, expected: 1 })
}

/// Features that another program made.
fn made_elsewhere(
    tissue: &Tissue,
    path: &Path,
    slide: &SlideOptions,
    (spatial_key, slices): (&str, Option<&Slices>),
    run: &mut Run<'_>,
) -> Result<ImageFeatures, PipelineError> {
    let Made { names, features, joined } =
        run.timed(Stage::Read, || made(tissue, path, slide, spatial_key))?;
    let n = names.len();
    run.monitor.note(&format!("{n} image features of each spot from {}, joined {joined}", path.display()));
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
        ..ImageFeatures::none(0, path.display().to_string())
    })
}

/// How the spots of a slide lie, and which of them lie on background; what looks wrong is warned of.
fn judged(placed: Placed, options: &SlideOptions, run: &mut Run<'_>) -> Result<Judged, PipelineError> {
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
    let seen = placed.seen(placed.diameter, JUDGED_AT);
    let found = run.timed(Stage::Preprocess, || placement(&seen.level, seen.centres.view(), seen.side))?;
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
    let report = SlideReport {
        slice: placed.name.clone(),
        image: placed.origin.clone(),
        width: placed.slide.width(),
        height: placed.slide.height(),
        scale: placed.factor,
        spot_px: placed.diameter,
        patch_px: side,
        seen_px: placed.seen(side, SEEN_AT).side,
        outside: found.share_outside,
        background: found.share_on_background,
        findings: told(&found),
    };
    for finding in &report.findings {
        let of = if placed.name.is_empty() { String::new() } else { format!("slice {}: ", placed.name) };
        run.monitor.warn(&format!("{of}{finding}"));
    }
    Ok(Judged { side, report, on_background: found.on_background, placed })
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
