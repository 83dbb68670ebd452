//! Which representation of a spot do all its measurements agree on?
//!
//! Networks over the spatial graph: features and graph in, one embedding per spot out. They stand on
//! [`nn`](crate::nn); domains are found in their output by `cluster`, which they never use.
//!
//! * [`spami`]: two or more omics of one tissue, with attention and denoising.
//! * [`staig`]: one omics, its tissue's image if there is one, of one slice or many.

pub mod spami;
pub mod staig;
