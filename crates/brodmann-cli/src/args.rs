//! The flags: one struct per command, shared groups flattened. `--help` is their documentation.
//!
//! A group serialises to the options that were given, under the library's names: that is all that lies between a flag
//! and the field it sets (`args/said.rs`). Defaults stand in the library alone; help texts name them
//! (`args/defaults.rs`).

// Comments here are help texts: obsm["X_pca"] is meant as it stands.
#![allow(clippy::doc_link_with_quotes)]

pub mod bench;
pub mod defaults;
pub mod explain;
pub mod histology;
pub mod methods;
pub mod qc;
pub mod run;
pub mod said;
pub mod shared;

use std::path::PathBuf;

use brodmann_kernels::Seed;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

pub use explain::{
    EnrichCommand, ExportCommand, GeneModulesCommand, LinksCommand, MarkersCommand, NeighborhoodCommand,
    ReportCommand, ResultArgs, SvgCommand,
};
pub use histology::ImageFeaturesCommand;
pub use methods::{
    BanksyCommand, ClusterCommand, DomainsCommand, LeidenCommand, MixtureCommand, SmoothedPcaCommand,
    SpamiCommand, StaigCommand,
};
pub use qc::QcCommand;
pub use shared::{FeatureArgs, GraphArgs, OutputArgs, PlaceArgs, ReplaceArgs, SourceArgs};

/// Spatial domains from spatial omics data.
#[derive(Debug, Parser)]
#[command(
    name = "brodmann",
    version,
    about = "Spatial domains from spatial omics data: from raw counts to a map of the tissue",
    after_help = "Try it without any data:   brodmann demo\n\
                  On a file of your own:     brodmann domains tissue.h5ad --out domains.h5ad --n-clusters 7\n\
                  Then look at it:           brodmann plot domains.h5ad --color domains --out domains.png",
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
    /// Seed of every random stream; the same seed gives the same bits on any number of threads [default: 42]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Memory this program may hold, such as 8G; a file that declares more than it can mean is then believed up to that
    /// [default: what is free]
    #[arg(long, global = true, value_name = "BYTES", value_parser = bytes)]
    pub max_memory: Option<u64>,
    /// Read arrays that an HDF5 file keeps in other files, wherever those are
    #[arg(long, global = true)]
    pub follow_external: bool,
    /// No progress and no notes on the terminal
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Append notes and timings to this file
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Warnings are an error: the output is written, and the exit code is 3
    #[arg(long, global = true)]
    pub strict: bool,
    /// Machine-readable results on stdout, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
}

fn bytes(text: &str) -> Result<u64, String> {
    brodmann_data::memory::parse_bytes(text)
        .ok_or_else(|| "expected a number of bytes, such as 800M or 8G".to_owned())
}

/// The seed where none is given.
pub const SEED: u64 = 42;

