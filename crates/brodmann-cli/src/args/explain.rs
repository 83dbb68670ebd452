//! Flags of the commands that say what is in a domain: `markers`, `enrich`, `svg`, `gene-modules`, `neighborhood`.

use std::path::PathBuf;

use brodmann::pipeline::{Destination, Outputs};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::histology::SlideArgs;
use super::said::number;
use super::shared::{ReplaceArgs, SpatialArg};
use super::{ModalityArg, PlaceArgs, SourceArgs};

/// Where the results go: any of them.
#[derive(Args, Clone, Debug)]
pub struct ResultArgs {
    /// Output file: a copy of the input with the results added
    #[arg(long, short, value_name = "OUT")]
    pub out: Option<PathBuf>,
    /// Add the results to the input itself (atomically)
    #[arg(long, conflicts_with = "out")]
    pub in_place: bool,
    /// Write the results as a table: .csv, .tsv or .parquet
    #[arg(long, value_name = "TABLE")]
    pub table: Option<PathBuf>,
    /// Draw them: .png, .svg or .pdf
    #[arg(long, value_name = "FIG")]
    pub plot: Option<PathBuf>,
    #[command(flatten)]
    pub replace: ReplaceArgs,
}

impl ResultArgs {
    /// As the library takes them.
    pub fn outputs(&self) -> Outputs {
        let in_place = self.in_place.then_some(Destination::InPlace);
        Outputs {
            destination: self.out.clone().map(Destination::File).or(in_place),
            table: self.table.clone(),
            plot: self.plot.clone(),
        }
    }
}

/// Genes that tell each group of spots from the rest.
///
/// Written are uns["rank_genes_groups"], which scanpy reads (sc.get.rank_genes_groups_df, sc.pl.rank_genes_groups), a
/// table of all features and groups, and a picture. Of several slices a marker must hold in more than half of those that
/// can judge it, and a test over slices stands beside that over spots. Without any output the first markers are printed.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann markers domains.h5ad --out domains-markers.h5ad --table markers.csv --plot markers.png\n  \
    brodmann markers domains.h5ad --groupby domains --reference neighbors\n  \
    brodmann markers slices.h5ad --groupby domains --library-key slice --table markers.parquet")]
