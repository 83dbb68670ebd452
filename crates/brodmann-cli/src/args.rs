//! The flags: one struct a command, shared groups flattened. `--help` is their documentation.

// Comments here are help texts: obsm["X_pca"] is meant as it stands.
#![allow(clippy::doc_link_with_quotes)]

pub mod bench;
pub mod staig;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Spatial domains from spatial omics data.
#[derive(Debug, Parser)]
#[command(
    name = "brodmann",
    version,
    about = "Spatial domains from spatial omics data: from raw counts to a map of the tissue",
    after_help = "Try it without any data:   brodmann demo\n\
                  On a file of your own:     brodmann spatialleiden tissue.h5ad --out domains.h5ad --n-clusters 7\n\
                  Then look at it:           brodmann plot domains.h5ad --color spatialleiden --out domains.png",
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Seed of every random stream; the same seed gives the same bits on any number of threads
    #[arg(long, global = true, default_value_t = 42, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: u64,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// No progress and no notes on the terminal
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Append notes and timings to this file
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Machine-readable results on stdout, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Simulate a tissue, find its domains, evaluate and plot them
    Demo(DemoArgs),
    /// Write a simulated tissue whose domains are known
    Simulate(SimulateArgs),
    /// Read a platform's output (Visium, 10x, tables) and write .h5ad or .h5mu
    Convert(ConvertArgs),
    /// Say what a file holds
    Info(InfoArgs),
    /// Normalise, select features and reduce dimensions
    Preprocess(PreprocessCommand),
    /// Build the latent and the spatial neighbour graph
    Neighbors(NeighborsCommand),
    /// Cluster by the latent graph alone (Leiden)
    Leiden(LeidenCommand),
    /// Find spatial domains: multiplex Leiden over the modality graphs and the spatial graph
    Spatialleiden(LeidenCommand),
    /// Integrate several omics of one tissue (SpaMI): embedding, attention, domains, denoised expression
    Spami(Box<SpamiCommand>),
    /// Domains of one slice, or of many without alignment, by a graph network (STAIG)
    Staig(Box<staig::StaigCommand>),
    /// Cluster an embedding
    Cluster(ClusterArgs),
    /// Compare labels with a truth, and measure embeddings and spatial coherence
    Evaluate(EvaluateArgs),
    /// Draw the tissue coloured by obs columns or features
    Plot(PlotArgs),
    /// Measure speed, memory and quality on this machine, on simulated tissue
    Bench(bench::BenchArgs),
    /// Print the completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell to complete for
    pub shell: clap_complete::Shell,
}

/// Where the result goes.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Output file: a copy of the input with the results added
    #[arg(long, short, value_name = "OUT", required_unless_present = "in_place")]
    pub out: Option<PathBuf>,
    /// Add the results to the input itself (atomically)
    #[arg(long, conflicts_with = "out")]
    pub in_place: bool,
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Folder for the files and pictures
    #[arg(long, short, default_value = "demo-out", value_name = "DIR")]
    pub out: PathBuf,
    /// Spots along one side of the simulated grid
    #[arg(long, default_value_t = 36, value_name = "N")]
    pub side: usize,
}

#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// Output file: .h5mu, or .h5ad when there is one modality
    #[arg(long, short, value_name = "OUT")]
    pub out: PathBuf,
    /// Spots along one side of the grid
    #[arg(long, default_value_t = 36, value_name = "N")]
    pub side: usize,
    /// Standard deviation of the Gaussian noise added to the counts
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, value_name = "SD")]
    pub noise: f64,
    /// Modalities to simulate [default: rna,adt,atac; rna for an .h5ad]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub modalities: Option<Vec<ModalityArg>>,
    /// Slices of the same tissue
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub slices: usize,
    /// Size of the batch effect on the second and later slices
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, value_name = "SIZE")]
    pub batch_effect: f64,
    /// Number of genes
    #[arg(long, visible_alias = "genes", default_value_t = 1000, value_name = "N")]
    pub n_genes: usize,
    /// Number of proteins
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub n_proteins: usize,
    /// Number of peaks
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub n_peaks: usize,
    /// Expected share of non-zero counts in RNA and ATAC before noise, e.g. 0.05 [default: about 0.2, as modelled]
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE")]
    pub density: Option<f64>,
    /// Standard deviation of the log of the spots' library sizes
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.25, value_name = "SD")]
    pub library_size_sd: f64,
    /// Distance between neighbouring spots, in coordinate units
    #[arg(long, allow_negative_numbers = true, default_value_t = 100.0, value_name = "DISTANCE")]
    pub spot_pitch: f64,
    /// Store an H&E-like picture beside the counts
    #[arg(long)]
    pub image: bool,
}

