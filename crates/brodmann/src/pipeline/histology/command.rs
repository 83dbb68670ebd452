//! `brodmann image-features`: what does the tissue look like around each spot?

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brodmann_data::{Column, OpenOptions, Value, check_output, write_bytes};
use brodmann_kernels::{Monitor, Seed, Slices};
use ndarray::{Array3, Array4, Axis};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::encoder::{Encoder, EncoderOptions, Networks};
use super::features::{ImageFeatures, Picture, SlideReport, image_features, standardised};
use super::looks::{Look, looks};
use super::request::{FILE, SlideOptions};
use super::slides::{Placed, overview, placed};
use crate::histology::{
    FilterOptions, PatchFilter, PatchOptions, contact_sheet, patches as patches_of, plane_to_rgb, resize_u8,
};
use crate::pipeline::PipelineError;
use crate::pipeline::explain::groups::{self, Groups, GroupsRequest, Wanted, additions};
use crate::pipeline::outputs::{Answer, Outputs, Results, Table, rendered};
use crate::pipeline::picture::image_of_slide;
use crate::pipeline::record::without_nulls;
use crate::pipeline::request::Place;
use crate::pipeline::run::{Run, Seconds, Stage};
use crate::pipeline::said::Said;
use crate::pipeline::tissue::Tissue;
use crate::plot::{Color, Figure, Panel, Part, PictureFormat, Rgb, Sheet, SpotShape, rgb_png};

/// The command, and what its options belong to.
pub const IMAGE_FEATURES: &str = "image-features";
/// `obsm`: features on one scale, to cluster and to measure distances by.
pub const X_IMAGE: &str = "X_image";
/// `obsm` and `uns`: the features as measured, by name, and what they are.
pub const MEASURED: &str = "image_features";
/// Longest side of a picture below the spots.
const OVERVIEW: usize = 1200;
/// Patches on a contact sheet: so many spots, each before and after.
const SHEET_SPOTS: usize = 24;
/// Pairs of patches side by side.
const SHEET_COLUMNS: usize = 6;
/// Side of a patch on the sheet.
const SHEET_SIDE: usize = 112;
/// Largest side of patches that are handed over.
const MOST_SIDE: usize = 4096;
/// Features that are drawn where nothing is said.
const DRAWN: usize = 5;

/// What is told and drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookOptions {
    /// Features that are drawn, those that differ most between groups or, without groups, the first.
    pub n_top: usize,
}

impl Default for LookOptions {
    fn default() -> Self {
        Self { n_top: DRAWN }
    }
}

/// Features of the picture around the spots of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFeaturesRequest {
    /// Which slide; what the file itself keeps where nothing is said.
    pub slide: SlideOptions,
    /// What makes features of a patch.
    pub encoder: EncoderOptions,
    /// Networks, where there are any.
    pub networks: Networks,
    /// What is told and drawn.
    pub look: LookOptions,
    /// Groups whose looks are told, where there are any.
    pub groups: GroupsRequest,
    /// Coordinates and slices.
    pub place: Place,
}

impl Default for ImageFeaturesRequest {
    fn default() -> Self {
        Self {
            slide: SlideOptions { image: vec![FILE.to_owned()], ..SlideOptions::default() },
            encoder: EncoderOptions::default(),
            networks: Networks::default(),
            look: LookOptions::default(),
            groups: GroupsRequest::default(),
            place: Place::default(),
        }
    }
}

impl ImageFeaturesRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            slide: sections.take(&base.slide)?,
            encoder: sections.take(&base.encoder)?,
            networks: base.networks,
            look: sections.take(&base.look)?,
            groups: sections.take(&base.groups)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(IMAGE_FEATURES)?;
        request.slide.validate()?;
        request.encoder.validate()?;
        Ok(request)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageFeaturesReport {
    /// Observations.
    pub n_obs: usize,
    /// Features of each.
    pub n_features: usize,
    /// What made them.
    pub encoder: String,
    /// Mean loss of each epoch, where a network was trained.
    pub losses: Vec<f64>,
    /// How the spots lie on each slide.
    pub slides: Vec<SlideReport>,
    /// `obs` column of the groups, where there is one.
    pub groupby: Option<String>,
    /// What they look like.
    pub looks: Vec<Look>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

impl ImageFeaturesReport {
    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} image features of each of {} spots, made by {}",
            self.n_features, self.n_obs, self.encoder
        )];
        if let (Some(first), Some(last)) = (self.losses.first(), self.losses.last()) {
            lines.push(format!(
                "loss {first:.3} in the first epoch, {last:.3} in the last (0: two views agree)"
            ));
        }
        for slide in &self.slides {
            let of = if slide.slice.is_empty() { String::new() } else { format!("{}: ", slide.slice) };
            lines.push(format!(
                "{of}patches of {:.0} pixels, {:.1} % of the spots on background, {:.1} % outside the picture",
                slide.patch_px,
                100.0 * slide.background,
                100.0 * slide.outside
            ));
        }
        if let Some(key) = &self.groupby {
            lines.push(format!("how obs[{key:?}] looks, in standard deviations from the whole:"));
            lines.extend(self.looks.iter().map(Look::line));
        }
        lines
    }
}

