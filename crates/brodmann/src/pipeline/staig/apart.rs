//! STAIG of slices that lie in several places: what each place does with its slice, and what one place puts together.
//!
//! ```text
//! a slice's place                       the lead's place
//! open ── genes ──────────────────────▶ genes that all share
//! join ── spots, genes seen ──────────▶ genes seen often enough
//! variable ── verdicts ───────────────▶ genes that every slice selects
//! fit, sums ── products of genes ─────▶ components
//! ready, gradients ── gradients ──────▶ sum in the order of the slices, a step ─▶ parameters
//! embed ── embedding ─────────────────▶ domains
//! ```
//!
//! Counts and features never leave their place. Every sum is taken in the order of the slices, here as in [`Staig`] on
//! all of them at once, so the bits are the same wherever the slices lie.

use std::path::Path;

use brodmann_data::{Additions, AnnData, Container, OpenOptions, ReadOptions, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Seed, Silent};
use ndarray::{Array2, Axis, concatenate};

use super::inputs::{self, EXPRESSION_COMPONENTS};
use super::training::{self, Trained};
use super::{Staig, StaigRequest, StaigSolved};
use crate::models::staig::shard::{StaigPlace, StaigShard, lead, model_of, negatives_of};
use crate::models::staig::{
    EdgeRule, Negatives, StaigEpoch, StaigError, StaigModel, StaigOptions, StaigTissue,
};
use crate::nn::{Gradients, Schedule};
use crate::pipeline::PipelineError;
use crate::pipeline::apart::{
    SliceFacts, SlicesApart, Training, check_number, columns_of, names_in_common, too_early,
};
use crate::pipeline::checkpoint::{CheckpointRequest, Checkpoints};
use crate::pipeline::clustering::EmbeddingMethod;
use crate::pipeline::cohort::{check_shared_names, read_part};
use crate::pipeline::domains::Embedding;
use crate::pipeline::drive::{check_run, run_tissue};
use crate::pipeline::embedding::{read_counts, with_hint};
use crate::pipeline::expression::{self, Expression};
use crate::pipeline::fingerprint::Fingerprint;
use crate::pipeline::method::Outcome;
use crate::pipeline::run::Run;
use crate::pipeline::tissue::{ModalityInfo, Opening, Tissue, put_in_place};
use crate::preprocess::feature_map::{
    FeatureMap, ScaledOptions, features_of_slice, map_of_slices, selected_by_slice,
};
use crate::preprocess::{FilterGenesOptions, Modality, PcaAxes, PcaSums, PreprocessError, filter_genes};

/// A slice where it lies: counts, later features, later a network.
pub struct StaigSlice {
    request: StaigRequest,
    name: String,
    adata: AnnData,
    own_genes: Vec<String>,
    joined: Option<Joined>,
    features: Option<CsrMatrix<f32>>,
    shard: Option<StaigShard>,
}

struct Joined {
    tissue: Tissue,
    info: ModalityInfo,
    counts: CsrMatrix<f32>,
    coordinates: Array2<f64>,
}

/// What the lead must know of a slice before genes are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigSliceFacts {
    /// Of its spots.
    pub slice: SliceFacts,
    /// Per shared gene, the spots it is seen in.
    pub n_cells: Vec<usize>,
    /// Spots that hold any count.
    pub n_seen: usize,
}

impl StaigSlice {
    /// Opens a slice.
    ///
    /// # Errors
    /// As [`Cohort::open`](crate::pipeline::cohort::Cohort::open).
    pub fn open(path: &Path, request: StaigRequest, monitor: &dyn Monitor) -> Result<Self, PipelineError> {
        let (source, read) = (OpenOptions::default(), ReadOptions::default());
        let opening = opening(&request, &source, &read);
        let (adata, _) = read_part(path, &opening, monitor)?;
        Self::of(adata, path.display().to_string(), request, monitor)
    }

