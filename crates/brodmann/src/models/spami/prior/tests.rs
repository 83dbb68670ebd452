//! Training that a reference guides: what it gains, what it must not lose, and the promises of its interface.

use brodmann_kernels::{Seed, Silent};
use ndarray::Array2;

use super::{Guidance, Prior, PriorOptions, UNLABELLED};
use crate::models::spami::{
    GuidedFit, SpamiError, SpamiFit, SpamiGraph, SpamiOptions, memory_bytes, memory_bytes_guided, train,
    train_guided,
};
use crate::nn::TrainingState;
use crate::nn::check::numbers;

const SIDE: usize = 12;

/// A square lattice, each spot with its right and lower neighbour.
fn lattice() -> SpamiGraph {
    let rows: Vec<Vec<u32>> = (0..SIDE * SIDE)
        .map(|i| {
            let right = (i % SIDE + 1 < SIDE).then_some(i as u32 + 1);
            let below = (i + SIDE < SIDE * SIDE).then_some((i + SIDE) as u32);
            right.into_iter().chain(below).collect()
        })
        .collect();
    SpamiGraph::new(&rows).expect("a lattice")
}

/// The quarter of each spot.
fn quarters() -> Vec<u32> {
    (0..SIDE * SIDE).map(|i| u32::from(i % SIDE >= SIDE / 2) + 2 * u32::from(i / SIDE >= SIDE / 2)).collect()
}

/// Features that tell the quarters apart, with noise.
fn features(salt: u64, noise: f64) -> Array2<f32> {
    let draws = numbers(SIDE * SIDE * 6, salt);
    let quarter = quarters();
    Array2::from_shape_fn((SIDE * SIDE, 6), |(i, j)| {
        let level = if quarter[i] as usize == j { 1.5 } else { 0.0 };
        (level - 0.25 + noise * draws[i * 6 + j]) as f32
    })
}

struct Case {
    graph: SpamiGraph,
    target: Array2<f32>,
    reference: Array2<f32>,
    labels: Vec<u32>,
}

impl Case {
    fn new() -> Self {
        Self { graph: lattice(), target: features(1, 1.0), reference: features(2, 1.0), labels: quarters() }
    }

    fn prior(&self) -> Prior<'_> {
        Prior {
            target: self.target.view(),
            reference: self.reference.view(),
            graph: &self.graph,
            labels: &self.labels,
            n_labels: 4,
        }
    }

    fn guidance(&self) -> Guidance<'_> {
        // Of 144 spots, 20 would be half a quarter.
        let options = PriorOptions { prior_every: 5, prior_anchors: 6, ..PriorOptions::default() };
        Guidance::new(self.prior(), &self.graph, &options, Seed(3), &Silent).expect("sound")
    }

    fn guided(
        &self,
        epochs: usize,
        resume: Option<TrainingState>,
        kept: &mut dyn FnMut(usize, TrainingState),
    ) -> Result<GuidedFit, SpamiError> {
        let mut on_epoch = |progress: &crate::nn::Progress<'_>| {
            kept(progress.epoch, progress.checkpoint());
            Ok(())
        };
        let views = [self.target.view()];
        let guidance = self.guidance();
        let options = small(epochs);
        train_guided(&views, &self.graph, None, &options, &guidance, Seed(7), resume, &mut on_epoch, &Silent)
    }

    fn alone(&self, epochs: usize) -> SpamiFit {
        let views = [self.target.view()];
        let fit = train::<SpamiError>(
            &views,
            &self.graph,
            None,
            &small(epochs),
            Seed(7),
            None,
            &mut |_| Ok(()),
            &Silent,
        );
        fit.expect("trains")
    }

    fn embedding(&self, fit: &SpamiFit) -> Array2<f32> {
        fit.model.apply(&[self.target.view()], &self.graph, &Silent).expect("applies").embedding
    }
}

fn small(epochs: usize) -> SpamiOptions {
    SpamiOptions { epochs, hidden: 16, latent: 8, learning_rate: 5e-3, ..SpamiOptions::default() }
}

fn right(found: &[u32], expected: &[u32]) -> usize {
    found.iter().zip(expected).filter(|(a, b)| a == b).count()
}

#[test]
fn a_reference_names_the_regions() {
    let case = Case::new();
    let trust = case.guidance().trust();
    assert!(trust.is_enough() && trust.covered > 0.5, "{trust:?}");
    let guided = case.guided(60, None, &mut |_, _| ()).expect("trains");
    let embedding = case.embedding(&guided.fit);
    let found = guided.head.apply(embedding.view(), 0.0);
    // Noise as large as the signal, and a third of the spots on a border; by chance 36.
    assert!(right(&found.labels, &quarters()) > 105, "{}", right(&found.labels, &quarters()));
    let last = guided.fit.epochs[59].prior.expect("guided");
    let first = guided.fit.epochs[0].prior.expect("guided");
    assert!(last.aligned < first.aligned && last.labelled < 0.5 * first.labelled, "{first:?} {last:?}");
}

