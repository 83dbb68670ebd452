//! Counts to an embedding, modality by modality: the features of the methods that know neighbours alone.

use std::time::Instant;

use brodmann_data::{Array, Column, ElementAdditions, Matrix, Value, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, OptionError, Seed, Slices};
use indexmap::IndexMap;
use ndarray::{Array2, ArrayView2};

use super::PipelineError;
use super::clustering::Integration;
use super::count_rows::CountRowsError;
use super::expression::{TARGET_SUM, choose};
use super::request::FeatureRequest;
use super::run::{Run, Stage};
use super::tissue::{ModalityInfo, Tissue};
use crate::embedding::{HarmonyOptions, harmony};
use crate::preprocess::{
    GeneSelection, HvgFlavor, Modality, Normalization, NormalizeTotalOptions, PreprocessError,
    PreprocessOptions, Preprocessed, check_counts, log1p, normalize_total, preprocess_rows,
};

/// Layer of log-normalised values written by `brodmann preprocess`, and by methods on request.
pub const LOG_NORMALIZED: &str = "log_normalized";

/// An embedding and the `obsm` key it has, or will have.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// `(n_obs, d)`, rows in the order of the whole.
    pub embedding: Array2<f64>,
    /// Its key.
    pub key: String,
}

/// The embedding of one modality: named, from the file, or made from the counts.
///
/// # Errors
/// [`PipelineError::Preprocess`] when the values are not counts; [`PipelineError::Data`] when a key is missing.
pub fn features(
    tissue: &Tissue,
    modality: &ModalityInfo,
    request: &FeatureRequest,
    use_rep: Option<&str>,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<Features, PipelineError> {
    if let Some(key) = use_rep {
        let embedding = match tissue.embedding(modality, key)? {
            Some(embedding) => embedding,
            None => tissue.any_embedding(key)?,
        };
        return Ok(Features { embedding, key: key.to_owned() });
    }
    let key = embedding_key(modality.kind);
    if !request.is_explicit()
        && let Some(embedding) = tissue.embedding(modality, key)?
    {
        run.monitor.note(&format!("{}: features taken from obsm[{key:?}]", modality.name));
        return Ok(Features { embedding, key: key.to_owned() });
    }
    let made = make(tissue, modality, request, slices, false, run)?;
    let seed = run.seed;
    add(modality, &made, seed, run.target(modality.key.as_deref()));
    Ok(Features { embedding: as_written(made.preprocessed.embedding), key: key.to_owned() })
}

/// Rounded to what is written of it, so that who goes on from the file, or from a step in Python, gets the same bits.
pub(super) fn as_written(mut embedding: Array2<f64>) -> Array2<f64> {
    embedding.mapv_inplace(|v| f64::from(v as f32));
    embedding
}

/// Takes the differences of slices out of an embedding.
///
/// # Errors
/// [`PipelineError::Option`] on a single slice; as [`harmony`](harmony()).
pub(super) fn integrated(
    embedding: ArrayView2<'_, f64>,
    integration: Integration,
    slices: Option<&Slices>,
    seed: Seed,
    run: &mut Run<'_>,
) -> Result<Array2<f64>, PipelineError> {
    let slices = slices.filter(|s| s.count() > 1).ok_or_else(|| of_a_single_slice(integration))?;
    let (codes, monitor) = (slices.to_codes(), run.monitor);
    let options = HarmonyOptions::default();
    let found = run.timed(Stage::Cluster, || harmony(embedding, &[&codes], &options, seed, monitor))?;
    if !found.converged {
        monitor.note(&format!("Harmony: not settled after {} rounds", options.max_iterations));
    }
    Ok(found.embedding)
}

/// The refusal where there are no slices to bring together.
pub(super) fn of_a_single_slice(integration: Integration) -> PipelineError {
    let found = format!("{} on a single slice", integration.name());
    let expected = format!("several slices, as several files or by {}", Opt("library_key"));
    OptionError::new("integrate", found, expected).into()
}

/// `obsm` key of the embedding of a modality.
pub(super) fn embedding_key(kind: Modality) -> &'static str {
    match kind {
        Modality::Atac => keys::X_LSI,
        Modality::Rna | Modality::Adt => keys::X_PCA,
    }
}

/// The options a request stands for, on the defaults of a method for the modality.
pub(super) fn options_on(mut options: PreprocessOptions, request: &FeatureRequest) -> PreprocessOptions {
    let kind = options.modality;
    if let Some(n) = request.n_top_genes {
        options.n_top_genes = (n > 0).then_some(n);
    }
    if let Some(select) = request.select {
        options.select = select;
    }
    if let Some(flavor) = request.flavor {
        options.hvg_flavor = flavor;
    }
    if let Some(n_pcs) = request.n_pcs {
        options.n_pcs = n_pcs;
    }
    if let Some(target_sum) = request.target_sum {
        options.target_sum = Some(target_sum);
    }
    if let Some(min_cells) = request.min_cells {
        options.min_cells = min_cells;
    }
    if request.normalized && kind != Modality::Atac {
        options.normalization = Normalization::None;
        options.log1p = false;
        // seurat_v3 needs counts; its sibling works on logarithms.
        if options.hvg_flavor == HvgFlavor::SeuratV3 {
            options.hvg_flavor = HvgFlavor::Seurat;
        }
    }
    options
}

