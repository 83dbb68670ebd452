//! SpaMI of slices that lie in several places: what each place does with its slice, and what one place puts together.
//!
//! ```text
//! a slice's place                           the lead's place
//! open ── modalities and their features ──▶ features that all share
//! join ── spots ──────────────────────────▶ where they lie
//! answer ── of counts, modality by modality▶ feature maps
//! encode ── sums of features ─────────────▶ one scale for all modalities
//! ready, gradients ── gradients ──────────▶ sum in the order of the slices, a step ─▶ parameters
//! apply ── embedding, attention ──────────▶ domains
//! ```
//!
//! Counts and features never leave their place. Every sum is taken in the order of the slices, here as in [`Spami`] on
//! all of them at once, so the bits are the same wherever the slices lie.

use std::path::Path;

use brodmann_data::{Additions, OpenOptions, ReadOptions, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Seed, Silent, Slices};
use ndarray::{Array2, Axis, concatenate};

use super::inputs::{self, Input, Source};
use super::model_file::{SavedModality, SavedSource};
use super::request::{CLUSTER_NEIGHBORS, Denoise, SpamiRequest, default_options};
use super::{Spami, SpamiSolved, ToSave, axes, training};
use crate::models::spami::shard::{SpamiPlace, SpamiShard, lead, model_of};
use crate::models::spami::{SpamiEpoch, SpamiError, SpamiModel, SpamiOptions, SpamiOutput};
use crate::nn::{Gradients, Schedule};
use crate::pipeline::PipelineError;
use crate::pipeline::apart::{
    SliceFacts, SlicesApart, Training, check_number, columns_of, names_in_common, too_early,
};
use crate::pipeline::checkpoint::{CheckpointRequest, Checkpoints};
use crate::pipeline::cohort::check_shared_names;
use crate::pipeline::domains::Embedding;
use crate::pipeline::drive::{check_run, elements, run_tissue};
use crate::pipeline::embedding::{options_on, read_counts, with_hint};
use crate::pipeline::fingerprint::Fingerprint;
use crate::pipeline::known;
use crate::pipeline::method::Outcome;
use crate::pipeline::run::Run;
use crate::pipeline::tissue::{ModalityInfo, Opening, Tissue};
use crate::preprocess::feature_map::apart::{Answer, Ask, Question, SliceCounts, fit_apart};
use crate::preprocess::feature_map::{Balance, BalanceSums, FeatureMap, FeatureValues, SpotState};
use crate::preprocess::{Modality, PreprocessError, PreprocessOptions};

/// A modality of a slice, as the lead hears of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceModality {
    /// Its name.
    pub name: String,
    /// What it measures.
    pub kind: Modality,
    /// Names of its features; none where an embedding stands for it.
    pub features: Vec<String>,
    /// Columns of that embedding.
    pub rep_width: Option<usize>,
}

/// What a network says of a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceOutput {
    /// `(n_obs, width)`.
    pub embedding: Array2<f32>,
    /// `(n_obs, n_modalities)`.
    pub attention: Array2<f32>,
    /// Per modality `(n_obs, latent)`; none where nobody asks for them.
    pub modality_embeddings: Vec<Array2<f32>>,
}

/// A slice where it lies: counts, later features, later a network.
pub struct SpamiSlice {
    request: SpamiRequest,
    name: String,
    tissue: Tissue,
    coordinates: Array2<f64>,
    modalities: Vec<Own>,
    /// As the network sees them.
    features: Vec<Array2<f32>>,
    shard: Option<SpamiShard>,
}

/// A modality where it lies.
struct Own {
    info: ModalityInfo,
    options: PreprocessOptions,
    source: OwnSource,
}

enum OwnSource {
    /// Not yet reduced to the features that all slices share.
    All(CsrMatrix<f32>),
    Counts(Box<SliceCounts>),
    Rep {
        values: Array2<f32>,
        hash: String,
    },
    /// In the network by now.
    Encoded,
}

