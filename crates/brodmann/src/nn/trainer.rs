//! Epochs: how a network comes to its weights.
//!
//! A [`Trainer`] owns parameters, optimiser and history, whatever the network; a [`Network`] says what one pass over a
//! part of its data yields. An epoch is [`Trainer::gradients`], the sum over the parts in their order, and then
//! [`Trainer::apply`]. Between the two lies a seam: gradients of other parts, found by another trainer, may be added
//! there, and as sums are formed in the order of the parts, the bits are those of one trainer that has them all.

use brodmann_kernels::{Interrupted, Monitor};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::adam::{Adam, AdamOptions};
use super::parameters::Parameters;
use super::stop::StateError;

/// What is trained: the parts of the data and a pass over each.
pub trait Network {
    /// Why a pass has no result.
    type Error: From<Interrupted> + From<StateError>;

    /// The numbers of an epoch. The first is the objective, which early stopping looks at.
    fn columns(&self) -> Vec<Column>;

    /// Parts whose gradients are summed, in this order.
    fn n_parts(&self) -> usize {
        1
    }

    /// One pass over a part: its gradients into `parameters`, its share of each number of [`Network::columns`] as the
    /// value. Draws depend on `epoch` (from 0) and not on passes before.
    ///
    /// # Errors
    /// The network's own; the epoch is then not finished.
    fn pass(
        &mut self,
        part: usize,
        epoch: u64,
        parameters: &mut Parameters<f32>,
    ) -> Result<Vec<f64>, Self::Error>;

    /// What it remembers from pass to pass beside the parameters; saved with them.
    fn memory(&self) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }

    /// Takes up what was saved of [`Network::memory`], of which nothing is trusted.
    ///
    /// # Errors
    /// [`StateError`] when it is another network's, and the network's own.
    fn recall(&mut self, memory: &[(String, Array2<f32>)]) -> Result<(), Self::Error> {
        match memory.first() {
            None => Ok(()),
            Some((name, _)) => Err(StateError::Unknown { name: name.clone() }.into()),
        }
    }
}

/// How numbers of several parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Their sum: losses, weighted by the share of each part.
    Sum,
    /// The largest: bounds.
    Max,
}

/// A number of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it is.
    pub name: String,
    /// How parts are put together.
    pub merge: Merge,
}

impl Column {
    /// A number that adds up.
    pub fn sum(name: impl Into<String>) -> Self {
        Self { name: name.into(), merge: Merge::Sum }
    }

    /// A number of which the largest counts.
    pub fn max(name: impl Into<String>) -> Self {
        Self { name: name.into(), merge: Merge::Max }
    }
}

/// The gradient of an epoch by every parameter, and the numbers of the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// One list per parameter, in the order of the parameters.
    values: Vec<Vec<f32>>,
    numbers: Vec<(f64, Merge)>,
}

impl Gradients {
    /// Adds the gradients of further parts. The sum depends on the order in its last bits: keep that of the parts.
    ///
    /// # Panics
    /// When they are another network's.
    pub fn add(&mut self, other: &Self) {
        assert!(
            self.values.len() == other.values.len() && self.numbers.len() == other.numbers.len(),
            "gradients of one network"
        );
        for (sum, values) in self.values.iter_mut().zip(&other.values) {
            assert_eq!(sum.len(), values.len(), "gradients of one network");
            sum.iter_mut().zip(values).for_each(|(s, &v)| *s += v);
        }
        for ((sum, merge), &(number, _)) in self.numbers.iter_mut().zip(&other.numbers) {
            *sum = match merge {
                Merge::Sum => *sum + number,
                Merge::Max => sum.max(number),
            };
        }
    }

    /// One list per parameter, in the order of the parameters.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// The numbers of the epoch, in the order of [`Network::columns`].
    pub fn numbers(&self) -> Vec<f64> {
        self.numbers.iter().map(|(number, _)| *number).collect()
    }

    /// All values one after the other: what travels from where they were found to where they are summed.
    pub fn flat(&self) -> Vec<f32> {
        self.values.concat()
    }

    /// Gradients that have travelled, of which nothing is trusted but that the numbers are numbers.
    ///
    /// # Errors
    /// [`StateError::Shape`] when they are another network's.
    pub fn from_flat(
        values: &[f32],
        numbers: &[f64],
        parameters: &Parameters<f32>,
        columns: &[Column],
    ) -> Result<Self, StateError> {
        parameters.check_flat("gradients", values.len())?;
        if numbers.len() != columns.len() {
            let (found, expected) = ((1, numbers.len()), (1, columns.len()));
            return Err(StateError::Shape { name: "numbers of the epoch".to_owned(), found, expected });
        }
        let mut rest = values;
        let values = parameters.iter().map(|p| {
            let (own, after) = rest.split_at(p.value.len());
            rest = after;
            own.to_vec()
        });
        let values = values.collect();
        let numbers = numbers.iter().zip(columns).map(|(&n, c)| (n, c.merge)).collect();
        Ok(Self { values, numbers })
    }
}

