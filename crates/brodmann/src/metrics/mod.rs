//! How good is a partition or an embedding.