#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// File or folder to read
    pub input: PathBuf,
    /// Output file: .h5ad, or .h5mu for several modalities
    #[arg(long, short, value_name = "OUT")]
    pub out: PathBuf,
    /// Kind of input
    #[arg(long, value_enum, default_value_t = FormatArg::Auto)]
    pub format: FormatArg,
    /// Table with the coordinates, when the counts table does not hold them
    #[arg(long, value_name = "FILE")]
    pub coordinates: Option<PathBuf>,
    /// The counts table has one row per feature and one column per spot
    #[arg(long)]
    pub transposed: bool,
    /// Replace an existing output file
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct InfoArgs {
    /// File or folder to look into
    pub input: PathBuf,
}

/// How counts become features.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Preprocessing")]
pub struct PreprocessArgs {
    /// What an .h5ad measures [default: guessed from names, else rna]
    #[arg(long, value_enum)]
    pub modality: Option<ModalityArg>,
    /// Counts are in this layer instead of X
    #[arg(long, value_name = "KEY")]
    pub layer: Option<String>,
    /// Highly variable features to keep; 0 keeps all [default: 3000 for rna]
    #[arg(long, value_name = "N")]
    pub n_top_genes: Option<usize>,
    /// How highly variable genes are found
    #[arg(long, value_enum)]
    pub hvg: Option<HvgArg>,
    /// Principal (or LSI) components [default: 30 rna, 10 adt, 50 atac]
    #[arg(long, value_name = "N")]
    pub n_pcs: Option<usize>,
    /// Total count each spot is scaled to
    #[arg(long, allow_negative_numbers = true, value_name = "SUM")]
    pub target_sum: Option<f64>,
    /// Keep features seen in at least this many spots
    #[arg(long, value_name = "N")]
    pub min_cells: Option<usize>,
    /// The data are already normalised and log-transformed: skip both steps
    #[arg(long)]
    pub normalized: bool,
}

/// How neighbour graphs are built.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Graphs")]
pub struct GraphArgs {
    /// Neighbours in latent space (each spot counts itself, as in scanpy) [default: 15]
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// Kind of spatial graph [default: knn]
    #[arg(long, value_enum)]
    pub spatial: Option<SpatialArg>,
    /// Neighbours in space: k of knn, or the grid's 4, 6 or 8 [default: 10; grid: 6, of which a square lattice has 4]
    #[arg(long, value_name = "N")]
    pub n_spatial: Option<usize>,
    /// Largest distance of a spatial edge (radius graph; cut-off for delaunay), in units of the coordinates
    #[arg(long, allow_negative_numbers = true, value_name = "R")]
    pub radius: Option<f64>,
    /// obsm key of the coordinates
    #[arg(long, value_name = "KEY", default_value = "spatial")]
    pub spatial_key: String,
    /// obs column that names the slice; no edge crosses slices
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
    /// Cluster on this obsm embedding instead of preprocessing the counts
    #[arg(long, value_name = "KEY")]
    pub use_rep: Option<String>,
}

#[derive(Args, Debug)]
pub struct PreprocessCommand {
    /// .h5ad or .h5mu with raw counts (or a folder or file `convert` can read)
    pub input: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub preprocess: PreprocessArgs,
    /// obs column that names the slice; genes are then selected slice by slice
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
}

#[derive(Args, Debug)]
pub struct NeighborsCommand {
    /// .h5ad or .h5mu
    pub input: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub graphs: GraphArgs,
    #[command(flatten)]
    pub preprocess: PreprocessArgs,
}

