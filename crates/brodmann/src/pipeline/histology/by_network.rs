//! Features by a network: patches as it sees them, embeddings, their leading components.
//!
//! ```text
//! patch ─ filter of the paper (or colours) ─ side of the network ─ (training) ─ embedding ─ one scale per slice ─ components
//! ```

use brodmann_kernels::{Monitor, Opt};
use ndarray::{Array2, Array3, Axis};

use super::encoder::EncoderOptions;
use super::features::{ImageFeatures, Judged, standardised};
use crate::histology::{
    Band, FilterOptions, HistologyError, NetworkTraining, Passing, PatchFilter, PatchFiltering, PatchNetwork,
    PatchOptions, PatchStack, StoredPatch, patches, resize_u8,
};
use crate::pipeline::PipelineError;
use crate::pipeline::forecast::{Forecast, Need, announce, every_run_bytes};
use crate::pipeline::run::{Run, Stage};
use crate::preprocess::pca_dense;

/// What a patch takes beside its pixels.
const PATCH_BYTES: u64 = 32;
/// Patches embedded at a time: few enough that an interruption is heard.
const AT_ONCE: usize = 16;

/// Components of a network's features of all spots.
///
/// # Errors
/// Those of the pictures, the network and its training.
pub(super) fn components_of_patches(
    network: Box<dyn PatchNetwork>,
    slides: &[Judged],
    n_obs: usize,
    options: &EncoderOptions,
    run: &mut Run<'_>,
) -> Result<ImageFeatures, PipelineError> {
    let monitor = run.monitor;
    let cutter = Cutter::new(options, network.side())?;
    let (network, embeddings, losses) = if let Some(training) = options.training() {
        monitor.note(&format!("a network is trained on the slide: {}", network.name()));
        trained(&*network, slides, &cutter, &training, run)?
    } else {
        if network.is_random() {
            monitor.warn(&format!(
                "nobody trained this network ({}), so its features are random projections of the patches: give it weights \
                 with {}, or train it on the slide with {}",
                network.name(),
                Opt("weights"),
                Opt("encoder").set("byol")
            ));
        }
        let embeddings = run.timed(Stage::Train, || embedded(&*network, slides, &cutter, monitor))?;
        (network, embeddings, Vec::new())
    };
    monitor.note(&format!("features of patches of {} pixels by {}", cutter.side, network.name()));
    if let Some(path) = &options.save_encoder {
        run.timed(Stage::Write, || network.save(path)).map_err(HistologyError::from)?;
        monitor.note(&format!("the network's weights are in {}", path.display()));
    }

    let width = embeddings.first().map_or(0, Array2::ncols);
    let mut all = Array2::zeros((n_obs, width));
    for (slide, embedding) in slides.iter().zip(embeddings) {
        // Slide by slide: stains differ.
        let own = standardised(embedding);
        for (&i, row) in slide.placed.rows.iter().zip(own.rows()) {
            all.row_mut(i).assign(&row);
        }
    }
    monitor.stage("components of the network's features", 0);
    let n_components = options.encoder_components.min(width).min(n_obs.max(2) - 1);
    let components = run
        .timed(Stage::Preprocess, || pca_dense(all.view(), n_components))
        .map_err(|source| PipelineError::Preprocess { modality: "image features".to_owned(), source })?;
    let total = all.iter().map(|v| v * v).sum::<f64>();
    let names: Vec<String> = (1..=components.ncols()).map(|j| format!("component_{j}")).collect();
    let description = |(name, column): (&String, ndarray::ArrayView1<'_, f64>)| {
        let share = 100.0 * column.iter().map(|v| v * v).sum::<f64>() / total.max(f64::MIN_POSITIVE);
        format!("{name} of {width} features of the network, {share:.1} % of their variance")
    };
    let descriptions = names.iter().zip(components.columns()).map(description).collect();
    Ok(ImageFeatures {
        names,
        descriptions,
        measured: components.mapv(|v| v as f32),
        comparable: components,
        losses,
        ..ImageFeatures::none(n_obs, network.name())
    })
}

/// How patches are made for a network.
struct Cutter {
    filter: Option<PatchFilter>,
    options: PatchOptions,
    /// Pixels of a patch that the level of the slide is chosen by.
    wanted: usize,
    /// Side of what the network sees.
    side: usize,
}

impl Cutter {
    fn new(options: &EncoderOptions, own_side: Option<usize>) -> Result<Self, PipelineError> {
        let side = own_side.unwrap_or(options.encoder_side);
        let passing = match options.filtering() {
            PatchFiltering::None => {
                return Ok(Self { filter: None, options: PatchOptions::default(), wanted: side, side });
            }
            PatchFiltering::Keep => Passing::Keep,
            PatchFiltering::Drop => Passing::Drop,
        };
        let usual = FilterOptions::default();
        let filter = FilterOptions { band: Band { passing, ..usual.band }, output_side: side, ..usual };
        Ok(Self {
            filter: Some(PatchFilter::new(&filter)?),
            options: filter.patches,
            wanted: filter.filtered_side,
            side,
        })
    }

    /// A patch as the network sees it.
    fn stored(&self, patch: &Array3<u8>) -> Result<StoredPatch, HistologyError> {
        Ok(match &self.filter {
            Some(filter) => StoredPatch::grey(filter.apply(patch.view())?.view()),
            None => StoredPatch::colour(resize_u8(patch.view(), self.side, self.side).view()),
        })
    }

