//! A network, written once and run every epoch.

use brodmann_kernels::Seed;

use super::mat::Mat;
use super::op::{Backward, Evaluation, Forward, Grad, Loss, Op, Step};
use super::parameters::{ParameterId, Parameters};
use super::plan::{Action, Buffer, Plan, PlannedLoss, PlannedNode, PlannedOp, Written};
use super::scalar::Scalar;
use super::scratch::ScratchPool;
use super::stop::Stop;

/// A value of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(pub(crate) usize);

#[derive(Clone, Copy, Debug)]
struct NodeInfo {
    rows: usize,
    cols: usize,
    /// Slot among the data given to each run.
    external: Option<usize>,
    needs_grad: bool,
    keep_value: bool,
    keep_grad: bool,
}

struct OpInfo<'n, T> {
    op: Box<dyn Op<T> + 'n>,
    inputs: Vec<usize>,
    parameters: Vec<ParameterId>,
    output: usize,
}

struct LossInfo<'n, T> {
    loss: Box<dyn Loss<T> + 'n>,
    inputs: Vec<usize>,
    parameters: Vec<ParameterId>,
    weight: f64,
}

/// Writes down a network.
#[derive(Default)]
pub struct TapeBuilder<'n, T> {
    nodes: Vec<NodeInfo>,
    ops: Vec<OpInfo<'n, T>>,
    losses: Vec<LossInfo<'n, T>>,
    written: Vec<Written>,
    n_inputs: usize,
}

impl<'n, T: Scalar> TapeBuilder<'n, T> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { nodes: Vec::new(), ops: Vec::new(), losses: Vec::new(), written: Vec::new(), n_inputs: 0 }
    }

    /// The next matrix of [`Step::inputs`].
    pub fn input(&mut self, rows: usize, cols: usize) -> Node {
        self.external(rows, cols, false)
    }

    /// Like [`input`](Self::input), with a gradient kept for the caller: for checks, and for chaining networks.
    pub fn differentiable_input(&mut self, rows: usize, cols: usize) -> Node {
        self.external(rows, cols, true)
    }

    fn external(&mut self, rows: usize, cols: usize, needs_grad: bool) -> Node {
        self.n_inputs += 1;
        self.nodes.push(NodeInfo {
            rows,
            cols,
            external: Some(self.n_inputs - 1),
            needs_grad,
            keep_value: false,
            keep_grad: needs_grad,
        });
        Node(self.nodes.len() - 1)
    }

    /// `(rows, cols)` of a node.
    pub fn shape(&self, node: Node) -> (usize, usize) {
        (self.nodes[node.0].rows, self.nodes[node.0].cols)
    }

    /// Adds a layer whose output is `rows × cols`.
    ///
    /// # Panics
    /// When an input appears twice: its two gradients would need one buffer at once.
    pub fn op(
        &mut self,
        op: impl Op<T> + 'n,
        inputs: &[Node],
        parameters: &[ParameterId],
        (rows, cols): (usize, usize),
    ) -> Node {
        assert_distinct(inputs);
        let inputs: Vec<usize> = inputs.iter().map(|n| n.0).collect();
        let needs_grad = !parameters.is_empty() || inputs.iter().any(|&n| self.nodes[n].needs_grad);
        let external = None;
        self.nodes.push(NodeInfo { rows, cols, external, needs_grad, keep_value: false, keep_grad: false });
        let output = self.nodes.len() - 1;
        self.ops.push(OpInfo { op: Box::new(op), inputs, parameters: parameters.to_vec(), output });
        self.written.push(Written::Op(self.ops.len() - 1));
        Node(output)
    }

    /// Adds `weight · loss` to the objective.
    ///
    /// # Panics
    /// When an input appears twice.
    pub fn loss(
        &mut self,
        loss: impl Loss<T> + 'n,
        inputs: &[Node],
        parameters: &[ParameterId],
        weight: f64,
    ) -> LossId {
        assert_distinct(inputs);
        let inputs = inputs.iter().map(|n| n.0).collect();
        self.losses.push(LossInfo { loss: Box::new(loss), inputs, parameters: parameters.to_vec(), weight });
        self.written.push(Written::Loss(self.losses.len() - 1));
        LossId(self.losses.len() - 1)
    }

    /// Keeps the value of a node after a run, for [`Tape::value`].
    pub fn keep(&mut self, node: Node) {
        self.nodes[node.0].keep_value = true;
    }

    fn plan(&self, training: bool) -> Plan {
        let nodes: Vec<PlannedNode> = self
            .nodes
            .iter()
            .map(|n| PlannedNode {
                len: n.rows * n.cols,
                external: n.external.is_some(),
                needs_grad: n.needs_grad,
                keep_value: n.keep_value,
                keep_grad: n.keep_grad,
            })
            .collect();
        let ops: Vec<PlannedOp> = self
            .ops
            .iter()
            .map(|o| PlannedOp {
                inputs: o.inputs.clone(),
                output: o.output,
                uses: o.op.uses(),
                saved: o.op.saved_len(self.nodes[o.output].rows),
                partials: o.op.partials_len(self.nodes[o.output].rows),
            })
            .collect();
        let losses: Vec<PlannedLoss> = self
            .losses
            .iter()
            .map(|l| PlannedLoss {
                inputs: l.inputs.clone(),
                scratch: l.loss.scratch_len(l.inputs.first().map_or(0, |&n| self.nodes[n].rows)),
            })
            .collect();
        Plan::new(&nodes, &ops, &losses, &self.written, training)
    }

    /// Bytes a tape would take, without taking them.
    pub fn memory_bytes(&self, training: bool) -> u64 {
        self.plan(training).slot_sizes.iter().map(|&s| (s * size_of::<T>()) as u64).sum()
    }

    /// Decides the order of work and takes the memory. Without `training` there are only forward passes.
    pub fn build(self, training: bool) -> Tape<'n, T> {
        let plan = self.plan(training);
        let slots = plan.slot_sizes.iter().map(|&s| vec![T::ZERO; s]).collect();
        let losses = vec![0.0; self.losses.len()];
        let seconds = vec![0.0; plan.actions.len()];
        Tape { net: self, plan, slots, losses, seconds, pool: ScratchPool::default(), profile: false }
    }
}