#[derive(Args, Debug)]
pub struct LeidenCommand {
    /// .h5ad or .h5mu (or a folder or file `convert` can read)
    pub input: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Find the resolution that gives this many clusters
    #[arg(long, short = 'k', value_name = "K")]
    pub n_clusters: Option<usize>,
    /// Resolution for all layers, or by name: rna=0.5,spatial=1 [default: 1]
    #[arg(long, allow_negative_numbers = true, conflicts_with = "n_clusters", value_name = "R|NAME=R,…")]
    pub resolution: Option<String>,
    /// Weights by layer: rna=1.5,adt=1,spatial=2.5 [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "NAME=W,…")]
    pub layer_weight: Option<String>,
    /// Weight of the spatial layer, the modality layers having 1 [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "W", conflicts_with = "layer_weight")]
    pub layer_ratio: Option<f64>,
    /// Treat graphs as directed: true, false, or by name: rna=true,spatial=false [default: false]
    #[arg(long, value_name = "BOOL|NAME=BOOL,…", num_args = 0..=1, default_missing_value = "true")]
    pub directed: Option<String>,
    /// Ignore edge weights
    #[arg(long)]
    pub unweighted: bool,
    /// Iterations; -1 runs to convergence
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "N")]
    pub n_iterations: i64,
    /// Quality function
    #[arg(long, value_enum, default_value_t = QualityArg::Rb)]
    pub quality: QualityArg,
    /// obs column of the known domains, for the metrics [default: ground_truth where present]
    #[arg(long, value_name = "KEY")]
    pub truth: Option<String>,
    /// obs column to write [default: the command's name]
    #[arg(long, value_name = "KEY")]
    pub key_added: Option<String>,
    #[command(flatten)]
    pub graphs: GraphArgs,
    #[command(flatten)]
    pub preprocess: PreprocessArgs,
}

/// SpaMI in one call: raw counts in; one embedding of all modalities, how much each spot attends to each of
/// them, spatial domains and denoised expression out.
///
/// The file needs raw counts per modality and spot coordinates in obsm["spatial"]; a .h5ad is integrated with
/// space alone. Written are obsm["X_spami"], obsm["spami_attention"], obs["spami"], layers["spami_denoised"] of
/// each modality, and uns["spami"] with all parameters and the loss curve.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    brodmann spami tissue.h5mu --out spami.h5mu -k 7\n  \
    brodmann plot spami.h5mu --color spami spami_attention --out spami.png\n  \
    brodmann plot spami.h5mu --loss spami --out loss.png\n\n\
    Another slice with the same features, without training again:\n  \
    brodmann spami tissue.h5mu --out spami.h5mu --save-model spami.safetensors\n  \
    brodmann spami other.h5mu --out other-spami.h5mu --load-model spami.safetensors")]
// Options that a loaded model has already decided.
#[command(group(clap::ArgGroup::new("feature_options").multiple(true)))]
pub struct SpamiCommand {
    /// .h5mu with raw counts of several modalities, or .h5ad of one (or a folder or file `convert` can read)
    pub input: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Modalities to integrate, by name [default: all of the file]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub modalities: Option<Vec<String>>,
    /// What a modality measures, where the guess is wrong: rna, adt (proteins) or atac (peaks)
    #[arg(long, value_delimiter = ',', value_name = "NAME=KIND,…")]
    pub modality_kind: Vec<String>,
    /// obs column of the known domains, for the metrics [default: ground_truth where present]
    #[arg(long, value_name = "KEY")]
    pub truth: Option<String>,
    /// Name of the results: `obs[NAME]`, `uns[NAME]`, `obsm["X_NAME"]`, `obsm["NAME_attention"]`, `layers["NAME_denoised"]`
    #[arg(long, value_name = "NAME", default_value = "spami")]
    pub key_added: String,
    #[command(flatten)]
    pub cluster: SpamiClusterArgs,
    #[command(flatten)]
    pub network: SpamiNetworkArgs,
    #[command(flatten)]
    pub outputs: SpamiOutputArgs,
    #[command(flatten)]
    pub preprocess: SpamiPreprocessArgs,
}

/// How SpaMI's embedding is clustered.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Domains")]
pub struct SpamiClusterArgs {
    /// Number of domains; Leiden then searches the resolution
    #[arg(long, short = 'k', value_name = "K")]
    pub n_clusters: Option<usize>,
    /// Method: Leiden on a 50-neighbour graph, k-means, or a Gaussian mixture (EEE; without -k their number is
    /// chosen by stability), of 20 principal components of the embedding
    #[arg(long, value_enum, default_value_t = ClusterMethodArg::Leiden)]
    pub cluster: ClusterMethodArg,
    /// Leiden: resolution, when no number of domains is given
    #[arg(
        long,
        allow_negative_numbers = true,
        default_value_t = 1.0,
        conflicts_with = "n_clusters",
        value_name = "R"
    )]
    pub resolution: f64,
    /// k-means, gmm: number of starts, the best kept [default: 10, for gmm 5]
    #[arg(long, value_name = "N")]
    pub n_init: Option<usize>,
}