/// All that was made.
struct Found {
    features: ImageFeatures,
    groups: Option<Groups>,
    looks: Vec<Look>,
    slices: Option<Slices>,
}

fn explain(
    tissue: &Tissue,
    request: &ImageFeaturesRequest,
    run: &mut Run<'_>,
) -> Result<Found, PipelineError> {
    let slices = groups::slices(tissue, &request.place, None, run.monitor)?;
    let groups = match groups::present(tissue, &request.groups) {
        Some(of) => Some(groups::groups(tissue, &of, run.monitor)?),
        None => None,
    };
    let place = (request.place.spatial_key.as_str(), slices.as_ref());
    let picture = Picture { slide: &request.slide, encoder: &request.encoder, networks: &request.networks };
    let features = image_features(tissue, &picture, place, run)?;
    // Components of a network have the variances they have.
    let scaled = standardised(features.comparable.clone());
    let of = |groups: &Groups| looks(groups, &features.names, scaled.view());
    let looks = groups.as_ref().map(of).unwrap_or_default();
    Ok(Found { features, groups, looks, slices })
}

fn report(found: &Found) -> ImageFeaturesReport {
    ImageFeaturesReport {
        n_obs: found.features.measured.nrows(),
        n_features: found.features.names.len(),
        encoder: found.features.made_by.clone(),
        losses: found.features.losses.clone(),
        slides: found.features.slides.clone(),
        groupby: found.groups.as_ref().map(|groups| groups.key.clone()),
        looks: found.looks.clone(),
        seconds: Seconds::default(),
    }
}

/// `obsm["X_image"]`, `obsm["image_features"]`, `uns["image_features"]`, `obs["on_background"]`.
fn add(tissue: &Tissue, found: &Found, request: &ImageFeaturesRequest, run: &mut Run<'_>) {
    let features = &found.features;
    let target = run.target(None);
    target.obsm.insert(X_IMAGE.to_owned(), features.comparable.mapv(|v| v as f32).into());
    target.obsm.insert(MEASURED.to_owned(), features.frame(tissue.obs_names()));
    if !features.on_background.is_empty() {
        target.obs.insert("on_background".to_owned(), Column::Bool(features.on_background.clone()));
    }
    let params = json!({
        "slide": request.slide,
        "encoder": request.encoder,
        "slides": features.slides,
        "version": env!("CARGO_PKG_VERSION"),
    });
    let mut about = features.about();
    if let Value::Dict(entries) = &mut about {
        entries.insert("params".to_owned(), without_nulls(params).into());
    }
    target.uns.insert(MEASURED.to_owned(), about);
}

/// One row per spot, one column per feature.
fn table(tissue: &Tissue, found: &Found) -> Table {
    let names = tissue.obs_names().iter().map(|name| Some(name.clone())).collect();
    let mut columns = vec![("spot".to_owned(), Column::String(names))];
    for (name, values) in found.features.names.iter().zip(found.features.measured.columns()) {
        columns.push((name.clone(), Column::Float32(values.to_vec())));
    }
    columns
}

/// Features by how much the groups differ in them; in their own order without groups.
fn drawn(found: &Found, n_top: usize) -> Vec<usize> {
    let n = found.features.names.len();
    let Some(groups) = &found.groups else { return (0..n.min(n_top)).collect() };
    let sizes = groups.sizes();
    let between = |j: usize| -> f64 {
        let mut sums = vec![0.0; sizes.len()];
        for (code, value) in groups.codes.iter().zip(found.features.comparable.column(j)) {
            if let Some(code) = code {
                sums[*code as usize] += value;
            }
        }
        sums.iter().zip(&sizes).filter(|(_, n)| **n > 0).map(|(sum, n)| sum * sum / *n as f64).sum()
    };
    let of: Vec<f64> = (0..n).map(between).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| of[b].total_cmp(&of[a]));
    order.truncate(n_top);
    order
}

