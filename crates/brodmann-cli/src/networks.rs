//! The networks of `brodmann-networks`, where this program is built with them (cargo's features `histology` and `onnx`).

use brodmann::pipeline::histology::Networks;

/// What this build can compute.
pub fn networks() -> Networks {
    #[cfg(any(feature = "histology", feature = "onnx"))]
    return Networks::new(std::sync::Arc::new(built_in::BuiltIn));
    #[cfg(not(any(feature = "histology", feature = "onnx")))]
    Networks::default()
}

#[cfg(any(feature = "histology", feature = "onnx"))]
mod built_in {
    use brodmann::histology::{NetworkError, NetworkKind, PatchNetwork, PatchNetworks};
    use brodmann_kernels::Seed;

    /// The networks of this build.
    pub struct BuiltIn;

    impl PatchNetworks for BuiltIn {
        fn open(
            &self,
            kind: &NetworkKind,
            seed: Seed,
        ) -> Option<Result<Box<dyn PatchNetwork>, NetworkError>> {
            #[cfg(feature = "histology")]
            if let NetworkKind::Resnet50 { weights } = kind {
                return Some(super::resnet50::open(weights.as_deref(), seed));
            }
            #[cfg(feature = "onnx")]
            if let NetworkKind::Onnx { path, side, scaling } = kind {
                return Some(super::onnx::open(path, *side, *scaling));
            }
            // Nothing is drawn for files of ONNX.
            let _ = (kind, seed);
            None
        }

        fn computes(&self, kind: &NetworkKind) -> bool {
            match kind {
                NetworkKind::Resnet50 { .. } => cfg!(feature = "histology"),
                NetworkKind::Onnx { .. } => cfg!(feature = "onnx"),
            }
        }
    }
}

#[cfg(feature = "onnx")]
mod onnx {
    use std::path::Path;

    use brodmann::histology::{NetworkError, NetworkTraining, PatchNetwork, PatchStack};
    use brodmann_kernels::{Monitor, OptionError, Seed};
    use brodmann_networks::{Encoder, OnnxEncoder, Scaling};
    use ndarray::{Array2, ArrayView4};

    /// What somebody exported.
    pub fn open(
        path: &Path,
        side: usize,
        [mean, deviation]: [[f32; 3]; 2],
    ) -> Result<Box<dyn PatchNetwork>, NetworkError> {
        Ok(Box::new(Network(OnnxEncoder::open(path, side, Scaling { mean, deviation })?)))
    }

    struct Network(OnnxEncoder);

    impl PatchNetwork for Network {
        fn name(&self) -> String {
            self.0.name()
        }

        fn is_random(&self) -> bool {
            false
        }

        fn side(&self) -> Option<usize> {
            Some(self.0.input_side())
        }

        fn embed(&self, patches: ArrayView4<'_, f32>) -> Result<Array2<f32>, NetworkError> {
            Ok(self.0.embed(patches)?)
        }

        fn train(
            &self,
            _: &PatchStack,
            _: &NetworkTraining,
            _: Seed,
            _: &dyn Monitor,
        ) -> Result<(Box<dyn PatchNetwork>, Vec<f64>), NetworkError> {
            Err(OptionError::new("encoder", self.name(), "byol, which is trained here").into())
        }

        fn save(&self, _: &Path) -> Result<(), NetworkError> {
            Err(OptionError::new("encoder", self.name(), "byol or resnet50, whose weights are held here")
                .into())
        }
    }
}

#[cfg(feature = "histology")]
mod resnet50 {
    use std::path::Path;

    use brodmann::histology::{NetworkError, NetworkTraining, PatchNetwork, PatchStack};
    use brodmann_kernels::{Monitor, Seed};
    use brodmann_networks::byol::ByolCheckpoints;
    use brodmann_networks::{
        ByolFit, ByolOptions, Encoder, HistologyError, Origin, PatchSource, ResNet, ResNetShape, byol,
    };
    use ndarray::{Array2, Array3, ArrayView4};

    /// ResNet-50 with weights of a file, or drawn.
    pub fn open(weights: Option<&Path>, seed: Seed) -> Result<Box<dyn PatchNetwork>, NetworkError> {
        Ok(Box::new(Network(match weights {
            Some(path) => ResNet::open(path)?,
            None => ResNet::random(ResNetShape::RESNET_50, seed)?,
        })))
    }

    struct Network(ResNet);

    impl PatchNetwork for Network {
        fn name(&self) -> String {
            self.0.name()
        }

        fn is_random(&self) -> bool {
            matches!(self.0.origin(), Origin::Random { .. })
        }

        fn side(&self) -> Option<usize> {
            None
        }

        fn embed(&self, patches: ArrayView4<'_, f32>) -> Result<Array2<f32>, NetworkError> {
            Ok(self.0.embed(patches)?)
        }

        fn train(
            &self,
            patches: &PatchStack,
            training: &NetworkTraining,
            seed: Seed,
            monitor: &dyn Monitor,
        ) -> Result<(Box<dyn PatchNetwork>, Vec<f64>), NetworkError> {
            let options = ByolOptions {
                epochs: training.epochs,
                batch_size: training.batch_size,
                learning_rate: training.learning_rate,
                ..ByolOptions::default()
            };
            let checkpoints = training.checkpoint.as_ref().map(|folder| ByolCheckpoints {
                folder: folder.clone(),
                every: training.checkpoint_every,
                resume: training.resume,
            });
            let ByolFit { encoder, losses } =
                byol(&Patches(patches), &self.0, &options, seed, checkpoints.as_ref(), monitor)?;
            Ok((Box::new(Self(encoder)), losses))
        }

        fn save(&self, path: &Path) -> Result<(), NetworkError> {
            Ok(self.0.save(path)?)
        }
    }

    /// Patches as the training asks for them.
    struct Patches<'a>(&'a PatchStack);

    impl PatchSource for Patches<'_> {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn patch(&self, index: usize) -> Result<Array3<f32>, HistologyError> {
            Ok(self.0.patch(index))
        }

        fn fingerprint(&self) -> u64 {
            self.0.fingerprint()
        }
    }
}