/// A network whose parts all lie elsewhere: its trainer sums gradients that come in, and steps.
pub struct Elsewhere<E> {
    columns: Vec<Column>,
    error: std::marker::PhantomData<fn() -> E>,
}

impl<E> Elsewhere<E> {
    /// With the numbers that the parts report.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, error: std::marker::PhantomData }
    }
}

impl<E: From<Interrupted> + From<StateError>> Network for Elsewhere<E> {
    type Error = E;

    fn columns(&self) -> Vec<Column> {
        self.columns.clone()
    }

    fn n_parts(&self) -> usize {
        0
    }

    fn pass(
        &mut self,
        _part: usize,
        _epoch: u64,
        _parameters: &mut Parameters<f32>,
    ) -> Result<Vec<f64>, Self::Error> {
        Ok(vec![0.0; self.columns.len()])
    }
}

/// Ends training once the loss no longer falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a new best loss before training ends.
    pub patience: usize,
    /// A loss is a new best when it lies at least this far below the old one.
    pub min_delta: f64,
}

impl EarlyStopping {
    /// Whether the best of these losses lies `patience` epochs back.
    fn ends(self, losses: impl Iterator<Item = f64>) -> bool {
        let mut best = f64::INFINITY;
        let mut since = 0;
        for loss in losses {
            if loss < best - self.min_delta || best == f64::INFINITY {
                best = loss;
                since = 0;
            } else {
                since += 1;
            }
        }
        since >= self.patience
    }
}

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Epochs, those already done included.
    pub epochs: usize,
    /// Ends training before.
    pub early_stopping: Option<EarlyStopping>,
}

/// All that training needs to go on where it was: plain data, for any file format.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// Every parameter under its name.
    pub parameters: Vec<(String, Array2<f32>)>,
    /// Adam's running mean of each gradient, under the same names.
    pub first_moments: Vec<(String, Array2<f32>)>,
    /// Adam's running mean of each squared gradient.
    pub second_moments: Vec<(String, Array2<f32>)>,
    /// One row per epoch done, one column per [`Network::columns`].
    pub history: Array2<f64>,
    /// What the network remembers beside its parameters ([`Network::memory`]).
    pub memory: Vec<(String, Array2<f32>)>,
}

/// Where training is, handed to the caller after each epoch.
pub struct Progress<'a> {
    /// Epochs done, from 1.
    pub epoch: usize,
    /// The numbers of this epoch, before its step, in the order of [`Network::columns`].
    pub numbers: &'a [f64],
    checkpoint: &'a dyn Fn() -> TrainingState,
}

impl Progress<'_> {
    /// A copy of the state: costs three times the parameters, so ask now and then.
    pub fn checkpoint(&self) -> TrainingState {
        (self.checkpoint)()
    }
}

/// Parameters, optimiser and history of a network in training.
pub struct Trainer<N> {
    network: N,
    parameters: Parameters<f32>,
    adam: Adam<f32>,
    columns: Vec<Column>,
    history: Vec<Vec<f64>>,
}

impl<N: Network> Trainer<N> {
    /// Before the first epoch.
    pub fn new(network: N, parameters: Parameters<f32>, options: AdamOptions) -> Self {
        let adam = Adam::new(options, &parameters);
        let columns = network.columns();
        Self { network, parameters, adam, columns, history: Vec::new() }
    }

    /// Goes on from a saved state, of which nothing is trusted.
    ///
    /// # Errors
    /// [`StateError`] when it is another network's, or holds more than `epochs` epochs; the network's own.
    pub fn resume(&mut self, state: &TrainingState, epochs: usize) -> Result<(), N::Error> {
        let done = state.history.nrows();
        if done > epochs {
            return Err(StateError::BeyondEnd { found: done, expected: epochs }.into());
        }
        let expected = (done, self.columns.len());
        if state.history.dim() != expected {
            let name = "history".to_owned();
            return Err(StateError::Shape { name, found: state.history.dim(), expected }.into());
        }
        for (moments, saved) in [
            (&mut self.adam.first_moments, &state.first_moments),
            (&mut self.adam.second_moments, &state.second_moments),
        ] {
            // By way of the parameters, which know the names and shapes.
            self.parameters.load(saved)?;
            for (moment, parameter) in moments.iter_mut().zip(self.parameters.iter()) {
                moment.copy_from_slice(&parameter.value);
            }
        }
        self.parameters.load(&state.parameters)?;
        self.network.recall(&state.memory)?;
        self.adam.steps = done as u64;
        self.history = state.history.rows().into_iter().map(|row| row.to_vec()).collect();
        Ok(())
    }