impl SpamiSlice {
    /// Opens a slice.
    ///
    /// # Errors
    /// As the readers; as the tissue's own elements.
    pub fn open(path: &Path, request: SpamiRequest, monitor: &dyn Monitor) -> Result<Self, PipelineError> {
        check_apart(&request)?;
        let source = OpenOptions::default();
        let read = elements(&Spami::new(request.clone())?);
        let tissue = Tissue::open(path, &opening(&request, &source, &read), monitor)?;
        Self::of_tissue(tissue, path.display().to_string(), request, monitor)
    }

    /// A slice in memory; `name` stands in messages.
    ///
    /// # Errors
    /// As [`SpamiSlice::open`].
    pub fn of(
        container: brodmann_data::Container,
        name: String,
        request: SpamiRequest,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let (source, read) = (OpenOptions::default(), ReadOptions::default());
        let tissue = Tissue::from_container(container, &opening(&request, &source, &read), monitor)?;
        Self::of_tissue(tissue, name, request, monitor)
    }

    fn of_tissue(
        tissue: Tissue,
        name: String,
        request: SpamiRequest,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        check_apart(&request)?;
        let mut request = request;
        // Of a MuData a kind is that of every modality.
        if let Some(kind) = request.features.modality {
            for own in tissue.modalities().iter().filter(|own| own.key.is_some()) {
                request.modalities.modality_kinds.entry(own.name.clone()).or_insert(kind);
            }
        }
        let mut run = Run::new(Seed(0), monitor);
        let coordinates = tissue.coordinates(&request.place.spatial_key)?;
        let mut modalities = Vec::new();
        for info in inputs::choose(&tissue, &request, monitor)? {
            let source = if let Some(key) = inputs::rep_of(&request, &info) {
                let made = inputs::from_rep(&tissue, &info, key)?;
                OwnSource::Rep { values: made.values, hash: made.data_hash }
            } else {
                super::require_unique(&tissue, &info)?;
                OwnSource::All(read_counts(&tissue, &info, &request.features, &mut run)?)
            };
            let options = options_on(default_options(info.kind), &request.features);
            modalities.push(Own { info, options, source });
        }
        Ok(Self { request, name, tissue, coordinates, modalities, features: Vec::new(), shard: None })
    }

    /// What it measures.
    pub fn modalities(&self) -> Vec<SliceModality> {
        let of = |own: &Own| SliceModality {
            name: own.info.name.clone(),
            kind: own.info.kind,
            features: match &own.source {
                OwnSource::All(_) | OwnSource::Counts(_) => self.tissue.var_names(&own.info).to_vec(),
                OwnSource::Rep { .. } | OwnSource::Encoded => Vec::new(),
            },
            rep_width: match &own.source {
                OwnSource::Rep { values, .. } => Some(values.ncols()),
                _ => None,
            },
        };
        self.modalities.iter().map(of).collect()
    }

    /// Reduces the slice to what all slices share: of each modality, by name and in this order, its features.
    ///
    /// # Errors
    /// [`PipelineError::MissingFeatures`] for features it does not have; [`PipelineError::Option`] for other modalities.
    pub fn join(&mut self, shared: &[(String, Vec<String>)]) -> Result<SliceFacts, PipelineError> {
        let mut hash = Fingerprint::default().table(self.coordinates.view());
        let mut joined = Vec::with_capacity(shared.len());
        for (name, features) in shared {
            let Some(at) = self.modalities.iter().position(|own| own.info.name == *name) else {
                return Err(PipelineError::option(
                    "slices",
                    format!("one without {name}"),
                    "the same modalities",
                ));
            };
            let mut own = self.modalities.swap_remove(at);
            own.source = match own.source {
                OwnSource::All(counts) => {
                    let columns = columns_of(features, self.tissue.var_names(&own.info), &self.name)?;
                    OwnSource::Counts(Box::new(SliceCounts::new(in_order(counts, &columns))))
                }
                other => other,
            };
            let own_hash = match &own.source {
                OwnSource::Counts(counts) => Fingerprint::default().counts(counts.view()).hex(),
                OwnSource::Rep { hash, .. } => hash.clone(),
                OwnSource::All(_) | OwnSource::Encoded => String::new(),
            };
            hash = hash.text(name).text(&own_hash);
            joined.push(own);
        }
        self.modalities = joined;
        let coordinates = self.coordinates.clone();
        Ok(SliceFacts::of(&self.tissue, &self.request.naming, coordinates, hash.hex()))
    }