impl Global {
    pub fn seed(&self) -> Seed {
        Seed(self.seed.unwrap_or(SEED))
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Simulate a tissue, find its domains, evaluate and plot them
    #[command(after_help = "Examples:\n  \
        brodmann demo\n  \
        brodmann demo --side 60 --out larger --seed 7")]
    Demo(DemoArgs),
    /// Write a simulated tissue whose domains are known
    #[command(after_help = "Examples:\n  \
        brodmann simulate --out tissue.h5mu\n  \
        brodmann simulate --out two.h5ad --modalities rna --slices 2 --batch-effect 1\n  \
        brodmann simulate --out slide.h5ad --image --image-strength 0.5")]
    Simulate(SimulateArgs),
    /// Read a platform's output (Visium, 10x, tables) and write .h5ad or .h5mu
    #[command(after_help = "Examples:\n  \
        brodmann convert outs/ --out tissue.h5ad\n  \
        brodmann convert square_outs/ --out hd.h5ad --bin 16\n  \
        brodmann convert counts.csv.gz --coordinates places.csv --out tissue.h5ad")]
    Convert(ConvertArgs),
    /// Say what a file holds
    #[command(after_help = "Examples:\n  \
        brodmann info tissue.h5ad\n  \
        brodmann info outs/ --features 'mt-*'")]
    Info(InfoArgs),
    /// Look at the quality of spots: counts, genes, mitochondrial share, and outliers among their neighbours
    #[command(after_help = "Examples:\n  \
        brodmann qc tissue.h5ad --out looked.h5ad --plot qc.png\n  \
        brodmann qc tissue.h5ad --table qc.csv --min-counts 500 --max-mt 20")]
    Qc(Box<QcCommand>),
    /// Normalise, select features and reduce dimensions
    #[command(after_help = "Examples:\n  \
        brodmann preprocess tissue.h5ad --out ready.h5ad\n  \
        brodmann preprocess tissue.h5ad --out ready.h5ad --n-top-genes 2000 --n-pcs 50")]
    Preprocess(PreprocessCommand),
    /// Build the latent and the spatial neighbour graph
    #[command(after_help = "Examples:\n  \
        brodmann neighbors tissue.h5ad --out graphs.h5ad\n  \
        brodmann neighbors tissue.h5ad --out graphs.h5ad --spatial grid --n-spatial 6")]
    Neighbors(NeighborsCommand),
    /// Find the domains that several cheap methods agree on, and how sure they are of each spot
    Domains(Box<DomainsCommand>),
    /// Cluster by the latent graph alone (Leiden)
    #[command(after_help = "Examples:\n  \
        brodmann leiden tissue.h5ad --out clusters.h5ad\n  \
        brodmann leiden tissue.h5ad --out clusters.h5ad -k 12")]
    Leiden(LeidenCommand),
    /// Find spatial domains: multiplex Leiden over the modality graphs and the spatial graph
    #[command(after_help = "Examples:\n  \
        brodmann spatialleiden tissue.h5ad --out domains.h5ad -k 7\n  \
        brodmann spatialleiden tissue.h5mu --out domains.h5mu -k 5 --layer-ratio 2\n  \
        brodmann spatialleiden slice1.h5ad slice2.h5ad --out joined.h5ad -k 7 --integrate harmony")]
    Spatialleiden(LeidenCommand),
    /// Integrate several omics of one tissue (SpaMI): embedding, attention, domains, denoised expression
    Spami(Box<SpamiCommand>),
    /// Domains of one slice, or of many without alignment, by a graph network (STAIG)
    Staig(Box<StaigCommand>),
    /// Domains by expression beside that of the surroundings (BANKSY)
    Banksy(Box<BanksyCommand>),
    /// Domains by components of expression averaged over spatial neighbours: the baseline with space
    #[command(after_help = "Examples:\n  \
        brodmann smoothed-pca tissue.h5ad --out domains.h5ad -k 7")]
    SmoothedPca(Box<SmoothedPcaCommand>),
    /// Domains by principal components and a Gaussian mixture: the baseline without space
    #[command(after_help = "Examples:\n  \
        brodmann mixture tissue.h5ad --out types.h5ad -k 12")]
    Mixture(Box<MixtureCommand>),
    /// Cluster an embedding
    #[command(after_help = "Examples:\n  \
        brodmann cluster domains.h5ad --use-rep X_staig -k 7 --cluster gmm --out again.h5ad\n  \
        brodmann cluster domains.h5ad --use-rep X_staig --cluster leiden --n-neighbors 50 --in-place")]
    Cluster(Box<ClusterCommand>),
    /// Make features of the picture around each spot
    ImageFeatures(Box<ImageFeaturesCommand>),
    /// Find the genes, proteins or peaks that tell each domain from the rest
    Markers(Box<MarkersCommand>),
    /// Find the known gene sets behind the markers of each domain
    Enrich(Box<EnrichCommand>),
    /// Find the genes, proteins or peaks that vary in space
    Svg(Box<SvgCommand>),
    /// Find the genes that rise and fall together, and where
    GeneModules(Box<GeneModulesCommand>),
    /// Say which domains lie beside which, what they are made of, and what shape they have
    Neighborhood(Box<NeighborhoodCommand>),
    /// Find the peaks that regulate genes, and in which domain
    Links(Box<LinksCommand>),
    /// Write domains as QuPath, TissUUmaps and Vitessce show them
    Export(Box<ExportCommand>),
    /// Write what was found as one .html that opens in any browser
    Report(Box<ReportCommand>),
    /// Compare labels with a truth, and measure embeddings and spatial coherence
    #[command(after_help = "Examples:\n  \
        brodmann evaluate domains.h5ad --pred domains\n  \
        brodmann evaluate domains.h5ad --pred staig --truth layer --use-rep X_staig --json")]
    Evaluate(EvaluateArgs),
    /// Draw the tissue coloured by obs columns or features
    #[command(after_help = "Examples:\n  \
        brodmann plot domains.h5ad --color domains domains_entropy --out domains.png\n  \
        brodmann plot tissue.h5ad --color Mbp Cux2 --vmax p99 --out genes.pdf")]
    Plot(PlotArgs),
    /// Run a whole study, written down as a file; steps that are finished are not repeated
    Run(run::RunArgs),
    /// Measure speed, memory and quality on this machine, on simulated tissue
    #[command(after_help = "Examples:\n  \
        brodmann bench")]
    Bench(bench::BenchArgs),
    /// Print the completion script for a shell
    #[command(after_help = "Examples:\n  \
        brodmann completions bash")]
    Completions(CompletionsArgs),
}

#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell to complete for
    pub shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Folder for the files and pictures
    #[arg(long, short, default_value = "demo-out", value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub replace: ReplaceArgs,
    /// Spots along one side of the simulated grid
    #[arg(long, default_value_t = 36, value_name = "N")]
    pub side: usize,
}

