//! The networks of `brodmann-networks`, where this program is built with them (cargo's feature `histology`).

use brodmann::pipeline::histology::Networks;

/// What this build can compute.
#[cfg(not(feature = "histology"))]
pub fn networks() -> Networks {
    Networks::default()
}

/// What this build can compute.
#[cfg(feature = "histology")]
pub fn networks() -> Networks {
    Networks::new(std::sync::Arc::new(built_in::BuiltIn))
}

#[cfg(feature = "histology")]
mod built_in {
    use std::path::Path;

    use brodmann::histology::{NetworkError, NetworkTraining, PatchNetwork, PatchNetworks, PatchStack};
    use brodmann_kernels::{Monitor, Seed};
    use brodmann_networks::byol::ByolCheckpoints;
    use brodmann_networks::{
        ByolFit, ByolOptions, Encoder, HistologyError, Origin, PatchSource, ResNet, ResNetShape, byol,
    };
    use ndarray::{Array2, Array3, ArrayView4};

    /// ResNet-50, and its training without labels.
    pub struct BuiltIn;

    impl PatchNetworks for BuiltIn {
        fn resnet50(
            &self,
            weights: Option<&Path>,
            seed: Seed,
        ) -> Result<Box<dyn PatchNetwork>, NetworkError> {
            Ok(Box::new(Network(match weights {
                Some(path) => ResNet::open(path)?,
                None => ResNet::random(ResNetShape::RESNET_50, seed)?,
            })))
        }
    }

    struct Network(ResNet);

    impl PatchNetwork for Network {
        fn name(&self) -> String {
            self.0.name()
        }

        fn is_random(&self) -> bool {
            matches!(self.0.origin(), Origin::Random { .. })
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
