//! What would a method see if the truth were known? Tissues with known domains, to test and to demonstrate.
//!
//! First in the pipeline in place of a file: the output is raw counts, coordinates and the truth, exactly what a
//! reader would hand to [`crate::preprocess`].
//!
//! The design follows the simulations of the SpatialGlue and SpaMI papers, which build on Townes & Engelhardt
//! 2023 (nonnegative spatial factorization): a square grid, four binary "ggblocks" factors (Griffiths &
//! Ghahramani 2011) and background, counts from (zero-inflated) negative binomial and Poisson distributions.
//!
//! * [`options`]: [`SimulationOptions`], [`SimModality`], [`SimulateError`].
//! * [`pattern`]: the four spatial factors on a grid of any side.
//! * [`sampler`]: random variates that stay the same bit for bit (normal, gamma, Poisson, zero-truncated).
//! * [`model`]: rates of every (spot, feature), and one row of counts.
//! * [`stream`]: [`SimulationStream`], rows in blocks at bounded memory.
//! * [`tissue`]: [`simulate`], the whole [`Simulation`] in memory.
//! * [`image`]: a stain-like picture whose texture follows the domains, and what staining and optics do to it.
//! * [`regulation`]: genes, and peaks that regulate them in one domain.
//!
//! Every random number belongs to a (purpose, row) or (purpose, feature) stream, so a row is the same whether it
//! is drawn alone, in a block, in memory, or on any number of threads.
//!
//! # Differences
//! The papers show every factor in every modality. Here each factor is by default hidden from one modality
//! ([`SimulationOptions::visible`]), so that only the modalities together determine all five domains.

pub mod image;
pub mod model;
pub mod options;
pub mod pattern;
pub mod regulation;
pub mod sampler;
mod staining;
pub mod stream;
pub mod tissue;

pub use image::SimulatedImage;
pub use options::{N_FACTORS, SimModality, SimulateError, SimulationOptions};
pub use pattern::DOMAIN_NAMES;
pub use regulation::{Regulation, RegulationOptions, SimulatedGene, TrueLink, simulate_regulation};
pub use stream::{SimulationBlock, SimulationBlocks, SimulationStream};
pub use tissue::{SimulatedModality, Simulation, simulate};

#[cfg(test)]
mod tests;
