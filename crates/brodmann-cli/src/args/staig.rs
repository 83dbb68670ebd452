//! Flags of `brodmann staig`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    ClusterMethodArg, ClusterNumber, GmmModelArg, HvgArg, ModalityArg, OutputArgs, SelectByArg,
    cluster_number,
};

/// STAIG in one call: raw counts in; an embedding by a graph network and spatial domains out, of one slice or of many
/// that need no alignment.
///
/// The file needs raw counts and spot coordinates in obsm["spatial"]. Several slices are in one file (--library-key), or
/// in several, a slice each: genes are then matched by name, and --out is a .h5ad, which joins the files, or a folder,
/// which takes a copy of each with its part of the results. Written are obsm["X_staig"], obs["staig"] (0 the largest
/// domain), obs["staig_unrefined"] where the neighbours voted, obs["staig_stability"] where several networks were
/// trained, and uns["staig"] with all parameters and the loss curve.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    brodmann staig visium.h5ad --out domains.h5ad --preset visium -k 7\n  \
    brodmann staig slice1.h5ad slice2.h5ad --out joined.h5ad --preset integration -k 7\n  \
    brodmann staig visium.h5ad --out domains.h5ad --preset visium-image --image-key features.npy -k 7\n  \
    brodmann plot joined.h5ad --color staig --library-key library_id --out domains.png\n\n\
    Several networks, and where they agree:\n  \
    brodmann staig visium.h5ad --out domains.h5ad -k 7 --restarts 5\n  \
    brodmann plot domains.h5ad --color staig staig_stability --out stability.png\n\n\
    Another slice with the same genes, without training again:\n  \
    brodmann staig slice1.h5ad --out one.h5ad --save-model staig.safetensors\n  \
    brodmann staig slice2.h5ad --out two.h5ad --load-model staig.safetensors\n\n\
    The baseline without a network:\n  \
    brodmann staig visium.h5ad --out baseline.h5ad --method smoothed-pca -k 7")]
// Options that a loaded model has already decided.
#[command(group(clap::ArgGroup::new("staig_feature_options").multiple(true)))]
pub struct StaigCommand {
    /// .h5ad with raw counts, one or several (or .h5mu with gene expression, or what `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
    /// How the embedding is made
    #[arg(long, value_enum, default_value_t = StaigMethodArg::Staig)]
    pub method: StaigMethodArg,
    /// obs column of the known domains, for the metrics [default: ground_truth where present]
    #[arg(long, value_name = "KEY")]
    pub truth: Option<String>,
    /// Name of the results: `obs[NAME]`, `uns[NAME]`, `obsm["X_NAME"]` [default: staig, smoothed_pca]
    #[arg(long, value_name = "NAME")]
    pub key_added: Option<String>,
    #[command(flatten)]
    pub domains: StaigDomainArgs,
    #[command(flatten)]
    pub network: StaigNetworkArgs,
    #[command(flatten)]
    pub outputs: StaigOutputArgs,
    #[command(flatten)]
    pub preprocess: StaigPreprocessArgs,
}