    /// A slice in memory; `name` stands in messages.
    ///
    /// # Errors
    /// As [`StaigSlice::open`].
    pub fn of(
        mut adata: AnnData,
        name: String,
        request: StaigRequest,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        check_apart(&request)?;
        let own_genes = adata.var.index.clone();
        if let Some(note) = put_in_place(&mut adata, &request.features, &name)? {
            monitor.note(&note);
        }
        adata.raw = None;
        adata.var.require_unique("var")?;
        Ok(Self { request, name, adata, own_genes, joined: None, features: None, shard: None })
    }

    /// The names of its genes: of the counts, and of the input itself where counts are elsewhere than in `X`.
    pub fn genes(&self) -> (&[String], &[String]) {
        (self.adata.var_names(), &self.own_genes)
    }

    /// Reduces the slice to the genes that all slices share.
    ///
    /// # Errors
    /// [`PipelineError::MissingFeatures`] for genes it does not have; as the tissue's own elements.
    pub fn join(&mut self, genes: &[String], monitor: &dyn Monitor) -> Result<(), PipelineError> {
        let columns = columns_of(genes, self.adata.var_names(), &self.name)?;
        let all = std::mem::take(&mut self.adata);
        let shared = AnnData {
            x: all.x.map(|x| x.select_columns(&columns)),
            layers: all.layers.into_iter().map(|(k, m)| (k, m.select_columns(&columns))).collect(),
            obs: all.obs,
            var: all.var.select_rows(&columns),
            obsm: all.obsm,
            uns: all.uns,
            ..AnnData::default()
        };
        let (source, read) = (OpenOptions::default(), ReadOptions::default());
        let opening = opening(&self.request, &source, &read);
        let tissue = Tissue::joined(Path::new(&self.name), shared, &opening, monitor)?;
        let info = expression::choose(&tissue)?;
        let mut run = Run::new(Seed(0), monitor);
        let coordinates = tissue.coordinates(&self.request.place.spatial_key)?;
        let counts = read_counts(&tissue, &info, &self.request.features, &mut run)?;
        self.joined = Some(Joined { tissue, info, counts, coordinates });
        Ok(())
    }

    /// What the lead must know of it.
    ///
    /// # Errors
    /// [`PipelineError::Preprocess`] for values that are no counts; [`PipelineError::Option`] before [`StaigSlice::join`].
    pub fn facts(&self) -> Result<StaigSliceFacts, PipelineError> {
        let Joined { tissue, info, counts, coordinates } = self.joined()?;
        let view = counts.view();
        let filter = FilterGenesOptions { min_cells: 0, min_counts: None };
        let seen = filter_genes(view, &filter).map_err(|source| with_hint(source, tissue, info))?;
        let n_seen = (0..view.n_rows()).filter(|&i| view.row(i).1.iter().any(|v| *v > 0.0)).count();
        let hash = Fingerprint::default().table(coordinates.view()).counts(view).hex();
        let slice = SliceFacts::of(tissue, &self.request.naming, coordinates.clone(), hash);
        Ok(StaigSliceFacts { slice, n_cells: seen.n_cells, n_seen })
    }

    /// Which of the kept genes vary in this slice.
    ///
    /// # Errors
    /// As the selection of genes.
    pub fn variable(
        &self,
        kept: &[bool],
        n_slices: usize,
        monitor: &dyn Monitor,
    ) -> Result<Vec<bool>, PipelineError> {
        let Joined { tissue, info, counts, .. } = self.joined()?;
        check_flags(kept, counts.n_cols())?;
        let (options, _) = self.request.wanted().options(counts.n_cols(), n_slices);
        selected_by_slice(counts.view(), kept, &options, monitor)
            .map_err(|source| with_hint(source, tissue, info))
    }

    /// Makes the features of the genes selected.
    ///
    /// # Errors
    /// As the features themselves.
    pub fn fit(&mut self, kept: &[bool], selected: &[bool], n_slices: usize) -> Result<(), PipelineError> {
        let Joined { tissue, info, counts, .. } = self.joined()?;
        check_flags(kept, counts.n_cols())?;
        check_flags(selected, counts.n_cols())?;
        let (options, _) = self.request.wanted().options(counts.n_cols(), n_slices);
        let made = features_of_slice(counts.view(), (kept, selected), &options)
            .map_err(|source| with_hint(source, tissue, info))?;
        self.features = Some(made);
        Ok(())
    }