    /// Answers a question about the counts of a modality.
    ///
    /// # Errors
    /// As [`SliceCounts::answer`].
    pub fn answer(
        &mut self,
        modality: usize,
        question: &Question,
        monitor: &dyn Monitor,
    ) -> Result<Answer, PipelineError> {
        let Some(Own { info, options, source: OwnSource::Counts(counts) }) =
            self.modalities.get_mut(modality)
        else {
            return Err(too_early("its features are joined"));
        };
        counts.answer(question, options, monitor).map_err(|source| with_hint(source, &self.tissue, info))
    }

    /// Makes the features of every modality, by its map; none for an embedding. What each adds up to.
    ///
    /// # Errors
    /// As [`FeatureMap::encode`].
    pub fn encode(&mut self, maps: &[Option<FeatureMap>]) -> Result<Vec<BalanceSums>, PipelineError> {
        check_modalities(maps.len(), self.modalities.len())?;
        self.features.clear();
        for (own, map) in self.modalities.iter_mut().zip(maps) {
            let values = match (&own.source, map) {
                (OwnSource::Counts(counts), Some(map)) => map
                    .encode(counts.view(), None)
                    .map(|(values, _)| FeatureValues::into_dense(values))
                    .map_err(|source| with_hint(source, &self.tissue, &own.info))?,
                (OwnSource::Rep { values, .. }, None) => values.clone(),
                _ => return Err(too_early("its features are joined")),
            };
            own.source = OwnSource::Encoded;
            self.features.push(values);
        }
        Ok(self.features.iter().map(|values| BalanceSums::of(values.view())).collect())
    }

    /// Makes the slice ready for training. The number of its edges.
    ///
    /// # Inputs
    /// `balances`: the scale of each modality, where they are brought to one. `sizes`: observations of each slice, this one
    /// at `index`.
    /// # Errors
    /// As the graph and the network.
    pub fn ready(
        &mut self,
        balances: Option<&[Balance]>,
        (sizes, index): (&[usize], usize),
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<usize, PipelineError> {
        check_modalities(self.features.len(), self.modalities.len())?;
        let options = options_of(&self.request, self.modalities.iter().map(|own| &own.info))?;
        let mut run = Run::new(seed, monitor);
        let (graph, _) = inputs::graph(&self.tissue, &self.request, options.n_neighbors, None, &mut run)?;
        let mut features = std::mem::take(&mut self.features);
        if let Some(balances) = balances {
            check_modalities(balances.len(), features.len())?;
            for (values, balance) in features.iter_mut().zip(balances) {
                check_modalities(balance.center.len(), values.ncols())?;
                balance.apply(values);
            }
        }
        let n_edges = graph.n_edges();
        let place = SpamiPlace { index, n_obs: sizes.iter().sum() };
        self.shard = Some(SpamiShard::new(features, graph, place, &options, seed)?);
        Ok(n_edges)
    }

    /// Its share of the gradient of an epoch (from 0).
    ///
    /// # Errors
    /// As [`SpamiShard::gradients`].
    pub fn gradients(&mut self, parameters: &[f32], epoch: u64) -> Result<Gradients, PipelineError> {
        Ok(self.shard()?.gradients(parameters, epoch)?)
    }

    /// What the network says of it.
    ///
    /// # Errors
    /// As [`SpamiShard::apply`].
    pub fn apply(&mut self, parameters: &[f32]) -> Result<SliceOutput, PipelineError> {
        let all = self.request.outputs.modality_embeddings;
        let SpamiOutput { embedding, attention, modality_embeddings, .. } =
            self.shard()?.apply(parameters)?;
        let modality_embeddings = if all { modality_embeddings } else { Vec::new() };
        Ok(SliceOutput { embedding, attention, modality_embeddings })
    }

    fn shard(&mut self) -> Result<&mut SpamiShard, PipelineError> {
        self.shard.as_mut().ok_or_else(|| too_early("it is made ready"))
    }
}

/// Columns by place, which need not rise.
fn in_order(counts: CsrMatrix<f32>, columns: &[usize]) -> CsrMatrix<f32> {
    if columns.len() == counts.n_cols() && columns.iter().enumerate().all(|(k, &j)| k == j) {
        return counts;
    }
    let mut to = vec![None; counts.n_cols()];
    columns.iter().enumerate().for_each(|(k, &j)| to[j] = Some(k as u32));
    let view = counts.view();
    let rows: Vec<Vec<(u32, f32)>> = (0..view.n_rows())
        .map(|i| {
            let (own, values) = view.row(i);
            let moved = own.iter().zip(values).filter_map(|(&j, &v)| Some((to[j as usize]?, v)));
            let mut row: Vec<(u32, f32)> = moved.collect();
            row.sort_unstable_by_key(|entry| entry.0);
            row
        })
        .collect();
    CsrMatrix::from_rows(columns.len(), &rows)
}

fn opening<'a>(request: &'a SpamiRequest, source: &'a OpenOptions, read: &'a ReadOptions) -> Opening<'a> {
    let (place, features) = (Some(&request.place), Some(&request.features));
    Opening { place, features, ..Opening::of(source, read, request.features.modality) }
}

