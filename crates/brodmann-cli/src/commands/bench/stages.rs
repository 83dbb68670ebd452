//! What one process measures: its input is read first and not timed, except where reading is the question.

// The pipeline's error is met once per process.
#![allow(clippy::result_large_err)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use brodmann::cluster::{Layer, LeidenOptions, leiden_multiplex};
use brodmann::graph::{NeighborsOptions, SpatialGraphOptions, neighbors, spatial_neighbors};
use brodmann::metrics::{
    SilhouetteOptions, adjusted_mutual_information, adjusted_rand_index, calinski_harabasz, davies_bouldin,
    silhouette,
};
use brodmann::models::spami::{self, SpamiError, SpamiGraph, SpamiOptions};
use brodmann::models::staig::{self, EdgeDrop, StaigError, StaigOptions, StaigTissue};
use brodmann::pipeline::leiden::LeidenRequest;
use brodmann::pipeline::simulated::{default_rows_per_block, stream_simulation};
use brodmann::pipeline::{Destination, Inputs, PipelineError, run_files};
use brodmann::preprocess::{
    NormalizeTotalOptions, PreprocessError, PreprocessOptions, log1p, normalize_total, preprocess,
};
use brodmann::simulate::{SimModality, SimulationOptions};
use brodmann_data::{AnnData, ReadOptions, Select, WriteOptions, keys, read_h5ad, write_h5ad};
use brodmann_kernels::{CsrMatrix, Silent};
use ndarray::Array2;

use super::Context;
use super::folder::Folder;
use crate::args::bench::{BenchArgs, BenchName};
use crate::commands::cpu_seconds;
use crate::failure::Failure;

/// Epochs that are timed, after one that touches the memory for the first time.
const EPOCHS: usize = 3;
/// Spots whose silhouette widths are computed: with all, it takes seconds from some 10,000 spots.
const SILHOUETTE_SAMPLE: usize = 5000;

#[derive(Default, serde::Serialize)]
struct Report {
    /// In the order they were taken.
    steps: Vec<Step>,
}

#[derive(serde::Serialize)]
struct Step {
    name: &'static str,
    seconds: f64,
    cpu_seconds: Option<f64>,
    quality: BTreeMap<&'static str, f64>,
}

impl Report {
    fn timed<T>(&mut self, step: &'static str, work: impl FnOnce() -> T) -> T {
        let (clock, cpu) = (Instant::now(), cpu_seconds());
        let result = work();
        let cpu = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
        self.add(step, clock.elapsed().as_secs_f64(), cpu);
        result
    }

    fn add(&mut self, step: &'static str, seconds: f64, cpu_seconds: Option<f64>) {
        self.steps.push(Step { name: step, seconds, cpu_seconds, quality: BTreeMap::new() });
    }

    fn quality(&mut self, step: &str, what: &'static str, value: f64) {
        if let Some(step) = self.steps.iter_mut().find(|s| s.name == step) {
            step.quality.insert(what, value);
        }
    }
}

/// Measures once, and prints the report.
pub fn run(context: &Context<'_>, args: &BenchArgs, folder: &Folder) -> Result<(), Failure> {
    let report = measured(context, args, folder)?;
    context.print(&report, Vec::new)
}