#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// Output file: .h5mu, or .h5ad when there is one modality
    #[arg(long, short, value_name = "OUT")]
    pub out: PathBuf,
    #[command(flatten)]
    pub replace: ReplaceArgs,
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
    /// Simulate genes, and peaks that regulate them in one domain each, instead; where the genes lie goes to this BED
    #[arg(long, value_name = "OUT.bed", conflicts_with_all = ["modalities", "noise", "n_proteins", "density", "n_peaks", "library_size_sd"])]
    pub regulation: Option<PathBuf>,
    /// Store an H&E-like picture beside the counts
    #[arg(long, visible_alias = "histology")]
    pub image: bool,
    /// How well that picture tells the domains apart: 0 (they look alike) to 1
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0, value_name = "X", requires = "image")]
    pub image_strength: f64,
    /// Blur it by a Gaussian of this standard deviation
    #[arg(
        long,
        allow_negative_numbers = true,
        default_value_t = 0.0,
        value_name = "PIXELS",
        requires = "image"
    )]
    pub image_blur_px: f64,
    /// How much its stains vary over a slide: standard deviation of the log of their amounts
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, value_name = "SD", requires = "image")]
    pub stain_drift: f64,
    /// How much its stains differ from slice to slice
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0, value_name = "SD", requires = "image")]
    pub stain_tint: f64,
}

#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// File or folder to read
    pub input: PathBuf,
    /// Output: .h5ad, or .h5mu for several modalities; .zarr for either
    #[arg(long, short, value_name = "OUT")]
    pub out: PathBuf,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub replace: ReplaceArgs,
}

#[derive(Args, Debug)]
pub struct InfoArgs {
    /// File or folder to look into
    pub input: PathBuf,
    /// Name the features that hold these letters, or fit a pattern such as `mt-*`
    #[arg(long, value_name = "PATTERN")]
    pub features: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
}

