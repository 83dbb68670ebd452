//! Networks out of ONNX files: encoders that others trained on histology, for instance.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, ArrayView4, Axis, Slice};
use rten::{DataType, Dimension, Model, NodeId, NodeInfo, RunOptions, ThreadPool, Value, ValueType};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

use crate::encoder::{Encoder, Scaling, check_patches};
use crate::error::HistologyError;

/// Patches computed at a time where the network leaves it open: more are no quicker, and an interruption waits for them.
const AT_ONCE: usize = 4;
/// Sides that a patch may have.
const SIDES: std::ops::RangeInclusive<usize> = 8..=1024;

/// A network that somebody exported to ONNX: one input of patches (n, 3, h, w), an output of features (n, d).
pub struct OnnxEncoder {
    model: Model,
    path: PathBuf,
    scaling: Scaling,
    /// Patches of one run: as many as the file says, or at most as many.
    batch: Batch,
    side: usize,
    /// Which of its outputs, how it is called, and how long it is.
    output: NodeId,
    output_name: String,
    n_features: usize,
    threads: Arc<ThreadPool>,
}

#[derive(Clone, Copy)]
enum Batch {
    Exactly(usize),
    AtMost(usize),
}

impl Batch {
    fn largest(self) -> usize {
        match self {
            Self::Exactly(n) | Self::AtMost(n) => n,
        }
    }
}

impl OnnxEncoder {
    /// Opens a file and runs it once on nothing, to see what it gives.
    ///
    /// * `side`: of the patches, where the file leaves it open.
    /// * `scaling`: what the network expects of colours; most want [`Scaling::IMAGENET`].
    ///
    /// Its first output with a row per patch is taken.
    ///
    /// # Errors
    /// [`HistologyError::Onnx`] where the file is none of ONNX, holds an operator that is not computed here (named), or is no
    /// network of patches (its inputs or outputs named).
    pub fn open(path: &Path, side: usize, scaling: Scaling) -> Result<Self, HistologyError> {
        let refused = |found: String, expected, advice| HistologyError::Onnx {
            path: path.to_owned(),
            found,
            expected,
            advice,
        };
        let model = Model::load_file(path).map_err(|error| {
            refused(
                told(&error),
                "a file of ONNX with operators that rten computes",
                "export the network again, its weights in the file, or compute features elsewhere and give them as a table",
            )
        })?;
        let (batch, own_side) = input_of(&model).map_err(|found| {
            refused(
                found,
                "one input of 32-bit floats, (n, 3, height, width)",
                "export the part of the network that takes patches and gives features",
            )
        })?;
        let threads = rayon::current_num_threads();
        let mut encoder = Self {
            model,
            path: path.to_owned(),
            scaling,
            batch: batch.map_or(Batch::AtMost(AT_ONCE), Batch::Exactly),
            side: own_side.unwrap_or(side),
            output: NodeId::from_u32(0),
            output_name: String::new(),
            n_features: 0,
            threads: Arc::new(ThreadPool::with_num_threads(threads)),
        };
        encoder.choose_output()?;
        Ok(encoder)
    }

    /// Runs the network once and takes the first output with a row per patch.
    fn choose_output(&mut self) -> Result<(), HistologyError> {
        let n = match self.batch {
            Batch::Exactly(n) => n,
            // With one, an output whose rows are no patches could pass.
            Batch::AtMost(_) => 2,
        };
        let ids = self.model.output_ids().to_vec();
        let patches = vec![0.0; n * 3 * self.side * self.side];
        let values = self.run(patches, n, &ids)?;
        let mut seen = Vec::new();
        for (id, value) in ids.into_iter().zip(values) {
            let name = self.model.node_info(id).and_then(|info| info.name().map(str::to_owned));
            let name = name.unwrap_or_else(|| "an output without a name".to_owned());
            let shape = value.shape().to_vec();
            if let (Some(width), Value::FloatTensor(_)) = (rows_of(&shape, n), &value) {
                (self.output, self.output_name, self.n_features) = (id, name, width);
                return Ok(());
            }
            let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
            seen.push(format!("{name} ({})", shape.join(", ")));
        }
        Err(HistologyError::Onnx {
            path: self.path.clone(),
            found: format!("of {n} patches it gives {}", seen.join(", ")),
            expected: "an output of 32-bit floats with a row of features per patch",
            advice: "export it with its pooled features (the class token, or their mean)",
        })
    }

    /// Outputs of `n` patches, scaled already.
    fn run(&self, patches: Vec<f32>, n: usize, outputs: &[NodeId]) -> Result<Vec<Value>, HistologyError> {
        let input = NdTensor::from_data([n, 3, self.side, self.side], patches);
        let options = RunOptions::default().with_thread_pool(Some(self.threads.clone()));
        let id = self.model.input_ids()[0];
        self.model.run(vec![(id, input.into())], outputs, Some(options)).map_err(|error| {
            HistologyError::Onnx {
                path: self.path.clone(),
                found: format!("on patches of {} pixels it fails ({})", self.side, told(&error)),
                expected: "a network that takes them",
                advice: "try another side of the patches, or export the network again",
            }
        })
    }

