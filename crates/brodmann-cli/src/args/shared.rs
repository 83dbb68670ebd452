//! Groups of flags that several commands have.

use std::path::PathBuf;

use brodmann::pipeline::clustering::ClusterNumber;
use brodmann_data::{Bin, OpenOptions, Orientation, TableOptions, formats};
use brodmann_kernels::OptionError;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::ModalityArg;
use super::said::{cluster_number, number};

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

/// Whether what is there may go: of commands that name no result.
#[derive(Args, Clone, Debug, Default)]
pub struct ReplaceArgs {
    /// Replace an output that exists already
    #[arg(long)]
    pub force: bool,
}

/// What is said of an input beside its path.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input")]
pub struct SourceArgs {
    /// Kind of input [default: found out by looking]
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(formats()))]
    pub format: Option<String>,
    /// Squares of this side, or `cells`: micrometres of Visium HD [default: 8], spots of the chip of Stereo-seq [default:
    /// 50], units of the coordinates where molecules are counted [default: 20]
    #[arg(long, value_name = "SIDE|cells", value_parser = bin)]
    pub bin: Option<Bin>,
    /// Table with the coordinates, when the counts do not hold them
    #[arg(long, value_name = "FILE")]
    pub coordinates: Option<PathBuf>,
    /// The table of counts has one row per feature and one column per spot
    #[arg(long)]
    pub transposed: bool,
    /// Which table of a SpatialData store that holds several
    #[arg(long, value_name = "NAME")]
    pub table_name: Option<String>,
    /// Coordinate system of a SpatialData store [default: global, or the only one]
    #[arg(long, value_name = "NAME")]
    pub coordinate_system: Option<String>,
    /// Which genome of an old 10x file that holds several
    #[arg(long, value_name = "NAME")]
    pub genome: Option<String>,
}

impl SourceArgs {
    /// As the readers take it.
    pub fn options(&self) -> OpenOptions {
        let orientation = if self.transposed { Orientation::GenesInRows } else { Orientation::Auto };
        OpenOptions {
            format: self.format.clone(),
            bin: self.bin,
            genome: self.genome.clone(),
            library_id: None,
            table_name: self.table_name.clone(),
            coordinate_system: self.coordinate_system.clone(),
            table: TableOptions {
                coordinates: self.coordinates.clone(),
                orientation,
                ..TableOptions::default()
            },
        }
    }
}

fn bin(text: &str) -> Result<Bin, String> {
    text.parse().map_err(|_: OptionError| "expected the side of a square, or `cells`".to_owned())
}

/// What the result is called, and what it is compared with.
#[derive(Args, Clone, Debug, Serialize)]
pub struct NamingArgs {
    /// obs column of the known domains, for the metrics [default: ground_truth where present]
    #[arg(long, value_name = "KEY")]
    pub truth: Option<String>,
    /// Name of the result: `obs[NAME]`, `uns[NAME]`, of an embedding `obsm["X_NAME"]` [default: the method's]
    #[arg(long, value_name = "NAME")]
    pub key_added: Option<String>,
    /// Replace an output that exists already; with --in-place, a column NAME of obs that no run of this program wrote
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub force: Option<bool>,
}

/// Where the spots lie.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[command(next_help_heading = "Space")]
pub struct PlaceArgs {
    /// obsm key of the coordinates [default: spatial]
    #[arg(long, value_name = "KEY")]
    pub spatial_key: Option<String>,
    /// obs columns that hold the coordinates, where obsm does not: x_centroid,y_centroid
    #[arg(long, value_delimiter = ',', value_name = "X,Y")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spatial_columns: Vec<String>,
    /// obs column that names the slice; nothing crosses slices [default: of several files library_id]
    #[arg(long, value_name = "KEY")]
    pub library_key: Option<String>,
    /// Spots off the tissue (obs["in_tissue"] 0) take part too
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub keep_off_tissue: Option<bool>,
    /// Of modalities with different spots: which take part [default: they are refused]
    #[arg(long, value_enum)]
    pub obs: Option<SharedObsArg>,
}

/// Which spots of several modalities take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedObsArg {
    /// Those that every modality has; the others get no label
    Intersect,
}

/// How counts become features.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[command(next_help_heading = "Features")]
pub struct FeatureArgs {
    /// What an .h5ad measures [default: guessed from names, else rna]
    #[arg(long, value_enum)]
    pub modality: Option<ModalityArg>,
    /// Counts are in this layer instead of X
    #[arg(long, value_name = "KEY")]
    pub layer: Option<String>,
    /// Highly variable features to keep; 0 keeps all
    #[arg(long, value_name = "N")]
    pub n_top_genes: Option<usize>,
    /// How genes are selected [default: hvg]
    #[arg(long, value_name = "WAY", value_enum)]
    pub select: Option<SelectArg>,
    /// How highly variable genes are found
    #[arg(long = "hvg", id = "hvg", value_name = "FLAVOR", value_enum)]
    pub flavor: Option<HvgArg>,
    /// Principal (or LSI) components
    #[arg(long, value_name = "N")]
    pub n_pcs: Option<usize>,
    /// Total count each spot is scaled to
    #[arg(long, allow_negative_numbers = true, value_name = "SUM", value_parser = number)]
    pub target_sum: Option<f64>,
    /// Keep features seen in at least this many spots
    #[arg(long, value_name = "N")]
    pub min_cells: Option<usize>,
    /// Set spots with fewer counts aside: they get no label
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = number)]
    pub min_counts: Option<f64>,
    /// Set spots with fewer genes aside
    #[arg(long, value_name = "N")]
    pub min_genes: Option<usize>,
    /// Set spots with a larger percentage of mitochondrial counts aside
    #[arg(long, allow_negative_numbers = true, value_name = "PCT", value_parser = number)]
    pub max_mt: Option<f64>,
    /// The data are already normalised and log-transformed: skip both steps
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub normalized: Option<bool>,
    /// Write the counts of all genes, log-normalised, as layers["log_normalized"], for scanpy's markers and for plots
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub keep_log_normalized: Option<bool>,
}