/// What preprocessing made of a modality, and by which options.
pub(super) struct Made {
    pub preprocessed: Preprocessed,
    pub options: PreprocessOptions,
}

/// Preprocesses the counts of a modality.
pub(super) fn make(
    tissue: &Tissue,
    modality: &ModalityInfo,
    request: &FeatureRequest,
    slices: Option<&Slices>,
    keep_log_normalised: bool,
    run: &mut Run<'_>,
) -> Result<Made, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let mut options = options_on(PreprocessOptions::for_modality(modality.kind), request);
    options.keep_log_normalised = keep_log_normalised;
    options.by_slice = true;
    if let Some(note) = modality.note(request.layer.as_deref()) {
        monitor.note(note);
    }
    let rows = run.timed(Stage::Read, || tissue.count_rows(modality, request.layer.as_deref()))?;
    let graph = run.selection_graph.take();
    let near = graph.as_ref().map(|graph| graph.view());
    let preprocessed = if let Some(rows) = rows {
        monitor.stage(&format!("{}: reading and preprocessing", modality.name), 0);
        let start = Instant::now();
        let made = preprocess_rows(&rows, slices, near, &options, seed, monitor);
        let waited = rows.seconds_waited();
        run.seconds.read += waited;
        run.seconds.preprocess += (start.elapsed().as_secs_f64() - waited).max(0.0);
        if let Ok(made) = &made {
            note_empty(made.n_empty, modality, monitor);
        }
        made.map_err(|error| match error {
            CountRowsError::Data(error) => error.into(),
            CountRowsError::Preprocess(source) => with_hint(source, tissue, modality),
        })?
    } else {
        let counts = read_counts(tissue, modality, request, run)?;
        if tissue.is_in_file(modality, request.layer.as_deref()) {
            monitor.note(&format!(
                "{}: counts stored by column, or in another order, are held in memory whole",
                modality.name
            ));
        }
        monitor.stage(&format!("{}: preprocessing", modality.name), 0);
        let counts = counts.view();
        run.timed(Stage::Preprocess, || preprocess_rows(&counts, slices, near, &options, seed, monitor))
            .map_err(|source| with_hint(source, tissue, modality))?
    };
    run.selection_graph = graph;
    Ok(Made { preprocessed, options })
}

/// The counts of a modality; spots without any are named, not dropped.
pub(super) fn read_counts(
    tissue: &Tissue,
    modality: &ModalityInfo,
    request: &FeatureRequest,
    run: &mut Run<'_>,
) -> Result<CsrMatrix<f32>, PipelineError> {
    let monitor = run.monitor;
    if let Some(note) = modality.note(request.layer.as_deref()) {
        monitor.note(note);
    }
    monitor.stage(&format!("{}: reading counts", modality.name), 0);
    let counts: CsrMatrix<f32> =
        run.timed(Stage::Read, || tissue.counts(modality, request.layer.as_deref()))?;
    let empty = (0..counts.n_rows()).filter(|&i| counts.view().row(i).1.iter().all(|v| *v == 0.0)).count();
    note_empty(empty, modality, monitor);
    Ok(counts)
}

/// Adds the counts of all genes, log-normalised, as the layer that markers and pictures look for.
pub(super) fn add_log_normalized(
    tissue: &Tissue,
    request: &FeatureRequest,
    run: &mut Run<'_>,
) -> Result<(), PipelineError> {
    let modality = choose(tissue)?;
    run.monitor.stage(&format!("{}: log-normalised layer", modality.name), 0);
    let mut counts: CsrMatrix<f32> =
        run.timed(Stage::Read, || tissue.counts(&modality, request.layer.as_deref()))?;
    let normalized = run.timed(Stage::Preprocess, || {
        check_counts(counts.view())?;
        let target_sum = Some(request.target_sum.unwrap_or(TARGET_SUM));
        normalize_total(&mut counts, &NormalizeTotalOptions { target_sum })
    });
    normalized.map_err(|source| with_hint(source, tissue, &modality))?;
    log1p(&mut counts);
    let target = run.target(modality.key.as_deref());
    target.layers.insert(LOG_NORMALIZED.to_owned(), Matrix::CsrF32(counts));
    Ok(())
}

fn note_empty(empty: usize, modality: &ModalityInfo, monitor: &dyn Monitor) {
    if empty > 0 {
        monitor.note(&format!("{}: {empty} spot(s) without any count are kept", modality.name));
    }
}