    /// What its features add up to, for components; and how many of their values are not zero.
    ///
    /// # Errors
    /// As [`PcaSums::of`].
    pub fn sums(&self, monitor: &dyn Monitor) -> Result<PcaSums, PipelineError> {
        PcaSums::of(self.features()?.view(), monitor).map_err(of_features)
    }

    /// Entries of its features that are not zero.
    ///
    /// # Errors
    /// [`PipelineError::Option`] before [`StaigSlice::fit`].
    pub fn n_entries(&self) -> Result<usize, PipelineError> {
        Ok(self.features()?.nnz())
    }

    /// Makes the slice ready for training; what the network does not see is let go. The number of its edges.
    ///
    /// # Inputs
    /// `axes`: the components of all slices, where edges are judged by them. `sizes`: observations of each slice, this one
    /// at `index`.
    /// # Errors
    /// As the graph and the network.
    pub fn ready(
        &mut self,
        axes: Option<&PcaAxes>,
        (sizes, index): (&[usize], usize),
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<usize, PipelineError> {
        let n_obs: usize = sizes.iter().sum();
        let options = self.request.options_for(sizes.len(), n_obs)?;
        let features = self.features()?;
        let mut run = Run::new(seed, monitor);
        let coordinates = self.joined()?.coordinates.view();
        let graph = expression::graph(coordinates, options.n_neighbors, None, &mut run)?;
        let components = axes.map(|axes| axes.scores(features.view())).transpose().map_err(of_features)?;
        let edge_drop = inputs::edge_drop(&graph, &options, components.as_ref(), None)?;
        let tissue = StaigTissue {
            features: features.view(),
            graph: graph.view(),
            slices: None,
            classes: None,
            edge_drop: &edge_drop,
        };
        let first = sizes.iter().take(index).sum();
        let place = StaigPlace { first, n_obs, negatives: negatives_of(sizes, &options) };
        let shard = StaigShard::new(&tissue, place, &options, seed)?;
        let n_edges = graph.nnz();
        self.shard = Some(shard);
        (self.features, self.joined) = (None, None);
        Ok(n_edges)
    }

    /// Its share of the gradient of an epoch (from 0).
    ///
    /// # Errors
    /// As [`StaigShard::gradients`].
    pub fn gradients(&mut self, parameters: &[f32], epoch: u64) -> Result<Gradients, PipelineError> {
        Ok(self.shard()?.gradients(parameters, epoch)?)
    }

    /// Its embedding.
    ///
    /// # Errors
    /// As [`StaigShard::embed`].
    pub fn embed(&mut self, parameters: &[f32]) -> Result<Array2<f32>, PipelineError> {
        Ok(self.shard()?.embed(parameters)?)
    }

    fn joined(&self) -> Result<&Joined, PipelineError> {
        self.joined.as_ref().ok_or_else(|| too_early("its genes are joined"))
    }

    fn features(&self) -> Result<&CsrMatrix<f32>, PipelineError> {
        self.features.as_ref().ok_or_else(|| too_early("its features are made"))
    }

    fn shard(&mut self) -> Result<&mut StaigShard, PipelineError> {
        self.shard.as_mut().ok_or_else(|| too_early("it is made ready"))
    }
}

/// The expression of a container as one AnnData, as a slice in memory is taken.
///
/// # Errors
/// `DataError` for modalities of other observations than the whole.
pub fn slice_of(container: Container) -> Result<AnnData, PipelineError> {
    match container {
        Container::AnnData(adata) => Ok(adata),
        Container::MuData(mut mdata) => {
            let Some((name, mut adata)) = mdata.modalities.shift_remove_index(0) else {
                return Err(PipelineError::NoExpression { modalities: Vec::new() });
            };
            if adata.obs.index != mdata.obs.index {
                return Err(PipelineError::option(
                    "slices",
                    format!("a MuData whose {name:?} holds other spots than the whole, or in another order"),
                    "a modality with the spots of the whole; pass that modality by itself",
                ));
            }
            adata.obs.columns.extend(mdata.obs.columns);
            adata.obsm.extend(mdata.obsm);
            adata.uns.extend(mdata.uns);
            Ok(adata)
        }
    }
}

fn opening<'a>(request: &'a StaigRequest, source: &'a OpenOptions, read: &'a ReadOptions) -> Opening<'a> {
    // Of one matrix nothing depends on its kind but its name in messages.
    let kind = request.features.modality.or(Some(Modality::Rna));
    let features = Some(&request.features);
    Opening { place: Some(&request.place), features, ..Opening::of(source, read, kind) }
}