fn assert_distinct(nodes: &[Node]) {
    let repeated = nodes.iter().enumerate().any(|(k, n)| nodes[..k].contains(n));
    assert!(!repeated, "an input of a layer appears twice");
}

/// A term of the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossId(usize);

/// A network with its buffers.
pub struct Tape<'n, T> {
    net: TapeBuilder<'n, T>,
    plan: Plan,
    slots: Vec<Vec<T>>,
    losses: Vec<f64>,
    seconds: Vec<f64>,
    pool: ScratchPool<T>,
    profile: bool,
}

impl<T: Scalar> Tape<'_, T> {
    /// One pass: forward, losses, and (in training) gradients into `parameters`, which are zeroed first. Returns
    /// the weighted sum of the losses.
    ///
    /// # Errors
    /// That of the first loss that cannot be evaluated; gradients are then without meaning, and the tape may run again.
    ///
    /// # Panics
    /// When `step.inputs` do not have the shapes the network was written for.
    pub fn run(&mut self, step: &Step<'_, T>, parameters: &mut Parameters<T>) -> Result<f64, Stop> {
        self.check_inputs(step);
        parameters.zero_grads();
        for at in 0..self.plan.actions.len() {
            let start = self.profile.then(std::time::Instant::now);
            match self.plan.actions[at] {
                Action::Forward(o) => self.forward(o, step, parameters),
                Action::Loss(l) => self.evaluate(at, l, step, parameters)?,
                Action::Backward(o) => self.backward(at, o, step, parameters),
            }
            if let Some(start) = start {
                self.seconds[at] += start.elapsed().as_secs_f64();
            }
        }
        Ok(self.losses.iter().zip(&self.net.losses).map(|(value, l)| value * l.weight).sum())
    }

    /// The layers alone, without losses and the way back: nothing in it can fail.
    ///
    /// # Panics
    /// As [`Tape::run`].
    pub fn infer(&mut self, step: &Step<'_, T>, parameters: &Parameters<T>) {
        self.check_inputs(step);
        for at in 0..self.plan.actions.len() {
            if let Action::Forward(o) = self.plan.actions[at] {
                self.forward(o, step, parameters);
            }
        }
    }

    fn check_inputs(&self, step: &Step<'_, T>) {
        for node in &self.net.nodes {
            if let Some(k) = node.external {
                let given = &step.inputs[k];
                assert_eq!((given.rows, given.cols), (node.rows, node.cols), "shape of input {k}");
            }
        }
    }

    /// The unweighted value of a term in the last run.
    pub fn loss(&self, id: LossId) -> f64 {
        self.losses[id.0]
    }

    /// Largest relative error that an approximation can have caused in a term in the last run; 0 for exact terms.
    pub fn bound(&self, id: LossId) -> f64 {
        self.net.losses[id.0].loss.bound()
    }

    /// Takes the buffers out: tapes that run in turn share one set. Before the next run some must be lent.
    pub fn take_buffers(&mut self) -> Vec<Vec<T>> {
        std::mem::take(&mut self.slots)
    }

    /// Gives the tape buffers to work in, whatever they hold; they grow where they are too small.
    pub fn lend_buffers(&mut self, mut buffers: Vec<Vec<T>>) {
        buffers.resize_with(buffers.len().max(self.plan.slot_sizes.len()), Vec::new);
        for (buffer, &size) in buffers.iter_mut().zip(&self.plan.slot_sizes) {
            if buffer.len() < size {
                buffer.resize(size, T::ZERO);
            }
        }
        self.slots = buffers;
    }

    /// The value of a node in the last run; `None` unless it was kept.
    pub fn value(&self, node: Node) -> Option<Mat<'_, T>> {
        let info = &self.net.nodes[node.0];
        let slot = self.plan.slot(Buffer::Value(node.0)).filter(|_| info.keep_value)?;
        Some(Mat::new(&self.slots[slot][..info.rows * info.cols], info.rows, info.cols))
    }

    /// What the layer behind a kept node saved in the last run, such as the weights of attention.
    pub fn saved(&self, node: Node) -> Option<&[T]> {
        let info = &self.net.nodes[node.0];
        let o = self.net.ops.iter().position(|op| op.output == node.0)?;
        let slot = self.plan.slot(Buffer::Saved(o)).filter(|_| info.keep_value)?;
        Some(&self.slots[slot][..self.net.ops[o].op.saved_len(info.rows)])
    }

    /// The gradient by a differentiable input in the last run; `None` where no loss depends on it.
    pub fn gradient(&self, node: Node) -> Option<Mat<'_, T>> {
        let info = &self.net.nodes[node.0];
        let slot = self.plan.slot(Buffer::Grad(node.0)).filter(|_| info.keep_grad)?;
        Some(Mat::new(&self.slots[slot][..info.rows * info.cols], info.rows, info.cols))
    }

    /// Starts to measure the time of every step of the schedule.
    pub fn profile(&mut self) {
        self.profile = true;
    }

    /// Seconds so far per step of the schedule: its name, and whether it is forward, loss or backward.
    pub fn timings(&self) -> Vec<(&'static str, &'static str, f64)> {
        let label = |action: &Action| match *action {
            Action::Forward(o) => (self.net.ops[o].op.name(), "forward"),
            Action::Loss(l) => (self.net.losses[l].loss.name(), "loss"),
            Action::Backward(o) => (self.net.ops[o].op.name(), "backward"),
        };
        let rows = self.plan.actions.iter().zip(&self.seconds);
        rows.map(|(action, &s)| (label(action).0, label(action).1, s)).collect()
    }

    /// Bytes of all buffers.
    pub fn memory_bytes(&self) -> u64 {
        self.slots.iter().map(|s| (s.len() * size_of::<T>()) as u64).sum()
    }

    fn forward(&mut self, o: usize, step: &Step<'_, T>, parameters: &Parameters<T>) {
        let info = &self.net.ops[o];
        let output_node = &self.net.nodes[info.output];
        let mut output = Taken::take(&mut self.slots, self.plan.slot(Buffer::Value(info.output)));
        let mut saved = Taken::take(&mut self.slots, self.plan.slot(Buffer::Saved(o)));
        let inputs = values(&info.inputs, true, &self.net.nodes, &self.plan, &self.slots, step);
        let weights: Vec<Mat<'_, T>> = info.parameters.iter().map(|&p| parameters.value(p)).collect();
        info.op.forward(Forward {
            step,
            stream: o as u64,
            inputs: &inputs,
            parameters: &weights,
            output: output.slice(output_node.rows * output_node.cols),
            saved: saved.slice(info.op.saved_len(output_node.rows)),
            pool: &self.pool,
        });
        output.put(&mut self.slots);
        saved.put(&mut self.slots);
    }

    fn evaluate(
        &mut self,
        at: usize,
        l: usize,
        step: &Step<'_, T>,
        parameters: &mut Parameters<T>,
    ) -> Result<(), Stop> {
        let info = &mut self.net.losses[l];
        let mut scratch = Taken::take(&mut self.slots, self.plan.slot(Buffer::Scratch(at)));
        let mut grads = take_grads(&info.inputs, &self.net.nodes, &self.plan, &mut self.slots);
        let mut weight_grads: Vec<Vec<T>> =
            info.parameters.iter().map(|&p| parameters.take_grad(p)).collect();
        let inputs = values(&info.inputs, true, &self.net.nodes, &self.plan, &self.slots, step);
        let weights: Vec<Mat<'_, T>> = info.parameters.iter().map(|&p| parameters.value(p)).collect();
        let mut input_grads = lend(&mut grads, &self.plan.accumulate[at], &info.inputs, &self.net.nodes);
        let mut parameter_grads: Vec<&mut [T]> = weight_grads.iter_mut().map(Vec::as_mut_slice).collect();
        let rows = info.inputs.first().map_or(0, |&n| self.net.nodes[n].rows);
        let scratch_len = info.loss.scratch_len(rows);
        let value = info.loss.evaluate(Evaluation {
            step,
            inputs: &inputs,
            parameters: &weights,
            weight: info.weight,
            scratch: scratch.slice(scratch_len),
            input_grads: &mut input_grads,
            parameter_grads: &mut parameter_grads,
            pool: &self.pool,
        });
        scratch.put(&mut self.slots);
        for grad in grads {
            grad.put(&mut self.slots);
        }
        for (&p, grad) in info.parameters.iter().zip(weight_grads) {
            parameters.put_grad(p, grad);
        }
        self.losses[l] = value?;
        Ok(())
    }

    fn backward(&mut self, at: usize, o: usize, step: &Step<'_, T>, parameters: &mut Parameters<T>) {
        let info = &self.net.ops[o];
        let output_node = &self.net.nodes[info.output];
        let len = output_node.rows * output_node.cols;
        let mut partials = Taken::take(&mut self.slots, self.plan.slot(Buffer::Scratch(at)));
        let mut grads = take_grads(&info.inputs, &self.net.nodes, &self.plan, &mut self.slots);
        let mut weight_grads: Vec<Vec<T>> =
            info.parameters.iter().map(|&p| parameters.take_grad(p)).collect();
        let uses = info.op.uses();
        let inputs = values(&info.inputs, uses.inputs, &self.net.nodes, &self.plan, &self.slots, step);
        let weights: Vec<Mat<'_, T>> = info.parameters.iter().map(|&p| parameters.value(p)).collect();
        let held = |buffer| self.plan.slot(buffer).map_or(&[][..], |s| &self.slots[s][..]);
        let output = if uses.output { &held(Buffer::Value(info.output))[..len] } else { &[] };
        let saved_len = info.op.saved_len(output_node.rows);
        let mut input_grads = lend(&mut grads, &self.plan.accumulate[at], &info.inputs, &self.net.nodes);
        let mut parameter_grads: Vec<&mut [T]> = weight_grads.iter_mut().map(Vec::as_mut_slice).collect();
        info.op.backward(Backward {
            step,
            stream: o as u64,
            inputs: &inputs,
            parameters: &weights,
            output: Mat { data: output, rows: output_node.rows, cols: output_node.cols },
            upstream: Mat::new(&held(Buffer::Grad(info.output))[..len], output_node.rows, output_node.cols),
            saved: &held(Buffer::Saved(o))[..saved_len],
            partials: partials.slice(info.op.partials_len(output_node.rows)),
            input_grads: &mut input_grads,
            parameter_grads: &mut parameter_grads,
            pool: &self.pool,
        });
        partials.put(&mut self.slots);
        for grad in grads {
            grad.put(&mut self.slots);
        }
        for (&p, grad) in info.parameters.iter().zip(weight_grads) {
            parameters.put_grad(p, grad);
        }
    }
}

