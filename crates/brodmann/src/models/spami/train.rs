//! Epochs, corruption, checkpoints, early stopping.

use brodmann_kernels::{CsrView, Monitor, Seed, Slices};
use ndarray::{Array2, ArrayView2};

use super::checks::{check_features, matrices, standard};
use super::error::SpamiError;
use super::graph::SpamiGraph;
use super::model::SpamiModel;
use super::network::{self, PriorNodes};
use super::options::SpamiOptions;
use super::parts::{Features, Part, parts};
use super::prior::{Anchors, Guidance, LabelHead, Trust};
use crate::nn::{
    AdamOptions, Column, Mat, Network, Parameters, Progress, Schedule, Stop, Trainer, TrainingState,
};

/// The loss of one epoch, before its step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpamiEpoch {
    /// The weighted sum.
    pub loss: f64,
    /// `L_con` per modality, unweighted; 0 where left out.
    pub contrast: Vec<f64>,
    /// `L_rec` per modality, unweighted.
    pub reconstruction: Vec<f64>,
    /// `L_cos`, unweighted; 0 with one modality or where left out.
    pub cosine: f64,
    /// Of a training that a reference guides.
    pub prior: Option<PriorEpoch>,
}

/// What a reference had to say in an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PriorEpoch {
    /// `L_mnn`, unweighted; 0 while anchors are not trusted.
    pub aligned: f64,
    /// `L_label`, unweighted.
    pub labelled: f64,
    /// How far anchors of neighbouring spots agree, [`Trust::agreement`].
    pub agreement: f64,
    /// Share of spots with an anchor.
    pub covered: f64,
}

/// Numbers of a [`PriorEpoch`].
const PRIOR_COLUMNS: [&str; 4] = ["aligned", "labelled", "agreement", "covered"];

/// A trained network and how it got there.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiFit {
    /// The network after the last epoch.
    pub model: SpamiModel,
    /// One entry per epoch.
    pub epochs: Vec<SpamiEpoch>,
    /// Whether early stopping ended it.
    pub stopped_early: bool,
}

/// A network that a reference guided.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedFit {
    /// The network, and how it got there.
    pub fit: SpamiFit,
    /// What tells labels apart.
    pub head: LabelHead,
    /// What the last anchors were worth.
    pub trust: Trust,
}

impl SpamiEpoch {
    /// Numbers per epoch of a network for so many modalities, with a reference or without: the columns of its history.
    pub const fn width(n_modalities: usize, guided: bool) -> usize {
        2 + 2 * n_modalities + if guided { PRIOR_COLUMNS.len() } else { 0 }
    }

    /// The losses of one row of the history of a network for so many modalities.
    ///
    /// # Panics
    /// When the row has another length than [`SpamiEpoch::width`] says.
    pub fn from_row(row: &[f64], n_modalities: usize) -> Self {
        let (terms, prior) = row.split_at(Self::width(n_modalities, false));
        let (contrast, reconstruction) = terms[2..].split_at(n_modalities);
        let prior = match *prior {
            [aligned, labelled, agreement, covered] => {
                Some(PriorEpoch { aligned, labelled, agreement, covered })
            }
            _ => None,
        };
        Self {
            loss: row[0],
            cosine: row[1],
            contrast: contrast.to_vec(),
            reconstruction: reconstruction.to_vec(),
            prior,
        }
    }
}