pub struct MarkersCommand {
    /// .h5ad or .h5mu with labels (or a folder or file `convert` can read)
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
    pub groups: GroupArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub comparison: ComparisonArgs,
    /// Name of the result in uns [default: rank_genes_groups]
    #[arg(long, value_name = "NAME")]
    pub key_added: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub values: ValueSourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub contacts: ContactArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// Which labels.
#[derive(Args, Clone, Debug, Serialize)]
pub struct GroupArgs {
    /// obs column of the groups [default: domains, or what another method left]
    #[arg(long, value_name = "KEY")]
    pub groupby: Option<String>,
}

/// What is compared, how, and what is called a marker.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Markers")]
pub struct ComparisonArgs {
    /// What each group is compared with: rest, neighbors (spots of other groups around it), or one of the groups
    #[arg(long, value_name = "rest|neighbors|GROUP")]
    pub reference: Option<String>,
    /// How many edges away a neighbour may be
    #[arg(long, value_name = "N")]
    pub n_hops: Option<usize>,
    /// The test
    #[arg(long, value_enum, value_name = "TEST")]
    pub test: Option<TestArg>,
    /// Heed ties in Wilcoxon's variance: with many zeros p-values become smaller
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub tie_correct: Option<bool>,
    /// Thresholds of a paper
    #[arg(long, value_enum)]
    pub preset: Option<ThresholdPresetArg>,
    /// A marker's log2 fold change is above this
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub log2_fold_change: Option<f64>,
    /// Count features that are lower in the group too
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub both_directions: Option<bool>,
    /// A marker's p-value is below this
    #[arg(long, allow_negative_numbers = true, value_name = "P", value_parser = number)]
    pub p_value: Option<f64>,
    /// Judge p-values that are not adjusted for the number of features
    #[arg(long = "unadjusted", num_args = 0, default_missing_value = "false")]
    pub adjusted: Option<bool>,
    /// At least this share of the group's spots express a marker
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", value_parser = number)]
    pub fraction: Option<f64>,
    /// Of several slices: a marker holds in more than this share of those that can judge the group
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", value_parser = number)]
    pub slice_share: Option<f64>,
    /// Spots of a group that a slice must have to judge it
    #[arg(long, value_name = "N")]
    pub min_spots_per_slice: Option<usize>,
    /// A change holds in a slice where its log2 fold change is above this
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub slice_log2_fold_change: Option<f64>,
    /// Markers of each group that are printed and drawn
    #[arg(long, value_name = "N")]
    pub n_top: Option<usize>,
}

/// The values that are compared.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Values")]
pub struct ValueSourceArgs {
    /// Of an .h5mu this kind of modality alone; what an .h5ad measures, where names do not tell
    #[arg(long, value_enum)]
    pub modality: Option<ModalityArg>,
    /// Values are in this layer [default: log_normalized where present, else X, counts being normalised]
    #[arg(long, value_name = "KEY")]
    pub layer: Option<String>,
    /// Values are logarithms already, whatever they look like
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub normalized: Option<bool>,
    /// Total that the counts of each spot are scaled to [default: 10000]
    #[arg(long, allow_negative_numbers = true, value_name = "SUM", value_parser = number)]
    pub target_sum: Option<f64>,
}

/// Which spots touch.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Neighbours")]
pub struct ContactArgs {
    /// Kind of spatial graph [default: that of the file, else the lattice of the spots or the 6 nearest]
    #[arg(long, value_enum)]
    pub spatial: Option<SpatialArg>,
    /// Neighbours in space [default: 6; 4 on a square lattice]
    #[arg(long, value_name = "N")]
    pub n_spatial: Option<usize>,
    /// Largest distance of a spatial edge, in units of the coordinates
    #[arg(long, allow_negative_numbers = true, value_name = "R", value_parser = number)]
    pub radius: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestArg {
    /// Rank sums
    Wilcoxon,
    /// Welch's t-test
    Welch,
    /// Welch's t-test with the reference taken to be as small as the group
    OverestimatedVariance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdPresetArg {
    /// |log2 fold change| above 0.25, p below 0.05, not adjusted
    Staig,
    /// |log2 fold change| above 0.5, p below 0.05, not adjusted
    Spami,
}

/// Which peaks regulate which genes, and in which domain.
///
/// Accessibility is moved to expression by optimal transport between cells that are near each other in an embedding, from each
/// peak to the genes within reach on the genome; what moves within a domain is the strength of a link there. Beside it stand
/// what is specific for a domain (against shuffled labels), correlation, and distance. Names of peaks say where they lie
/// (chr1:10-20, chr1-10-20, chr1_10_20). Written are uns["links"], a table of all pairs, and files for genome browsers.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann spami tissue.h5mu --out spami.h5mu -k 7\n  \
    brodmann links spami.h5mu --genes gencode.vM25.gtf.gz --table links.csv --plot locus.png")]
pub struct LinksCommand {
    /// .h5mu of genes and peaks with an embedding and labels
    #[serde(skip)]
    pub input: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub output: ResultArgs,
    /// Write the links of each domain as BEDPE
    #[arg(long, value_name = "OUT.bedpe")]
    #[serde(skip)]
    pub bedpe: Option<PathBuf>,
    /// Write the links as the WashU browser reads them
    #[arg(long, value_name = "OUT.txt")]
    #[serde(skip)]
    pub longrange: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Where genes lie: GTF or GFF3 (GENCODE, Ensembl; packed or not), BED, or a table with gene, chrom, start, end, strand
    #[arg(long, value_name = "GTF|BED|TABLE")]
    pub genes: Option<PathBuf>,
    /// Bases to both sides of where a gene's transcription starts in which peaks may regulate it
    #[arg(long, value_name = "BASES")]
    pub window: Option<u64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupArgs,
    /// obsm key of the embedding [default: X_spami, or what another method left]
    #[arg(long, value_name = "KEY")]
    pub use_rep: Option<String>,
    /// Nearest cells in it between which moving has a cost of its own
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// Weight of the entropy: larger spreads more
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub epsilon: Option<f64>,
    /// Rounds of the transport, at most
    #[arg(long, value_name = "N")]
    pub max_iterations: Option<usize>,
    /// Shuffles of the labels
    #[arg(long, value_name = "N")]
    pub n_permutations: Option<usize>,
    /// Share of genes, and of peaks, whose position must be known
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE", value_parser = number)]
    pub min_matched: Option<f64>,
    /// Links of each domain that are printed
    #[arg(long, value_name = "N")]
    pub n_top: Option<usize>,
    /// With --plot: the gene whose links are drawn [default: that of the specific link to
    /// whose correlation its domain contributes most]
    #[arg(long, value_name = "GENE")]
    pub locus: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// Domains as other programs show them.
///
/// A .geojson holds the outline of each domain, with its name and colour, as QuPath (File > Import objects) and TissUUmaps
/// read annotations; neighbouring domains share their borders. QuPath's unit is the pixel of the slide in full resolution,
/// which is that of Visium's coordinates; of others --scale takes coordinates there. A .zarr is a SpatialData store with the
/// same outlines as shapes, which napari and spatialdata-plot show. A .json is a view of a .zarr store for Vitessce: the
/// map, the plane, domains and genes.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann export domains.h5ad --out domains.geojson\n  \
    brodmann export domains.h5ad --out outlines.zarr\n  \
    brodmann convert domains.h5ad --out domains.zarr && brodmann export domains.zarr --out vitessce.json")]
pub struct ExportCommand {
    /// .h5ad or .h5mu with labels (or a folder or file `convert` can read)
    #[serde(skip)]
    pub input: PathBuf,
    /// Output: .geojson, .zarr or .json
    #[arg(long, short, value_name = "OUT")]
    #[serde(skip)]
    pub out: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub replace: ReplaceArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupArgs,
    /// Coordinates times this are written [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub scale: Option<f64>,
    /// One region per connected piece instead of one per domain
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub pieces: Option<bool>,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// Known sets of genes behind the markers of each group.
///
/// Sets come from files that you have the right to: MSigDB (gsea-msigdb.org), Enrichr (maayanlab.cloud/Enrichr) and GO
/// offer them as .gmt; none is shipped. Markers are found as `markers` finds them. Written are uns["enrichment"], a table
/// of all groups and sets, and a picture; with --score also how strongly each spot expresses a set.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann enrich domains.h5ad --gene-sets hallmark.gmt --table sets.csv --plot sets.png\n  \
    brodmann enrich domains.h5ad --gene-sets go.gmt --method gsea --table sets.csv\n  \
    brodmann enrich domains.h5ad --gene-sets hallmark.gmt --score HALLMARK_HYPOXIA --out scored.h5ad")]
pub struct EnrichCommand {
    /// .h5ad or .h5mu with labels (or a folder or file `convert` can read)
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
    pub groups: GroupArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub sets: SetArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub comparison: ComparisonArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub values: ValueSourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub contacts: ContactArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// Which sets, and what is asked of them.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Gene sets")]
pub struct SetArgs {
    /// Files of gene sets: .gmt, also packed (.gz)
    #[arg(long, required = true, num_args = 1.., value_name = "GMT")]
    pub gene_sets: Vec<PathBuf>,
    /// What is asked of each set
    #[arg(long, value_enum, value_name = "METHOD")]
    pub method: Option<EnrichmentArg>,
    /// Fewest measured genes of a set
    #[arg(long, value_name = "N")]
    pub min_size: Option<usize>,
    /// Most measured genes of a set
    #[arg(long, value_name = "N")]
    pub max_size: Option<usize>,
    /// ora: what the markers are drawn from
    #[arg(long, value_enum, value_name = "GENES")]
    pub background: Option<BackgroundArg>,
    /// gsea: random sets of each size
    #[arg(long, value_name = "N")]
    pub n_permutations: Option<usize>,
    /// Write obs["score_SET"] of these sets: how strongly each spot expresses them
    #[arg(long, value_delimiter = ',', value_name = "SET")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub score: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrichmentArg {
    /// Does it hold more markers than by chance (one-sided hypergeometric test)?
    Ora,
    /// Do its genes gather at an end of the ranking of all genes (preranked GSEA)?
    Gsea,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackgroundArg {
    /// All measured genes
    Measured,
    /// Those that are in a set
    InSets,
}

/// Genes, proteins or peaks that vary in space.
///
/// Moran's I (or Geary's C) of every feature on the spatial graph, with the p-value of its normal approximation. Of
/// several slices each is measured about its own mean. Written are uns["moranI"] as squidpy keeps it and var["moranI"],
/// a table, and maps of the first ones.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann svg visium.h5ad --table svg.csv --plot svg.png\n  \
    brodmann svg slices.h5ad --library-key slice --out svg.h5ad")]
pub struct SvgCommand {
    /// .h5ad or .h5mu (or a folder or file `convert` can read)
    #[serde(skip)]
    pub input: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub output: ResultArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Which statistic
    #[arg(long, value_enum, value_name = "STATISTIC")]
    pub statistic: Option<StatisticArg>,
    /// Features seen in fewer spots are left out
    #[arg(long, value_name = "N")]
    pub min_cells: Option<usize>,
    /// Features that are printed and drawn
    #[arg(long, value_name = "N")]
    pub n_top: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub values: ValueSourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub contacts: ContactArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatisticArg {
    /// Moran's I: 1 where neighbours are alike, about 0 by chance
    Moran,
    /// Geary's C: 0 where neighbours are alike, about 1 by chance
    Geary,
}

/// Genes that rise and fall together, and where.
///
/// Co-expression modules as WGCNA finds them: a network of genes by their correlation, whose tree is cut branch by branch.
/// Each module has an eigengene, one number per spot, and hub genes, those nearest to it. Written are var["gene_modules"]
/// (1 is the largest module, 0 no module), var["gene_modules_kme"], var["gene_modules_connectivity"], obsm["X_gene_modules"] (the eigengenes) and
/// uns["gene_modules"], a table of the genes, and maps of the eigengenes.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann gene-modules visium.h5ad --table modules.csv --plot modules.png\n  \
    brodmann gene-modules slices.h5ad --library-key slice --network signed --out modules.h5ad")]
pub struct GeneModulesCommand {
    /// .h5ad or .h5mu (or a folder or file `convert` can read); of several modalities the RNA
    #[serde(skip)]
    pub input: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub output: ResultArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Genes seen in fewer spots are left out
    #[arg(long, value_name = "N")]
    pub min_cells: Option<usize>,
    /// Hub genes of each module that are printed
    #[arg(long, value_name = "N")]
    pub n_top: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub coexpression: CoexpressionArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub values: ValueSourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub contacts: ContactArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// How modules are found.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Network of genes")]
pub struct CoexpressionArgs {
    /// What a negative correlation counts as
    #[arg(long, value_enum, value_name = "NETWORK")]
    pub network: Option<NetworkArg>,
    /// Power of the correlations [default: the smallest whose network is scale-free; where none is, 6, or 12 of a signed one]
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub power: Option<f64>,
    /// R² from which on a network counts as scale-free
    #[arg(long, allow_negative_numbers = true, value_name = "R2", value_parser = number)]
    pub scale_free_fit: Option<f64>,
    /// Genes of the smallest module
    #[arg(long, value_name = "N")]
    pub min_module_size: Option<usize>,
    /// How readily a branch of the tree is split: 0 to 4
    #[arg(long, value_name = "N")]
    pub deep_split: Option<u8>,
    /// Modules whose eigengenes are correlated more closely than 1 minus this become one
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub merge_height: Option<f64>,
    /// Genes that are correlated with the eigengene of their module less than this leave it
    #[arg(long, allow_negative_numbers = true, value_name = "R", value_parser = number)]
    pub min_membership: Option<f64>,
    /// Genes whose network is held at a time: 5000 take .8 GB
    #[arg(long, value_name = "N")]
    pub max_block_size: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkArg {
    /// As much as a positive one
    Unsigned,
    /// As no link
    Signed,
}

/// Which groups lie beside which, what they are made of, and what shape they have.
///
/// Contacts are compared with the exact mean and variance over all arrangements of the labels, without permutations.
/// Written are uns["KEY_nhood_enrichment"] and uns["KEY_co_occurrence"] as squidpy keeps them, uns["KEY_ripley_L"] under its
/// names, compositions and shapes, a table of all pairs, one of all shapes, and a picture.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann neighborhood domains.h5ad --table pairs.csv --shapes shapes.csv --plot neighborhood.png\n  \
    brodmann neighborhood cells.h5ad --groupby cell_type --co-occurrence 50 --ripley 50\n  \
    brodmann neighborhood domains.h5ad --composition cell_type,slice --out domains-neighborhood.h5ad")]
pub struct NeighborhoodCommand {
    /// .h5ad or .h5mu with labels (or a folder or file `convert` can read)
    #[serde(skip)]
    pub input: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub output: ResultArgs,
    /// Write area, border, compactness, elongation and pieces of each group in each slice: .csv, .tsv or .parquet
    #[arg(long, value_name = "TABLE")]
    #[serde(skip)]
    pub shapes: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupArgs,
    /// obs columns that the groups are made up of: cell types, slices, a truth
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub composition: Vec<String>,
    /// How likely groups are near each other, at this many distances; 0: not looked at
    #[arg(long, value_name = "N")]
    pub co_occurrence: Option<usize>,
    /// Ripley's L of each group, in this many steps of the radius: are its spots clustered or spread out? 0: not looked at
    #[arg(long, value_name = "N")]
    pub ripley: Option<usize>,
    /// Times that labels are dealt anew, to see what L would be by chance
    #[arg(long, value_name = "N")]
    pub ripley_simulations: Option<usize>,
    /// The largest of these distances and radii [default: half the diagonal of the tissue, or less; of Ripley's L a quarter
    /// of its shortest side, or less]
    #[arg(long, allow_negative_numbers = true, value_name = "D", value_parser = number)]
    pub max_distance: Option<f64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub contacts: ContactArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// What was found in a tissue, as one file that opens in any browser.
///
/// One .html without any network: maps of the tissue over its picture, coloured by domains, members, uncertainty, measures or
/// genes; for each domain its markers, gene sets, neighbours and shape; how it was made. With --image a slide lies beneath the
/// maps, and each domain shows patches of it. Several slices stand side by side in linked colours. Nothing is added to the
/// input.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann report domains.h5ad --out report.html\n  \
    brodmann report domains.h5ad --out report.html --genes MBP,PCP4 --gene-sets hallmark.gmt\n  \
    brodmann report domains.h5ad --out report.html --image slide.tif\n  \
    brodmann report joined.h5ad --out report.html --library-key slice --truth layer")]
pub struct ReportCommand {
    /// .h5ad or .h5mu with domains; several files: a slice each, whose domains mean the same
    #[arg(required = true, num_args = 1..)]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    /// The report: .html
    #[arg(long, short, value_name = "HTML")]
    #[serde(skip)]
    pub out: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub replace: ReplaceArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupArgs,
    /// obs column of the known domains, to compare with [default: ground_truth where present]
    #[arg(long, value_name = "KEY")]
    pub truth: Option<String>,
    /// Title of the page [default: the name of the input]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Features that maps can be coloured by, besides the first markers
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub genes: Vec<String>,
    /// Markers in the table of each domain
    #[arg(long, value_name = "N")]
    pub n_markers: Option<usize>,
    /// Of them, those that maps can be coloured by
    #[arg(long, value_name = "N")]
    pub n_maps: Option<usize>,
    /// Files of gene sets (.gmt) to look for behind the markers
    #[arg(long, num_args = 1.., value_name = "GMT")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gene_sets: Vec<PathBuf>,
    /// Leave out the histology picture
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub no_image: Option<bool>,
    #[command(flatten)]
    #[serde(flatten)]
    pub slide: SlideArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub values: ValueSourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub contacts: ContactArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}
