//! `brodmann convert`.

use brodmann_data::{Container, Format, TableOptions, WriteOptions, read_any_with, write_h5ad, write_h5mu};

use super::Context;
use crate::args::{ConvertArgs, FormatArg};
use crate::failure::Failure;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    n_obs: usize,
    n_vars: usize,
    modalities: Vec<String>,
}