fn check_modalities(found: usize, expected: usize) -> Result<(), PipelineError> {
    if found == expected {
        return Ok(());
    }
    Err(PipelineError::option("modalities", format!("{found} described"), format!("{expected}")))
}

fn options_of<'a>(
    request: &SpamiRequest,
    modalities: impl Iterator<Item = &'a ModalityInfo>,
) -> Result<SpamiOptions, PipelineError> {
    let (names, kinds): (Vec<String>, Vec<Modality>) = modalities.map(|m| (m.name.clone(), m.kind)).unzip();
    request.options_for(&names, &kinds)
}

/// Refuses what needs all slices in one place.
fn check_apart(request: &SpamiRequest) -> Result<(), PipelineError> {
    let refuse = |option, found: String, expected| Err(PipelineError::option(option, found, expected));
    if let Some(path) = &request.prior.prior {
        return refuse("prior", path.display().to_string(), "no reference where slices lie apart");
    }
    if let Some(path) = &request.models.load_model {
        let found = path.display().to_string();
        return refuse("load_model", found, "training where slices lie apart; apply a model slice by slice");
    }
    if let Some(key) = &request.place.library_key {
        return refuse("library_key", key.clone(), "one slice in each object or file where slices lie apart");
    }
    if request.outputs.denoise == Denoise::Always {
        let expected = "auto or never where slices lie apart; a saved model denoises slice by slice";
        return refuse("denoise", "always".to_owned(), expected);
    }
    match request.features.select.filter(|select| select.reads_expression()) {
        Some(select) => refuse("select", select.name().to_owned(), "hvg or mvp where slices lie apart"),
        None => Ok(()),
    }
}

/// What puts the slices together: it holds parameters and optimiser, and no counts.
pub struct SpamiLead {
    request: SpamiRequest,
    seed: Seed,
    slices: SlicesApart,
    modalities: Vec<Shared>,
    balances: Option<Vec<Balance>>,
    training: Option<(SpamiOptions, Training<SpamiError>)>,
}

/// A modality that all slices have.
struct Shared {
    name: String,
    kind: Modality,
    features: Vec<String>,
    rep_width: Option<usize>,
    map: Option<FeatureMap>,
}

impl Shared {
    /// Columns the network sees.
    fn width(&self) -> usize {
        self.rep_width.or_else(|| self.map.as_ref().map(FeatureMap::n_features)).unwrap_or(0)
    }
}