fn measured(context: &Context<'_>, args: &BenchArgs, folder: &Folder) -> Result<Report, PipelineError> {
    let mut report = Report::default();
    let seed = context.seed;
    match args.name {
        BenchName::EndToEnd | BenchName::All => end_to_end(context, folder, &mut report)?,
        BenchName::Simulate => {
            let side = args.sizes.first().map_or(100, |n| (*n as f64).sqrt().round() as usize);
            let options = SimulationOptions {
                side,
                seed,
                n_genes: args.genes,
                density: Some(args.density),
                modalities: vec![SimModality::Rna],
                ..SimulationOptions::default()
            };
            let rows = default_rows_per_block(&options);
            report.timed("simulate", || stream_simulation(&options, &folder.output(), rows, &Silent))?;
        }
        BenchName::Files => {
            let read = report.timed("read", || read_h5ad(folder.counts(), &ReadOptions::default()))?;
            let plain = WriteOptions { gzip: 0, ..WriteOptions::default() };
            report.timed("write", || write_h5ad(&read, folder.output(), &plain))?;
            let gzip = WriteOptions::default();
            report.timed("write, gzip 1", || write_h5ad(&read, folder.output(), &gzip))?;
        }
        BenchName::Preprocess => {
            let x = counts(&folder.counts())?;
            let options = PreprocessOptions::default();
            report
                .timed("preprocess", || preprocess(x.view(), None, &options, seed, &Silent))
                .map_err(unfit)?;
        }
        BenchName::Knn => {
            let x = components(&folder.components())?;
            let options = NeighborsOptions::default();
            let found = report.timed("knn", || neighbors(x.view(), &options, seed, &Silent))?;
            report.quality("knn", "recall", found.recall.unwrap_or(1.0));
        }
        BenchName::SpatialGraph => {
            let adata = read_h5ad(folder.counts(), &ReadOptions { obsm: Select::All, ..names() })?;
            let x = matrix(&adata, keys::SPATIAL)?;
            let options = SpatialGraphOptions::default();
            report.timed("spatial graph", || spatial_neighbors(x.view(), None, &options))?;
        }
        BenchName::Leiden => {
            let options = ReadOptions { obs: Select::All, obsp: Select::All, ..names() };
            let mut adata = read_h5ad(folder.graphs(), &options)?;
            let truth = truth(&adata);
            let mut graph = |key: &str| {
                adata
                    .obsp
                    .swap_remove(key)
                    .map(brodmann_data::Matrix::into_csr_f64)
                    .ok_or_else(|| missing(key))
            };
            let (latent, spatial) = (graph(keys::CONNECTIVITIES)?, graph(keys::SPATIAL_CONNECTIVITIES)?);
            let layers: Vec<Layer<'_>> =
                [&latent, &spatial].into_iter().map(|g| Layer { directed: false, ..Layer::new(g) }).collect();
            let found =
                report.timed("leiden", || leiden_multiplex(&layers, &LeidenOptions::default(), seed))?;
            report.quality("leiden", "ARI", adjusted_rand_index(&found.membership, &truth)?);
            report.quality("leiden", "clusters", found.n_clusters as f64);
        }
        BenchName::Spami => spami_epoch(context, folder, &mut report)?,
        BenchName::Staig => staig_epoch(context, folder, &mut report)?,
        BenchName::Metrics => {
            let options = ReadOptions { obs: Select::All, obsm: Select::All, ..names() };
            let adata = read_h5ad(folder.components(), &options)?;
            let (x, truth) = (matrix(&adata, keys::X_PCA)?, truth(&adata));
            let n = truth.len() as u64;
            let other: Vec<u32> =
                (0..n).zip(&truth).map(|(i, t)| (seed.word(i) % 5) as u32 / 4 + t).collect();
            report.timed("ARI", || adjusted_rand_index(&other, &truth))?;
            report.timed("AMI", || adjusted_mutual_information(&other, &truth))?;
            let sampled = SilhouetteOptions { sample_size: Some(SILHOUETTE_SAMPLE) };
            report.timed("silhouette", || silhouette(x.view(), &truth, &sampled, seed, &Silent))?;
            report.timed("Davies–Bouldin", || davies_bouldin(x.view(), &truth))?;
            report.timed("Calinski–Harabasz", || calinski_harabasz(x.view(), &truth))?;
        }
    }
    Ok(report)
}

/// What `brodmann spatialleiden counts.h5ad --out output.h5ad` does.
fn end_to_end(context: &Context<'_>, folder: &Folder, report: &mut Report) -> Result<(), PipelineError> {
    let request = LeidenRequest { spatial: true, ..LeidenRequest::default() };
    let inputs = Inputs::from(folder.counts().clone());
    let destination = Destination::File(folder.output());
    let found = report.timed("all", || run_files(&request, &inputs, &destination, context.seed, &Silent))?;
    if let Some(scores) = &found.metrics {
        report.quality("all", "ARI", scores.ari);
    }
    report.quality("all", "clusters", found.n_clusters as f64);
    let seconds = found.seconds;
    for (step, seconds) in [
        ("· read", seconds.read),
        ("· preprocess", seconds.preprocess),
        ("· graph", seconds.graph),
        ("· cluster", seconds.cluster),
        ("· write", seconds.write),
    ] {
        report.add(step, seconds, None);
    }
    Ok(())
}

