//! Flags of `brodmann run`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

#[derive(Args, Clone, Debug)]
#[command(after_help = "A study:\n  \
    [inputs]\n  \
    tissue = \"tissue.h5ad\"\n\n  \
    [[step]]\n  \
    command = \"domains\"\n  \
    input = \"tissue\"\n  \
    n-clusters = 7\n\n  \
    [[step]]\n  \
    command = \"plot\"\n  \
    input = \"domains\"\n  \
    color = [\"domains\", \"domains_entropy\"]\n\n\
    Examples:\n  \
    brodmann run --init tissue.h5ad              # writes pipeline.toml, ready to run\n  \
    brodmann run pipeline.toml --dry-run\n  \
    brodmann run pipeline.toml --set domains.n-clusters=8")]
pub struct RunArgs {
    /// The study: a .toml file with inputs and steps; paths in it start from its folder
    #[arg(required_unless_present = "init", value_name = "PIPELINE.toml")]
    pub study: Option<PathBuf>,
    /// Say what would run, and why, as command lines for a shell; nothing is written
    #[arg(long)]
    pub dry_run: bool,
    /// Run this step again though it is finished, and those that stand on it; with --init: replace the file
    #[arg(long, value_name = "STEP", num_args = 0..=1, default_missing_value = "", action = ArgAction::Append)]
    pub force: Vec<String>,
    /// Run every step again
    #[arg(long, conflicts_with = "force")]
    pub restart: bool,
    /// Set an option for this run: domains.n-clusters=8, study.out=other, inputs.tissue=other.h5ad
    #[arg(long = "set", value_name = "STEP.KEY=VALUE", allow_hyphen_values = true)]
    pub set: Vec<String>,
    /// Write a study that fits this file, ready to run, instead of running one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["study", "dry_run", "restart", "set"])]
    pub init: Option<PathBuf>,
    /// With --init: the file to write [default: pipeline.toml]
    #[arg(long, short, value_name = "PIPELINE.toml", requires = "init")]
    pub out: Option<PathBuf>,
}