impl SpamiLead {
    /// # Errors
    /// [`PipelineError::Option`] for what needs all slices in one place, and for fewer than two slices.
    pub fn new(request: SpamiRequest, names: Vec<String>, seed: Seed) -> Result<Self, PipelineError> {
        check_apart(&request)?;
        request.check_prior(false)?;
        request.models.check()?;
        let slices = SlicesApart::new(names)?;
        Ok(Self { request, seed, slices, modalities: Vec::new(), balances: None, training: None })
    }

    /// The modalities that all slices have, and their features in common, in the order of the first slice.
    ///
    /// # Inputs
    /// `slices`: what each measures, as [`SpamiSlice::modalities`] says.
    /// # Errors
    /// [`PipelineError::Option`] when modalities differ; [`PipelineError::SharedGenes`] when they have hardly a feature in
    /// common.
    pub fn share(
        &mut self,
        slices: &[Vec<SliceModality>],
    ) -> Result<Vec<(String, Vec<String>)>, PipelineError> {
        check_number(slices.len(), self.slices.names.len())?;
        self.modalities.clear();
        for first in &slices[0] {
            let mut all = Vec::with_capacity(slices.len());
            for (own, name) in slices.iter().zip(&self.slices.names) {
                let found = own.iter().find(|m| m.name == first.name);
                let alike = found.filter(|m| m.kind == first.kind && m.rep_width == first.rep_width);
                let Some(found) = alike.filter(|_| own.len() == slices[0].len()) else {
                    let listed = |of: &[SliceModality]| {
                        let one = |m: &SliceModality| match m.rep_width {
                            Some(width) => format!("{} ({}, {width} columns)", m.name, m.kind.name()),
                            None => format!("{} ({})", m.name, m.kind.name()),
                        };
                        of.iter().map(one).collect::<Vec<_>>().join(" and ")
                    };
                    return Err(PipelineError::option(
                        "slices",
                        format!("{} in {name}", listed(own)),
                        format!("{} as in {}", listed(&slices[0]), self.slices.names[0]),
                    ));
                };
                all.push(found);
            }
            let lists: Vec<&[String]> = all.iter().map(|m| m.features.as_slice()).collect();
            let features = names_in_common(&lists);
            if first.rep_width.is_none() {
                let named = self.slices.names.iter().zip(&all);
                let named: Vec<(String, &[String])> =
                    named.map(|(name, m)| (format!("{name}: {}", m.name), m.features.as_slice())).collect();
                check_shared_names(&named, features.len())?;
            }
            let (name, kind, rep_width) = (first.name.clone(), first.kind, first.rep_width);
            self.modalities.push(Shared { name, kind, features, rep_width, map: None });
        }
        Ok(self.modalities.iter().map(|m| (m.name.clone(), m.features.clone())).collect())
    }

    /// Takes what is known of the spots of each slice.
    ///
    /// # Errors
    /// As the options of the network.
    pub fn join(&mut self, facts: Vec<SliceFacts>, monitor: &dyn Monitor) -> Result<(), PipelineError> {
        self.slices.set_facts(facts)?;
        let n_obs = self.slices.n_obs();
        self.options()?;
        // What is refused after training would be lost.
        let tissue = self.slices.tissue(&self.request.place.spatial_key, &Silent)?;
        check_run(&self.method(None), &tissue)?;
        let listed = |m: &Shared| match m.rep_width {
            Some(width) => format!("{} by {width} columns", m.name),
            None => format!("{} {} features in common", m.features.len(), m.name),
        };
        let listed: Vec<String> = self.modalities.iter().map(listed).collect();
        monitor.note(&format!(
            "{} slices joined: {n_obs} spots, {}",
            self.slices.names.len(),
            listed.join(", ")
        ));
        Ok(())
    }

    /// Modalities whose features are made of counts, by place.
    pub fn of_counts(&self) -> Vec<usize> {
        (0..self.modalities.len()).filter(|&m| self.modalities[m].rep_width.is_none()).collect()
    }

