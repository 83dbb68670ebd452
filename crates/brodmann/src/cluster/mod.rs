//! Which spots belong together.