    /// The gradients of the epoch to come: of all parts, summed in their order. Changes nothing but buffers.
    ///
    /// # Errors
    /// The network's own.
    pub fn gradients(&mut self) -> Result<Gradients, N::Error> {
        self.gradients_at(self.history.len() as u64)
    }

    /// [`gradients`](Self::gradients) of any epoch (from 0), as where another trainer keeps the history.
    ///
    /// # Errors
    /// The network's own.
    pub fn gradients_at(&mut self, epoch: u64) -> Result<Gradients, N::Error> {
        let mut total: Option<Gradients> = None;
        for part in 0..self.network.n_parts() {
            let numbers = self.network.pass(part, epoch, &mut self.parameters)?;
            let gradients = Gradients {
                values: self.parameters.take_grads(),
                numbers: numbers.into_iter().zip(self.columns.iter().map(|c| c.merge)).collect(),
            };
            match &mut total {
                None => total = Some(gradients),
                Some(sum) => sum.add(&gradients),
            }
        }
        // A network without parts has nothing to learn from.
        Ok(total.unwrap_or_else(|| Gradients {
            values: self.parameters.iter().map(|p| vec![0.0; p.value.len()]).collect(),
            numbers: self.columns.iter().map(|c| (0.0, c.merge)).collect(),
        }))
    }

    /// One step along gradients, which ends the epoch.
    ///
    /// # Panics
    /// When they are another network's.
    pub fn apply(&mut self, gradients: &Gradients) {
        assert_eq!(gradients.values.len(), self.parameters.len(), "gradients of this network");
        self.adam.step_along(&mut self.parameters, &gradients.values);
        self.history.push(gradients.numbers.iter().map(|(number, _)| *number).collect());
    }

    /// Whether a schedule is at its end, and then whether it ended early.
    pub fn ended(&self, schedule: &Schedule) -> Option<bool> {
        if self.history.len() >= schedule.epochs {
            return Some(false);
        }
        let losses = self.history.iter().filter_map(|numbers| numbers.first().copied());
        schedule.early_stopping.is_some_and(|stop| stop.ends(losses)).then_some(true)
    }

    /// Trains to the end of a schedule; whether it ended early.
    ///
    /// `E` is the caller's error, so that a checkpoint that cannot be written ends training with its own error.
    ///
    /// # Errors
    /// The network's own, an interruption, and whatever `on_epoch` returns.
    pub fn run<E: From<N::Error>>(
        &mut self,
        schedule: &Schedule,
        on_epoch: &mut dyn FnMut(&Progress<'_>) -> Result<(), E>,
        monitor: &dyn Monitor,
    ) -> Result<bool, E> {
        monitor.stage("train", schedule.epochs as u64);
        monitor.advance(self.history.len() as u64);
        loop {
            if let Some(early) = self.ended(schedule) {
                return Ok(early);
            }
            monitor.check().map_err(N::Error::from)?;
            let gradients = self.gradients()?;
            self.apply(&gradients);
            let epoch = self.history.len();
            let numbers = &self.history[epoch - 1];
            on_epoch(&Progress { epoch, numbers, checkpoint: &|| self.state() })?;
            monitor.advance(1);
        }
    }

    /// A copy of all that is needed to go on.
    pub fn state(&self) -> TrainingState {
        let mut history = Array2::zeros((self.history.len(), self.columns.len()));
        for (mut row, numbers) in history.rows_mut().into_iter().zip(&self.history) {
            row.iter_mut().zip(numbers).for_each(|(slot, &number)| *slot = number);
        }
        TrainingState {
            parameters: self.parameters.named_values(),
            first_moments: self.parameters.named(|k| &self.adam.first_moments[k]),
            second_moments: self.parameters.named(|k| &self.adam.second_moments[k]),
            history,
            memory: self.network.memory(),
        }
    }

    /// What the numbers of an epoch are.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The numbers of each epoch done.
    pub fn history(&self) -> &[Vec<f64>] {
        &self.history
    }

    /// The parameters after the last step.
    pub fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    /// Other parameters, as where another trainer steps.
    pub fn parameters_mut(&mut self) -> &mut Parameters<f32> {
        &mut self.parameters
    }

    /// What is trained.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// What is trained.
    pub fn network_mut(&mut self) -> &mut N {
        &mut self.network
    }
}
