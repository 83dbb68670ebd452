//! The flags: one struct a command, shared groups flattened. `--help` is their documentation.

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
    /// Cluster an embedding
    Cluster(ClusterArgs),
    /// Compare labels with a truth, and measure embeddings and spatial coherence
    Evaluate(EvaluateArgs),
    /// Draw the tissue coloured by obs columns or features
    Plot(PlotArgs),
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
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub n_genes: usize,
    /// Number of proteins
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub n_proteins: usize,
    /// Number of peaks
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub n_peaks: usize,
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
    /// Neighbours in space: k of knn, or the grid's 4, 6 or 8 [default: 10; grid: 6 if hexagonal, else 8]
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
    /// Number of clusters
    #[arg(long, short = 'k', value_name = "K")]
    pub n_clusters: Option<usize>,
    /// Leiden: resolution, when no number of clusters is given
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0, value_name = "R")]
    pub resolution: f64,
    /// Leiden: neighbours of the kNN graph
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub n_neighbors: usize,
    /// k-means: number of starts, the best kept
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub n_init: usize,
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
    /// obs columns or feature names, one panel each
    #[arg(long, short, required = true, num_args = 1.., value_delimiter = ',', value_name = "KEY")]
    pub color: Vec<String>,
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
