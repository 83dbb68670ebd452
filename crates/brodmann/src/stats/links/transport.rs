//! Unbalanced transport with an entropic term, from the accessibility of peaks to the expression of genes.

use brodmann_kernels::{CsrView, Monitor, OptionError, ParallelLoop};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::LinksError;
use super::cell_costs::{Beyond, CellCosts, Kernel};
use super::groups::{Groups, NONE, Side};
use super::masses::{Count, Masses, masses_of_pairs};
use super::window::LinkPairs;

/// Rounds between two looks at the error.
const LOOK: usize = 10;
/// `exp(ρ/ε)` and the sums over cells that it meets stay within doubles up to here.
const MOST_RHO: f64 = 600.0;

/// Options of [`transport`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportOptions {
    /// Weight of the entropic term ε, in units of the largest cost.
    pub epsilon: f64,
    /// Price ρ of a unit of accessibility that is not moved.
    pub rho_peaks: f64,
    /// Price of a unit of expression to which nothing is moved.
    pub rho_genes: f64,
    /// Rounds, at most.
    pub max_iterations: usize,
    /// A component is done when its potentials change by less than this share, looked at every tenth round.
    pub tolerance: f64,
    /// What moving between cells costs that are no neighbours.
    pub beyond: Beyond,
    /// After each round, shift the potentials of each component to where they are best as a whole. The solution is the
    /// same, reached in fewer rounds.
    pub shift: bool,
    /// Let all components go on until the last is done, by the largest change of any species, those without a pair
    /// included, as the reference does.
    pub together: bool,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            epsilon: 0.1,
            rho_peaks: 10.0,
            rho_genes: 10.0,
            max_iterations: 1000,
            tolerance: 1e-6,
            beyond: Beyond::Maximum,
            shift: true,
            together: false,
        }
    }
}

impl TransportOptions {
    /// Refuses options out of range.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if !(self.epsilon >= 1e-4 && self.epsilon <= 100.0) {
            return Err(OptionError::new("epsilon", self.epsilon, "a number from 0.0001 to 100"));
        }
        for (option, rho) in [("rho_peaks", self.rho_peaks), ("rho_genes", self.rho_genes)] {
            let most = MOST_RHO * self.epsilon;
            if !(rho >= 0.0 && rho <= most) {
                let expected = format!("a number from 0 to {most}, {MOST_RHO} times epsilon");
                let advice = "a price above the largest cost, which is 1, changes little";
                return Err(OptionError::new(option, rho, expected).advise(advice));
            }
        }
        if self.max_iterations == 0 {
            return Err(OptionError::new("max_iterations", 0, "at least 1"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance < 1.0) {
            return Err(OptionError::new("tolerance", self.tolerance, "a number from 0 to below 1"));
        }
        Ok(())
    }
}

/// How the solution of a component came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComponentFate {
    /// Genes.
    pub n_genes: usize,
    /// Peaks.
    pub n_peaks: usize,
    /// Rounds.
    pub iterations: usize,
    /// Relative change of the potentials at the last look.
    pub error: f64,
    /// Whether it fell below the tolerance.
    pub converged: bool,
}

/// A solution: potentials from which the plan of any pair follows.
#[derive(Clone, Debug)]
pub struct Transport<T> {
    pub(super) groups: Groups,
    pub(super) kernel: Kernel,
    pub(super) peaks: Masses<T>,
    pub(super) genes: Masses<T>,
    /// `Σ exp(f / ε)` over the members of each group of peaks, entry by entry.
    u: Vec<f64>,
    /// `Σ exp(g / ε)` over the members of each group of genes.
    v: Vec<f64>,
    total: f64,
    n_cells: usize,
    epsilon: f64,
    unmatched: [f64; 2],
    /// By component.
    pub components: Vec<ComponentFate>,
    /// The largest error of all components at each look.
    pub trace: Vec<f64>,
}