fn of_features(source: PreprocessError) -> PipelineError {
    PipelineError::Preprocess { modality: "features".to_owned(), source }
}

fn check_flags(flags: &[bool], n_vars: usize) -> Result<(), PipelineError> {
    if flags.len() == n_vars {
        return Ok(());
    }
    let (what, found, expected) = ("the list of genes", flags.len(), n_vars);
    Err(of_features(PreprocessError::ShapeMismatch { what, found, expected, per: "variable" }))
}

/// Refuses what needs all slices in one place.
fn check_apart(request: &StaigRequest) -> Result<(), PipelineError> {
    let refuse = |option, found: String, expected| Err(PipelineError::option(option, found, expected));
    if !request.training.image_key.is_empty() {
        return refuse(
            "image_key",
            request.training.image_key.join(","),
            "expression alone where slices lie apart",
        );
    }
    if request.slide.is_asked_for() {
        return refuse("image", request.slide.image.join(","), "expression alone where slices lie apart");
    }
    if request.training.restarts != 1 {
        return refuse("restarts", request.training.restarts.to_string(), "1 where slices lie apart");
    }
    if let Some(path) = &request.models.load_model {
        let found = path.display().to_string();
        return refuse("load_model", found, "training where slices lie apart; apply a model slice by slice");
    }
    if let Some(key) = &request.place.library_key {
        return refuse("library_key", key.clone(), "one slice in each object or file where slices lie apart");
    }
    let select = request.features.select.filter(|select| select.reads_expression());
    match select {
        Some(select) => refuse("select", select.name().to_owned(), "hvg or mvp where slices lie apart"),
        None => Ok(()),
    }
}

/// What puts the slices together: it holds parameters and optimiser, and no counts.
pub struct StaigLead {
    request: StaigRequest,
    seed: Seed,
    slices: SlicesApart,
    kept: Vec<bool>,
    selected: Vec<bool>,
    sums: Option<PcaSums>,
    n_entries: usize,
    n_edges: usize,
    training: Option<(StaigOptions, Training<StaigError>)>,
}

impl StaigLead {
    /// # Errors
    /// [`PipelineError::Option`] for what needs all slices in one place, and for fewer than two slices.
    pub fn new(request: StaigRequest, names: Vec<String>, seed: Seed) -> Result<Self, PipelineError> {
        check_apart(&request)?;
        let slices = SlicesApart::new(names)?;
        request.models.check()?;
        Ok(Self {
            request,
            seed,
            slices,
            kept: Vec::new(),
            selected: Vec::new(),
            sums: None,
            n_entries: 0,
            n_edges: 0,
            training: None,
        })
    }

    /// The genes that all slices share, in the order of the first.
    ///
    /// # Inputs
    /// `genes`: of each slice, as [`StaigSlice::genes`] gives them.
    /// # Errors
    /// [`PipelineError::SharedGenes`] when they have hardly one in common.
    pub fn share(&mut self, genes: Vec<(Vec<String>, Vec<String>)>) -> Result<&[String], PipelineError> {
        check_number(genes.len(), self.slices.names.len())?;
        let (counted, own): (Vec<Vec<String>>, Vec<Vec<String>>) = genes.into_iter().unzip();
        let lists: Vec<&[String]> = counted.iter().map(Vec::as_slice).collect();
        self.slices.genes = names_in_common(&lists);
        let named: Vec<(String, &[String])> =
            self.slices.names.iter().cloned().zip(counted.iter().map(Vec::as_slice)).collect();
        check_shared_names(&named, self.slices.genes.len())?;
        self.slices.own_genes = own;
        Ok(&self.slices.genes)
    }