    /// Hands the patches of a slide to `sink`, with the place of their spot in it.
    fn cut(
        &self,
        slide: &Judged,
        monitor: &dyn Monitor,
        mut sink: impl FnMut(usize, StoredPatch) -> Result<(), HistologyError>,
    ) -> Result<(), HistologyError> {
        let seen = slide.placed.seen(slide.side, self.wanted as f64);
        let work = |_, patch: Array3<u8>| self.stored(&patch);
        patches(&seen.level, seen.centres.view(), seen.side, &self.options, monitor, work, &mut sink)
    }
}

/// Embeddings of the patches of each slide, cut and forgotten.
fn embedded(
    network: &dyn PatchNetwork,
    slides: &[Judged],
    cutter: &Cutter,
    monitor: &dyn Monitor,
) -> Result<Vec<Array2<f64>>, HistologyError> {
    let n_spots: usize = slides.iter().map(|slide| slide.placed.rows.len()).sum();
    monitor.stage("features of patches by the network", n_spots as u64);
    let mut all = Vec::with_capacity(slides.len());
    for slide in slides {
        let mut rows: Vec<Option<Vec<f32>>> = vec![None; slide.placed.rows.len()];
        let mut waiting: Vec<(usize, StoredPatch)> = Vec::new();
        let mut flush = |waiting: &mut Vec<(usize, StoredPatch)>| -> Result<(), HistologyError> {
            monitor.check()?;
            let (places, patches): (Vec<usize>, Vec<StoredPatch>) = waiting.drain(..).unzip();
            let stack = PatchStack::new(cutter.side, patches);
            let features = network.embed(stack.batch(0..stack.len()).view())?;
            for (place, row) in places.into_iter().zip(features.rows()) {
                rows[place] = Some(row.to_vec());
            }
            Ok(())
        };
        cutter.cut(slide, monitor, |k, patch| {
            waiting.push((k, patch));
            if waiting.len() == AT_ONCE { flush(&mut waiting) } else { Ok(()) }
        })?;
        if !waiting.is_empty() {
            flush(&mut waiting)?;
        }
        all.push(as_rows(rows.into_iter().flatten().collect()));
    }
    Ok(all)
}

/// Rows of one length.
fn as_rows(rows: Vec<Vec<f32>>) -> Array2<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let values: Vec<f64> = rows.iter().flatten().map(|v| f64::from(*v)).collect();
    Array2::from_shape_vec((rows.len(), width), values).expect("each patch gave as many features")
}

/// What patches that are held take; what the network needs for a step is not known here.
fn held(n_spots: usize, cutter: &Cutter) -> Need<'static> {
    let pixels = (cutter.side * cutter.side) as u64;
    let patch = PATCH_BYTES + pixels * if cutter.filter.is_some() { 2 } else { 3 };
    let bytes = every_run_bytes(n_spots, 0, 0) + n_spots as u64 * patch;
    let advice =
        format!("make patches smaller with {}, or train on a part of the spots", Opt("encoder_side"));
    Need { forecast: Forecast { bytes, seconds: None }, advice: Box::new(move |_| advice.clone()) }
}

/// What training leaves: the network, embeddings of each slide, losses.
type Trained = (Box<dyn PatchNetwork>, Vec<Array2<f64>>, Vec<f64>);

/// The network trained on all patches, which are held, and their embeddings.
fn trained(
    network: &dyn PatchNetwork,
    slides: &[Judged],
    cutter: &Cutter,
    training: &NetworkTraining,
    run: &mut Run<'_>,
) -> Result<Trained, PipelineError> {
    let monitor = run.monitor;
    let counts: Vec<usize> = slides.iter().map(|slide| slide.placed.rows.len()).collect();
    let n_spots: usize = counts.iter().sum();
    announce("training on patches", n_spots, &held(n_spots, cutter), monitor)?;
    monitor.stage("patches", n_spots as u64);
    let mut all: Vec<Option<StoredPatch>> = vec![None; n_spots];
    let mut before = 0;
    for (slide, n) in slides.iter().zip(&counts) {
        cutter.cut(slide, monitor, |k, patch| {
            all[before + k] = Some(patch);
            Ok(())
        })?;
        before += n;
    }
    let stack = PatchStack::new(cutter.side, all.into_iter().flatten().collect());
    let seed = run.seed;
    let (network, losses) = run
        .timed(Stage::Train, || network.train(&stack, training, seed, monitor))
        .map_err(HistologyError::from)?;
    monitor.stage("features of patches by the network", n_spots as u64);
    let embed = || -> Result<Vec<Vec<f32>>, HistologyError> {
        let mut rows = Vec::with_capacity(n_spots);
        for first in (0..n_spots).step_by(AT_ONCE) {
            monitor.check()?;
            let range = first..(first + AT_ONCE).min(n_spots);
            let n = range.len();
            let features = network.embed(stack.batch(range).view())?;
            rows.extend(features.axis_iter(Axis(0)).map(|row| row.to_vec()));
            monitor.advance(n as u64);
        }
        Ok(rows)
    };
    let mut rows = run.timed(Stage::Train, embed)?.into_iter();
    let embeddings = counts.iter().map(|&n| as_rows(rows.by_ref().take(n).collect())).collect();
    Ok((network, embeddings, losses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_patches_are_forecast_by_their_pixels() {
        let colours =
            EncoderOptions { patch_filter: Some(PatchFiltering::None), ..EncoderOptions::default() };
        let taken = |options: &EncoderOptions| {
            let cutter = Cutter::new(options, None).expect("a cutter");
            held(1000, &cutter).forecast.bytes - every_run_bytes(1000, 0, 0)
        };
        // Three bytes a pixel in colours, one number of 16 bits after the filter.
        assert_eq!(taken(&colours), 1000 * (3 * 224 * 224 + PATCH_BYTES));
        assert_eq!(taken(&EncoderOptions::default()), 1000 * (2 * 224 * 224 + PATCH_BYTES));
    }
}
