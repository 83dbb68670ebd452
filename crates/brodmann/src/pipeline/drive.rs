//! The one way to run a method: from a tissue to domains and a record of how they came about.
//!
//! ```text
//! open → check → forecast → solve → cluster → vote → plane → scores → finish → record → write
//!                           ^^^^^                                     ^^^^^^
//!                           the method's own                          its facts
//! ```

use brodmann_data::{Additions, ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Opt, Seed, Slices};
use ndarray::Array2;

use super::PipelineError;
use super::clustering::{ClusterNumber, EmbeddingMethod, Integration};
use super::cohort::Cohort;
use super::domains;
use super::doubts;
use super::embedding::{add_log_normalized, integrated, of_a_single_slice};
use super::forecast::{Forecast, announce};
use super::graphs::prepare_selection;
use super::known::KnownDomains;
use super::method::{Method, Outcome, Reads};
use super::picture::{colors_key, colors_of_domains};
use super::qc::GENE_NAMES;
use super::record::RunRecord;
use super::request::{GraphRequest, check_key_added};
use super::run::{Run, Stage};
use super::scene::Scene;
use super::scores;
use super::tensor_file::check_model_place;
use super::tissue::{Destination, Inputs, Opening, Tissue};
use crate::embedding::{UmapOptions, umap};
use crate::graph::{NeighborsOptions, neighbors};