/// The spots on their slide, and maps of some features.
fn sheet(tissue: &Tissue, found: &Found, request: &ImageFeaturesRequest) -> Result<Sheet, PipelineError> {
    let features = &found.features;
    let panels = features
        .placed
        .iter()
        .map(|placed| overlay(placed, &features.on_background))
        .collect::<Result<Vec<Panel>, PipelineError>>()?;
    let coordinates = tissue.coordinates(&request.place.spatial_key)?;
    let maps = drawn(found, request.look.n_top)
        .into_iter()
        .map(|j| {
            (features.names[j].clone(), features.measured.column(j).iter().map(|v| f64::from(*v)).collect())
        })
        .collect();
    let maps = groups::maps(tissue, &coordinates, found.slices.as_ref(), found.groups.as_ref(), maps);
    let mut parts = Vec::new();
    if !panels.is_empty() {
        parts.push(Part::Maps(Box::new(Figure { panels, panel_size: 420.0, ..Figure::default() })));
    }
    parts.push(Part::Maps(Box::new(maps)));
    Ok(Sheet { parts, ..Sheet::default() })
}

/// The spots of a slide over its picture.
pub(in crate::pipeline) fn overlay(placed: &Placed, on_background: &[bool]) -> Result<Panel, PipelineError> {
    let seen = overview(&placed.slide, OVERVIEW)?;
    let codes = placed.rows.iter().map(|&i| Some(u32::from(on_background[i]))).collect();
    Ok(Panel {
        title: if placed.name.is_empty() { "spots on the slide".to_owned() } else { placed.name.clone() },
        // In pixels of the slide, whatever took the coordinates there.
        coordinates: Arc::new(placed.places()),
        spot: SpotShape::Circle { diameter: placed.diameter },
        color: Color::Categorical {
            codes,
            names: vec!["on tissue".to_owned(), "on background".to_owned()],
            palette: Some(vec![Rgb(0, 114, 178), Rgb(213, 94, 0)]),
        },
        image: Some(Arc::new(image_of_slide(placed, seen, 1.0))),
        opacity: 0.3,
        counts: true,
        ..Panel::default()
    })
}

/// Patches of some spots, as they are and as the paper's filter leaves them.
fn patches(
    found: &Found,
    request: &ImageFeaturesRequest,
    run: &mut Run<'_>,
) -> Result<Array3<u8>, PipelineError> {
    let monitor = run.monitor;
    monitor.stage("patches", 0);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let n_slides = found.features.placed.len().max(1);
    let each = SHEET_SPOTS.div_ceil(n_slides);
    let filter = PatchFilter::new(&FilterOptions::default())?;
    for placed in &found.features.placed {
        let side = request.slide.patch_size * placed.diameter;
        let seen = placed.seen(side, SHEET_SIDE as f64);
        let n = placed.centres.nrows();
        let some: Vec<usize> = (0..each.min(n)).map(|k| k * n / each.min(n)).collect();
        let centres = seen.centres.select(Axis(0), &some);
        let mut pairs = vec![None; some.len()];
        let work = |_, patch: Array3<u8>| {
            let filtered = plane_to_rgb(&filter.apply(patch.view())?);
            Ok((patch, filtered))
        };
        let options = PatchOptions::default();
        patches_of(&seen.level, centres.view(), seen.side, &options, monitor, work, |k, pair| {
            pairs[k] = Some(pair);
            Ok(())
        })?;
        for (patch, filtered) in pairs.into_iter().flatten() {
            before.push(patch);
            after.push(filtered);
        }
    }
    Ok(contact_sheet(&before, &after, SHEET_COLUMNS, SHEET_SIDE))
}