/// A buffer out of its slot, so that the others can be read while it is written.
struct Taken<T> {
    slot: Option<usize>,
    buffer: Vec<T>,
}

impl<T> Taken<T> {
    fn take(slots: &mut [Vec<T>], slot: Option<usize>) -> Self {
        Self { slot, buffer: slot.map(|s| std::mem::take(&mut slots[s])).unwrap_or_default() }
    }

    fn slice(&mut self, len: usize) -> &mut [T] {
        &mut self.buffer[..len]
    }

    fn put(self, slots: &mut [Vec<T>]) {
        if let Some(slot) = self.slot {
            slots[slot] = self.buffer;
        }
    }
}

fn take_grads<T>(inputs: &[usize], nodes: &[NodeInfo], plan: &Plan, slots: &mut [Vec<T>]) -> Vec<Taken<T>> {
    let wanted = |n: usize| plan.slot(Buffer::Grad(n)).filter(|_| nodes[n].needs_grad);
    inputs.iter().map(|&n| Taken::take(slots, wanted(n))).collect()
}

fn lend<'g, T>(
    grads: &'g mut [Taken<T>],
    accumulate: &[bool],
    inputs: &[usize],
    nodes: &[NodeInfo],
) -> Vec<Option<Grad<'g, T>>> {
    let each = grads.iter_mut().zip(accumulate).zip(inputs);
    each.map(|((taken, &accumulate), &n)| {
        let len = nodes[n].rows * nodes[n].cols;
        taken.slot.map(|_| Grad { data: &mut taken.buffer[..len], accumulate })
    })
    .collect()
}

fn values<'a, T>(
    inputs: &[usize],
    wanted: bool,
    nodes: &[NodeInfo],
    plan: &Plan,
    slots: &'a [Vec<T>],
    step: &'a Step<'a, T>,
) -> Vec<Mat<'a, T>> {
    let value = |&n: &usize| {
        let node = &nodes[n];
        let data = match (node.external, plan.slot(Buffer::Value(n))) {
            (Some(k), _) => step.inputs[k].data,
            (None, Some(slot)) if wanted => &slots[slot][..node.rows * node.cols],
            _ => &[],
        };
        Mat { data, rows: node.rows, cols: node.cols }
    };
    inputs.iter().map(value).collect()
}

impl<'a, T> Step<'a, T> {
    /// A pass without random draws: dropout off.
    pub fn inference(inputs: &'a [Mat<'a, T>]) -> Self {
        Self { seed: Seed(0), training: false, inputs, indices: &[], sparse: &[], masks: &[] }
    }

    /// A pass with random draws.
    pub fn training(seed: Seed, inputs: &'a [Mat<'a, T>]) -> Self {
        Self { seed, training: true, ..Self::inference(inputs) }
    }
}