/// Trains SpaMI on the modalities of one or more slices.
///
/// Every epoch is one full pass: slice by slice the features of each modality are permuted and the losses taken; the
/// gradients are summed in the order of the slices, and Adam steps once. The random draws of an epoch depend on the seed and its number alone, so training resumed from a
/// checkpoint ends in the same bits.
///
/// `E` is the caller's error, so that a checkpoint that cannot be written ends training with its own error.
///
/// # Inputs
/// `modalities`: per modality `(n_obs, n_features)`, preprocessed (centred, of about unit variance).
/// `slices`: the slice of each spot; `None` for one slice.
/// # Returns
/// The network after the last epoch and the losses of every epoch, those of the checkpoint included.
/// # Errors
/// [`SpamiError`], and whatever `on_epoch` returns.
/// # Cost
/// Per epoch `O(n_obs · hidden · (Σ n_features + M · latent))` time; memory see
/// [`memory_bytes`](super::memory_bytes).
/// # Source
/// Gao et al. 2025 (SpaMI).
///
/// # Example
///
/// ```
/// use brodmann::models::spami::{SpamiError, SpamiGraph, SpamiOptions, train};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::Array2;
///
/// // Twelve spots in a ring, each the neighbour of the next; two modalities of four and three features.
/// let ring: Vec<Vec<u32>> = (0..12).map(|i| vec![(i + 1) % 12]).collect();
/// let graph = SpamiGraph::new(&ring)?;
/// let features = |width: usize| Array2::from_shape_fn((12, width), |(i, j)| ((i / 6 + j) % 2) as f32 - 0.5);
/// let (rna, adt) = (features(4), features(3));
/// let options = SpamiOptions { epochs: 20, hidden: 8, latent: 4, ..Default::default() };
/// let modalities = [rna.view(), adt.view()];
/// let fit = train::<SpamiError>(&modalities, &graph, None, &options, Seed(0), None, &mut |_| Ok(()), &Silent)?;
/// assert_eq!(fit.epochs.len(), 20);
/// assert!(fit.epochs[19].loss < fit.epochs[0].loss);
/// # Ok::<(), SpamiError>(())
/// ```
// Data, options, seed, and three ways to follow the work: all the caller's, and none goes with another.
#[expect(clippy::too_many_arguments)]
pub fn train<E: From<SpamiError>>(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
    slices: Option<&Slices>,
    options: &SpamiOptions,
    seed: Seed,
    resume: Option<TrainingState>,
    on_epoch: &mut dyn FnMut(&Progress<'_>) -> Result<(), E>,
    monitor: &dyn Monitor,
) -> Result<SpamiFit, E> {
    let features = standard(modalities);
    let features = matrices(&features);
    let mut trainer = trainer(modalities, &features, graph, slices, options, seed, None)?;
    run(&mut trainer, modalities, options, seed, resume, on_epoch, monitor)
}

/// [`train()`] guided by a labelled reference: SpaMI-P.
///
/// An encoder of the reference's own runs beside the others; `λ_mnn L_mnn + λ_label L_label` are added to the loss. Anchors
/// are those of the [`Guidance`] at first, and every `prior_every` epochs they are looked for anew, in the shared features and
/// the embeddings as they then are. Anchors that neighbouring spots do not agree on have no part until the next search.
///
/// # Inputs
/// As [`train()`]; `guidance`: the reference beside this very target.
/// # Returns
/// The network, which is one of [`train()`] (the reference's encoder is left behind), and the head for its embedding.
/// # Errors
/// As [`train()`].
/// # Cost
/// An epoch costs as much as one of both tissues; a search for anchors as
/// [`mutual_nearest`](crate::graph::mutual_nearest()).
/// # Source
/// Gao et al. 2025 (SpaMI-P).
///
/// # Example
///
/// ```
/// use brodmann::models::spami::prior::{Guidance, Prior, PriorOptions};
/// use brodmann::models::spami::{SpamiError, SpamiGraph, SpamiOptions, train_guided};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::Array2;
///
/// // Two tissues of forty spots in a row: their left half differs from their right half.
/// let row: Vec<Vec<u32>> = (0..40).map(|i| vec![if i < 39 { i + 1 } else { 38 }]).collect();
/// let graph = SpamiGraph::new(&row)?;
/// let half = |i: usize| if i < 20 { 1.0 } else { -1.0 };
/// let wave = |i: usize, j: usize| ((i * 7 + j * 3) % 5) as f32 * 0.02;
/// let rna = Array2::from_shape_fn((40, 3), |(i, j)| half(i) + wave(i, j));
/// let atlas = Array2::from_shape_fn((40, 3), |(i, j)| half(i) + wave(i + 1, j + 1));
/// let labels: Vec<u32> = (0..40).map(|i| u32::from(i >= 20)).collect();
/// let prior = Prior { target: rna.view(), reference: atlas.view(), graph: &graph, labels: &labels, n_labels: 2 };
/// let guidance = Guidance::new(prior, &graph, &PriorOptions::default(), Seed(0), &Silent)?;
/// assert!(guidance.trust().is_enough());
/// let options = SpamiOptions { epochs: 60, hidden: 16, latent: 8, learning_rate: 5e-3, ..Default::default() };
/// let guided = train_guided::<SpamiError>(
///     &[rna.view()], &graph, None, &options, &guidance, Seed(0), None, &mut |_| Ok(()), &Silent,
/// )?;
/// let embedding = guided.fit.model.apply(&[rna.view()], &graph, &Silent)?.embedding;
/// let found = guided.head.apply(embedding.view(), 0.0);
/// assert_eq!(found.labels.len(), 40);
/// let [first, last] = [0, 59].map(|epoch| guided.fit.epochs[epoch].prior.expect("guided").labelled);
/// assert!(last < first);
/// # Ok::<(), SpamiError>(())
/// ```
// As `train`, and the reference.
#[expect(clippy::too_many_arguments)]
pub fn train_guided<E: From<SpamiError>>(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
    slices: Option<&Slices>,
    options: &SpamiOptions,
    guidance: &Guidance<'_>,
    seed: Seed,
    resume: Option<TrainingState>,
    on_epoch: &mut dyn FnMut(&Progress<'_>) -> Result<(), E>,
    monitor: &dyn Monitor,
) -> Result<GuidedFit, E> {
    let features = standard(modalities);
    let reference = [guidance.prior().reference];
    let reference = standard(&reference);
    let all: Vec<Mat<'_, f32>> = matrices(&features).into_iter().chain(matrices(&reference)).collect();
    let mut trainer = trainer(modalities, &all, graph, slices, options, seed, Some((guidance, monitor)))?;
    let fit = run(&mut trainer, modalities, options, seed, resume, on_epoch, monitor)?;
    let parameters = trainer.parameters().clone();
    let [z, r] = trainer.network_mut().embeddings(&parameters);
    let head = guidance.head(&parameters, z.view(), r.view());
    let trust = trainer.network().guided.as_ref().map_or(guidance.trust(), |g| g.anchors.trust);
    Ok(GuidedFit { fit, head, trust })
}

/// Trains to the end.
fn run<E: From<SpamiError>>(
    trainer: &mut Trainer<SpamiNetwork<'_, '_>>,
    modalities: &[ArrayView2<'_, f32>],
    options: &SpamiOptions,
    seed: Seed,
    resume: Option<TrainingState>,
    on_epoch: &mut dyn FnMut(&Progress<'_>) -> Result<(), E>,
    monitor: &dyn Monitor,
) -> Result<SpamiFit, E> {
    if let Some(state) = resume {
        trainer.resume(&state, options.epochs)?;
    }
    let schedule = Schedule { epochs: options.epochs, early_stopping: options.early_stopping };
    let stopped_early = trainer.run(&schedule, on_epoch, monitor)?;
    let widths = modalities.iter().map(ArrayView2::ncols).collect();
    let model = SpamiModel::new(options.clone(), seed, widths, trainer.parameters());
    let n = modalities.len();
    let epochs = trainer.history().iter().map(|row| SpamiEpoch::from_row(row, n)).collect();
    Ok(SpamiFit { model, epochs, stopped_early })
}

/// The time of one step of the schedule of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiStep {
    /// Layer or loss.
    pub op: &'static str,
    /// `forward`, `loss` or `backward`.
    pub pass: &'static str,
    /// Seconds per epoch on the clock.
    pub seconds: f64,
}

/// Where the time of an epoch goes: trains for `options.epochs` epochs after one to warm up, and returns the mean of
/// every step of the schedule, in its order; the last is `adam`, which stands for all that is not the network.
///
/// # Errors
/// As [`train`].
pub fn profile(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
    options: &SpamiOptions,
    seed: Seed,
) -> Result<Vec<SpamiStep>, SpamiError> {
    let features = standard(modalities);
    let features = matrices(&features);
    let mut trainer = trainer(modalities, &features, graph, None, options, seed, None)?;
    let epoch = |trainer: &mut Trainer<SpamiNetwork<'_, '_>>| -> Result<(), SpamiError> {
        let gradients = trainer.gradients()?;
        trainer.apply(&gradients);
        Ok(())
    };
    epoch(&mut trainer)?;
    trainer.network_mut().parts[0].tape.profile();
    let start = std::time::Instant::now();
    for _ in 0..options.epochs {
        epoch(&mut trainer)?;
    }
    let each = 1.0 / options.epochs as f64;
    let total = start.elapsed().as_secs_f64() * each;
    let timings = trainer.network().parts[0].tape.timings().into_iter();
    let mut steps: Vec<SpamiStep> =
        timings.map(|(op, pass, seconds)| SpamiStep { op, pass, seconds: seconds * each }).collect();
    let rest = total - steps.iter().map(|s| s.seconds).sum::<f64>();
    steps.push(SpamiStep { op: "adam", pass: "rest", seconds: rest });
    Ok(steps)
}

/// The network with its data, before the first epoch.
fn trainer<'a, 'p>(
    modalities: &[ArrayView2<'_, f32>],
    features: &'a [Mat<'a, f32>],
    graph: &SpamiGraph,
    slices: Option<&Slices>,
    options: &SpamiOptions,
    seed: Seed,
    guide: Option<(&'a Guidance<'p>, &'a dyn Monitor)>,
) -> Result<Trainer<SpamiNetwork<'a, 'p>>, SpamiError> {
    options.validate(modalities.len())?;
    check_features(modalities, graph)?;
    let n_obs = graph.n_obs();
    if let Some(slices) = slices {
        if slices.n_obs() != n_obs {
            let what = "the list of slices".to_owned();
            return Err(SpamiError::SpotMismatch { what, found: slices.n_obs(), expected: n_obs });
        }
        graph.check_slices(slices)?;
    }
    let widths: Vec<usize> = modalities.iter().map(ArrayView2::ncols).collect();
    let (mut parameters, layout) = network::parameters::<f32>(options, &widths, seed);
    let slices = slices.map_or_else(|| Slices::one(n_obs), Slices::clone);
    let mut guided = None;
    let parts = match guide {
        None if slices.count() > 1 => parts(features, graph, &slices, (options, &layout), seed),
        guide => {
            let (mut tape, nodes) = network::write(options, &layout, &graph.operators, n_obs, true);
            if let Some((guidance, monitor)) = guide {
                if guidance.n_obs() != n_obs {
                    let what = "the target of the reference".to_owned();
                    return Err(SpamiError::SpotMismatch { what, found: guidance.n_obs(), expected: n_obs });
                }
                let labels = guidance.labelled(options.embedding_width(widths.len()));
                let shape = (guidance.prior().reference.ncols(), labels.n_labels);
                let prior = network::prior_parameters(&mut parameters, options, widths.len(), shape, seed);
                let operators = &guidance.prior().graph.operators;
                let weights = guidance.weights();
                let (written, prior_nodes) =
                    network::write_prior(tape, nodes.fused, options, &prior, operators, labels, weights);
                tape = written;
                tape.keep(nodes.fused);
                tape.keep(prior_nodes.embedding);
                guided = Some(Guided {
                    guidance,
                    nodes: prior_nodes,
                    anchors: guidance.first().clone(),
                    remembered: Vec::new(),
                    blank: parameters.clone(),
                    monitor,
                });
            }
            let features = features.iter().map(|x| Features::whole(*x)).collect();
            vec![Part::new(tape.build(true), nodes, features, slices.rows().to_vec(), (seed, 0, 1.0))]
        }
    };
    let network = SpamiNetwork {
        parts,
        buffers: Vec::new(),
        n_modalities: widths.len(),
        guided,
        learning_rate: options.learning_rate,
    };
    Ok(Trainer::new(network, parameters, adam(options)))
}

/// The rates of the optimiser.
pub(super) fn adam(options: &SpamiOptions) -> AdamOptions {
    AdamOptions {
        learning_rate: options.learning_rate,
        weight_decay: options.weight_decay,
        ..AdamOptions::default()
    }
}

/// The numbers of an epoch, without those of a reference.
pub(super) fn columns(n_modalities: usize) -> Vec<Column> {
    let each = |term: &'static str| (0..n_modalities).map(move |m| Column::sum(format!("{term}_{m}")));
    let first = [Column::sum("loss"), Column::sum("cosine")];
    first.into_iter().chain(each("contrast")).chain(each("reconstruction")).collect()
}

/// The slices, each with a tape of its own; those of several run in turn, in buffers they share. With a reference, whose
/// anchors lie anywhere, all slices are one part.
pub(super) struct SpamiNetwork<'a, 'p> {
    parts: Vec<Part<'a>>,
    buffers: Vec<Vec<f32>>,
    n_modalities: usize,
    guided: Option<Guided<'a, 'p>>,
    learning_rate: f64,
}

/// What a reference adds to the network.
struct Guided<'a, 'p> {
    guidance: &'a Guidance<'p>,
    nodes: PriorNodes,
    /// As last looked for.
    anchors: Anchors,
    /// The parameters at the last search, from which its anchors are found again; none before the first.
    remembered: Vec<(String, Array2<f32>)>,
    /// Parameters to put those into.
    blank: Parameters<f32>,
    monitor: &'a dyn Monitor,
}

impl<'a> SpamiNetwork<'a, '_> {
    /// Of one slice, whose gradients are summed elsewhere.
    pub(super) fn of_one(part: Part<'a>, n_modalities: usize, options: &SpamiOptions) -> Self {
        let learning_rate = options.learning_rate;
        Self { parts: vec![part], buffers: Vec::new(), n_modalities, guided: None, learning_rate }
    }

    /// The features of the first slice.
    pub(super) fn features_of_first(&self) -> Vec<ArrayView2<'_, f32>> {
        self.parts[0].features.iter().map(|x| x.view().view()).collect()
    }
}

impl SpamiNetwork<'_, '_> {
    /// The embeddings of target and reference, dropout off; nothing of a reference where there is none.
    fn embeddings(&mut self, parameters: &Parameters<f32>) -> [Array2<f32>; 2] {
        let (Some(guided), [part]) = (&self.guided, &mut self.parts[..]) else {
            return [Array2::zeros((0, 0)), Array2::zeros((0, 0))];
        };
        part.infer(&[guided.anchors.weights.view(), guided.anchors.back.view()], parameters);
        [part.nodes.fused, guided.nodes.embedding].map(|node| {
            let value: Mat<'_, f32> = part.tape.value(node).expect("kept for the search");
            value.view().to_owned()
        })
    }

    /// Looks for anchors with the parameters as they are.
    fn renew(&mut self, parameters: &Parameters<f32>) -> Result<(), SpamiError> {
        let [z, r] = self.embeddings(parameters);
        let Some(guided) = &mut self.guided else { return Ok(()) };
        guided.anchors = guided.guidance.find([z.view(), r.view()], guided.monitor)?;
        guided.remembered = parameters.named_values();
        Ok(())
    }

    /// The first term that is not finite, the total last.
    fn check_finite(&self, epoch: u64, numbers: &[f64]) -> Result<(), SpamiError> {
        let row = SpamiEpoch::from_row(numbers, self.n_modalities);
        let contrast = row.contrast.iter().enumerate().map(|(m, &v)| (format!("contrast {m}"), v));
        let reconstruction =
            row.reconstruction.iter().enumerate().map(|(m, &v)| (format!("reconstruction {m}"), v));
        let prior = row.prior.unwrap_or_default();
        let rest = [
            ("cosine".to_owned(), row.cosine),
            ("aligned".to_owned(), prior.aligned),
            ("labelled".to_owned(), prior.labelled),
            ("total".to_owned(), row.loss),
        ];
        match reconstruction.chain(contrast).chain(rest).find(|(_, v)| !v.is_finite()) {
            None => Ok(()),
            Some((term, value)) => Err(SpamiError::NonFiniteLoss {
                epoch: epoch as usize + 1,
                term,
                value,
                learning_rate: self.learning_rate,
            }),
        }
    }
}

impl Network for SpamiNetwork<'_, '_> {
    type Error = SpamiError;

    fn columns(&self) -> Vec<Column> {
        let prior = PRIOR_COLUMNS.iter().filter(|_| self.guided.is_some()).map(|name| Column::sum(*name));
        columns(self.n_modalities).into_iter().chain(prior).collect()
    }

    fn n_parts(&self) -> usize {
        self.parts.len()
    }

    fn pass(
        &mut self,
        part: usize,
        epoch: u64,
        parameters: &mut Parameters<f32>,
    ) -> Result<Vec<f64>, SpamiError> {
        let again = self.guided.as_ref().is_some_and(|g| g.guidance.searches_before(epoch));
        if again {
            self.renew(parameters)?;
        }
        let sparse: Vec<CsrView<'_, f32>> =
            self.guided.iter().flat_map(|g| [g.anchors.weights.view(), g.anchors.back.view()]).collect();
        let own = &mut self.parts[part];
        if own.borrows {
            own.tape.lend_buffers(std::mem::take(&mut self.buffers));
        }
        let numbers = own.pass(epoch, &sparse, parameters);
        if own.borrows {
            self.buffers = own.tape.take_buffers();
        }
        let learning_rate = self.learning_rate;
        let mut numbers = numbers.map_err(|stop| match stop {
            Stop::Interrupted(interrupted) => SpamiError::Interrupted(interrupted),
            Stop::Diverged { loss, .. } => SpamiError::NonFiniteLoss {
                epoch: epoch as usize + 1,
                term: "total".to_owned(),
                value: loss,
                learning_rate,
            },
        })?;
        if let (Some(g), [part]) = (&self.guided, &self.parts[..]) {
            let trust = g.anchors.trust;
            let losses = [g.nodes.aligned, g.nodes.labelled].map(|id| part.tape.loss(id));
            numbers.extend(losses.into_iter().chain([trust.agreement, trust.covered]));
        }
        self.check_finite(epoch, &numbers)?;
        Ok(numbers)
    }

    fn memory(&self) -> Vec<(String, Array2<f32>)> {
        self.guided.as_ref().map_or_else(Vec::new, |g| g.remembered.clone())
    }

    fn recall(&mut self, memory: &[(String, Array2<f32>)]) -> Result<(), SpamiError> {
        let Some((first, _)) = memory.first() else { return Ok(()) };
        let Some(guided) = &self.guided else {
            return Err(SpamiError::UnknownParameter { name: first.clone() });
        };
        let mut then = guided.blank.clone();
        then.load(memory)?;
        self.renew(&then)
    }
}
