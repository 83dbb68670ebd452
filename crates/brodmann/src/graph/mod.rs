//! Which spots are neighbours, in space and in feature space.
