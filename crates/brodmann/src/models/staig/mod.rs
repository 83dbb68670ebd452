//! STAIG: spatial domains from a graph-contrastive network, helped by the tissue's image.

pub mod augment;
pub mod error;
pub mod loss;

pub use error::StaigError;