    /// Fits the features of a modality.
    ///
    /// # Inputs
    /// `ask`: asks each slice, which answers by [`SpamiSlice::answer`].
    /// # Errors
    /// As [`fit_apart`].
    pub fn fit(
        &mut self,
        modality: usize,
        ask: &mut Ask<'_, PipelineError>,
        monitor: &dyn Monitor,
    ) -> Result<(), PipelineError> {
        let n = self.modalities.len();
        let Some(shared) = self.modalities.get_mut(modality) else {
            return check_modalities(modality, n);
        };
        monitor.stage(&format!("{}: preprocessing", shared.name), 0);
        let options = options_on(default_options(shared.kind), &self.request.features);
        let mut asked = |question: &Question| {
            monitor.check().map_err(PreprocessError::from)?;
            ask(question).map_err(Asked::Slice)
        };
        let map = fit_apart(shared.features.len(), &options, &mut asked, self.seed, monitor);
        let map = map.map_err(|error| match error {
            Asked::Slice(error) => error,
            Asked::Here(source) => PipelineError::Preprocess { modality: shared.name.clone(), source },
        })?;
        monitor.note(&format!(
            "{}: {} features for the network ({}), from {} of {}",
            shared.name,
            map.n_features(),
            map.method(),
            map.n_selected(),
            map.n_vars()
        ));
        shared.map = Some(map);
        Ok(())
    }

    /// The map of each modality; none for an embedding.
    pub fn maps(&self) -> Vec<Option<&FeatureMap>> {
        self.modalities.iter().map(|m| m.map.as_ref()).collect()
    }

    /// The scale of each modality, where they are brought to one.
    ///
    /// # Inputs
    /// `sums`: of each slice, what the features of each modality add up to.
    /// # Errors
    /// [`PipelineError::Option`] for sums of other features.
    pub fn balance(&mut self, sums: &[Vec<BalanceSums>]) -> Result<Option<&[Balance]>, PipelineError> {
        check_number(sums.len(), self.slices.names.len())?;
        if !self.request.balances() {
            return Ok(None);
        }
        let mut balances = Vec::with_capacity(self.modalities.len());
        for (m, shared) in self.modalities.iter().enumerate() {
            let mut own = Vec::with_capacity(sums.len());
            for slice in sums {
                let found = slice.get(m).filter(|s| s.sums.len() == shared.width());
                own.push(found.cloned().ok_or_else(|| too_early("its features are made"))?);
            }
            balances.push(Balance::of_slices(&own));
        }
        self.balances = Some(balances);
        Ok(self.balances.as_deref())
    }

    /// Observations of each slice.
    pub fn sizes(&self) -> Vec<usize> {
        self.slices.sizes()
    }

    /// Begins training, from the checkpoint where that is asked for; the epochs already done.
    ///
    /// # Errors
    /// As the network; as `Checkpoints`.
    pub fn begin(&mut self, monitor: &dyn Monitor) -> Result<usize, PipelineError> {
        let options = self.options()?;
        let trainer = lead(&options, &self.widths(), self.seed)?;
        let request = self.request.models.checkpoints();
        let checkpoints = self.checkpoints(request.as_ref(), &options);
        let training = Training::begin(trainer, &checkpoints, monitor)?;
        let done = training.trainer.history().len();
        self.training = Some((options, training));
        Ok(done)
    }

    /// Epochs of the whole training, and whether it is at its end already.
    ///
    /// # Errors
    /// [`PipelineError::Option`] before [`SpamiLead::begin`].
    pub fn n_epochs(&self) -> Result<(usize, bool), PipelineError> {
        let (options, training) = self.training()?;
        Ok((options.epochs, training.trainer.ended(&schedule(options)).is_some()))
    }

    /// The parameters that travel.
    ///
    /// # Errors
    /// [`PipelineError::Option`] before [`SpamiLead::begin`].
    pub fn parameters(&self) -> Result<Vec<f32>, PipelineError> {
        Ok(self.training()?.1.parameters())
    }

