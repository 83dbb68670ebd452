//! The count model of one modality: the rate of every (spot, feature), and one row of counts.
//!
//! ```text
//! rate(i, j) = c · s_i · h_j · exp(b_kj) · (background + signal·[domain(i) = f_j] + state·[N_i,g_j])
//! ```
//!
//! `c` reaches a requested density (else 1), `s_i` is the spot's library size factor, `h_j` the feature's level,
//! `b_kj` the batch shift of slice `k`, `f_j` the one spatial factor the feature answers to (or none), `g_j` the
//! one non-spatial factor (or none), `N_i` the spot's non-spatial states, which follow no pattern in space and
//! are drawn anew for each modality.

use brodmann_kernels::Seed;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::options::{N_FACTORS, SimModality, SimulateError, SimulationOptions};
use super::pattern::domain_at;
use super::sampler::{CountLaw, normal, uniform};

/// Non-spatial factors of each modality.
const N_STATES: usize = 3;
/// Chance that a spot is in any one non-spatial state.
const STATE_PROBABILITY: f64 = 0.2;
/// Log standard deviation of the feature levels `h_j`, and where the bell is cut: bounds the thinning below.
const LEVEL_SD: f64 = 0.3;
const CUT: f64 = 2.5;

/// Numbers that set how hard a modality is; see the module's tests for what they lead to.
#[derive(Clone, Copy, Debug)]
struct Parameters {
    law: CountLaw,
    /// Chance that a count is lost (zero inflation).
    dropout: f64,
    background: f64,
    signal: f64,
    state: f64,
    /// Fraction of features that answer to some visible spatial factor, and to some non-spatial one.
    spatial_features: f64,
    state_features: f64,
}

impl Parameters {
    fn of(modality: SimModality) -> Self {
        match modality {
            SimModality::Rna => Self {
                law: CountLaw::NegativeBinomial { shape: 3.0 },
                dropout: 0.5,
                background: 0.4,
                signal: 1.2,
                state: 0.7,
                spatial_features: 0.3,
                state_features: 0.5,
            },
            SimModality::Adt => Self {
                law: CountLaw::NegativeBinomial { shape: 2.0 },
                dropout: 0.0,
                background: 12.0,
                signal: 14.0,
                state: 8.0,
                spatial_features: 0.6,
                state_features: 0.5,
            },
            SimModality::Atac => Self {
                law: CountLaw::Poisson,
                dropout: 0.6,
                background: 0.3,
                signal: 0.8,
                state: 0.45,
                spatial_features: 0.35,
                state_features: 0.5,
            },
        }
    }
}

/// Features that answer to the same factors: their rates differ by their weights alone.
#[derive(Clone, Debug)]
struct Group {
    /// Domain code (1–4) these features are high in; 0: none.
    factor: u32,
    /// Non-spatial factor; `N_STATES`: none.
    state: usize,
    features: Vec<u32>,
    /// `weights[slice][position] = h_j · exp(b_kj)`.
    weights: Vec<Vec<f64>>,
    /// The largest of `weights[slice]`.
    heaviest: Vec<f64>,
}

/// The count model of one modality.
#[derive(Clone, Debug)]
pub struct ModalityModel {
    modality: SimModality,
    seed: Seed,
    n_vars: usize,
    side: usize,
    parameters: Parameters,
    groups: Vec<Group>,
    library_size_sd: f64,
    scale: f64,
    noise_sd: f64,
    counts_purpose: String,
    noise_purpose: String,
}

/// Buffers of [`ModalityModel::row`], kept between rows.
#[derive(Debug, Default)]
pub struct RowBuffer {
    entries: Vec<(u32, f32)>,
    dense: Vec<f64>,
}

/// Nine equally likely values of a standard normal, to average over library sizes.
const NORMAL_NINTHS: [f64; 9] = [-1.593, -0.967, -0.589, -0.282, 0.0, 0.282, 0.589, 0.967, 1.593];

impl ModalityModel {
    /// The model of the `index`-th modality of `options`, which must be valid.
    ///
    /// # Errors
    /// [`SimulateError::Density`] when the density asked for exceeds what dropout leaves.
    pub fn new(options: &SimulationOptions, index: usize) -> Result<Self, SimulateError> {
        let modality = options.modalities[index];
        let parameters = Parameters::of(modality);
        let n_vars = options.n_vars(modality);
        let visible: Vec<u32> =
            (0..N_FACTORS).filter(|&f| options.visible_factors()[index][f]).map(|f| f as u32 + 1).collect();
        let mut model = Self {
            modality,
            seed: options.seed,
            n_vars,
            side: options.side,
            parameters,
            groups: groups(options, modality, n_vars, &parameters, &visible),
            library_size_sd: options.library_size_sd,
            scale: 1.0,
            noise_sd: options.noise * SimulationOptions::noise_unit(modality),
            counts_purpose: format!("simulate/counts/{}", modality.name()),
            noise_purpose: format!("simulate/noise/{}", modality.name()),
        };
        if let Some(density) = options.density
            && modality != SimModality::Adt
        {
            model.scale = model.scale_for(density)?;
        }
        Ok(model)
    }

