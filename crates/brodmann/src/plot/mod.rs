//! Pictures of a tissue.