/// An error of the features of a modality, with the layers that may hold what was missed.
pub(super) fn with_hint(source: PreprocessError, tissue: &Tissue, modality: &ModalityInfo) -> PipelineError {
    if let PreprocessError::NotCounts { .. } | PreprocessError::Negative { .. } = source {
        let layers = tissue.layer_names(modality);
        return PipelineError::NotCounts { modality: modality.name.clone(), source, layers };
    }
    PipelineError::Preprocess { modality: modality.name.clone(), source }
}

/// Adds what preprocessing made, under scanpy's keys.
pub(super) fn add(modality: &ModalityInfo, made: &Made, seed: Seed, target: &mut ElementAdditions) {
    let Made { preprocessed: made, options } = made;
    let narrow = made.embedding.mapv(|v| v as f32);
    let array = |a: Array2<f64>| Value::Array(Array::F64(a.into_dyn()));
    target.obsm.insert(embedding_key(modality.kind).to_owned(), Value::Array(Array::F32(narrow.into_dyn())));
    target.var.insert(keys::HIGHLY_VARIABLE.to_owned(), Column::Bool(made.highly_variable.clone()));
    if let Some(table) = &made.hvg {
        let mut column = |key: &str, values: &[f64]| {
            target.var.insert(key.to_owned(), Column::Float64(values.to_vec()));
        };
        column(keys::MEANS, &table.means);
        if table.flavor == HvgFlavor::SeuratV3 {
            column(keys::VARIANCES, &table.dispersions);
            column(keys::VARIANCES_NORM, &table.normalized);
        } else {
            column(keys::DISPERSIONS, &table.dispersions);
            column(keys::DISPERSIONS_NORM, &table.normalized);
        }
        if let Some(rank) = &table.rank {
            column(keys::HIGHLY_VARIABLE_RANK, rank);
        }
        let mut hvg = IndexMap::new();
        hvg.insert("flavor".to_owned(), Value::String(table.flavor.name().to_owned()));
        target.uns.insert(keys::HVG.to_owned(), Value::Dict(hvg));
    }
    if let Some(pca) = &made.pca {
        // Loadings of features that were left out are zero, as scanpy writes them.
        let mut loadings = Array2::<f64>::zeros((made.highly_variable.len(), pca.components.ncols()));
        let selected = made.highly_variable.iter().enumerate().filter(|(_, h)| **h).map(|(j, _)| j);
        for (row, j) in selected.enumerate() {
            loadings.row_mut(j).assign(&pca.components.row(row));
        }
        target.varm.insert(keys::PCS.to_owned(), array(loadings));
        let vector = |v: &[f64]| Value::Array(Array::F64(ndarray::arr1(v).into_dyn()));
        let mut record = IndexMap::new();
        record.insert("variance".to_owned(), vector(&pca.variance));
        record.insert("variance_ratio".to_owned(), vector(&pca.variance_ratio));
        record.insert("params".to_owned(), params(options, seed));
        target.uns.insert(keys::PCA.to_owned(), Value::Dict(record));
    }
    if let Some(lsi) = &made.lsi {
        let mut record = IndexMap::new();
        record.insert(
            "singular_values".to_owned(),
            Value::Array(Array::F64(ndarray::arr1(&lsi.singular_values).into_dyn())),
        );
        record.insert("params".to_owned(), params(options, seed));
        target.uns.insert("lsi".to_owned(), Value::Dict(record));
    }
    if let Some(log_normalised) = &made.log_normalised {
        target.layers.insert(LOG_NORMALIZED.to_owned(), Matrix::CsrF32(log_normalised.clone()));
    }
}

fn params(options: &PreprocessOptions, seed: Seed) -> Value {
    let mut params = IndexMap::new();
    // What was not set is left out: before 0.12 anndata cannot read a null.
    let mut set = |key: &str, value: Value| {
        if value != Value::Null {
            params.insert(key.to_owned(), value);
        }
    };
    set("modality", Value::String(options.modality.name().to_owned()));
    set("min_cells", Value::Int(options.min_cells as i64));
    set("n_top_genes", options.n_top_genes.map_or(Value::Null, |n| Value::Int(n as i64)));
    if options.select != GeneSelection::Hvg {
        set("select", Value::String(options.select.name().to_owned()));
    }
    set("normalization", Value::String(options.normalization.name().to_owned()));
    set("target_sum", options.target_sum.map_or(Value::Null, Value::Float));
    set("log1p", Value::Bool(options.log1p));
    set("zero_center", options.scale.map_or(Value::Null, |s| Value::Bool(s.zero_center)));
    set("max_value", options.scale.and_then(|s| s.max_value).map_or(Value::Null, Value::Float));
    set("by_slice", Value::Bool(options.by_slice));
    set("n_pcs", Value::Int(options.n_pcs as i64));
    set("random_state", Value::Int(seed.0 as i64));
    Value::Dict(params)
}