    /// Number of features.
    pub fn n_vars(&self) -> usize {
        self.n_vars
    }

    /// The modality.
    pub fn modality(&self) -> SimModality {
        self.modality
    }

    /// The domain whose spots feature `j` is high in (1–4), 0 where there is none.
    pub fn factor_of_features(&self) -> Vec<u32> {
        let mut factor = vec![0; self.n_vars];
        for group in &self.groups {
            for &j in &group.features {
                factor[j as usize] = group.factor;
            }
        }
        factor
    }

    /// One row of counts: `(column, count)`, columns rising.
    ///
    /// Cost: O(non-zeros) without noise (zeros are skipped, not drawn), O(`n_vars`) with.
    pub fn row<'b>(&self, row: usize, buffer: &'b mut RowBuffer) -> &'b [(u32, f32)] {
        let within = row % (self.side * self.side);
        let slice = row / (self.side * self.side);
        let domain = domain_at(self.side, within / self.side, within % self.side);
        let mut rng = self.seed.stream(&self.counts_purpose, row as u64);
        let size = self.scale * (self.library_size_sd * normal(&mut rng)).exp();
        let mut states = [false; N_STATES + 1];
        for s in &mut states[..N_STATES] {
            *s = uniform(&mut rng) < STATE_PROBABILITY;
        }
        buffer.entries.clear();
        for group in &self.groups {
            let rate = size * self.level(domain != 0 && group.factor == domain, states[group.state]);
            self.draw_group(group, slice, rate, &mut rng, &mut buffer.entries);
        }
        buffer.entries.sort_unstable_by_key(|e| e.0);
        if self.noise_sd > 0.0 {
            self.add_noise(row, buffer);
        }
        &buffer.entries
    }

    fn level(&self, in_factor: bool, in_state: bool) -> f64 {
        let p = &self.parameters;
        p.background + if in_factor { p.signal } else { 0.0 } + if in_state { p.state } else { 0.0 }
    }

    /// Jumps from one candidate to the next with the group's largest chance of a non-zero, then keeps the
    /// candidate with its own chance over that (thinning): exact, and the cost is the non-zeros'.
    fn draw_group(
        &self,
        group: &Group,
        slice: usize,
        rate: f64,
        rng: &mut ChaCha8Rng,
        out: &mut Vec<(u32, f32)>,
    ) {
        let law = self.parameters.law;
        let largest = law.probability_nonzero(rate * group.heaviest[slice]);
        let candidate = largest * (1.0 - self.parameters.dropout);
        if candidate <= 0.0 {
            return;
        }
        let log_miss = (-candidate).ln_1p();
        let n = group.features.len();
        let mut at = 0usize;
        loop {
            let skip = uniform(rng).ln() / log_miss;
            // Also ends the loop when the skip is beyond any index.
            if skip >= (n - at) as f64 {
                return;
            }
            at += skip as usize;
            let mean = rate * group.weights[slice][at];
            let own = law.probability_nonzero(mean);
            if uniform(rng) * largest < own {
                let count = law.sample_nonzero(rng, mean, own);
                out.push((group.features[at], count as f32));
            }
            at += 1;
            if at >= n {
                return;
            }
        }
    }

    fn add_noise(&self, row: usize, buffer: &mut RowBuffer) {
        let mut rng = self.seed.stream(&self.noise_purpose, row as u64);
        buffer.dense.clear();
        buffer.dense.resize(self.n_vars, 0.0);
        for &(j, v) in &buffer.entries {
            buffer.dense[j as usize] = f64::from(v);
        }
        buffer.entries.clear();
        for (j, count) in buffer.dense.iter().enumerate() {
            let noisy = (count + self.noise_sd * normal(&mut rng)).round();
            if noisy >= 1.0 {
                buffer.entries.push((j as u32, noisy as f32));
            }
        }
    }

    /// The expected fraction of non-zero counts at rates scaled by `scale`, noise aside.
    fn expected_density(&self, scale: f64) -> f64 {
        // A few hundred features stand for all: the weights of a group are exchangeable.
        const SAMPLE: usize = 512;
        let n_spots = (self.side * self.side) as f64;
        let mut in_factor = [0.0; N_FACTORS + 1];
        // 6 × 6 blocks are enough to count every domain: spots of a block share it.
        let per_block: Vec<usize> =
            (0..6).map(|b| (0..self.side).filter(|i| self.block_of(*i) == b).count()).collect();
        for (r, &rows) in per_block.iter().enumerate() {
            for (c, &columns) in per_block.iter().enumerate() {
                if rows * columns > 0 {
                    in_factor[domain_at(6, r, c) as usize] += (rows * columns) as f64 / n_spots;
                }
            }
        }
        let stride = self.n_vars.div_ceil(SAMPLE).max(1);
        let mut total = 0.0;
        for group in &self.groups {
            let p_factor = if group.factor == 0 { 0.0 } else { in_factor[group.factor as usize] };
            let p_state = if group.state == N_STATES { 0.0 } else { STATE_PROBABILITY };
            let sampled: Vec<f64> = group.weights[0].iter().step_by(stride).copied().collect();
            let mut sum = 0.0;
            for (factor, pf) in [(false, 1.0 - p_factor), (true, p_factor)] {
                for (state, ps) in [(false, 1.0 - p_state), (true, p_state)] {
                    if pf * ps == 0.0 {
                        continue;
                    }
                    for z in NORMAL_NINTHS {
                        let rate = scale * (self.library_size_sd * z).exp() * self.level(factor, state);
                        let nonzero: f64 =
                            sampled.iter().map(|w| self.parameters.law.probability_nonzero(rate * w)).sum();
                        sum += pf * ps * nonzero / NORMAL_NINTHS.len() as f64;
                    }
                }
            }
            total += sum / sampled.len() as f64 * group.features.len() as f64;
        }
        total * (1.0 - self.parameters.dropout) / self.n_vars as f64
    }

    fn block_of(&self, i: usize) -> usize {
        (((2 * i + 1) * 6) / (2 * self.side)).min(5)
    }

    fn scale_for(&self, density: f64) -> Result<f64, SimulateError> {
        let (mut low, mut high) = (1e-9, 1e4);
        let limit = self.expected_density(high);
        if density > limit {
            return Err(SimulateError::Density { name: self.modality.name(), density, limit });
        }
        // Bisection of log(scale): the density rises with it.
        for _ in 0..48 {
            let middle = f64::sqrt(low * high);
            if self.expected_density(middle) < density {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(f64::sqrt(low * high))
    }
}

/// Deals the features to factors and draws their levels and batch shifts.
fn groups(
    options: &SimulationOptions,
    modality: SimModality,
    n_vars: usize,
    parameters: &Parameters,
    visible: &[u32],
) -> Vec<Group> {
    let seed = options.seed;
    let purpose = |what: &str| format!("simulate/{what}/{}", modality.name());
    // Two shuffles: which factor a feature answers to says nothing about its non-spatial factor.
    let spatial_order = shuffled(&mut seed.stream(&purpose("spatial features"), 0), n_vars);
    let state_order = shuffled(&mut seed.stream(&purpose("state features"), 0), n_vars);
    let mut factor = vec![0u32; n_vars];
    let n_spatial =
        if visible.is_empty() { 0 } else { share(n_vars, parameters.spatial_features, visible.len()) };
    for (k, &j) in spatial_order.iter().take(n_spatial).enumerate() {
        factor[j as usize] = visible[k % visible.len()];
    }
    let mut state = vec![N_STATES; n_vars];
    let n_state = (n_vars as f64 * parameters.state_features).round() as usize;
    for (k, &j) in state_order.iter().take(n_state).enumerate() {
        state[j as usize] = k % N_STATES;
    }
    let mut rng = seed.stream(&purpose("feature level"), 0);
    let level: Vec<f64> = (0..n_vars).map(|_| (LEVEL_SD * normal(&mut rng).clamp(-CUT, CUT)).exp()).collect();
    let weights: Vec<Vec<f64>> = (0..options.slices)
        .map(|k| {
            let sd = options.batch_effect * k as f64;
            let mut rng = seed.stream(&purpose("batch shift"), k as u64);
            level.iter().map(|h| h * (sd * normal(&mut rng).clamp(-CUT, CUT)).exp()).collect()
        })
        .collect();
    let mut all = Vec::new();
    for f in 0..=N_FACTORS as u32 {
        for s in 0..=N_STATES {
            let features: Vec<u32> =
                (0..n_vars as u32).filter(|&j| factor[j as usize] == f && state[j as usize] == s).collect();
            if features.is_empty() {
                continue;
            }
            let weights: Vec<Vec<f64>> =
                weights.iter().map(|w| features.iter().map(|&j| w[j as usize]).collect()).collect();
            let heaviest = weights.iter().map(|w: &Vec<f64>| w.iter().copied().fold(0.0, f64::max)).collect();
            all.push(Group { factor: f, state: s, features, weights, heaviest });
        }
    }
    all
}

/// A share of the features, at least one per factor where there are enough.
fn share(n_vars: usize, fraction: f64, factors: usize) -> usize {
    ((n_vars as f64 * fraction).round() as usize).max(factors).min(n_vars)
}

/// A random order of `0..n` (Fisher–Yates; the bias of the product method is below 2⁻³²).
fn shuffled(rng: &mut ChaCha8Rng, n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        let j = ((u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64) as usize;
        order.swap(i, j);
    }
    order
}
