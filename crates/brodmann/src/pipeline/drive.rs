//! The one way to run a method: from a tissue to domains and a record of how they came about.
//!
//! ```text
//! open → check → forecast → solve → cluster → vote → plane → scores → finish → record → write
//!                           ^^^^^                                     ^^^^^^
//!                           the method's own                          its facts
//! ```

use std::path::PathBuf;

use brodmann_data::{Additions, ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Opt, Seed};
use ndarray::Array2;

use super::PipelineError;
use super::clustering::{ClusterNumber, EmbeddingMethod};
use super::cohort::Cohort;
use super::domains::{self, Domains};
use super::forecast::announce;
use super::method::{Method, Outcome, Reads};
use super::record::RunRecord;
use super::request::check_key_added;
use super::run::{Run, Stage};
use super::scene::Scene;
use super::scores;
use super::tensor_file::check_model_place;
use super::tissue::{Destination, Tissue};
use crate::embedding::{UmapOptions, umap};
use crate::graph::{NeighborsOptions, neighbors};

/// The elements that the driver and the method read.
fn elements<M: Method>(method: &M) -> ReadOptions {
    let frame = method.frame();
    let mut reads = Reads::default();
    method.reads(&mut reads);
    let mut options = ReadOptions::names_only();
    let mut obs: Vec<String> = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(frame.naming.truth.clone());
    obs.extend(frame.place.library_key.clone());
    options.obs = Select::Only(obs);
    options.var = Select::only([keys::FEATURE_TYPES]);
    reads.obsm.push(frame.place.spatial_key.clone());
    options.obsm = Select::Only(reads.obsm);
    options.obsp = Select::Only(reads.obsp);
    options
}

