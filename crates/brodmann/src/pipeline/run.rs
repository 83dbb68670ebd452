//! What accompanies every step of a run: its seed, who watches it, its clock, and what it will write.

use std::time::Instant;

use brodmann_data::{Additions, ElementAdditions};
use brodmann_kernels::{CsrMatrix, Monitor, Seed};

/// One run on one tissue.
pub struct Run<'a> {
    /// Of every random stream.
    pub seed: Seed,
    /// Hears of stages and choices, and may ask to stop.
    pub monitor: &'a dyn Monitor,
    /// Wall-clock seconds so far.
    pub seconds: Seconds,
    /// The spatial graph that genes are selected on, where they are.
    pub selection_graph: Option<CsrMatrix<f64>>,
    /// What will be added to the container.
    pub additions: Additions,
}

/// A stage of a run, as reports time it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the input.
    Read,
    /// Counts to features.
    Preprocess,
    /// Neighbour graphs.
    Graph,
    /// Training a model, or applying one.
    Train,
    /// Clustering, and looking at the result.
    Cluster,
    /// Writing and verifying the output.
    Write,
}

/// Wall-clock seconds of each stage of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Seconds {
    /// Reading the input.
    pub read: f64,
    /// Counts to features.
    pub preprocess: f64,
    /// Neighbour graphs.
    pub graph: f64,
    /// Training a model; 0 for methods that have none.
    pub train: f64,
    /// Clustering.
    pub cluster: f64,
    /// Writing and verifying the output.
    pub write: f64,
}

impl Seconds {
    /// The clock of a stage.
    pub fn of(&mut self, stage: Stage) -> &mut f64 {
        match stage {
            Stage::Read => &mut self.read,
            Stage::Preprocess => &mut self.preprocess,
            Stage::Graph => &mut self.graph,
            Stage::Train => &mut self.train,
            Stage::Cluster => &mut self.cluster,
            Stage::Write => &mut self.write,
        }
    }
}

impl<'a> Run<'a> {
    /// A run that has done nothing yet.
    pub fn new(seed: Seed, monitor: &'a dyn Monitor) -> Self {
        let (seconds, additions) = (Seconds::default(), Additions::default());
        Self { seed, monitor, seconds, selection_graph: None, additions }
    }

    /// Does `work` on the clock of `stage`.
    pub fn timed<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        *self.seconds.of(stage) += start.elapsed().as_secs_f64();
        result
    }

    /// What will be added to a modality, or (`None`) to the whole.
    pub fn target(&mut self, modality: Option<&str>) -> &mut ElementAdditions {
        self.additions.target(modality)
    }
}