    /// The genes that all slices together are seen in often enough.
    ///
    /// # Errors
    /// [`PipelineError::Preprocess`] when none are; as the options of the network.
    pub fn keep(
        &mut self,
        facts: Vec<StaigSliceFacts>,
        monitor: &dyn Monitor,
    ) -> Result<&[bool], PipelineError> {
        for (facts, name) in facts.iter().zip(&self.slices.names) {
            if facts.n_cells.len() != self.slices.genes.len() {
                return Err(PipelineError::option(
                    "slices",
                    format!("{name} of other genes"),
                    "those shared",
                ));
            }
        }
        let n_seen: usize = facts.iter().map(|f| f.n_seen).sum();
        let (slices, n_cells): (Vec<SliceFacts>, Vec<Vec<usize>>) =
            facts.into_iter().map(|f| (f.slice, f.n_cells)).unzip();
        self.slices.set_facts(slices)?;
        let n_obs = self.slices.n_obs();
        // What is refused after training would be lost.
        let tissue = self.slices.tissue(&self.request.place.spatial_key, &Silent)?;
        check_run(&self.method(None), &tissue)?;
        self.request.options_for(self.slices.names.len(), n_obs)?;
        let options = self.scaled();
        let min_cells = options.min_cells.min(n_seen.max(1));
        let n_cells = |j: usize| n_cells.iter().map(|own| own[j]).sum::<usize>();
        self.kept = (0..self.slices.genes.len()).map(|j| n_cells(j) >= min_cells).collect();
        let (n_vars, n_kept) = (self.slices.genes.len(), self.kept.iter().filter(|k| **k).count());
        if n_kept == 0 {
            return Err(of_features(PreprocessError::NothingLeft { n_vars, n_obs, min_cells }));
        }
        monitor.note(&format!(
            "{} slices joined: {n_obs} spots, {n_vars} genes in common, {n_kept} of them seen in at least {min_cells} \
             spots",
            self.slices.names.len()
        ));
        Ok(&self.kept)
    }

    /// The genes the features rest on: those that every slice selects.
    ///
    /// # Errors
    /// [`PipelineError::SharedVariable`] when they are too few.
    pub fn select(
        &mut self,
        verdicts: &[Vec<bool>],
        monitor: &dyn Monitor,
    ) -> Result<&[bool], PipelineError> {
        check_number(verdicts.len(), self.slices.names.len())?;
        let n_kept = self.kept.iter().filter(|k| **k).count();
        verdicts.iter().try_for_each(|verdict| check_flags(verdict, n_kept))?;
        let mut at = 0;
        self.selected = self
            .kept
            .iter()
            .map(|&kept| {
                let all = kept && verdicts.iter().all(|verdict| verdict[at]);
                at += usize::from(kept);
                all
            })
            .collect();
        let n_selected = self.selected.iter().filter(|s| **s).count();
        let n_slices = self.slices.names.len();
        monitor.note(&format!("{n_selected} of {n_kept} genes are selected by all of {n_slices} slices"));
        expression::check_selected(n_selected, self.slices.genes.len(), n_slices)?;
        Ok(&self.selected)
    }

    /// Whether the slices are asked for [`StaigSlice::sums`].
    pub fn wants_sums(&self) -> bool {
        self.request.options.edge_rule == EdgeRule::Expression
    }

    /// Adds the sums of the next slice, in the order of the slices.
    ///
    /// # Errors
    /// As [`PcaSums::add`].
    pub fn add_sums(&mut self, next: PcaSums) -> Result<(), PipelineError> {
        match &mut self.sums {
            None => self.sums = Some(next),
            Some(sums) => sums.add(&next).map_err(of_features)?,
        }
        Ok(())
    }

