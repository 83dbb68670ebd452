//! The order of work and the memory it needs, decided once.
//!
//! Forward passes run in the order in which the network was written. Backward passes run as early as they can: a
//! loss yields its gradient when it is evaluated, and a layer is walked back once all its consumers have been. A
//! buffer lives from its first writer to its last reader and then serves the next, so the peak is that of the
//! widest moment and not the sum of all layers.

use super::op::Uses;

/// What a layer looks like to the planner.
#[derive(Clone, Debug)]
pub(crate) struct PlannedOp {
    pub inputs: Vec<usize>,
    pub output: usize,
    pub uses: Uses,
    pub saved: usize,
    pub partials: usize,
}

/// What a loss looks like to the planner.
#[derive(Clone, Debug)]
pub(crate) struct PlannedLoss {
    pub inputs: Vec<usize>,
    pub scratch: usize,
}

/// Forward work in the order it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Op(usize),
    Loss(usize),
}

/// One step of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Forward(usize),
    Loss(usize),
    Backward(usize),
}

/// A buffer with a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Buffer {
    Value(usize),
    Grad(usize),
    Saved(usize),
    Scratch(usize),
}

/// A node: where it comes from and how large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedNode {
    pub len: usize,
    /// Value given from outside.
    pub external: bool,
    pub needs_grad: bool,
    pub keep_value: bool,
    pub keep_grad: bool,
}

/// The schedule, and a slot for every buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub actions: Vec<Action>,
    pub slot_sizes: Vec<usize>,
    slots: std::collections::BTreeMap<Buffer, usize>,
    /// Per action, per differentiable input: whether an earlier action has written that gradient.
    pub accumulate: Vec<Vec<bool>>,
}

impl Plan {
    pub(crate) fn slot(&self, buffer: Buffer) -> Option<usize> {
        self.slots.get(&buffer).copied()
    }

    pub(crate) fn new(
        nodes: &[PlannedNode],
        ops: &[PlannedOp],
        losses: &[PlannedLoss],
        written: &[Written],
        training: bool,
    ) -> Self {
        let actions = schedule(nodes, ops, losses, written, training);
        let mut touched = vec![false; nodes.len()];
        let mut accumulate = Vec::with_capacity(actions.len());
        for action in &actions {
            let inputs: &[usize] = match *action {
                Action::Forward(_) => &[],
                Action::Loss(l) => &losses[l].inputs,
                Action::Backward(o) => &ops[o].inputs,
            };
            accumulate.push(inputs.iter().map(|&n| std::mem::replace(&mut touched[n], true)).collect());
        }
        let mut plan = Self { actions, accumulate, ..Self::default() };
        plan.assign(nodes, ops, losses, training);
        plan
    }