/// Moves accessibility to expression at the least cost.
///
/// With `a` the counts of peaks and `b` those of genes, both divided by the larger total, and `C` the cost `min(M_ij /
/// scale, 1)` of moving from peak `p` in cell `i` to gene `q` in cell `j` where the two are a pair (forbidden elsewhere),
/// it minimises
///
/// ```text
/// ⟨P, C⟩ + ε Σ P (ln P − 1) + ρ_peaks |μ| + ρ_genes |ν| + ε Σ μ (ln μ − 1) + ε Σ ν (ln ν − 1)
/// subject to  P 1 + μ = a,  Pᵀ 1 + ν = b
/// ```
///
/// by Sinkhorn's rounds, from `u = v = 1`, with `K = exp(−C/ε)`:
///
/// ```text
/// u ← a / (K v + exp(−ρ_peaks / ε)),   v ← b / (Kᵀ u + exp(−ρ_genes / ε)),   P = u K v
/// ```
///
/// which are those of the potentials `f = ε ln u` and `g = ε ln v`. The error, looked at in rounds 1, 11, 21, …, is the
/// mean of `max|f − f'| / max(max|f|, max|f'|, 1)` and the same of `g`.
///
/// # Inputs
/// `peaks`, `genes`: `(n_cells, n_species)`, counts or logarithms of counts; negative values count as 0. `pairs`: of
/// these species. `costs`: of these cells.
/// # Returns
/// [`Transport`]; components that did not converge say so.
/// # Errors
/// `Size` where cells or species differ in number, `NonFinite`, `NoMass`, `Option`, `Interrupted`.
/// # Cost
/// Per round O(k · (entries of groups + genes' non-zeros)) time with k neighbours per cell. Memory: 12 bytes (8 for the
/// cell and an `f32`) per positive count of a species with a pair, 24 (48 while they are made) per cell and group with mass, 12 per neighbour,
/// `24 · n_cells` per thread. The bits do not depend on the number of threads.
/// # Source
/// He et al. 2026, Cell Systems 17:101479 (FGOT); Chizat et al. 2018, Math. Comput. 87:2563 (unbalanced transport);
/// Séjourné et al. 2022, AISTATS (shift of the potentials).
/// # Differences
/// The paper holds a matrix of cells² per pair. Here all pairs share one matrix of cells, so that peaks with the same
/// genes within reach are one while potentials are found, and only neighbours in the embedding have a cost of their
/// own. Components of the graph of pairs stop each on their own. `exp(ρ/ε)` up to e⁶⁰⁰ neither over- nor underflows in
/// any term, so that no logarithm is taken in a round.
pub fn transport<T: Count>(
    peaks: CsrView<'_, T>,
    genes: CsrView<'_, T>,
    pairs: &LinkPairs,
    costs: &CellCosts,
    options: &TransportOptions,
    monitor: &dyn Monitor,
) -> Result<Transport<T>, LinksError> {
    options.validate()?;
    let n_cells = costs.n_cells();
    let (peaks, genes) = masses_of_pairs((peaks, genes), pairs, n_cells)?;
    let total = peaks.total().max(genes.total());
    monitor.check()?;
    let groups = Groups::new(pairs, &peaks, &genes, total, n_cells);
    let kernel = costs.kernel(options.epsilon, options.beyond);
    let from = |present: &[u32]| present.iter().map(|&n| f64::from(n)).collect();
    let (u, v) = (from(&groups.peaks.present), from(&groups.genes.present));
    let (unmatched, epsilon) = ([(); 2].map(|()| 0.0), options.epsilon);
    let (components, trace) = (Vec::new(), Vec::new());
    let mut solution = Transport {
        groups,
        kernel,
        peaks,
        genes,
        u,
        v,
        total,
        n_cells,
        epsilon,
        unmatched,
        components,
        trace,
    };
    solution.solve(options, monitor)?;
    Ok(solution)
}

/// How far the potentials of a group, or a component, went in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    step: f64,
    largest: f64,
}

impl Change {
    fn widen(&mut self, other: Self) {
        self.step = self.step.max(other.step);
        self.largest = self.largest.max(other.largest);
    }

    fn relative(self) -> f64 {
        self.step / self.largest.max(1.0)
    }
}

/// One side of a round.
struct Half<'a, T> {
    own: &'a Side,
    masses: &'a Masses<T>,
    other: &'a Side,
    partners: &'a [Vec<u32>],
    /// `exp(−ρ / ε)`.
    floor: f64,
}