/// Runs a method on files and writes what it found.
///
/// # Inputs
/// `inputs`: one `.h5ad`, `.h5mu`, or folder or file of a platform, of one slice or (with a library key) of several; or
/// several `.h5ad`, a slice each, genes aligned by name. `destination`: with several inputs a `.h5ad`, which joins
/// them, or a folder, which takes a copy of each.
/// # Returns
/// The record; the output holds, with `key` the name of the result, `obs[key]` (categorical strings, `"0"` the
/// largest), `uns[key]` (the record), of an embedding `obsm["X_key"]`, with refinement `obs["key_unrefined"]`, on
/// request `obsm["X_key_umap"]`, and what the method adds.
/// # Errors
/// [`PipelineError`]; no output is written then.
pub fn run_files<M: Method>(
    method: &M,
    inputs: &[PathBuf],
    destination: &Destination,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<RunRecord<M::Facts>, PipelineError> {
    let frame = method.frame();
    let mut run = Run::new(seed, monitor);
    let library_key = frame.place.library_key.as_deref();
    let cohort = run.timed(Stage::Read, || {
        Cohort::open(inputs, &elements(method), frame.modality, library_key, monitor)
    })?;
    cohort.check_destination(destination)?;
    let scene = Scene::new(&cohort.tissue, cohort.library_key.as_deref(), cohort.rows())?;
    let mut record = drive(method, &scene, &mut run)?;
    drop(scene);
    let mut additions = std::mem::take(&mut run.additions);
    let left = cohort.leave_joint_out(destination, &mut additions);
    if !left.is_empty() {
        monitor.warn(&format!(
            "{} belong to all files together and are left out of each; one .h5ad named with {} holds them",
            left.join(", "),
            Opt("out")
        ));
    }
    run.timed(Stage::Write, || cohort.write(destination, &additions, monitor))?;
    record.seconds = run.seconds;
    Ok(record)
}

/// [`run_files`] for a tissue in memory: what would be added to its file is returned.
///
/// # Inputs
/// `tissue`: with everything loaded that the request names.
/// # Errors
/// [`PipelineError`].
pub fn run_tissue<M: Method>(
    method: &M,
    tissue: &Tissue,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(RunRecord<M::Facts>, Additions), PipelineError> {
    let mut run = Run::new(seed, monitor);
    let library_key = method.frame().place.library_key.as_deref();
    let whole = 0..tissue.n_obs();
    let scene = Scene::new(tissue, library_key, vec![whole])?;
    let record = drive(method, &scene, &mut run)?;
    Ok((record, run.additions))
}

/// Everything between reading and writing.
fn drive<M: Method>(
    method: &M,
    scene: &Scene<'_>,
    run: &mut Run<'_>,
) -> Result<RunRecord<M::Facts>, PipelineError> {
    let frame = method.frame();
    let (tissue, n_obs, monitor) = (scene.tissue, scene.n_obs(), run.monitor);
    if n_obs < frame.min_obs {
        return Err(PipelineError::TooFewObservations { n_obs, expected: frame.min_obs });
    }
    if let Some((options, _)) = frame.domains {
        options.check(n_obs)?;
    }
    method.check(n_obs)?;
    let truth = scores::truth_key(tissue, frame.naming.truth.as_deref())?;
    check_key_added(frame.key(), &[truth.as_deref(), scene.library_key])?;
    if let Some(models) = frame.models {
        models.check()?;
        if let Some(path) = &models.save_model {
            check_model_place(path)?;
        }
    }
    let forecast = match method.need(scene)? {
        Some(need) => Some(announce(frame.title, n_obs, &need, monitor)?),
        None => None,
    };

    let (outcome, solved) = method.solve(scene, run)?;
    let (mut embeddings, mut before) = (Vec::new(), None);
    let domains = match outcome {
        Outcome::Labels(labels) => Domains::from(labels),
        Outcome::Embeddings { embeddings: made, clustering, before: unaligned } => {
            (embeddings, before) = (made, unaligned);
            let refine = frame.domains.map_or(0, |(options, _)| options.refine);
            domains::find(&embeddings, clustering, refine, scene, frame.place, run)?
        }
    };
    // The search of a resolution has said it with the reason.
    if !domains.reached && !matches!(domains.method, None | Some(EmbeddingMethod::Leiden { .. })) {
        let asked = match frame.domains.and_then(|(options, _)| options.n_clusters) {
            Some(ClusterNumber::Given(number)) => number.to_string(),
            _ => "another number".to_owned(),
        };
        monitor.warn(&format!(
            "{} domains were found where {asked} had been asked for; choose another number, or another method with {}",
            domains.n_clusters(),
            Opt("cluster")
        ));
    }
    let kept = (domains.kept < embeddings.len()).then(|| embeddings.swap_remove(domains.kept));
    drop(embeddings);
    let plane = match (&kept, frame.domains) {
        (Some(kept), Some((options, n_neighbors))) if options.umap => {
            Some(plane(&kept.clustered, n_neighbors, run)?)
        }
        _ => None,
    };

    let mut scored = scores::of_domains(scene, truth.as_deref(), &domains)?;
    if let Some(kept) = kept.as_ref().filter(|k| k.written.is_some() && scene.n_slices > 1) {
        monitor.stage("mixing of slices", 0);
        let seed = run.seed;
        scored.integration = run.timed(Stage::Cluster, || {
            scores::mixing(&kept.clustered, before.as_ref(), &domains.labels, scene.slices(), seed, monitor)
        })?;
    }
    let finished = method.finish(scene, solved, &domains, run)?;

    let key = frame.key();
    domains.add(key, run);
    let use_rep = kept.and_then(|kept| match kept.written {
        None => kept.source,
        Some(embedding) => {
            let use_rep = format!("X_{key}");
            run.target(None).obsm.insert(use_rep.clone(), embedding.into());
            Some(use_rep)
        }
    });
    if let Some(plane) = plane {
        run.target(None).obsm.insert(format!("X_{key}_umap"), plane.into());
    }
    let (record, uns) =
        RunRecord::new(&frame, scene, domains, scored, finished, use_rep, forecast, run.seconds);
    run.target(None).uns.insert(key.to_owned(), uns);
    Ok(record)
}

/// An embedding in the plane.
fn plane(
    embedding: &Array2<f64>,
    n_neighbors: usize,
    run: &mut Run<'_>,
) -> Result<Array2<f32>, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let options = NeighborsOptions { n_neighbors, ..NeighborsOptions::default() };
    monitor.stage("neighbours", 0);
    run.timed(Stage::Cluster, || {
        let graph = neighbors(embedding.view(), &options, seed, monitor)?;
        let options = UmapOptions::default();
        Ok(umap(graph.connectivities.view(), Some(embedding.view()), &options, seed, monitor)?.positions)
    })
}