/// SpaMI's network and its training.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub struct SpamiNetworkArgs {
    /// The paper's settings for a kind of data
    #[arg(long, value_enum, default_value_t = SpamiPresetArg::Default)]
    pub preset: SpamiPresetArg,
    /// Passes over the tissue [default: 1000; misar 800, atac_rna_brain 400, stereo_cite 600]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Learning rate of Adam [default: 0.001; misar 0.01, stereo_cite 0.0001]
    #[arg(long, allow_negative_numbers = true, value_name = "LR")]
    pub lr: Option<f64>,
    /// Nearest spots in space that are a spot's neighbours [default: 3; atac_rna_brain 6]
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// Width between the two layers of an encoder or decoder [default: 256]
    #[arg(long, value_name = "N")]
    pub hidden: Option<usize>,
    /// Width of the embedding [default: 64]
    #[arg(long, value_name = "N")]
    pub latent: Option<usize>,
    /// Share of inputs set to zero in training [default: 0.15]
    #[arg(long, allow_negative_numbers = true, value_name = "0..1")]
    pub dropout: Option<f64>,
    /// Weight of the contrastive loss, for all or by modality [default: 1; stereo_cite rna=1,adt=5]
    #[arg(long, allow_negative_numbers = true, value_name = "W|NAME=W,…")]
    pub contrast_weight: Option<String>,
    /// Weight of the reconstruction loss, for all or by modality [default: 10; presets weigh by kind]
    #[arg(long, allow_negative_numbers = true, value_name = "W|NAME=W,…")]
    pub reconstruction_weight: Option<String>,
    /// Weight of the loss that keeps modalities alike [default: 5; misar 3, stereo_cite 1]
    #[arg(long, allow_negative_numbers = true, value_name = "W")]
    pub cosine_weight: Option<f64>,
    /// L2 penalty on the parameters [default: 0]
    #[arg(long, allow_negative_numbers = true, value_name = "W")]
    pub weight_decay: Option<f64>,
    /// Stop once the loss has not fallen for this many epochs [default: never]
    #[arg(long, value_name = "PATIENCE")]
    pub early_stopping: Option<usize>,
    /// Bring the features of all modalities to one scale, so that none outweighs the others [default: true; false
    /// with a preset, whose weights are made for the scales as they are]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub balance: Option<bool>,
    /// Train without the contrastive loss
    #[arg(long)]
    pub no_contrast: bool,
    /// Train without the loss that keeps modalities alike
    #[arg(long)]
    pub no_cosine: bool,
    /// How the modalities become one
    #[arg(long, value_enum, value_name = "HOW")]
    pub fusion: Option<FusionArg>,
}

