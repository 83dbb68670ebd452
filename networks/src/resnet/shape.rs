//! Which convolutions a residual network of bottlenecks consists of.

use brodmann_kernels::OptionError;
use serde::{Deserialize, Serialize};

use crate::state::{Role, Slot, push_norm};

/// Channels that leave a bottleneck, per channel of its 3 × 3 convolution.
pub(crate) const EXPANSION: usize = 4;

/// Size of a residual network of bottlenecks: four stages after a stem (He et al. 2016, table 1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResNetShape {
    /// Channels of the 7 × 7 convolution.
    pub stem: usize,
    /// Bottlenecks per stage.
    pub depths: [usize; 4],
    /// Channels of the 3 × 3 convolutions per stage; four times as many leave the stage.
    pub planes: [usize; 4],
}

impl ResNetShape {
    /// ResNet-50: 23.5 million parameters, 2048 features.
    pub const RESNET_50: Self = Self { stem: 64, depths: [3, 4, 6, 3], planes: [64, 128, 256, 512] };

    /// Refuses a network without channels or blocks.
    ///
    /// # Errors
    /// [`OptionError`] naming what is 0 or beyond what a network has.
    pub fn validate(&self) -> Result<(), OptionError> {
        // Beyond these a product of sizes could overflow; ResNet-152 has 36 blocks in a stage.
        for (name, values, most) in
            [("stem", &[self.stem; 4], 4096), ("depths", &self.depths, 256), ("planes", &self.planes, 4096)]
        {
            if let Some(bad) = values.iter().find(|v| **v == 0 || **v > most) {
                return Err(OptionError::new(name, bad, format!("between 1 and {most}")));
            }
        }
        Ok(())
    }

    /// Length of an embedding.
    pub fn n_features(&self) -> usize {
        self.planes[3] * EXPANSION
    }

    /// The bottlenecks in the order in which they are passed.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut n_in = self.stem;
        for (stage, (&depth, &planes)) in self.depths.iter().zip(&self.planes).enumerate() {
            for index in 0..depth {
                blocks.push(Block {
                    prefix: format!("layer{}.{index}", stage + 1),
                    n_in,
                    planes,
                    // The first stage follows a pooling, the others halve the picture themselves.
                    stride: if index == 0 && stage > 0 { 2 } else { 1 },
                    projects: index == 0,
                    ends_stage: (index + 1 == depth).then_some(stage + 1),
                });
                n_in = planes * EXPANSION;
            }
        }
        blocks
    }

    /// Every array of the network, in the order in which torchvision has them, without the classifier.
    pub fn slots(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        let conv = |slots: &mut Vec<Slot>, name: String, out: usize, from: usize, side: usize| {
            slots.push(Slot {
                name: format!("{name}.weight"),
                shape: vec![out, from, side, side],
                role: Role::Weight,
            });
        };
        conv(&mut slots, "conv1".to_owned(), self.stem, 3, 7);
        push_norm(&mut slots, "bn1", self.stem);
        for block in self.blocks() {
            let (p, out) = (&block.prefix, block.planes * EXPANSION);
            conv(&mut slots, format!("{p}.conv1"), block.planes, block.n_in, 1);
            push_norm(&mut slots, &format!("{p}.bn1"), block.planes);
            conv(&mut slots, format!("{p}.conv2"), block.planes, block.planes, 3);
            push_norm(&mut slots, &format!("{p}.bn2"), block.planes);
            conv(&mut slots, format!("{p}.conv3"), out, block.planes, 1);
            push_norm(&mut slots, &format!("{p}.bn3"), out);
            if block.projects {
                conv(&mut slots, format!("{p}.downsample.0"), out, block.n_in, 1);
                push_norm(&mut slots, &format!("{p}.downsample.1"), out);
            }
        }
        slots
    }
}

/// One bottleneck.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// What its arrays' names begin with.
    pub prefix: String,
    /// Channels that enter it.
    pub n_in: usize,
    /// Channels of its 3 × 3 convolution.
    pub planes: usize,
    /// Stride of its 3 × 3 convolution, as torchvision has it.
    pub stride: usize,
    /// Whether what passes it by is projected.
    pub projects: bool,
    /// The stage it is the last of.
    pub ends_stage: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resnet_50_has_the_arrays_and_the_parameters_of_torchvision() {
        let slots = ResNetShape::RESNET_50.slots();
        // 320 entries of the state dict less 53 counters of batches and the classifier's two.
        assert_eq!(slots.len(), 320 - 53 - 2);
        let trained: usize = slots.iter().filter(|s| s.role.is_trained()).map(Slot::len).sum();
        assert_eq!(trained, 25_557_032 - 2_049_000);
        assert_eq!(ResNetShape::RESNET_50.n_features(), 2048);
    }

    #[test]
    fn a_network_without_blocks_is_refused() {
        let shape = ResNetShape { depths: [1, 0, 1, 1], ..ResNetShape::RESNET_50 };
        assert!(shape.validate().expect_err("refused").to_string().contains("depths"));
        assert!(ResNetShape::RESNET_50.validate().is_ok());
    }
}