impl<T: Count> Transport<T> {
    fn solve(&mut self, options: &TransportOptions, monitor: &dyn Monitor) -> Result<(), LinksError> {
        let floors = [options.rho_peaks, options.rho_genes].map(|rho| (-rho / options.epsilon).exp());
        let n = self.groups.n_components;
        let mut fates: Vec<ComponentFate> = (0..n)
            .map(|_| ComponentFate { n_genes: 0, n_peaks: 0, iterations: 0, error: 1.0, converged: false })
            .collect();
        for group in 0..self.groups.genes.len() {
            let component = self.groups.component_of_genes[group] as usize;
            fates[component].n_genes += self.groups.genes.members(group).len();
        }
        for group in 0..self.groups.peaks.len() {
            let component = self.groups.component_of_peaks[group] as usize;
            fates[component].n_peaks += self.groups.peaks.members(group).len();
        }
        monitor.stage("transport", n as u64);
        let mut active = vec![true; n];
        for round in 0..options.max_iterations {
            monitor.check()?;
            let looks = round % LOOK == 0;
            let Self { groups, kernel, peaks, genes, u, v, total, epsilon, n_cells, .. } = self;
            let context = Context {
                kernel,
                total: *total,
                epsilon: *epsilon,
                n_cells: *n_cells,
                looks,
                first: round == 0,
            };
            let (own, other) = (&groups.peaks, &groups.genes);
            let half = Half { own, masses: peaks, other, partners: &groups.genes_of, floor: floors[0] };
            let of_peaks = half.step(u, v, &live(&groups.component_of_peaks, &active), context);
            let half =
                Half { own: other, masses: genes, other: own, partners: &groups.peaks_of, floor: floors[1] };
            let of_genes = half.step(v, u, &live(&groups.component_of_genes, &active), context);
            if options.shift {
                self.shift(floors, &active);
            }
            fates.iter_mut().zip(&active).filter(|(_, on)| **on).for_each(|(fate, _)| fate.iterations += 1);
            if !looks {
                continue;
            }
            let errors = if options.together {
                let rho = [options.rho_peaks, options.rho_genes];
                vec![self.error_of_all(&of_peaks, &of_genes, rho, round == 0); n]
            } else {
                self.errors(&of_peaks, &of_genes)
            };
            let mut largest = 0.0f64;
            for (component, fate) in fates.iter_mut().enumerate().filter(|(k, _)| active[*k]) {
                fate.error = errors[component];
                fate.converged = fate.error <= options.tolerance;
                largest = largest.max(fate.error);
            }
            for (on, fate) in active.iter_mut().zip(&fates) {
                if *on && fate.converged {
                    *on = false;
                    monitor.advance(1);
                }
            }
            self.trace.push(largest);
            if !active.contains(&true) {
                break;
            }
        }
        self.components = fates;
        self.unmatched = self.unmatched_of(floors);
        Ok(())
    }

    /// The error of each component.
    fn errors(&self, of_peaks: &[(u32, Change)], of_genes: &[(u32, Change)]) -> Vec<f64> {
        let joined = |changes: &[(u32, Change)], component_of: &[u32]| {
            let mut all = vec![Change::default(); self.groups.n_components];
            for &(group, change) in changes {
                all[component_of[group as usize] as usize].widen(change);
            }
            all
        };
        let of_peaks = joined(of_peaks, &self.groups.component_of_peaks);
        let of_genes = joined(of_genes, &self.groups.component_of_genes);
        of_peaks.iter().zip(&of_genes).map(|(p, g)| f64::midpoint(p.relative(), g.relative())).collect()
    }

    /// The error of all species as one; `rho` are the prices of both sides.
    fn error_of_all(
        &self,
        of_peaks: &[(u32, Change)],
        of_genes: &[(u32, Change)],
        rho: [f64; 2],
        first: bool,
    ) -> f64 {
        let relative = |changes: &[(u32, Change)], masses: &Masses<T>, rho: f64| {
            let mut all = Change::default();
            for (_, change) in changes {
                all.widen(*change);
            }
            // Without a pair f = ε ln a + ρ, from the first round on.
            for count in masses.others().into_iter().flatten() {
                let potential = (self.epsilon * (count / self.total).ln() + rho).abs();
                all.widen(Change { step: if first { potential } else { 0.0 }, largest: potential });
            }
            all.relative()
        };
        f64::midpoint(relative(of_peaks, &self.peaks, rho[0]), relative(of_genes, &self.genes, rho[1]))
    }