/// What SpaMI writes beside the results.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Outputs")]
pub struct SpamiOutputArgs {
    /// Write denoised expression; auto: where it takes no more than 1 GB
    #[arg(long, value_enum, default_value_t = DenoiseArg::Auto, value_name = "WHEN", num_args = 0..=1, default_missing_value = "always")]
    pub denoise: DenoiseArg,
    /// Lay the embedding out in the plane, as obsm["X_spami_umap"]
    #[arg(long)]
    pub umap: bool,
    /// Write the embedding of each modality too, as obsm["X_spami_NAME"]
    #[arg(long)]
    pub modality_embeddings: bool,
    /// Save the trained network (safetensors, with a card beside it in JSON)
    #[arg(long, value_name = "FILE", conflicts_with = "load_model")]
    pub save_model: Option<PathBuf>,
    /// Apply a saved network instead of training; the features are aligned by name
    #[arg(long, value_name = "FILE", conflicts_with_all = ["SpamiNetworkArgs", "checkpoint", "feature_options"])]
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

/// How counts become SpaMI's features, and which spots are neighbours.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Features and space")]
pub struct SpamiPreprocessArgs {
    /// What an .h5ad measures [default: guessed from names, else rna]
    #[arg(long, value_enum)]
    pub modality: Option<ModalityArg>,
    /// Counts are in this layer instead of X
    #[arg(long, value_name = "KEY")]
    pub layer: Option<String>,
    /// Use these obsm embeddings instead of the counts: rna=X_pca,adt=X_pca (or KEY for a single modality)
    #[arg(long, value_delimiter = ',', value_name = "NAME=KEY,…", group = "feature_options")]
    pub use_rep: Vec<String>,
    /// Highly variable genes to keep; 0 keeps all [default: 1800]
    #[arg(long, value_name = "N", group = "feature_options")]
    pub n_top_genes: Option<usize>,
    /// How highly variable genes are found
    #[arg(long, value_enum, group = "feature_options")]
    pub hvg: Option<HvgArg>,
    /// Principal (or LSI) components; up to 200 proteins are used as they are [default: 50]
    #[arg(long, value_name = "N", group = "feature_options")]
    pub n_pcs: Option<usize>,
    /// Total count each spot is scaled to [default: 10000]
    #[arg(long, allow_negative_numbers = true, value_name = "SUM", group = "feature_options")]
    pub target_sum: Option<f64>,
    /// Keep genes seen in at least this many spots [default: 3]
    #[arg(long, value_name = "N", group = "feature_options")]
    pub min_cells: Option<usize>,
    /// The data are already normalised and log-transformed: skip both steps
    #[arg(long, group = "feature_options")]
    pub normalized: bool,
    /// obsm key of the coordinates
    #[arg(long, value_name = "KEY", default_value = "spatial")]
    pub spatial_key: String,
    /// obs column that names the slice; no edge crosses slices
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpamiPresetArg {
    /// Simulated tissues, and anything else
    Default,
    /// MISAR-seq: peaks and RNA
    Misar,
    /// Spatial ATAC–RNA-seq: peaks and RNA
    #[value(name = "atac_rna_brain")]
    AtacRnaBrain,
    /// Stereo-CITE-seq: RNA and proteins
    #[value(name = "stereo_cite")]
    StereoCite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FusionArg {
    /// A sum weighted by attention, spot by spot
    Attention,
    /// Side by side
    Concat,
    /// The plain mean
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DenoiseArg {
    /// Where it takes no more than 1 GB
    Auto,
    Always,
    Never,
}

#[derive(Args, Debug)]
pub struct ClusterArgs {
    /// .h5ad or .h5mu
    pub input: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    /// obsm key of the embedding
    #[arg(long, value_name = "KEY", default_value = "X_pca")]
    pub use_rep: String,
    /// Clustering method
    #[arg(long, value_enum, default_value_t = ClusterMethodArg::Kmeans)]
    pub method: ClusterMethodArg,
    /// Number of clusters, or `auto` (gmm) to choose it
    #[arg(long, short = 'k', value_name = "K|auto", value_parser = cluster_number)]
    pub n_clusters: Option<ClusterNumber>,
    /// Leiden: resolution, when no number of clusters is given
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0, value_name = "R")]
    pub resolution: f64,
    /// Leiden: neighbours of the kNN graph
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub n_neighbors: usize,
    /// k-means, gmm: number of starts, the best kept [default: 10, for gmm 5]
    #[arg(long, value_name = "N")]
    pub n_init: Option<usize>,
    /// gmm: covariances of the components, as mclust names them
    #[arg(long, value_enum, default_value_t = GmmModelArg::Eee, value_name = "MODEL")]
    pub gmm_model: GmmModelArg,
    /// gmm with `-k auto`: what decides
    #[arg(long, value_enum, default_value_t = SelectByArg::Stability, value_name = "SCORE")]
    pub select_by: SelectByArg,
    /// gmm with `-k auto`: the most clusters considered
    #[arg(long, default_value_t = 15, value_name = "K")]
    pub max_clusters: usize,
    /// Replace every label by the most frequent among the K nearest spots
    #[arg(long, value_name = "K")]
    pub refine: Option<usize>,
    /// obsm key of the coordinates, for --refine
    #[arg(long, value_name = "KEY", default_value = "spatial")]
    pub spatial_key: String,
    /// obs column that names the slice, for --refine
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
    /// obs column of the known domains, for the metrics [default: ground_truth where present]
    #[arg(long, value_name = "KEY")]
    pub truth: Option<String>,
    /// obs column to write [default: the method's name]
    #[arg(long, value_name = "KEY")]
    pub key_added: Option<String>,
}

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// .h5ad or .h5mu with labels in obs
    pub input: PathBuf,
    /// obs column of the labels to judge
    #[arg(long, value_name = "KEY")]
    pub pred: String,
    /// obs column of the known domains [default: ground_truth where present]
    #[arg(long, value_name = "KEY")]
    pub truth: Option<String>,
    /// obsm key of the embedding for silhouette and LISI [default: X_pca where present]
    #[arg(long, value_name = "KEY")]
    pub use_rep: Option<String>,
    /// obs column of the slice or batch, for iLISI and BatchKL
    #[arg(long, value_name = "KEY")]
    pub batch_key: Option<String>,
    /// obsm key of the coordinates
    #[arg(long, value_name = "KEY", default_value = "spatial")]
    pub spatial_key: String,
}

#[derive(Args, Debug)]
pub struct PlotArgs {
    /// .h5ad or .h5mu
    pub input: PathBuf,
    /// obs columns, feature names or obsm tables (spami_attention, obsm:X_spami:0), one panel each
    #[arg(long, short, required_unless_present = "loss", num_args = 1.., value_delimiter = ',', value_name = "KEY")]
    pub color: Vec<String>,
    /// Draw the loss curves of a training instead, by the name of its result: spami
    #[arg(long, value_name = "RUN", conflicts_with_all = ["color", "layer", "denoised"])]
    pub loss: Option<String>,
    /// Features are in this layer [default: log_normalized where present, else X]
    #[arg(long, value_name = "KEY", conflicts_with = "denoised")]
    pub layer: Option<String>,
    /// Draw each feature twice: as measured, and denoised by the run of this name
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "spami")]
    pub denoised: Option<String>,
    /// Picture to write: .png or .svg
    #[arg(long, short, value_name = "FIG")]
    pub out: PathBuf,
    /// obsm key of the coordinates
    #[arg(long, value_name = "KEY", default_value = "spatial")]
    pub spatial_key: String,
    /// obs column of the slice: one row of panels a slice
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
    /// Shape of the spots [default: from the geometry]
    #[arg(long, value_enum, default_value_t = ShapeArg::Auto)]
    pub shape: ShapeArg,
    /// Diameter of a spot, in units of the coordinates [default: from the file or the geometry]
    #[arg(long, allow_negative_numbers = true, value_name = "D")]
    pub spot_size: Option<f64>,
    /// Leave out the histology picture
    #[arg(long)]
    pub no_image: bool,
    /// Opacity of the spots
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0, value_name = "0..1")]
    pub alpha: f64,
    /// Panels side by side
    #[arg(long, value_name = "N")]
    pub columns: Option<usize>,
    /// Longest side of a panel, in pixels of 1/96 inch
    #[arg(long, allow_negative_numbers = true, default_value_t = 340.0, value_name = "PX")]
    pub panel_size: f64,
    /// Dots per inch of a .png
    #[arg(long, allow_negative_numbers = true, default_value_t = 200.0, value_name = "DPI")]
    pub dpi: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModalityArg {
    /// Gene expression
    Rna,
    /// Proteins (antibody-derived tags)
    Adt,
    /// Chromatin accessibility peaks
    Atac,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HvgArg {
    /// Variance-stabilised, on counts
    #[value(name = "seurat_v3")]
    SeuratV3,
    /// Binned dispersion
    Seurat,
    /// Binned dispersion, median and MAD
    #[value(name = "cell_ranger")]
    CellRanger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpatialArg {
    /// k nearest spots, symmetrised
    Knn,
    /// All spots within --radius
    Radius,
    /// Delaunay triangulation
    Delaunay,
    /// Neighbours on a regular grid
    Grid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QualityArg {
    /// Reichardt–Bornholdt with the configuration null model
    Rb,
    /// Modularity
    Modularity,
    /// Constant Potts model
    Cpm,
    /// Reichardt–Bornholdt with an Erdős–Rényi null model
    Rber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClusterMethodArg {
    /// k-means
    Kmeans,
    /// Leiden on a kNN graph of the embedding
    Leiden,
    /// Gaussian mixture
    Gmm,
}

/// A number of clusters on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterNumber {
    Auto,
    Given(usize),
}

fn cluster_number(text: &str) -> Result<ClusterNumber, String> {
    if text == "auto" {
        return Ok(ClusterNumber::Auto);
    }
    text.parse().map(ClusterNumber::Given).map_err(|_| "a whole number or `auto` was expected".to_owned())
}

/// mclust's families of covariances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum GmmModelArg {
    /// Balls of one size
    Eii,
    /// Balls
    Vii,
    /// One diagonal covariance
    Eei,
    /// A diagonal covariance each
    Vvi,
    /// One full covariance
    Eee,
    /// A full covariance each
    Vvv,
}

/// What a number of clusters is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SelectByArg {
    /// The most clusters that runs on random subsets agree on
    Stability,
    /// The highest mean silhouette width
    Silhouette,
    /// The highest BIC
    Bic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShapeArg {
    /// From the geometry of the spots
    Auto,
    Circle,
    Square,
    Hexagon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Look and decide
    Auto,
    /// AnnData
    H5ad,
    /// MuData
    H5mu,
    /// A Space Ranger folder
    Visium,
    /// A 10x .h5 file or matrix folder
    #[value(name = "10x")]
    TenX,
    /// csv, tsv or parquet
    Table,
}