/// The elements that the driver and the method read.
pub(super) fn elements<M: Method>(method: &M) -> ReadOptions {
    let frame = method.frame();
    let mut reads = Reads::default();
    method.reads(&mut reads);
    let mut options = ReadOptions::to_write();
    let mut obs: Vec<String> = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(frame.naming.truth.clone());
    obs.extend(frame.place.library_key.clone());
    obs.push(keys::IN_TISSUE.to_owned());
    options.obs = Select::Only(obs);
    options.var = Select::only(GENE_NAMES.into_iter().chain([keys::FEATURE_TYPES]));
    reads.obsm.push(frame.place.spatial_key.clone());
    options.obsm = Select::Only(reads.obsm);
    options.obsp = Select::Only(reads.obsp);
    options.uns = Select::Only(reads.uns);
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
/// request `obsm["X_key_umap"]`, `uns["key_colors"]`, and what the method adds.
/// # Errors
/// [`PipelineError`]; no output is written then.
pub fn run_files<M: Method>(
    method: &M,
    inputs: &Inputs,
    destination: &Destination,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<RunRecord<M::Facts>, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let cohort = run.timed(Stage::Read, || open(method, inputs, monitor))?;
    cohort.check_destination(destination)?;
    if *destination == Destination::InPlace && !method.frame().naming.force {
        cohort.check_replaced(method.frame().key())?;
    }
    let scene = Scene::new(&cohort.tissue, cohort.library_key.as_deref(), cohort.rows())?;
    let mut record = drive(method, &scene, &mut run)?;
    drop(scene);
    let mut additions = std::mem::take(&mut run.additions);
    cohort.tissue.place(&mut additions);
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

/// What [`run_files`] would take, found out by opening the files and no more; `None` where the method cannot tell.
///
/// # Errors
/// [`PipelineError`], as the run itself would end before its work: [`PipelineError::Memory`] where it would not fit.
pub fn forecast_files<M: Method>(
    method: &M,
    inputs: &Inputs,
    monitor: &dyn Monitor,
) -> Result<Option<Forecast>, PipelineError> {
    let cohort = open(method, inputs, monitor)?;
    let scene = Scene::new(&cohort.tissue, cohort.library_key.as_deref(), cohort.rows())?;
    check(method, &scene)?;
    let title = method.frame().title;
    method.need(&scene)?.map(|need| announce(title, scene.n_obs(), &need, monitor)).transpose()
}

/// Opens the inputs with what the driver and the method read.
fn open<M: Method>(method: &M, inputs: &Inputs, monitor: &dyn Monitor) -> Result<Cohort, PipelineError> {
    let frame = method.frame();
    let read = elements(method);
    let opening = Opening {
        source: &inputs.options,
        read: &read,
        kind: frame.modality,
        place: Some(frame.place),
        features: frame.features,
        labelled: None,
    };
    Cohort::open(&inputs.paths, &opening, frame.place.library_key.as_deref(), monitor)
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
    tissue.place(&mut run.additions);
    Ok((record, run.additions))
}

/// Refuses what a run on a tissue would refuse before any work.
pub(super) fn check_run<M: Method>(method: &M, tissue: &Tissue) -> Result<(), PipelineError> {
    let library_key = method.frame().place.library_key.as_deref();
    let whole = 0..tissue.n_obs();
    check_all(method, &Scene::new(tissue, library_key, vec![whole])?)?;
    Ok(())
}

/// Refuses what this tissue does not allow, and names that cannot be taken; the known domains' column, if there is one.
fn check_all<M: Method>(method: &M, scene: &Scene<'_>) -> Result<Option<String>, PipelineError> {
    let frame = method.frame();
    check(method, scene)?;
    let truth = scores::truth_key(scene.tissue, frame.naming.truth.as_deref())?;
    check_key_added(frame.key(), &[truth.as_deref(), scene.library_key])?;
    if let Some(models) = frame.models {
        models.check()?;
        if let Some(path) = &models.save_model {
            check_model_place(path)?;
        }
    }
    Ok(truth)
}

/// Refuses what this tissue does not allow.
fn check<M: Method>(method: &M, scene: &Scene<'_>) -> Result<(), PipelineError> {
    let (frame, n_obs) = (method.frame(), scene.n_obs());
    if n_obs < frame.min_obs {
        return Err(PipelineError::TooFewObservations { n_obs, expected: frame.min_obs });
    }
    if let Some((options, _)) = frame.domains {
        options.check(n_obs)?;
    }
    if let Some(integration) = frame.integration().flatten().filter(|_| scene.n_slices < 2) {
        return Err(of_a_single_slice(integration));
    }
    if let Some(features) = frame.features {
        features.check()?;
    }
    method.check(n_obs)
}

/// Everything between reading and writing.
fn drive<M: Method>(
    method: &M,
    scene: &Scene<'_>,
    run: &mut Run<'_>,
) -> Result<RunRecord<M::Facts>, PipelineError> {
    let frame = method.frame();
    let (tissue, n_obs, monitor) = (scene.tissue, scene.n_obs(), run.monitor);
    let truth = check_all(method, scene)?;
    let integration = frame.integration().flatten();
    doubts::tell(scene, frame.place, monitor);
    let forecast = match method.need(scene)? {
        Some(need) => Some(announce(frame.title, n_obs, &need, monitor)?),
        None => None,
    };

    if let Some(features) = frame.features {
        let by_default = GraphRequest::default();
        let graphs = (frame.graphs.unwrap_or(&by_default), frame.place);
        prepare_selection(tissue, features, graphs, scene.slices(), run)?;
    }
    let (outcome, solved) = method.solve(scene, run)?;
    let (mut embeddings, mut before) = (Vec::new(), None);
    let mut domains = match outcome {
        Outcome::Labels(labels) => domains::of_labels(labels, scene, frame.place, run)?,
        Outcome::Embeddings { embeddings: made, clustering, before: unaligned } => {
            (embeddings, before) = (made, unaligned);
            if let Some(integration) = integration {
                for embedding in &mut embeddings {
                    let of = embedding.clustered.view();
                    embedding.clustered = integrated(of, integration, scene.slices(), embedding.seed, run)?;
                }
            }
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
    if let Some(slices) = scene.slices().filter(|_| scene.n_slices > 1) {
        // Where it can be asked for, and was not.
        let may_help = frame.integration() == Some(None);
        tell_unmixed(&domains.labels, slices, may_help.then_some(Integration::Harmony), monitor);
    }
    let kept = (domains.kept < embeddings.len()).then(|| embeddings.swap_remove(domains.kept));
    drop(embeddings);
    // What Harmony made of these slices another one cannot be brought to.
    let remembers = integration.is_none() && frame.models.is_some_and(|m| m.save_model.is_some());
    if let Some(kept) = kept.as_ref().filter(|_| remembers) {
        domains.known =
            Some(run.timed(Stage::Cluster, || KnownDomains::of(&domains, kept.clustered.view(), monitor))?);
    }
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
    let mut finished = method.finish(scene, solved, &domains, run)?;
    if let Some(features) = frame.features.filter(|f| f.keep_log_normalized) {
        add_log_normalized(tissue, features, run)?;
    }

    let key = frame.key();
    if let Some(integration) = integration {
        finished.params["integrate"] = integration.name().into();
    }
    let colors = colors_of_domains(tissue, truth.as_deref(), &domains.labels);
    run.target(None).uns.insert(colors_key(key), colors);
    domains.add(key, run);
    let use_rep = kept.and_then(|kept| {
        let base = match kept.written {
            None => kept.source,
            Some(embedding) => {
                let use_rep = format!("X_{key}");
                run.target(None).obsm.insert(use_rep.clone(), embedding.into());
                Some(use_rep)
            }
        };
        let Some(integration) = integration else { return base };
        // Beside the one it was made from, under a name of its own.
        let use_rep = format!("{}_{}", base.unwrap_or_else(|| format!("X_{key}")), integration.name());
        run.target(None).obsm.insert(use_rep.clone(), kept.clustered.mapv(|v| v as f32).into());
        Some(use_rep)
    });
    if let Some(plane) = plane {
        run.target(None).obsm.insert(format!("X_{key}_umap"), plane.into());
    }
    let (record, uns) =
        RunRecord::new(&frame, scene, domains, scored, finished, use_rep, forecast, run.seconds);
    run.target(None).uns.insert(key.to_owned(), uns);
    Ok(record)
}

/// A domain is of one slice when it has this share of its spots there …
const OF_ONE_SLICE: f64 = 0.95;
/// … and the slice no more than this share of all.
const NOT_NEARLY_ALL: f64 = 0.8;

/// Says which domains lie in one slice alone: so it looks where slices were measured differently. `advice`: what may help.
fn tell_unmixed(labels: &[u32], slices: &Slices, advice: Option<Integration>, monitor: &dyn Monitor) {
    let n_domains = labels.iter().max().map_or(0, |m| *m as usize + 1);
    let mut counts = vec![vec![0usize; slices.count()]; n_domains];
    labels.iter().enumerate().for_each(|(i, &label)| counts[label as usize][slices.of(i)] += 1);
    let of_one = |counts: &Vec<usize>| {
        let all: usize = counts.iter().sum();
        let (slice, most) = counts.iter().enumerate().max_by_key(|(slice, n)| (**n, usize::MAX - slice))?;
        let share = slices.sizes()[slice] as f64 / slices.n_obs() as f64;
        (*most as f64 >= OF_ONE_SLICE * all as f64 && share <= NOT_NEARLY_ALL).then_some(slice)
    };
    let alone: Vec<(usize, usize)> =
        counts.iter().enumerate().filter_map(|(d, counts)| Some((d, of_one(counts)?))).collect();
    if alone.is_empty() {
        return;
    }
    let named = |(domain, slice): &(usize, usize)| format!("{domain} ({})", slices.label(*slice));
    let list = alone.iter().map(named).collect::<Vec<_>>().join(", ");
    let (verb, noun) = if alone.len() == 1 { ("lies", "domain") } else { ("lie", "domains") };
    let advice = advice.map_or_else(String::new, |integration| {
        format!(": {} may bring them together", Opt("integrate").set(integration.name()))
    });
    let message = format!(
        "{noun} {list} {verb} in one slice alone; unless the tissues differ so, the slices were measured differently\
         {advice}"
    );
    if 2 * alone.len() > n_domains { monitor.warn(&message) } else { monitor.note(&message) }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Monitor for Heard {
        fn note(&self, message: &str) {
            self.0.lock().expect("nobody panicked").push(message.to_owned());
        }
    }

    #[test]
    fn domains_of_one_slice_are_told() {
        let names: Vec<String> = ["left", "right"].map(str::to_owned).to_vec();
        let codes: Vec<u32> = (0..200).map(|i| i / 100).collect();
        let slices = Slices::from_codes(&codes, &names);
        let heard = |labels: &dyn Fn(u32) -> u32| {
            let heard = Heard::default();
            let labels: Vec<u32> = (0..200).map(labels).collect();
            tell_unmixed(&labels, &slices, Some(Integration::Harmony), &heard);
            heard.0.into_inner().expect("nobody panicked")
        };
        assert!(heard(&|i| i % 3).is_empty());
        let alone = heard(&|i| if i < 60 { 2 } else { i % 2 });
        assert!(alone.len() == 1 && alone[0].contains("domain 2 (left) lies in one slice"), "{alone:?}");
        let apart = heard(&|i| i / 100);
        assert!(apart[0].contains("domains 0 (left), 1 (right) lie"), "{apart:?}");
        // One slice that is nearly all of the tissue proves nothing.
        let most = Slices::from_codes(&(0..200).map(|i| u32::from(i >= 190)).collect::<Vec<u32>>(), &names);
        let heard = Heard::default();
        tell_unmixed(&(0..200).map(|i| i % 2).collect::<Vec<u32>>(), &most, None, &heard);
        assert!(heard.0.into_inner().expect("nobody panicked").is_empty());
        // What cannot be asked for is not advised.
        let heard = Heard::default();
        tell_unmixed(&codes, &slices, None, &heard);
        let told = heard.0.into_inner().expect("nobody panicked");
        assert!(told[0].ends_with("were measured differently"), "{told:?}");
    }
}