    /// Multiplies `u` and divides `v` of each component by the number that is best for both.
    ///
    /// With `A` and `B` the masses and `X = Σ u exp(−ρ/ε)`, `Y = Σ v exp(−ρ/ε)` what is not moved, the dual changes by
    /// `ε ln z (A − B) − ε z X − ε Y / z`, which is largest where `X z² − (A − B) z − Y = 0`.
    fn shift(&mut self, floors: [f64; 2], active: &[bool]) {
        let n = self.groups.n_components;
        let sums = |side: &Side, component_of: &[u32], potentials: &[f64]| {
            let mut all = vec![[0.0; 2]; n];
            for group in 0..side.len() {
                let sum = &mut all[component_of[group] as usize];
                let range = side.entries(group);
                sum[0] += side.mass[range.clone()].iter().sum::<f64>();
                sum[1] += potentials[range].iter().sum::<f64>();
            }
            all
        };
        let of_peaks = sums(&self.groups.peaks, &self.groups.component_of_peaks, &self.u);
        let of_genes = sums(&self.groups.genes, &self.groups.component_of_genes, &self.v);
        let factors: Vec<f64> = (0..n)
            .map(|k| {
                let difference = of_peaks[k][0] - of_genes[k][0];
                let (x, y) = (of_peaks[k][1] * floors[0], of_genes[k][1] * floors[1]);
                let root = (difference * difference + 4.0 * x * y).sqrt();
                // Of two forms of the same root, the one that subtracts nothing.
                let z = if difference >= 0.0 {
                    (difference + root) / (2.0 * x)
                } else {
                    2.0 * y / (root - difference)
                };
                if active[k] && z.is_finite() && z > 0.0 { z } else { 1.0 }
            })
            .collect();
        let scale = |side: &Side, component_of: &[u32], potentials: &mut [f64], by: &dyn Fn(f64) -> f64| {
            for group in 0..side.len() {
                let factor = by(factors[component_of[group] as usize]);
                if factor != 1.0 {
                    potentials[side.entries(group)].iter_mut().for_each(|value| *value *= factor);
                }
            }
        };
        scale(&self.groups.peaks, &self.groups.component_of_peaks, &mut self.u, &|z| z);
        scale(&self.groups.genes, &self.groups.component_of_genes, &mut self.v, &|z| 1.0 / z);
    }

    /// The shares of both sides' mass, of species with a pair, that are not moved.
    fn unmatched_of(&self, floors: [f64; 2]) -> [f64; 2] {
        let share = |side: &Side, potentials: &[f64], floor: f64| {
            potentials.iter().sum::<f64>() * floor / side.mass.iter().sum::<f64>()
        };
        [share(&self.groups.peaks, &self.u, floors[0]), share(&self.groups.genes, &self.v, floors[1])]
    }

    /// Share of the accessibility of peaks with a gene within reach that is moved to no gene.
    pub fn unmatched_accessibility(&self) -> f64 {
        self.unmatched[0]
    }

    /// Share of the expression of genes with a peak within reach to which nothing is moved.
    pub fn unmatched_expression(&self) -> f64 {
        self.unmatched[1]
    }

    /// The larger of the two totals of counts: what a unit of the plan stands for.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.n_cells
    }

    /// Whether all components converged.
    pub fn converged(&self) -> bool {
        self.components.iter().all(|fate| fate.converged)
    }

    /// `u / a` of a group of peaks: cells and values.
    pub(super) fn peak_scaling(&self, group: usize) -> impl Iterator<Item = (u32, f64)> + '_ {
        let side = &self.groups.peaks;
        side.entries(group).map(|e| (side.cells[e], self.u[e] / side.mass[e]))
    }

    /// `v / b` of a group of genes.
    pub(super) fn gene_scaling(&self, group: usize) -> impl Iterator<Item = (u32, f64)> + '_ {
        let side = &self.groups.genes;
        side.entries(group).map(|e| (side.cells[e], self.v[e] / side.mass[e]))
    }

    /// The potential `f` of a peak: `(cell, f)` where it has mass; empty without a pair.
    pub fn peak_potential(&self, peak: u32) -> Vec<(u32, f64)> {
        match self.groups.peaks.group_of[peak as usize] {
            NONE => Vec::new(),
            group => self.potential(self.peaks.of(peak), self.peak_scaling(group as usize)),
        }
    }

    /// The potential `g` of a gene.
    pub fn gene_potential(&self, gene: u32) -> Vec<(u32, f64)> {
        match self.groups.genes.group_of[gene as usize] {
            NONE => Vec::new(),
            group => self.potential(self.genes.of(gene), self.gene_scaling(group as usize)),
        }
    }

    fn potential(
        &self,
        (cells, counts): (&[u32], &[T]),
        scaling: impl Iterator<Item = (u32, f64)>,
    ) -> Vec<(u32, f64)> {
        let mut scaling = scaling;
        let mut found = Vec::with_capacity(cells.len());
        for (&cell, &count) in cells.iter().zip(counts) {
            // The cells of a species are some of its group's, in the same order.
            if let Some((_, s)) = scaling.find(|(c, _)| *c == cell) {
                found.push((cell, self.epsilon * (count.into() / self.total * s).ln()));
            }
        }
        found
    }

    /// The plan of a pair, times [`Transport::total`]: `(cell of the peak, cell of the gene, mass)` by rising cells.
    ///
    /// # Cost
    /// O(cells of the peak × cells of the gene).
    pub fn plan(&self, peak: u32, gene: u32) -> Vec<(u32, u32, f64)> {
        let f = self.peak_potential(peak);
        let g = self.gene_potential(gene);
        let mut plan = Vec::with_capacity(f.len() * g.len());
        for &(i, f) in &f {
            for &(j, g) in &g {
                let near = self.kernel.near.view().get(i as usize, j as usize).unwrap_or(0.0);
                let kernel = near + self.kernel.background;
                if kernel > 0.0 {
                    plan.push((i, j, (f / self.epsilon + g / self.epsilon + kernel.ln()).exp() * self.total));
                }
            }
        }
        plan
    }
}