/// Makes image features of a file; `patches_to`: where a sheet of patches goes.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn image_features_file(
    input: (&Path, &OpenOptions),
    (outputs, patches_to): (&Outputs, Option<&PathBuf>),
    request: &ImageFeaturesRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ImageFeaturesReport, PipelineError> {
    request.networks.check(&request.encoder)?;
    if let Some(path) = patches_to {
        if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            return Err(PipelineError::OutputEnding { path: path.display().to_string(), expected: ".png" });
        }
        check_output(input.0, path)?;
        if matches!(request.encoder.encoder, Encoder::Made(_)) {
            let expected = "an encoder of patches, since features that are made already show none";
            return Err(PipelineError::option("patches", path.display(), expected));
        }
    }
    let mut run = Run::new(seed, monitor);
    let wanted = Wanted {
        place: &request.place,
        groups: Some(&request.groups),
        columns: &[],
        values: None,
        graph: false,
        obsm: &[],
    };
    let tissue = groups::open(input, outputs, &wanted, &mut run)?;
    let found = explain(&tissue, request, &mut run)?;
    let mut report = report(&found);
    add(&tissue, &found, request, &mut run);
    let additions = additions(&tissue, &mut run);
    let sheet = outputs.plot.as_ref().map(|_| sheet(&tissue, &found, request)).transpose()?;
    let patches = patches_to.map(|_| patches(&found, request, &mut run)).transpose()?;
    let table = if outputs.table.is_some() { table(&tissue, &found) } else { Vec::new() };
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    if let (Some(path), Some(patches)) = (patches_to, patches) {
        let (height, width, _) = patches.dim();
        let pixels: Vec<u8> = patches.into_iter().collect();
        let bytes = rgb_png(width, height, &pixels)?;
        run.timed(Stage::Write, || write_bytes(path, &bytes))?;
    }
    report.seconds = run.seconds;
    Ok(report)
}

/// How the spots of a tissue in memory lie on their slides, with maps of features, as the bytes of a picture.
///
/// # Errors
/// [`PipelineError`].
pub fn image_overlay_tissue(
    tissue: &Tissue,
    request: &ImageFeaturesRequest,
    format: PictureFormat,
    monitor: &dyn Monitor,
) -> Result<Vec<u8>, PipelineError> {
    let mut run = Run::new(Seed(0), monitor);
    let found = explain(tissue, request, &mut run)?;
    rendered(&sheet(tissue, &found, request)?, format)
}

/// The patches around some spots of a tissue in memory, `(n, side, side, 3)`.
///
/// # Errors
/// [`PipelineError`], also for rows that are not there.
pub fn image_patches_tissue(
    tissue: &Tissue,
    request: &ImageFeaturesRequest,
    (rows, side): (&[usize], usize),
    monitor: &dyn Monitor,
) -> Result<Array4<u8>, PipelineError> {
    if !(1..=MOST_SIDE).contains(&side) {
        return Err(PipelineError::option("size", side, format!("1 to {MOST_SIDE} pixels")));
    }
    let slices = groups::slices(tissue, &request.place, None, monitor)?;
    let place = (request.place.spatial_key.as_str(), slices.as_ref());
    let all = placed(tissue, &request.slide, place, monitor)?;
    if let Some(row) = rows.iter().find(|row| **row >= tissue.n_obs()) {
        let expected = format!("rows below {}", tissue.n_obs());
        return Err(PipelineError::option("spots", format!("row {row}"), expected));
    }
    let mut patches = Array4::zeros((rows.len(), side, side, 3));
    for of in all {
        let place: HashMap<usize, usize> = of.rows.iter().enumerate().map(|(k, &i)| (i, k)).collect();
        let own: Vec<(usize, usize)> =
            rows.iter().enumerate().filter_map(|(out, row)| Some((out, *place.get(row)?))).collect();
        let seen = of.seen(request.slide.patch_size * of.diameter, side as f64);
        let some: Vec<usize> = own.iter().map(|(_, k)| *k).collect();
        let centres = seen.centres.select(Axis(0), &some);
        let work = |_, patch: Array3<u8>| Ok(resize_u8(patch.view(), side, side));
        let options = PatchOptions::default();
        patches_of(&seen.level, centres.view(), seen.side, &options, monitor, work, |k, patch| {
            patches.index_axis_mut(Axis(0), own[k].0).assign(&patch);
            Ok(())
        })?;
    }
    Ok(patches)
}

/// The same of a tissue in memory.
///
/// # Errors
/// [`PipelineError`].
pub fn image_features_tissue(
    tissue: &Tissue,
    request: &ImageFeaturesRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Answer<ImageFeaturesReport>, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let found = explain(tissue, request, &mut run)?;
    let mut report = report(&found);
    add(tissue, &found, request, &mut run);
    let additions = additions(tissue, &mut run);
    let table = table(tissue, &found);
    report.seconds = run.seconds;
    Ok(Answer { additions, tables: vec![("features", table)], report })
}