/// The components twice, as two modalities: an epoch takes as long whatever they hold.
fn spami_epoch(context: &Context<'_>, folder: &Folder, report: &mut Report) -> Result<(), PipelineError> {
    let adata = read_h5ad(folder.components(), &ReadOptions { obsm: Select::All, ..names() })?;
    let x = matrix(&adata, keys::X_PCA)?.mapv(|v| v as f32);
    let graph = neighbor_graph(&matrix(&adata, keys::SPATIAL)?, SpamiOptions::default().n_neighbors)?;
    let rows: Vec<&[u32]> = (0..graph.n_rows()).map(|i| graph.view().row(i).0).collect();
    let graph = SpamiGraph::new(&rows)?;
    let options = SpamiOptions { epochs: EPOCHS + 1, ..SpamiOptions::default() };
    let mut epochs = Epochs::default();
    let views = [x.view(), x.view()];
    spami::train::<SpamiError>(
        &views,
        &graph,
        None,
        &options,
        context.seed,
        None,
        &mut |_| {
            epochs.end();
            Ok(())
        },
        &Silent,
    )?;
    epochs.report("epoch", report);
    Ok(())
}

fn staig_epoch(context: &Context<'_>, folder: &Folder, report: &mut Report) -> Result<(), PipelineError> {
    let options = ReadOptions { x: true, x_as_f32: true, obsm: Select::All, ..names() };
    let mut adata = read_h5ad(folder.counts(), &options)?;
    let space = matrix(&adata, keys::SPATIAL)?;
    let mut x = adata.x.take().ok_or_else(|| missing("X"))?.into_csr_f32();
    normalize_total(&mut x, &NormalizeTotalOptions::default()).map_err(unfit)?;
    log1p(&mut x);
    let options = StaigOptions { epochs: EPOCHS + 1, ..StaigOptions::default() };
    let graph = neighbor_graph(&space, options.n_neighbors)?;
    let drop = EdgeDrop::default();
    let tissue = StaigTissue {
        features: x.view(),
        graph: graph.view(),
        slices: None,
        classes: None,
        edge_drop: &drop,
    };
    let mut epochs = Epochs::default();
    staig::train::<StaigError>(
        &tissue,
        &options,
        context.seed,
        None,
        &mut |_| {
            epochs.end();
            Ok(())
        },
        &Silent,
    )?;
    epochs.report("epoch", report);
    Ok(())
}

/// When epochs ended.
#[derive(Default)]
struct Epochs(Vec<(Instant, Option<f64>)>);

impl Epochs {
    fn end(&mut self) {
        self.0.push((Instant::now(), cpu_seconds()));
    }

    /// The mean of all but the first.
    fn report(&self, step: &'static str, report: &mut Report) {
        if let ([first, .., last], n) = (self.0.as_slice(), self.0.len() as f64 - 1.0) {
            let cpu = last.1.zip(first.1).map(|(after, before)| (after - before) / n);
            report.add(step, (last.0 - first.0).as_secs_f64() / n, cpu);
        }
    }
}

fn names() -> ReadOptions {
    ReadOptions::names_only()
}

fn unfit(source: PreprocessError) -> PipelineError {
    PipelineError::Preprocess { modality: keys::RNA.to_owned(), source }
}

fn missing(key: &str) -> PipelineError {
    brodmann_data::DataError::Missing { path: key.into() }.into()
}

fn counts(path: &Path) -> Result<CsrMatrix<f32>, PipelineError> {
    let adata = read_h5ad(path, &ReadOptions { x: true, x_as_f32: true, ..names() })?;
    Ok(adata.x.ok_or_else(|| missing("X"))?.into_csr_f32())
}

fn components(path: &Path) -> Result<Array2<f64>, PipelineError> {
    matrix(&read_h5ad(path, &ReadOptions { obsm: Select::only([keys::X_PCA]), ..names() })?, keys::X_PCA)
}

fn matrix(adata: &AnnData, key: &str) -> Result<Array2<f64>, PipelineError> {
    adata.obsm.get(key).and_then(brodmann_data::Value::to_matrix_f64).ok_or_else(|| missing(key))
}

/// The simulated domains.
fn truth(adata: &AnnData) -> Vec<u32> {
    let column = adata.obs.columns.get(keys::GROUND_TRUTH);
    column.map_or_else(Vec::new, |c| c.to_categorical().codes.iter().map(|&c| c as u32).collect())
}

fn neighbor_graph(coordinates: &Array2<f64>, k: usize) -> Result<CsrMatrix<f64>, PipelineError> {
    let options = SpatialGraphOptions {
        kind: brodmann::graph::SpatialKind::Knn,
        n_neighbors: Some(k),
        ..SpatialGraphOptions::default()
    };
    Ok(spatial_neighbors(coordinates.view(), None, &options)?.connectivities)
}