#[test]
fn shuffled_labels_are_found_out() {
    let mut case = Case::new();
    case.labels = (0..144).map(|i| (Seed(9).word(i) % 4) as u32).collect();
    let trust = case.guidance().trust();
    assert!(!trust.is_enough(), "{trust:?}");
    // Trained on all the same, the target is left alone: anchors that do not agree have no weight.
    let guided = case.guided(8, None, &mut |_, _| ()).expect("trains");
    assert!(guided.fit.epochs.iter().all(|e| e.prior.expect("guided").aligned == 0.0));
    assert_eq!(case.embedding(&guided.fit), case.embedding(&case.alone(8)));
}

#[test]
fn what_the_reference_lacks_is_none_of_its_labels() {
    let mut case = Case::new();
    // A reference without the last quarter: its spots look like the first, and are labelled so.
    let reference = features(2, 1.0);
    let place = |i: usize| (i % SIDE % (SIDE / 2)) + SIDE * (i / SIDE % (SIDE / 2));
    for i in (0..144).filter(|&i| quarters()[i] == 3) {
        case.reference.row_mut(i).assign(&reference.row(place(i)));
        case.labels[i] = 0;
    }
    let guided = case.guided(60, None, &mut |_, _| ()).expect("trains");
    let found = guided.head.apply(case.embedding(&guided.fit).view(), 0.5);
    let found = found.where_supported(&case.guidance().supported());
    let mean = |of: bool| {
        let sure: Vec<f32> =
            (0..144).filter(|&i| (quarters()[i] == 3) == of).map(|i| found.confidence[i]).collect();
        sure.iter().sum::<f32>() / sure.len() as f32
    };
    assert!(mean(true) + 0.2 < mean(false), "{} {}", mean(true), mean(false));
}

#[test]
fn the_same_bits_from_any_number_of_threads_and_after_a_pause() {
    let case = Case::new();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| case.guided(13, None, &mut |_, _| ()).expect("trains"))
    };
    let whole = run(1);
    assert_eq!(whole, run(3));
    // Before, at and after a search for anchors.
    for pause in [3, 5, 8, 10] {
        let mut state = None;
        case.guided(13, None, &mut |epoch, now| {
            if epoch == pause {
                state = Some(now);
            }
        })
        .expect("trains");
        assert_eq!(case.guided(13, state, &mut |_, _| ()).expect("resumes"), whole, "{pause}");
    }
}

#[test]
fn a_checkpoint_without_the_reference_is_not_one_with_it() {
    let case = Case::new();
    let mut state = None;
    case.guided(7, None, &mut |_, now| state = Some(now)).expect("trains");
    let state = state.expect("seven epochs");
    assert!(!state.memory.is_empty());
    let views = [case.target.view()];
    let without = train::<SpamiError>(
        &views,
        &case.graph,
        None,
        &small(9),
        Seed(7),
        Some(state.clone()),
        &mut |_| Ok(()),
        &Silent,
    );
    without.expect_err("another history, other parameters");
    let mut broken = state;
    broken.memory[0].1 = Array2::zeros((1, 1));
    let error = case.guided(9, Some(broken), &mut |_, _| ()).expect_err("damaged");
    assert!(matches!(error, SpamiError::ParameterShape { .. }), "{error}");
}

#[test]
fn a_reference_that_does_not_fit_together_is_refused() {
    let case = Case::new();
    let refuse = |prior: Prior<'_>, options: &PriorOptions| {
        Guidance::new(prior, &case.graph, options, Seed(0), &Silent).err().expect("must be refused")
    };
    let plain = PriorOptions::default();
    let short = Prior { labels: &case.labels[1..], ..case.prior() };
    assert!(matches!(refuse(short, &plain), SpamiError::PriorMismatch { found: 143, expected: 144, .. }));
    let beyond = Prior { n_labels: 3, ..case.prior() };
    assert!(matches!(refuse(beyond, &plain), SpamiError::PriorLabel { label: 3, n_labels: 3, .. }));
    let one: Vec<u32> = (0..144).map(|i| if i < 9 { 2 } else { UNLABELLED }).collect();
    assert!(matches!(
        refuse(Prior { labels: &one, ..case.prior() }, &plain),
        SpamiError::PriorLabels { found: 1 }
    ));
    let narrow = Array2::<f32>::zeros((144, 2));
    let narrow = Prior { reference: narrow.view(), ..case.prior() };
    assert!(matches!(refuse(narrow, &plain), SpamiError::WidthMismatch { .. }));
    let broken = PriorOptions { prior_anchors: 0, ..plain };
    assert!(matches!(refuse(case.prior(), &broken), SpamiError::Option(_)));
}

#[test]
fn the_forecast_knows_of_the_reference() {
    let options = SpamiOptions::default();
    let alone = memory_bytes(100_000, &[50, 50], &options);
    let guided = memory_bytes_guided(100_000, &[50, 50], &options, (100_000, 30, 8));
    assert!(guided > alone + 100_000 * 1000 && guided < 4 * alone, "{alone} {guided}");
}