#[derive(Args, Debug)]
pub struct PreprocessCommand {
    /// .h5ad or .h5mu with raw counts (or a folder or file `convert` can read)
    pub input: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub replace: ReplaceArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub features: FeatureArgs,
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
    pub replace: ReplaceArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub graphs: GraphArgs,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub features: FeatureArgs,
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
    /// .h5ad or .h5mu (or a folder or file `convert` can read)
    pub input: PathBuf,
    #[command(flatten)]
    pub source: SourceArgs,
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
    /// Picture to write: .png, .svg or .pdf
    #[arg(long, short, value_name = "FIG")]
    pub out: PathBuf,
    #[command(flatten)]
    pub replace: ReplaceArgs,
    /// Draw an embedding in place of the tissue, by its key in obsm: X_umap, or umap; X_pca, or pca
    #[arg(long, value_name = "KEY", conflicts_with_all = ["loss", "library_key", "spatial_key", "shape", "spot_size", "no_image", "image", "outline", "alpha"])]
    pub basis: Option<String>,
    /// Columns of the embedding along the axes, the first being 1
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "X,Y", requires = "basis")]
    pub components: Option<Vec<usize>>,
    /// Lower end of the colours of numbers: a number, or a percentile (p5) [default: p1]
    #[arg(long, allow_negative_numbers = true, value_name = "X")]
    pub vmin: Option<String>,
    /// Upper end of them [default: p99]
    #[arg(long, allow_negative_numbers = true, value_name = "X")]
    pub vmax: Option<String>,
    /// Colours of numbers: viridis, cividis, magma, inferno, plasma, coolwarm, RdBu_r, Greys, Reds [default: viridis]
    #[arg(long, value_name = "NAME")]
    pub cmap: Option<String>,
    /// Leave each labelling its own colours; by default domains and what they overlap with most look alike
    #[arg(long)]
    pub no_match: bool,
    /// A line over the picture
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// obsm key of the coordinates
    #[arg(long, value_name = "KEY", default_value = "spatial")]
    pub spatial_key: String,
    /// obs column of the slice: slices side by side, or one row each of several colours [default: found in joined files]
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
    /// Shape of the spots [default: the boundaries of cells where the file keeps them, else from the geometry]
    #[arg(long, value_enum, default_value_t = ShapeArg::Auto)]
    pub shape: ShapeArg,
    /// Diameter of a spot, in units of the coordinates [default: from the file or the geometry]
    #[arg(long, allow_negative_numbers = true, value_name = "D")]
    pub spot_size: Option<f64>,
    /// Leave out the histology picture
    #[arg(long, conflicts_with = "image")]
    pub no_image: bool,
    /// Another slide to be drawn below the spots (.png, .jpg, .tif, .ome.tif, .svs), one, or one per slice
    #[arg(long, value_delimiter = ',', value_name = "FILE.tif")]
    pub image: Vec<String>,
    /// Pixels of that slide per unit of the coordinates [default: by the sizes of the pictures, else 1]
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = said::number)]
    pub image_scale: Option<f64>,
    /// File with the matrix that takes coordinates to pixels of that slide
    #[arg(long, value_name = "FILE")]
    pub image_transform: Option<PathBuf>,
    /// Opacity of the spots [default: 1; 0.8 over a histology picture; 0 within the outlines of domains]
    #[arg(long, allow_negative_numbers = true, value_name = "0..1")]
    pub alpha: Option<f64>,
    /// Lines that leave the histology visible: around each spot (give --alpha too), or around domains alone
    #[arg(long, value_enum)]
    pub outline: Option<OutlineArg>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalityArg {
    /// Gene expression
    Rna,
    /// Proteins (antibody-derived tags)
    Adt,
    /// Chromatin accessibility peaks
    Atac,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutlineArg {
    /// Each spot
    Spots,
    /// Each domain
    Domains,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShapeArg {
    /// Boundaries of cells where the file keeps them, else from the geometry of the spots
    Auto,
    Circle,
    Square,
    Hexagon,
    /// The boundaries of cells that the file keeps
    Cells,
    /// The boundaries of nuclei that the file keeps
    Nuclei,
}