    /// Adds the gradients of the next slice, in the order of the slices.
    ///
    /// # Errors
    /// [`SpamiError`] when they are another network's.
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
        let (loss, ended) = training.step(n_slices, &schedule(options))?;
        let request = self.request.models.checkpoints();
        let (options, training) = self.training()?;
        training.save_if_due(&self.checkpoints(request.as_ref(), options))?;
        Ok((loss, ended.is_some()))
    }

    /// Domains of all slices together; what each slice gets, in the rows of its input, and how many there are.
    ///
    /// # Inputs
    /// `outputs`: of each slice, in their order.
    /// # Errors
    /// As any method.
    pub fn finish(
        &mut self,
        outputs: &[SliceOutput],
        monitor: &dyn Monitor,
    ) -> Result<(Vec<Additions>, usize), PipelineError> {
        check_number(outputs.len(), self.slices.names.len())?;
        let (options, Training { trainer, .. }) =
            self.training.take().ok_or_else(|| too_early("it is trained"))?;
        let n = self.modalities.len();
        let n_obs = self.slices.n_obs();
        let whole = |of: &dyn Fn(&SliceOutput) -> Option<&Array2<f32>>| {
            let views: Vec<_> = outputs.iter().filter_map(|o| Some(of(o)?.view())).collect();
            let all = concatenate(Axis(0), &views)
                .map_err(|_| PipelineError::option("slices", "embeddings of several widths", "one width"))?;
            check_number(all.nrows(), n_obs)?;
            Ok::<_, PipelineError>(all)
        };
        let all_embeddings = self.request.outputs.modality_embeddings;
        let output = SpamiOutput {
            embedding: whole(&|o| Some(&o.embedding))?,
            attention: whole(&|o| Some(&o.attention))?,
            modality_embeddings: (0..if all_embeddings { n } else { 0 })
                .map(|m| whole(&|o| o.modality_embeddings.get(m)))
                .collect::<Result<_, _>>()?,
            reconstructions: self.modalities.iter().map(|m| Array2::zeros((0, m.width()))).collect(),
        };
        let epochs = trainer.history().iter().map(|row| SpamiEpoch::from_row(row, n)).collect();
        let model = model_of(&trainer, &options, &self.widths(), self.seed);
        let stopped_early = trainer.ended(&schedule(&options)) == Some(true);
        let inputs = (0..n).map(|m| self.input(m)).collect();
        let saved = (0..n).map(|m| self.saved(m)).collect();
        let data_hash = self.slices.data_hash();
        let apart = Apart { inputs, saved, output, options, epochs, stopped_early, data_hash, model };
        let tissue = self.slices.tissue(&self.request.place.spatial_key, monitor)?;
        let method = self.method(Some(apart));
        let (record, found) = run_tissue(&method, &tissue, self.seed, monitor)?;
        Ok((self.slices.split(found)?, record.n_clusters))
    }

    /// The method on all slices.
    fn method(&self, apart: Option<Apart>) -> Spami {
        let mut request = self.request.clone();
        request.place.library_key = Some(keys::LIBRARY_ID.to_owned());
        request.outputs.denoise = Denoise::Never;
        Spami { request, saved: None, reference: None, apart }
    }

    /// What the record says of a modality.
    fn input(&self, m: usize) -> Input {
        let shared = &self.modalities[m];
        let source = match &shared.map {
            None => {
                let reps = &self.request.modalities.use_rep;
                let key = reps.get(&shared.name).or_else(|| reps.get("")).cloned().unwrap_or_default();
                Source::Rep { key }
            }
            Some(map) => Source::Counts {
                map: Box::new(map.clone()),
                spots: SpotState::default(),
                columns: (0..map.n_vars()).filter(|&j| map.selected[j]).collect(),
            },
        };
        Input {
            info: ModalityInfo::named(shared.name.clone(), shared.kind),
            n_vars: shared.features.len(),
            values: Array2::zeros((0, shared.width())),
            source,
            balance: self.balances.as_ref().map(|balances| balances[m].clone()),
            data_hash: String::new(),
        }
    }

    /// What a model file holds of a modality.
    fn saved(&self, m: usize) -> SavedModality {
        let input = self.input(m);
        let source = match input.source {
            Source::Rep { key } => SavedSource::Rep(key),
            Source::Counts { map, .. } => {
                let kept = self.modalities[m].features.iter().zip(&map.kept).filter(|(_, k)| **k);
                let names = kept.map(|(name, _)| name.clone()).collect();
                SavedSource::Counts { map: Box::new(map.compact()), names }
            }
        };
        SavedModality { name: input.info.name, kind: input.info.kind, source, balance: input.balance }
    }

    fn options(&self) -> Result<SpamiOptions, PipelineError> {
        let (names, kinds): (Vec<String>, Vec<Modality>) =
            self.modalities.iter().map(|m| (m.name.clone(), m.kind)).unzip();
        self.request.options_for(&names, &kinds)
    }

    fn widths(&self) -> Vec<usize> {
        self.modalities.iter().map(Shared::width).collect()
    }

    fn training(&self) -> Result<&(SpamiOptions, Training<SpamiError>), PipelineError> {
        self.training.as_ref().ok_or_else(|| too_early("training has begun"))
    }

    fn checkpoints<'a>(
        &self,
        request: Option<&'a CheckpointRequest>,
        options: &SpamiOptions,
    ) -> Checkpoints<'a> {
        let shown: Vec<String> =
            (0..self.modalities.len()).map(|m| training::shown(&self.input(m))).collect();
        let of = (self.slices.n_obs(), shown);
        Checkpoints {
            request,
            file: training::file(),
            run: training::identity(&self.request, options, of, false, &self.slices.data_hash(), self.seed),
            width: SpamiEpoch::width(self.modalities.len(), false),
            last: options.epochs,
        }
    }
}

