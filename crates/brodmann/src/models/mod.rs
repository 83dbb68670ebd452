//! Which representation of a spot do all its measurements agree on?
//!
//! Features and neighbours in, one embedding per spot out. Networks stand on [`nn`](crate::nn); domains are found in
//! the output by `cluster`, which nothing here uses.
//!
//! * [`spami`]: two or more omics of one tissue, with attention and denoising.
//! * [`staig`]: one omics, its tissue's image if there is one, of one slice or many.
//! * [`banksy()`]: what a spot expresses beside what its surroundings do; learns nothing.
//! * [`hop_means()`]: components beside their means over more and more of the surroundings.
//! * [`smoothed_pca()`]: the baseline, which learns nothing either.

pub mod banksy;
pub mod hop_means;
pub mod smoothed_pca;
pub mod spami;
pub mod staig;

pub use banksy::{Banksy, BanksyComponents, BanksyError, BanksyOptions, banksy};
pub use hop_means::hop_means;
pub use smoothed_pca::{SmoothedPcaOptions, smoothed_pca};