    /// Best fit over the lifetimes: the smallest free slot that is large enough, else the largest, grown.
    ///
    /// A slot too small is grown rather than a new one opened, because growing costs the difference alone, least for
    /// the largest. Nothing better is needed: buffers come in few sizes (`rows × width` of some layer), so nearly every
    /// one finds a slot of exactly its size.
    fn assign(&mut self, nodes: &[PlannedNode], ops: &[PlannedOp], losses: &[PlannedLoss], training: bool) {
        // First use, last use, length. What is used at `end`, past the last action, is never given back.
        let mut lives: std::collections::BTreeMap<Buffer, (usize, usize, usize)> =
            std::collections::BTreeMap::new();
        let end = self.actions.len();
        let mut use_at = |buffer: Buffer, len: usize, at: usize| {
            if len > 0 {
                let life = lives.entry(buffer).or_insert((at, at, len));
                life.1 = life.1.max(at);
            }
        };
        for (at, action) in self.actions.iter().enumerate() {
            let mut value = |n: usize, at: usize| {
                if !nodes[n].external {
                    use_at(Buffer::Value(n), nodes[n].len, at);
                }
            };
            match *action {
                Action::Forward(o) => {
                    ops[o].inputs.iter().for_each(|&n| value(n, at));
                    value(ops[o].output, at);
                    if nodes[ops[o].output].keep_value {
                        value(ops[o].output, end);
                    }
                    let until = if nodes[ops[o].output].keep_value { end } else { at };
                    use_at(Buffer::Saved(o), ops[o].saved, at);
                    use_at(Buffer::Saved(o), ops[o].saved, until);
                }
                Action::Loss(l) => {
                    losses[l].inputs.iter().for_each(|&n| value(n, at));
                    use_at(Buffer::Scratch(at), losses[l].scratch, at);
                }
                Action::Backward(o) => {
                    if ops[o].uses.inputs {
                        ops[o].inputs.iter().for_each(|&n| value(n, at));
                    }
                    if ops[o].uses.output {
                        value(ops[o].output, at);
                    }
                    use_at(Buffer::Saved(o), ops[o].saved, at);
                    use_at(Buffer::Scratch(at), ops[o].partials, at);
                    use_at(Buffer::Grad(ops[o].output), nodes[ops[o].output].len, at);
                }
            }
            // A gradient begins to live with the first consumer that writes it, walking back, and ends above, where the
            // layer that made the value reads it.
            let written: &[usize] = match *action {
                Action::Forward(_) => &[],
                Action::Loss(l) => &losses[l].inputs,
                Action::Backward(o) => &ops[o].inputs,
            };
            for &n in written {
                if training && nodes[n].needs_grad {
                    use_at(Buffer::Grad(n), nodes[n].len, at);
                    if nodes[n].keep_grad {
                        use_at(Buffer::Grad(n), nodes[n].len, end);
                    }
                }
            }
        }
        let mut free: Vec<usize> = Vec::new();
        // All that begins at an action takes its slot before anything that ends there gives one back: an action reads
        // and writes at once, so its inputs and outputs may not share memory.
        for at in 0..end {
            for (&buffer, &(first, _, len)) in &lives {
                if first != at {
                    continue;
                }
                let fits = free.iter().enumerate().filter(|(_, s)| self.slot_sizes[**s] >= len);
                let found = fits
                    .min_by_key(|(_, s)| self.slot_sizes[**s])
                    .or_else(|| free.iter().enumerate().max_by_key(|(_, s)| self.slot_sizes[**s]))
                    .map(|(place, _)| place);
                let slot = if let Some(place) = found {
                    free.swap_remove(place)
                } else {
                    self.slot_sizes.push(0);
                    self.slot_sizes.len() - 1
                };
                self.slot_sizes[slot] = self.slot_sizes[slot].max(len);
                self.slots.insert(buffer, slot);
            }
            for (buffer, &(_, last, _)) in &lives {
                if last == at {
                    free.extend(self.slots.get(buffer));
                }
            }
        }
    }
}

fn schedule(
    nodes: &[PlannedNode],
    ops: &[PlannedOp],
    losses: &[PlannedLoss],
    written: &[Written],
    training: bool,
) -> Vec<Action> {
    let mut actions = Vec::new();
    // Consumers that have not yet given their part of a node's gradient, and those that will ever give one.
    let mut waiting = vec![0usize; nodes.len()];
    let mut reached = vec![false; nodes.len()];
    for work in written {
        if let Written::Loss(l) = *work {
            losses[l].inputs.iter().for_each(|&n| reached[n] = true);
        }
    }
    // Only layers on the way to a loss are walked back.
    for work in written.iter().rev() {
        if let Written::Op(o) = *work
            && reached[ops[o].output]
        {
            ops[o].inputs.iter().for_each(|&n| reached[n] = true);
        }
    }
    for work in written {
        let inputs = match *work {
            Written::Op(o) if reached[ops[o].output] => &ops[o].inputs,
            Written::Loss(l) => &losses[l].inputs,
            Written::Op(_) => continue,
        };
        for &n in inputs {
            waiting[n] += 1;
        }
    }
    let mut pending: Vec<usize> = Vec::new();
    for work in written {
        match *work {
            Written::Op(o) => {
                actions.push(Action::Forward(o));
                if training && reached[ops[o].output] && nodes[ops[o].output].needs_grad {
                    pending.push(o);
                }
            }
            Written::Loss(l) if training => {
                actions.push(Action::Loss(l));
                losses[l].inputs.iter().for_each(|&n| waiting[n] -= 1);
                // From the last written to the first: a layer is ready only after those behind it.
                while let Some(place) = pending.iter().rposition(|&o| waiting[ops[o].output] == 0) {
                    let o = pending.remove(place);
                    actions.push(Action::Backward(o));
                    ops[o].inputs.iter().for_each(|&n| waiting[n] -= 1);
                }
            }
            Written::Loss(_) => {}
        }
    }
    actions
}
