//! All layers as one graph: the reason a move costs one row, however many layers there are.
//!
//! Every quality here is `Σ_c [Σ_{i,j ∈ c} Aᵢⱼ − null(c)]`, linear in `A`, so `Σ_l w_l Q_l` has one combined
//! adjacency `B = Σ_l w_l s_l (A_l + A_lᵀ) / 2` (`s_l` the layer's normalisation). The null models are squares
//! of community sums, `Σ_t σ_t (Σ_{i∈c} xᵢᵗ)²` with signs `σ = ±1`:
//!
//! * symmetric RB: `x = k √(γ w s / m)`, one term;
//! * directed RB: `K_out K_in = ((K_out + K_in)² − (K_out − K_in)²) / 4`, two terms of opposite sign;
//! * CPM and RBER: `x` constant, so *all* such layers share one term.
//!
//! Moving node `i` from `a` to `b` then changes the total by
//! `2 [(B(i,b) − yᵢ·X_b) − (B(i,a∖i) − yᵢ·(X_a − xᵢ))]` with `yᵗ = σ_t xᵗ`. Diagonals cancel and are dropped.

use super::error::LeidenError;
use super::layer::{Layer, LayerSums, Quality};

/// Most null-model terms a run can hold; a directed layer needs two, all CPM and RBER layers together one.
pub(crate) const MAX_TERMS: usize = 32;

/// One null-model term: per-node shares and sign.
pub(crate) struct Term<'a> {
    pub sign: f64,
    pub shares: Shares<'a>,
}

/// The `x` of one term.
pub(crate) enum Shares<'a> {
    /// The same for every node.
    Constant(f64),
    /// Degrees, times a factor.
    Scaled(&'a [f64], f64),
    /// One per node.
    PerNode(Vec<f64>),
}

/// `s_l`: what the layer's quality is divided by.
pub(crate) fn normalisation(layer: &Layer<'_>, sums: &LayerSums) -> f64 {
    if layer.quality == Quality::Modularity && sums.total > 0.0 { 1.0 / sums.total } else { 1.0 }
}

/// The null-model terms of all layers, at their present resolutions.
pub(crate) fn null_terms<'a>(
    layers: &[Layer<'_>],
    sums: &'a [LayerSums],
) -> Result<Vec<Term<'a>>, LeidenError> {
    let n = sums[0].out.len() as f64;
    let mut size_coefficient = 0.0;
    let mut terms = Vec::new();
    for (layer, sum) in layers.iter().zip(sums) {
        if layer.weight == 0.0 || layer.graph.nnz() == 0 {
            continue;
        }
        let scale = layer.weight * normalisation(layer, sum) * layer.effective_resolution();
        match layer.quality {
            Quality::Cpm => size_coefficient += scale,
            Quality::Rber => {
                if n > 1.0 {
                    size_coefficient += scale * sum.total / (n * (n - 1.0));
                }
            }
            Quality::RbConfiguration | Quality::Modularity => {
                // total > 0: weights are non-negative here, and not all zero.
                let root = (scale / sum.total).sqrt();
                if let Some(into) = &sum.into {
                    let half = 0.5 * root;
                    let pairs = || sum.out.iter().zip(into);
                    let plus = pairs().map(|(o, i)| half * (o + i)).collect();
                    let minus = pairs().map(|(o, i)| half * (o - i)).collect();
                    terms.push(Term { sign: 1.0, shares: Shares::PerNode(plus) });
                    terms.push(Term { sign: -1.0, shares: Shares::PerNode(minus) });
                } else {
                    terms.push(Term { sign: 1.0, shares: Shares::Scaled(&sum.out, root) });
                }
            }
        }
    }
    if size_coefficient > 0.0 {
        terms.push(Term { sign: 1.0, shares: Shares::Constant(size_coefficient.sqrt()) });
    }
    if terms.len() > MAX_TERMS {
        return Err(LeidenError::TooManyLayers { found: layers.len(), limit: MAX_TERMS / 2 });
    }
    Ok(terms)
}

/// The node sizes of `terms`, padded with zero terms to `T`.
pub(crate) fn node_sizes<const T: usize>(n: usize, terms: &[Term<'_>]) -> (Vec<[f64; T]>, [f64; T]) {
    let mut sizes = vec![[0.0; T]; n];
    let mut signs = [1.0; T];
    for (t, term) in terms.iter().enumerate() {
        signs[t] = term.sign;
        match &term.shares {
            Shares::Constant(x) => sizes.iter_mut().for_each(|s| s[t] = *x),
            Shares::Scaled(k, root) => sizes.iter_mut().zip(*k).for_each(|(s, &k)| s[t] = root * k),
            Shares::PerNode(x) => sizes.iter_mut().zip(x).for_each(|(s, &x)| s[t] = x),
        }
    }
    (sizes, signs)
}