    /// The same features for one batch of the network's own size.
    fn embed_some(&self, patches: ArrayView4<'_, f32>) -> Result<Vec<f32>, HistologyError> {
        let own = patches.len_of(Axis(0));
        let n = if let Batch::Exactly(n) = self.batch { n } else { own };
        let one = 3 * self.side * self.side;
        let mut values = Vec::with_capacity(n * one);
        for patch in patches.outer_iter() {
            let first = values.len();
            values.extend(patch.iter());
            self.scaling.apply(&mut values[first..]);
        }
        values.resize(n * one, 0.0);
        let value = self.run(values, n, &[self.output])?.into_iter().next();
        let mut features = match value {
            Some(Value::FloatTensor(tensor)) if rows_of(tensor.shape(), n) == Some(self.n_features) => {
                tensor.to_vec()
            }
            _ => {
                return Err(HistologyError::Onnx {
                    path: self.path.clone(),
                    found: format!(
                        "of {n} patches its output {} has another shape than before",
                        self.output_name
                    ),
                    expected: "a row of features per patch",
                    advice: "export the network again, with a free number of patches",
                });
            }
        };
        features.truncate(own * self.n_features);
        Ok(features)
    }
}

impl Encoder for OnnxEncoder {
    fn name(&self) -> String {
        let file = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
        format!("{file}, its output {}", self.output_name)
    }

    fn input_side(&self) -> usize {
        self.side
    }

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn embed(&self, batch: ArrayView4<'_, f32>) -> Result<Array2<f32>, HistologyError> {
        let (n, channels, height, width) = batch.dim();
        if channels != 3 || (height, width) != (self.side, self.side) {
            return Err(HistologyError::Patches {
                found: batch.shape().to_vec(),
                expected: format!("(n, 3, {side}, {side})", side = self.side),
            });
        }
        check_patches(&batch, 1)?;
        let mut features = Vec::with_capacity(n * self.n_features);
        for first in (0..n).step_by(self.batch.largest()) {
            let some = Slice::from(first..n.min(first + self.batch.largest()));
            features.extend(self.embed_some(batch.slice_axis(Axis(0), some))?);
        }
        if let Some(at) = features.iter().position(|v| !v.is_finite()) {
            return Err(HistologyError::Onnx {
                path: self.path.clone(),
                found: format!("feature {} of a patch is not finite", at % self.n_features),
                expected: "finite features",
                advice: "look at the scaling of colours that the network expects",
            });
        }
        Ok(Array2::from_shape_vec((n, self.n_features), features).expect("a row per patch"))
    }
}

/// What rten says, in one line.
fn told(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Features per patch of an output for `n` patches: (n, d), or maps that were pooled to one pixel, (n, d, 1, 1).
fn rows_of(shape: &[usize], n: usize) -> Option<usize> {
    match *shape {
        [rows, d] | [rows, d, 1, 1] if rows == n && d > 0 => Some(d),
        _ => None,
    }
}

/// How many patches it takes at once and of which side, where it says so; what its inputs are where they are no patches.
fn input_of(model: &Model) -> Result<(Option<usize>, Option<usize>), String> {
    let told = |id: &NodeId| {
        let info = model.node_info(*id);
        let name = info.as_ref().and_then(NodeInfo::name).unwrap_or("one without a name").to_owned();
        let shape = info.as_ref().and_then(NodeInfo::shape);
        let shape = shape.map_or("any shape".to_owned(), |shape| {
            let each: Vec<String> = shape
                .iter()
                .map(|d| match d {
                    Dimension::Fixed(n) => n.to_string(),
                    Dimension::Symbolic(name) => name.clone(),
                })
                .collect();
            format!("({})", each.join(", "))
        });
        format!("{name} {shape}")
    };
    let all = || {
        let each: Vec<String> = model.input_ids().iter().map(told).collect();
        format!("its inputs are {}", if each.is_empty() { "none".to_owned() } else { each.join(" and ") })
    };
    let &[id] = model.input_ids() else { return Err(all()) };
    let info = model.node_info(id);
    let is_float =
        info.as_ref().and_then(NodeInfo::dtype).is_none_or(|of| of == ValueType::Tensor(DataType::Float));
    // Nothing is known of it: the first run will tell.
    let Some(shape) = info.and_then(|info| info.shape()).filter(|_| is_float) else {
        return if is_float { Ok((None, None)) } else { Err(all() + ", not of 32-bit floats") };
    };
    let fixed = |d: &Dimension| if let Dimension::Fixed(n) = d { Some(*n) } else { None };
    let [n, channels, height, width] = shape.as_slice() else { return Err(all()) };
    let side = match (fixed(height), fixed(width)) {
        (Some(h), Some(w)) if h != w => return Err(all() + ", patches that are no squares"),
        (h, w) => h.or(w),
    };
    let fits = fixed(channels).is_none_or(|c| c == 3)
        && fixed(n).is_none_or(|n| (1..=4096).contains(&n))
        && side.is_none_or(|side| SIDES.contains(&side));
    if fits { Ok((fixed(n), side)) } else { Err(all()) }
}

#[cfg(test)]
mod tests;