/// How STAIG's embedding becomes domains.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Domains")]
pub struct StaigDomainArgs {
    /// Number of domains, or `auto` to choose it [default: auto with gmm, by the resolution with leiden]
    #[arg(long, short = 'k', value_name = "K|auto", value_parser = cluster_number)]
    pub n_clusters: Option<ClusterNumber>,
    /// Method: Gaussian mixture, Leiden on a 15-neighbour graph, or k-means, of the embedding
    #[arg(long, value_enum, default_value_t = ClusterMethodArg::Gmm)]
    pub cluster: ClusterMethodArg,
    /// gmm: covariances of the components, as mclust names them
    #[arg(long, value_enum, default_value_t = GmmModelArg::Eee, value_name = "MODEL")]
    pub gmm_model: GmmModelArg,
    /// gmm, k-means: number of starts, the best kept
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub n_init: usize,
    /// gmm with `-k auto`: what decides
    #[arg(long, value_enum, default_value_t = SelectByArg::Stability, value_name = "SCORE")]
    pub select_by: SelectByArg,
    /// gmm with `-k auto`: the most domains considered
    #[arg(long, default_value_t = 15, value_name = "K")]
    pub max_clusters: usize,
    /// Leiden: resolution, when no number of domains is given
    #[arg(
        long,
        allow_negative_numbers = true,
        default_value_t = 1.0,
        conflicts_with = "n_clusters",
        value_name = "R"
    )]
    pub resolution: f64,
    /// Each spot follows the majority of its K nearest spots; 0: none [default: 0; visium, visium-image 15]
    #[arg(long, value_name = "K")]
    pub refine: Option<usize>,
    /// Train this many networks and report what they agree on, with each spot's stability
    #[arg(long, default_value_t = 1, value_name = "R")]
    pub restarts: usize,
}

/// STAIG's network and its training.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub struct StaigNetworkArgs {
    /// The released settings for a kind of data
    #[arg(long, value_enum, default_value_t = StaigPresetArg::Default)]
    pub preset: StaigPresetArg,
    /// Temperature of the contrast [default: 10; visium 34, starmap 2, merfish 1, slide-seq 22, integration 20]
    #[arg(long, allow_negative_numbers = true, value_name = "T")]
    pub tau: Option<f64>,
    /// Passes over the tissue [default: 400; visium 340, starmap 500, slide-seq 310, integration 300]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Learning rate of Adam [default: 0.0005]
    #[arg(long, allow_negative_numbers = true, value_name = "LR")]
    pub lr: Option<f64>,
    /// L2 penalty on the parameters [default: 0.00001]
    #[arg(long, allow_negative_numbers = true, value_name = "W")]
    pub weight_decay: Option<f64>,
    /// Graph convolutions, 1 or 2 [default: 1; starmap, merfish, slide-seq, stereo-seq 2]
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Width of the embedding [default: 64]
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Nearest spots in space that are a spot's neighbours [default: 5; merfish 8; smoothed-pca 10]
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// How the contrast with all other spots is summed [default: auto]
    #[arg(long, value_enum, value_name = "HOW")]
    pub negatives: Option<NegativesArg>,
    /// Shares of genes missing in the two views: R1,R2, or R for both [default: 0.1,0.2]
    #[arg(long, value_delimiter = ',', num_args = 1, allow_negative_numbers = true, value_name = "R1,R2")]
    pub feature_mask: Option<Vec<f64>>,
    /// Which edges a view drops: expression (between unlike spots), image, or fixed=P
    /// [default: expression; image with --image-key]
    #[arg(long, value_name = "RULE")]
    pub edge_rule: Option<String>,
    /// Image features of the spots: an obsm key, or FILE.npy (one, or one for each input: A.npy,B.npy)
    #[arg(long, value_delimiter = ',', value_name = "KEY|FILE.npy")]
    pub image_key: Vec<String>,
    /// Classes of image features whose spots are not contrasted; 0: none [default: 0; visium-image 80]
    #[arg(long, value_name = "Q")]
    pub image_classes: Option<usize>,
    /// Graphs drawn for each view, of which half must hold an edge, 1 to 10 [default: 1]
    #[arg(long, value_name = "N")]
    pub resamples: Option<usize>,
    /// Average the embeddings of two views, as in the paper's text, instead of one of the whole graph
    #[arg(long)]
    pub average_views: bool,
    /// With image classes: the denominator of the authors' code, for comparison
    #[arg(long)]
    pub released_denominator: bool,
}

