//! Flags of `brodmann bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure; see --list
    #[arg(value_enum, default_value_t = BenchName::EndToEnd, value_name = "NAME")]
    pub name: BenchName,
    /// Spots of the simulated tissues; rounded to squares
    #[arg(long, value_delimiter = ',', default_value = "10000,100000", value_name = "LIST")]
    pub sizes: Vec<usize>,
    /// Runs of each, every one in a process of its own
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub repeats: usize,
    /// Genes of the simulated tissues
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub genes: usize,
    /// Expected share of non-zero counts
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.05, value_name = "SHARE")]
    pub density: f64,
    /// Also write the results into this folder, as NAME.json
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Say what can be measured, and stop
    #[arg(long)]
    pub list: bool,
    /// Measure once, on the files in this folder; the run starts itself so
    #[arg(long, hide = true, value_name = "DIR")]
    pub child: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchName {
    /// Raw counts to domains: read, preprocess, graphs, cluster, write
    EndToEnd,
    /// All others, one after the other
    All,
    /// A tissue simulated into a file
    Simulate,
    /// Reading and writing a file of counts
    Files,
    /// Counts to 30 components
    Preprocess,
    /// Nearest neighbours of the components, with weights
    Knn,
    /// Neighbours in space
    SpatialGraph,
    /// Multiplex Leiden on both graphs
    Leiden,
    /// One epoch of SpaMI, two modalities
    Spami,
    /// One epoch of STAIG
    Staig,
    /// ARI, AMI, silhouette, Davies–Bouldin, Calinski–Harabasz
    Metrics,
}

impl BenchName {
    /// Those that are measured by themselves.
    pub fn parts(self) -> Vec<Self> {
        match self {
            Self::All => Self::value_variants().iter().copied().filter(|n| *n != Self::All).collect(),
            one => vec![one],
        }
    }

    /// The name on the command line, and its line of help.
    pub fn words(self) -> (String, String) {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|v| v.get_help().map(ToString::to_string)).unwrap_or_default();
        (value.map(|v| v.get_name().to_owned()).unwrap_or_default(), help)
    }
}
