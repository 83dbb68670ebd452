//! Batch normalisation by running statistics as part of the convolution before it.

use crate::network::EPSILON;
use crate::state::{Role, Slot, StateDict};

/// Convolutions with a bias that do what the convolutions and normalisations of `state` do:
/// `γ (W x − μ) / √(σ² + ε) + β = (s W) x + (β − s μ)` with `s = γ / √(σ² + ε)`.
///
/// Returns the arrays and what they are.
pub(crate) fn fold(slots: &[Slot], state: &StateDict) -> (Vec<Slot>, StateDict) {
    let (mut folded_slots, mut folded) = (Vec::new(), StateDict::new());
    for conv in slots.iter().filter(|s| s.role == Role::Weight) {
        let prefix = conv.name.trim_end_matches(".weight");
        // conv2 belongs to bn2, downsample.0 to downsample.1.
        let norm = match prefix.strip_suffix(".downsample.0") {
            Some(block) => format!("{block}.downsample.1"),
            None => prefix.replace("conv", "bn"),
        };
        let [scale, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| state[&format!("{norm}.{part}")].iter().map(|v| f64::from(*v)).collect::<Vec<f64>>());
        let factor: Vec<f64> = scale.iter().zip(&variance).map(|(s, v)| s / (v + EPSILON).sqrt()).collect();
        let mut weight = state[&conv.name].clone();
        for (mut channel, s) in weight.outer_iter_mut().zip(&factor) {
            channel.mapv_inplace(|w| (f64::from(w) * s) as f32);
        }
        let bias = (0..factor.len()).map(|c| (shift[c] - factor[c] * mean[c]) as f32).collect();
        let bias_slot = Slot { name: format!("{prefix}.bias"), shape: vec![factor.len()], role: Role::Bias };
        folded.insert(conv.name.clone(), weight);
        folded.insert(bias_slot.name.clone(), ndarray::Array1::from_vec(bias).into_dyn());
        folded_slots.extend([conv.clone(), bias_slot]);
    }
    (folded_slots, folded)
}