/// What STAIG writes beside the results.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Outputs")]
pub struct StaigOutputArgs {
    /// Lay the embedding out in the plane, as obsm["X_staig_umap"]
    #[arg(long)]
    pub umap: bool,
    /// Save the trained network (safetensors, with a card beside it in JSON)
    #[arg(long, value_name = "FILE", conflicts_with = "load_model")]
    pub save_model: Option<PathBuf>,
    /// Apply a saved network instead of training; the genes are aligned by name
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preset", "tau", "epochs", "lr", "weight_decay", "layers", "width", "n_neighbors", "negatives", "feature_mask", "edge_rule", "image_classes", "resamples", "average_views", "released_denominator", "restarts", "checkpoint", "staig_feature_options"])]
    pub load_model: Option<PathBuf>,
    /// Save the state of training in this folder on the way
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Epochs between checkpoints
    #[arg(long, value_name = "N", default_value_t = 50, requires = "checkpoint")]
    pub checkpoint_every: usize,
    /// Go on from the checkpoint in the folder: the same result as without the interruption
    #[arg(long, requires = "checkpoint")]
    pub resume: bool,
}

/// How counts become STAIG's features, and which spots are neighbours.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Features and space")]
pub struct StaigPreprocessArgs {
    /// What an .h5ad measures [default: guessed from names, else rna]
    #[arg(long, value_enum)]
    pub modality: Option<ModalityArg>,
    /// Counts are in this layer instead of X
    #[arg(long, value_name = "KEY")]
    pub layer: Option<String>,
    /// Values the network sees: log (total, log1p, scaled) or counts (as they are)
    /// [default: counts with presets starmap and merfish and up to 1200 genes, else log]
    #[arg(long, value_enum, group = "staig_feature_options", value_name = "VALUES")]
    pub values: Option<ValuesArg>,
    /// The data are already normalised and log-transformed: only scale them
    #[arg(long, group = "staig_feature_options", conflicts_with = "values")]
    pub normalized: bool,
    /// Highly variable genes to keep; 0 keeps all [default: 3000; of each of several slices 5000, those of all]
    #[arg(long, value_name = "N", group = "staig_feature_options")]
    pub n_top_genes: Option<usize>,
    /// How highly variable genes are found
    #[arg(long, value_enum, group = "staig_feature_options")]
    pub hvg: Option<HvgArg>,
    /// smoothed-pca: principal components [default: 30]
    #[arg(long, value_name = "N", group = "staig_feature_options")]
    pub n_pcs: Option<usize>,
    /// Total count each spot is scaled to [default: 10000]
    #[arg(long, allow_negative_numbers = true, value_name = "SUM", group = "staig_feature_options")]
    pub target_sum: Option<f64>,
    /// Keep genes seen in at least this many spots [default: 3]
    #[arg(long, value_name = "N", group = "staig_feature_options")]
    pub min_cells: Option<usize>,
    /// obsm key of the coordinates
    #[arg(long, value_name = "KEY", default_value = "spatial")]
    pub spatial_key: String,
    /// obs column that names the slice; no edge and no contrast crosses slices [default: several files: library_id]
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StaigMethodArg {
    /// The network
    Staig,
    /// Principal components of expression averaged over neighbours: the simple baseline
    SmoothedPca,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StaigPresetArg {
    /// The paper's text
    Default,
    /// Visium without its image
    Visium,
    /// Visium with image features
    VisiumImage,
    /// STARmap: counts of a small panel
    Starmap,
    /// MERFISH
    Merfish,
    /// Slide-seqV2
    SlideSeq,
    /// Stereo-seq: those of Slide-seqV2, as none were released
    StereoSeq,
    /// Several slices together
    Integration,
    /// Breast cancer (Visium)
    BreastCancer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NegativesArg {
    /// Exact up to about 5000 spots a slice or a temperature below 1, else by moments
    Auto,
    /// Every pair, O(N²) time
    Exact,
    /// A polynomial of the exponential, O(N) time; the error is bounded and reported
    Moments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ValuesArg {
    /// Total per spot, log1p, scaled without centring
    Log,
    /// Counts as they are
    Counts,
}