/// How neighbour graphs are built.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[command(next_help_heading = "Graphs")]
pub struct GraphArgs {
    /// Neighbours in latent space (each spot counts itself, as in scanpy) [default: 15]
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// Kind of spatial graph [default: grid on a hexagonal lattice such as Visium's, else knn]
    #[arg(long, value_enum)]
    pub spatial: Option<SpatialArg>,
    /// Neighbours in space: k of knn, or the grid's 4, 6 or 8 [default: 10; on a hexagonal lattice 6, and another number takes the nearest]
    #[arg(long, value_name = "N")]
    pub n_spatial: Option<usize>,
    /// Largest distance of a spatial edge (radius graph; cut-off for delaunay), in units of the coordinates
    #[arg(long, allow_negative_numbers = true, value_name = "R", value_parser = number)]
    pub radius: Option<f64>,
    /// Cluster on this obsm embedding instead of preprocessing the counts
    #[arg(long, value_name = "KEY")]
    pub use_rep: Option<String>,
    /// Of several slices: what takes their differences out of the embedding first (it costs a little where there are
    /// none)
    #[arg(long, value_enum)]
    pub integrate: Option<IntegrationArg>,
}

/// What takes the differences of slices out of an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationArg {
    /// Harmony (Korsunsky et al. 2019)
    Harmony,
}

/// How an embedding becomes domains.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Domains")]
pub struct DomainArgs {
    /// Number of domains, or `auto` to choose it [default: auto with gmm, by the resolution with leiden]
    #[arg(long, short = 'k', value_name = "K|auto", value_parser = cluster_number)]
    pub n_clusters: Option<ClusterNumber>,
    /// Of several slices: what takes their differences out of the embedding first (it costs a little where there are
    /// none)
    #[arg(long, value_enum)]
    pub integrate: Option<IntegrationArg>,
    /// How the embedding is clustered
    #[arg(long, value_enum)]
    pub cluster: Option<ClusterMethodArg>,
    /// leiden: resolution, when no number of domains is given [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "R", value_parser = number)]
    pub resolution: Option<f64>,
    /// gmm, kmeans: number of starts, the best kept
    #[arg(long, value_name = "N")]
    pub n_init: Option<usize>,
    /// gmm: covariances of the components, as mclust names them
    #[arg(long, value_enum, value_name = "MODEL")]
    pub gmm_model: Option<GmmModelArg>,
    /// gmm with `-k auto`: what decides
    #[arg(long, value_enum, value_name = "SCORE")]
    pub select_by: Option<SelectByArg>,
    /// gmm with `-k auto`: the most domains considered
    #[arg(long, value_name = "K")]
    pub max_clusters: Option<usize>,
    /// Each spot follows the majority of its K nearest spots; 0: none
    #[arg(long, value_name = "K")]
    pub refine: Option<usize>,
    /// Lay the embedding out in the plane, as obsm["X_NAME_umap"]
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub umap: Option<bool>,
}

/// A network as a file.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Models")]
pub struct ModelArgs {
    /// Save the trained network (safetensors, with a card beside it in JSON)
    #[arg(long, value_name = "FILE")]
    pub save_model: Option<PathBuf>,
    /// Apply a saved network and its domains instead of training (-k finds others); features are aligned by name
    #[arg(long, value_name = "FILE")]
    pub load_model: Option<PathBuf>,
    /// Save the state of training in this folder on the way
    #[arg(long, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Epochs between checkpoints
    #[arg(long, value_name = "N", requires = "checkpoint")]
    pub checkpoint_every: Option<usize>,
    /// Go on from the checkpoint in the folder: the same result as without the interruption
    #[arg(long, requires = "checkpoint", num_args = 0, default_missing_value = "true")]
    pub resume: Option<bool>,
    /// Begin anew, in place of the checkpoint in the folder
    #[arg(
        long,
        requires = "checkpoint",
        conflicts_with = "resume",
        num_args = 0,
        default_missing_value = "true"
    )]
    pub restart: Option<bool>,
}

/// Counts or logarithms.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Features")]
pub struct ValueArgs {
    /// Values the method sees: log (total, log1p, scaled) or counts (as they are)
    #[arg(long, value_enum, value_name = "VALUES")]
    pub values: Option<ValuesArg>,
}

/// Expression on its way to a method: features, values, coordinates and slices.
#[derive(Args, Clone, Debug, Serialize)]
pub struct ExpressionArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub features: FeatureArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub values: ValueArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValuesArg {
    /// Total per spot, log1p, scaled without centring
    Log,
    /// Counts as they are
    Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectArg {
    /// Highly variable, by --hvg
    Hvg,
    /// Highly variable by binned dispersion (mean-variance plot)
    Mvp,
    /// Spatially variable, by Moran's I
    Svg,
    /// Hub genes of co-expression modules
    Modules,
    /// Highly variable, of genes that vary alike only one
    Nonredundant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterMethodArg {
    /// k-means
    Kmeans,
    /// Leiden on a kNN graph of the embedding
    Leiden,
    /// Gaussian mixture
    Gmm,
}

/// mclust's families of covariances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[value(rename_all = "UPPER")]
#[serde(rename_all = "UPPERCASE")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectByArg {
    /// The most clusters that runs on random subsets agree on
    Stability,
    /// The highest mean silhouette width
    Silhouette,
    /// The highest BIC
    Bic,
}