    /// The components of all slices, where edges are judged by them.
    ///
    /// # Errors
    /// As [`PcaSums::components`].
    pub fn axes(&mut self, monitor: &dyn Monitor) -> Result<Option<PcaAxes>, PipelineError> {
        monitor.stage("principal components", 0);
        let sums = self.sums.take();
        sums.map(|sums| sums.components(EXPRESSION_COMPONENTS, self.seed, monitor))
            .transpose()
            .map_err(of_features)
    }

    /// Observations of each slice.
    pub fn sizes(&self) -> Vec<usize> {
        self.slices.sizes()
    }

    /// Begins training, from the checkpoint where that is asked for; the epochs already done.
    ///
    /// # Inputs
    /// `n_entries`, `n_edges`: of all slices together.
    /// # Errors
    /// As the network; as `Checkpoints`.
    pub fn begin(
        &mut self,
        n_entries: usize,
        n_edges: usize,
        monitor: &dyn Monitor,
    ) -> Result<usize, PipelineError> {
        (self.n_entries, self.n_edges) = (n_entries, n_edges);
        let options = self.request.options_for(self.slices.names.len(), self.slices.n_obs())?;
        let trainer = lead(&options, self.n_features(), self.seed)?;
        let request = self.request.models.checkpoints();
        let checkpoints = self.checkpoints(request.as_ref(), &options);
        let training = Training::begin(trainer, &checkpoints, monitor)?;
        let done = training.trainer.history().len();
        self.training = Some((options, training));
        Ok(done)
    }

    /// Epochs of the whole training.
    ///
    /// # Errors
    /// [`PipelineError::Option`] before [`StaigLead::begin`].
    pub fn n_epochs(&self) -> Result<usize, PipelineError> {
        Ok(self.training()?.0.epochs)
    }

    /// The parameters that travel.
    ///
    /// # Errors
    /// [`PipelineError::Option`] before [`StaigLead::begin`].
    pub fn parameters(&self) -> Result<Vec<f32>, PipelineError> {
        Ok(self.training()?.1.parameters())
    }

    /// Adds the gradients of the next slice, in the order of the slices.
    ///
    /// # Errors
    /// [`StaigError`] when they are another network's.
    pub fn add(&mut self, values: &[f32], numbers: &[f64]) -> Result<(), PipelineError> {
        let (_, training) = self.training.as_mut().ok_or_else(|| too_early("training has begun"))?;
        Ok(training.add(values, numbers)?)
    }

    /// Steps along the sum, once all slices are in it; the loss, and whether training is at its end.
    ///
    /// # Errors
    /// As `Checkpoints`; [`PipelineError::Option`] while slices are missing.
    pub fn step(&mut self) -> Result<(f64, bool), PipelineError> {
        let n_slices = self.slices.names.len();
        let (options, training) = self.training.as_mut().ok_or_else(|| too_early("training has begun"))?;
        let schedule = Schedule { epochs: options.epochs, early_stopping: None };
        let (loss, ended) = training.step(n_slices, &schedule)?;
        let request = self.request.models.checkpoints();
        let (options, training) = self.training()?;
        training.save_if_due(&self.checkpoints(request.as_ref(), options))?;
        Ok((loss, ended.is_some()))
    }

