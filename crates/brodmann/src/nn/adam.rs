//! Adam (Kingma & Ba 2015), with L2 weight decay added to the gradient as in PyTorch's `Adam`.

use super::parameters::Parameters;
use super::scalar::Scalar;

/// Rates of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// L2 penalty: `weight_decay · θ` is added to the gradient (not AdamW).
    pub weight_decay: f64,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// The state of the optimiser.
#[derive(Clone, Debug)]
pub struct Adam<T> {
    options: AdamOptions,
    /// Steps taken.
    pub steps: u64,
    /// Running means of gradients, one list per parameter.
    pub first_moments: Vec<Vec<T>>,
    /// Running means of squared gradients.
    pub second_moments: Vec<Vec<T>>,
}

impl<T: Scalar> Adam<T> {
    /// Before the first step.
    pub fn new(options: AdamOptions, parameters: &Parameters<T>) -> Self {
        let zeros: Vec<Vec<T>> = parameters.iter().map(|p| vec![T::ZERO; p.value.len()]).collect();
        Self { options, steps: 0, first_moments: zeros.clone(), second_moments: zeros }
    }

    /// One step along the gradients held by `parameters`.
    pub fn step(&mut self, parameters: &mut Parameters<T>) {
        let gradients = parameters.take_grads();
        self.step_along(parameters, &gradients);
        for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
            parameter.grad = gradient;
        }
    }

    /// One step along gradients given, one list per parameter.
    pub fn step_along(&mut self, parameters: &mut Parameters<T>, gradients: &[Vec<T>]) {
        let AdamOptions { learning_rate, beta1, beta2, epsilon, weight_decay } = self.options;
        self.steps += 1;
        let t = self.steps as f64;
        // lr · m̂ / (√v̂ + ε), with both bias corrections taken out of the loop.
        let step = T::of(learning_rate / (1.0 - beta1.powf(t)));
        let root = T::of((1.0 - beta2.powf(t)).sqrt());
        let (b1, b2, eps, decay) = (T::of(beta1), T::of(beta2), T::of(epsilon), T::of(weight_decay));
        let (c1, c2) = (T::of(1.0 - beta1), T::of(1.0 - beta2));
        let moments = self.first_moments.iter_mut().zip(&mut self.second_moments);
        for ((parameter, gradient), (first, second)) in parameters.iter_mut().zip(gradients).zip(moments) {
            let values = parameter.value.iter_mut().zip(gradient);
            for ((value, &grad), (m, v)) in values.zip(first.iter_mut().zip(second.iter_mut())) {
                let g = grad + decay * *value;
                *m = b1 * *m + c1 * g;
                *v = b2 * *v + c2 * g * g;
                *value -= step * *m / (v.sqrt() / root + eps);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate_along_the_sign_of_the_gradient() {
        let mut parameters = Parameters::<f64>::new();
        parameters.add("w", (1, 3), vec![1.0, 2.0, 3.0]);
        let mut adam = Adam::new(AdamOptions { learning_rate: 0.1, ..AdamOptions::default() }, &parameters);
        parameters.iter_mut().for_each(|p| p.grad.copy_from_slice(&[4.0, -0.5, 0.0]));
        adam.step(&mut parameters);
        let value = &parameters.find("w").expect("added above").value;
        for (found, expected) in value.iter().zip([0.9, 2.1, 3.0]) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
    }

    #[test]
    fn weight_decay_is_added_to_the_gradient() {
        let mut parameters = Parameters::<f64>::new();
        parameters.add("w", (1, 1), vec![2.0]);
        let options = AdamOptions { learning_rate: 0.1, weight_decay: 0.5, ..AdamOptions::default() };
        let mut adam = Adam::new(options, &parameters);
        adam.step(&mut parameters);
        // g = 0 + 0.5 · 2 = 1, so m = 0.1 and the step is the learning rate.
        assert!((adam.first_moments[0][0] - 0.1).abs() < 1e-12);
        assert!((parameters.find("w").expect("added above").value[0] - 1.9).abs() < 1e-7);
    }
}
