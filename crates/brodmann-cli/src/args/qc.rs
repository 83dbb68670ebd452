//! Flags of `brodmann qc`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::said::number;
use super::{ModalityArg, PlaceArgs, ResultArgs, SourceArgs};

#[derive(Args, Debug, Serialize)]
pub struct QcCommand {
    /// .h5ad or .h5mu with raw counts (or a folder or file `convert` can read)
    #[serde(skip)]
    pub input: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub output: ResultArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub thresholds: ThresholdArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub local: LocalArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub counts: CountsArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// What a good spot has.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Thresholds")]
pub struct ThresholdArgs {
    /// Count spots with fewer counts than this
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = number)]
    pub min_counts: Option<f64>,
    /// Count spots with fewer genes than this
    #[arg(long, value_name = "N")]
    pub min_genes: Option<usize>,
    /// Count spots with more than this percentage of mitochondrial counts
    #[arg(long, allow_negative_numbers = true, value_name = "PCT", value_parser = number)]
    pub max_mt: Option<f64>,
    /// What names of mitochondrial genes begin with [default: MT- or mt-]
    #[arg(long, value_name = "PREFIX")]
    pub mt_prefix: Option<String>,
}

/// How a spot is compared with those around it.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Local outliers")]
pub struct LocalArgs {
    /// Nearest spots that each is compared with
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// Modified z-score beyond which a spot is an outlier
    #[arg(long, allow_negative_numbers = true, value_name = "Z", value_parser = number)]
    pub threshold: Option<f64>,
}

/// Which counts are looked at.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Counts")]
pub struct CountsArgs {
    /// Of an .h5mu this kind of modality alone; what an .h5ad measures, where names do not tell
    #[arg(long, value_enum)]
    pub modality: Option<ModalityArg>,
    /// Counts are in this layer instead of X
    #[arg(long, value_name = "KEY")]
    pub layer: Option<String>,
    /// Write n_cells_by_counts and total_counts of genes to var too
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub genes: Option<bool>,
}