    /// Domains of all slices together; what each slice gets, in the rows of its input, and how many there are.
    ///
    /// # Inputs
    /// `embeddings`: of each slice, in their order.
    /// # Errors
    /// As any method.
    pub fn finish(
        &mut self,
        embeddings: &[Array2<f32>],
        monitor: &dyn Monitor,
    ) -> Result<(Vec<Additions>, usize), PipelineError> {
        check_number(embeddings.len(), self.slices.names.len())?;
        let views: Vec<_> = embeddings.iter().map(|e| e.view()).collect();
        let embedding = concatenate(Axis(0), &views)
            .map_err(|_| PipelineError::option("slices", "embeddings of several widths", "one width"))?;
        check_number(embedding.nrows(), self.slices.n_obs())?;
        let (options, Training { trainer, .. }) =
            self.training.take().ok_or_else(|| too_early("it is trained"))?;
        let n_features = self.n_features();
        let epochs = trainer.history().iter().map(|row| StaigEpoch::from_row(row)).collect();
        let model = model_of(&trainer, &options, n_features, self.seed);
        let scaled = self.scaled();
        let apart = Apart {
            map: map_of_slices(&self.kept, &self.selected, &scaled),
            selected: self.selected.clone(),
            genes: self.slices.genes.clone(),
            density: self.n_entries as f64 / (self.slices.n_obs() * n_features).max(1) as f64,
            data_hash: self.slices.data_hash(),
            n_edges: self.n_edges,
            negatives: negatives_of(&self.slices.sizes(), &options),
            options,
            seed: self.seed,
            model,
            epochs,
            embedding,
        };
        let tissue = self.slices.tissue(&self.request.place.spatial_key, monitor)?;
        let method = self.method(Some(apart));
        let (record, whole) = run_tissue(&method, &tissue, self.seed, monitor)?;
        Ok((self.slices.split(whole)?, record.n_clusters))
    }

    /// The method on all slices.
    fn method(&self, apart: Option<Apart>) -> Staig {
        let mut request = self.request.clone();
        request.place.library_key = Some(keys::LIBRARY_ID.to_owned());
        Staig { request, saved: None, apart }
    }

    fn training(&self) -> Result<&(StaigOptions, Training<StaigError>), PipelineError> {
        self.training.as_ref().ok_or_else(|| too_early("training has begun"))
    }

    fn n_features(&self) -> usize {
        self.selected.iter().filter(|s| **s).count()
    }

    fn scaled(&self) -> ScaledOptions {
        self.request.wanted().options(self.slices.genes.len(), self.slices.names.len()).0
    }

    fn checkpoints<'a>(
        &self,
        request: Option<&'a CheckpointRequest>,
        options: &StaigOptions,
    ) -> Checkpoints<'a> {
        let of = (self.slices.n_obs(), self.n_features());
        Checkpoints {
            request,
            file: training::file(0),
            run: training::identity(of, &self.request, options, &self.slices.data_hash(), self.seed),
            width: StaigEpoch::WIDTH,
            last: options.epochs,
        }
    }
}

/// What slices that lie apart have come to.
pub(super) struct Apart {
    map: FeatureMap,
    selected: Vec<bool>,
    genes: Vec<String>,
    density: f64,
    data_hash: String,
    n_edges: usize,
    negatives: Negatives,
    options: StaigOptions,
    seed: Seed,
    model: StaigModel,
    epochs: Vec<StaigEpoch>,
    embedding: Array2<f32>,
}

impl Apart {
    /// As if it had been trained here.
    pub(super) fn solved(&self, info: ModalityInfo, clustering: EmbeddingMethod) -> (Outcome, StaigSolved) {
        let embedding = Embedding {
            seed: self.seed,
            clustered: self.embedding.mapv(f64::from),
            written: Some(self.embedding.clone()),
            source: None,
        };
        let trained = Trained {
            seed: self.seed,
            model: self.model.clone(),
            embedding: Array2::zeros((0, 0)),
            epochs: self.epochs.clone(),
            negatives: self.negatives,
        };
        let expression = Expression {
            values: CsrMatrix::from_rows(0, &[]),
            map: self.map.clone(),
            selected: self.selected.clone(),
            names: self.genes.clone(),
            data_hash: self.data_hash.clone(),
            density: self.density,
            before: None,
        };
        let solved = StaigSolved {
            info,
            expression,
            n_edges: self.n_edges,
            options: self.options.clone(),
            trained: vec![trained],
            data_hash: self.data_hash.clone(),
        };
        (Outcome::Embeddings { embeddings: vec![embedding], clustering, before: None }, solved)
    }
}