fn schedule(options: &SpamiOptions) -> Schedule {
    Schedule { epochs: options.epochs, early_stopping: options.early_stopping }
}

/// Where an error came from while features were fitted.
enum Asked {
    Slice(PipelineError),
    Here(PreprocessError),
}

impl From<PreprocessError> for Asked {
    fn from(source: PreprocessError) -> Self {
        Self::Here(source)
    }
}

/// What slices that lie apart have come to.
pub(super) struct Apart {
    inputs: Vec<Input>,
    saved: Vec<SavedModality>,
    output: SpamiOutput,
    options: SpamiOptions,
    epochs: Vec<SpamiEpoch>,
    stopped_early: bool,
    data_hash: String,
    model: SpamiModel,
}

impl Apart {
    /// As if it had been trained here.
    pub(super) fn solved(
        &self,
        request: &SpamiRequest,
        seed: Seed,
    ) -> Result<(Outcome, SpamiSolved), PipelineError> {
        let by_default = SpamiRequest::default().domains;
        let clustering = known::clustering(&request.domains, &by_default, None, CLUSTER_NEIGHBORS)?;
        let found = axes(&self.output.embedding)?;
        let clustered = found.dense_scores(self.output.embedding.mapv(f64::from).view());
        let embedding =
            Embedding { seed, written: Some(self.output.embedding.clone()), source: None, clustered };
        let to_save = request.models.save_model.is_some().then(|| ToSave {
            model: self.model.clone(),
            modalities: self.saved.clone(),
            head: None,
        });
        let solved = SpamiSolved {
            inputs: self.inputs.clone(),
            output: SpamiOutput { embedding: Array2::zeros((0, 0)), ..self.output.clone() },
            options: self.options.clone(),
            epochs: self.epochs.clone(),
            stopped_early: self.stopped_early,
            data_hash: self.data_hash.clone(),
            axes: found,
            to_save,
            prior: None,
        };
        Ok((Outcome::Embeddings { embeddings: vec![embedding], clustering, before: None }, solved))
    }
}

/// The sums of the features of each slice of one tissue, as slices that lie apart would give them.
pub(super) fn sums_of_slices(values: &Array2<f32>, slices: &Slices) -> Vec<BalanceSums> {
    let of = |rows: &Vec<u32>| {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        BalanceSums::of(values.select(Axis(0), &rows).view())
    };
    slices.rows().iter().map(of).collect()
}
