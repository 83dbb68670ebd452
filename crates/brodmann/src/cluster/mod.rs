//! Which spots belong together.

pub mod kmeans;

pub use kmeans::{KMeans, KMeansError, KMeansOptions, kmeans};