/// What a round works on.
#[derive(Clone, Copy)]
struct Context<'a> {
    kernel: &'a Kernel,
    total: f64,
    epsilon: f64,
    n_cells: usize,
    looks: bool,
    first: bool,
}

/// Groups of components that are not done.
fn live(component_of: &[u32], active: &[bool]) -> Vec<bool> {
    component_of.iter().map(|&component| active[component as usize]).collect()
}

impl<T: Count> Half<'_, T> {
    /// `potentials ← mass / (K · others + floor)`, group by group; the changes where they are looked at.
    fn step(
        &self,
        potentials: &mut [f64],
        others: &[f64],
        live: &[bool],
        context: Context<'_>,
    ) -> Vec<(u32, Change)> {
        let mut parts: Vec<(usize, &mut [f64])> = Vec::new();
        let mut rest = potentials;
        for group in 0..self.own.len() {
            let (part, after) = rest.split_at_mut(self.own.entries(group).len());
            rest = after;
            if live[group] {
                parts.push((group, part));
            }
        }
        let n_old = if context.looks { context.n_cells } else { 0 };
        parts
            .into_par_iter()
            .map_init(
                || [vec![0.0; context.n_cells], vec![0.0; n_old]],
                |[sums, old], (group, part)| {
                    let change = self.group(group, part, others, sums, old, context);
                    (group as u32, change)
                },
            )
            .collect_vec()
    }

    fn group(
        &self,
        group: usize,
        potentials: &mut [f64],
        others: &[f64],
        sums: &mut [f64],
        old: &mut [f64],
        context: Context<'_>,
    ) -> Change {
        sums.fill(0.0);
        let mut total = 0.0;
        for &partner in &self.partners[group] {
            let range = self.other.entries(partner as usize);
            for (&cell, &value) in self.other.cells[range.clone()].iter().zip(&others[range]) {
                sums[cell as usize] += value;
                total += value;
            }
        }
        let own = self.own.entries(group);
        let (cells, mass) = (&self.own.cells[own.clone()], &self.own.mass[own]);
        if context.looks {
            for ((&cell, &mass), &potential) in cells.iter().zip(mass).zip(&*potentials) {
                old[cell as usize] = (potential / mass).ln();
            }
        }
        for ((&cell, &mass), potential) in cells.iter().zip(mass).zip(&mut *potentials) {
            *potential = mass / (context.kernel.row_sum(cell as usize, sums, total) + self.floor);
        }
        let mut change = Change::default();
        if context.looks {
            for ((&cell, &mass), &potential) in cells.iter().zip(mass).zip(&*potentials) {
                sums[cell as usize] = (potential / mass).ln();
            }
            for &member in self.own.members(group) {
                let (cells, counts) = self.masses.of(member);
                for (&cell, &count) in cells.iter().zip(counts) {
                    let ln_mass = (count.into() / context.total).ln();
                    let new = ln_mass + sums[cell as usize];
                    let before = if context.first { 0.0 } else { ln_mass + old[cell as usize] };
                    change.step = change.step.max((new - before).abs());
                    change.largest = change.largest.max(new.abs()).max(before.abs());
                }
            }
            change.step *= context.epsilon;
            change.largest *= context.epsilon;
        }
        change
    }
}
