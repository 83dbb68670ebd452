//! Activations whose slope is a function of their value: ReLU, ELU, tanh, sigmoid.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

macro_rules! activation {
    ($(#[$doc:meta])* $name:ident, $label:literal, |$row:ident| $apply:expr, |$y:ident| $slope:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl<T: Scalar> Op<T> for $name {
            fn name(&self) -> &'static str {
                $label
            }

            fn uses(&self) -> Uses {
                Uses::OUTPUT
            }

            fn forward(&self, pass: Forward<'_, T>) {
                let x = pass.inputs[0];
                for_rows(pass.output, x.cols, |i, $row| {
                    $row.copy_from_slice(x.row(i));
                    $apply;
                });
            }

            fn backward(&self, pass: Backward<'_, '_, T>) {
                let (output, up) = (pass.output, pass.upstream);
                if let Some(grad) = &mut pass.input_grads[0] {
                    let add = grad.accumulate;
                    for_rows(grad.data, output.cols, |i, row| {
                        for ((g, &$y), &u) in row.iter_mut().zip(output.row(i)).zip(up.row(i)) {
                            let value = u * $slope;
                            *g = if add { *g + value } else { value };
                        }
                    });
                }
            }
        }
    };
}

activation!(
    /// `max(x, 0)`; slope 1 above 0, else 0.
    Relu,
    "relu",
    |row| for v in row {
        if *v < T::ZERO {
            *v = T::ZERO;
        }
    },
    |y| if y > T::ZERO { T::ONE } else { T::ZERO }
);
activation!(
    /// `x` above 0, `eˣ − 1` below; slope 1 above, `y + 1` below.
    Elu,
    "elu",
    |row| for v in row {
        if *v < T::ZERO {
            *v = v.exp() - T::ONE;
        }
    },
    |y| if y > T::ZERO { T::ONE } else { y + T::ONE }
);
activation!(
    /// `tanh x`; slope `1 − y²`.
    Tanh,
    "tanh",
    |row| T::tanh_all(row),
    |y| T::ONE - y * y
);
activation!(
    /// `1 / (1 + e⁻ˣ)`; slope `y (1 − y)`.
    Sigmoid,
    "sigmoid",
    |row| T::sigmoid_all(row),
    |y| y * (T::ONE - y)
);
