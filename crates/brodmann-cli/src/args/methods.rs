//! Flags of the commands that find domains. A field is an option of the library under the same name.

use std::path::PathBuf;

use brodmann::pipeline::clustering::ClusterNumber;
use brodmann::pipeline::request::PerLayer;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value as Json;

use super::ModalityArg;
use super::histology::{EncoderArgs, SlideArgs};
use super::said::{ByName, by_name, cluster_number, edge_rule, flags, number, numbers};
use super::shared::{
    DomainArgs, ExpressionArgs, FeatureArgs, GmmModelArg, GraphArgs, IntegrationArg, ModelArgs, NamingArgs,
    OutputArgs, PlaceArgs, SourceArgs,
};

#[derive(Args, Debug, Serialize)]
pub struct LeidenCommand {
    /// .h5ad or .h5mu, or several .h5ad, a slice each (or a folder or file `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Find the resolution that gives this many clusters
    #[arg(long, short = 'k', value_name = "K")]
    pub n_clusters: Option<usize>,
    /// Resolution for all layers, or by name: rna=0.5,spatial=1 [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "R|NAME=R,…", value_parser = numbers)]
    pub resolution: Option<PerLayer<f64>>,
    /// Weights by layer: rna=1.5,adt=1,spatial=2.5 [default: 1]
    #[arg(long = "layer-weight", allow_negative_numbers = true, value_name = "NAME=W,…", value_parser = numbers)]
    pub layer_weights: Option<PerLayer<f64>>,
    /// Weight of the spatial layer, the modality layers having 1 [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "W", value_parser = number)]
    pub layer_ratio: Option<f64>,
    /// Treat graphs as directed: true, false, or by name: rna=true,spatial=false [default: false]
    #[arg(long, value_name = "BOOL|NAME=BOOL,…", num_args = 0..=1, default_missing_value = "true", value_parser = flags)]
    pub directed: Option<PerLayer<bool>>,
    /// Ignore edge weights
    #[arg(long = "unweighted", num_args = 0, default_missing_value = "false")]
    pub use_weights: Option<bool>,
    /// Iterations; -1 runs to convergence [default: -1]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub n_iterations: Option<i64>,
    /// Quality function [default: rb]
    #[arg(long, value_enum)]
    pub quality: Option<QualityArg>,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub graphs: GraphArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub features: FeatureArgs,
}

/// SpaMI in one call: raw counts in; one embedding of all modalities, how much each spot attends to each of
/// them, spatial domains and denoised expression out.
///
/// The file needs raw counts per modality and spot coordinates in obsm["spatial"]; a .h5ad is integrated with
/// space alone. Written are obsm["X_spami"], obsm["spami_attention"], obs["spami"], layers["spami_denoised"] of
/// each modality, and uns["spami"] with all parameters and the loss curve.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann spami tissue.h5mu --out spami.h5mu -k 7\n  \
    brodmann plot spami.h5mu --color spami spami_attention --out spami.png\n  \
    brodmann plot spami.h5mu --loss spami --out loss.png\n\n\
    Another slice with the same features, without training again:\n  \
    brodmann spami tissue.h5mu --out spami.h5mu --save-model spami.safetensors\n  \
    brodmann spami other.h5mu --out other-spami.h5mu --load-model spami.safetensors\n\n\
    Guided by a labelled slice, whose labels come back in obs[\"spami_prior\"] with a confidence (SpaMI-P):\n  \
    brodmann spami tissue.h5mu --out spami.h5mu -k 7 --prior atlas.h5ad --prior-key region")]
pub struct SpamiCommand {
    /// .h5mu with raw counts of several modalities, or .h5ad of one (or a folder or file `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Modalities to integrate, by name [default: all of the file]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub modalities: Vec<String>,
    /// What a modality measures, where the guess is wrong: rna, adt (proteins) or atac (peaks)
    #[arg(long = "modality-kind", value_name = "NAME=KIND,…", value_parser = by_name)]
    pub modality_kinds: Option<ByName>,
    /// Use these obsm embeddings instead of the counts: rna=X_pca,adt=X_pca (or KEY for a single modality)
    #[arg(long, value_name = "NAME=KEY,…", value_parser = by_name)]
    pub use_rep: Option<ByName>,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: SpamiNetworkArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub prior: SpamiPriorArgs,
    /// Write denoised expression; auto: where it takes no more than 1 GB [default: auto]
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, default_missing_value = "always")]
    pub denoise: Option<DenoiseArg>,
    /// Write the embedding of each modality too, as obsm["X_spami_NAME"]
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub modality_embeddings: Option<bool>,
    #[command(flatten)]
    #[serde(flatten)]
    pub domains: DomainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub models: ModelArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub features: FeatureArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

/// SpaMI's network and its training.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Network")]
pub struct SpamiNetworkArgs {
    /// The paper's settings for a kind of data [default: default]
    #[arg(long, value_enum)]
    pub preset: Option<SpamiPresetArg>,
    /// Passes over the tissue
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Learning rate of Adam
    #[arg(long = "lr", id = "lr", allow_negative_numbers = true, value_name = "LR", value_parser = number)]
    pub learning_rate: Option<f64>,
    /// Nearest spots in space that are a spot's neighbours
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// Width between the two layers of an encoder or decoder
    #[arg(long, value_name = "N")]
    pub hidden: Option<usize>,
    /// Width of the embedding
    #[arg(long, value_name = "N")]
    pub latent: Option<usize>,
    /// Share of inputs set to zero in training
    #[arg(long, allow_negative_numbers = true, value_name = "0..1", value_parser = number)]
    pub dropout: Option<f64>,
    /// Weight of the contrastive loss, for all or by modality [default: 1; stereo_cite rna=1,adt=5]
    #[arg(long = "contrast-weight", allow_negative_numbers = true, value_name = "W|NAME=W,…", value_parser = numbers)]
    pub contrast_weights: Option<PerLayer<f64>>,
    /// Weight of the reconstruction loss, for all or by modality [default: 10; presets weigh by kind]
    #[arg(long = "reconstruction-weight", allow_negative_numbers = true, value_name = "W|NAME=W,…", value_parser = numbers)]
    pub reconstruction_weights: Option<PerLayer<f64>>,
    /// Weight of the loss that keeps modalities alike
    #[arg(long, allow_negative_numbers = true, value_name = "W", value_parser = number)]
    pub cosine_weight: Option<f64>,
    /// L2 penalty on the parameters
    #[arg(long, allow_negative_numbers = true, value_name = "W", value_parser = number)]
    pub weight_decay: Option<f64>,
    /// Stop once the loss has not fallen for this many epochs [default: never]
    #[arg(long, value_name = "PATIENCE")]
    pub early_stopping: Option<usize>,
    /// Bring the features of all modalities to one scale, so that none outweighs the others [default: true; false
    /// with a preset, whose weights are made for the scales as they are]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub balance: Option<bool>,
    /// Train without the contrastive loss
    #[arg(long = "no-contrast", num_args = 0, default_missing_value = "false")]
    pub contrast: Option<bool>,
    /// Train without the loss that keeps modalities alike
    #[arg(long = "no-cosine", num_args = 0, default_missing_value = "false")]
    pub cosine: Option<bool>,
    /// How the modalities become one
    #[arg(long, value_enum, value_name = "HOW")]
    pub fusion: Option<FusionArg>,
}

/// A labelled slice that guides training.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Labelled reference (SpaMI-P)")]
pub struct SpamiPriorArgs {
    /// A labelled slice, counts and coordinates as in the input; features are matched by name
    #[arg(long, value_name = "FILE")]
    pub prior: Option<PathBuf>,
    /// obs column of its labels
    #[arg(long, value_name = "COLUMN")]
    pub prior_key: Option<String>,
    /// Which modality it measures [default: rna]
    #[arg(long, value_enum, value_name = "KIND")]
    pub prior_modality: Option<ModalityArg>,
    /// Layer that holds its counts instead of X
    #[arg(long, value_name = "LAYER")]
    pub prior_layer: Option<String>,
    /// obs column with its slices
    #[arg(long, value_name = "COLUMN")]
    pub prior_library_key: Option<String>,
    /// Weight of the loss that draws spots to their partners in the reference
    #[arg(long, allow_negative_numbers = true, value_name = "W", value_parser = number)]
    pub prior_weight: Option<f64>,
    /// Weight of the loss that keeps the labels apart
    #[arg(long, allow_negative_numbers = true, value_name = "W", value_parser = number)]
    pub prior_label_weight: Option<f64>,
    /// Nearest spots of the other side that are looked at for mutual neighbours
    #[arg(long, value_name = "N")]
    pub prior_anchors: Option<usize>,
    /// Epochs after which partners are looked for anew
    #[arg(long, value_name = "N")]
    pub prior_every: Option<usize>,
    /// Below this confidence a spot is none of the labels
    #[arg(long, allow_negative_numbers = true, value_name = "0..1", value_parser = number)]
    pub prior_confidence: Option<f64>,
}

/// STAIG in one call: raw counts in; an embedding by a graph network and spatial domains out, of one slice or of many
/// that need no alignment.
///
/// The file needs raw counts and spot coordinates in obsm["spatial"]. Several slices are in one file (--library-key), or
/// in several, a slice each: genes are then matched by name, and --out is a .h5ad, which joins the files, or a folder,
/// which takes a copy of each with its part of the results. Written are obsm["X_staig"], obs["staig"] (0 the largest
/// domain), obs["staig_unrefined"] where the neighbours voted, obs["staig_stability"] where several networks were
/// trained, and uns["staig"] with all parameters and the loss curve.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann staig visium.h5ad --out domains.h5ad --preset visium -k 7\n  \
    brodmann staig slice1.h5ad slice2.h5ad --out joined.h5ad --preset integration -k 7\n  \
    brodmann staig visium.h5ad --out domains.h5ad --preset visium_image --image-key features.npy -k 7\n  \
    brodmann plot joined.h5ad --color staig --library-key library_id --out domains.png\n\n\
    Several networks, and where they agree:\n  \
    brodmann staig visium.h5ad --out domains.h5ad -k 7 --restarts 5\n  \
    brodmann plot domains.h5ad --color staig staig_stability --out stability.png\n\n\
    Another slice with the same genes, without training again:\n  \
    brodmann staig slice1.h5ad --out one.h5ad --save-model staig.safetensors\n  \
    brodmann staig slice2.h5ad --out two.h5ad --load-model staig.safetensors\n\n\
    The baselines without a network: brodmann smoothed-pca, brodmann mixture")]
pub struct StaigCommand {
    /// .h5ad with raw counts, one or several (or .h5mu with gene expression, or what `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Another name of `brodmann smoothed-pca`, kept for scripts: staig --method smoothed_pca
    #[arg(long, value_enum, hide = true, default_value_t = StaigMethodArg::Staig)]
    #[serde(skip)]
    pub method: StaigMethodArg,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub domains: DomainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: StaigNetworkArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub slide: SlideArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub encoder: EncoderArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub models: ModelArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub expression: ExpressionArgs,
}

/// STAIG's network and its training.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Network")]
pub struct StaigNetworkArgs {
    /// The released settings for a kind of data [default: default]
    #[arg(long, value_enum)]
    pub preset: Option<StaigPresetArg>,
    /// Temperature of the contrast
    #[arg(long, allow_negative_numbers = true, value_name = "T", value_parser = number)]
    pub tau: Option<f64>,
    /// Passes over the tissue
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Learning rate of Adam
    #[arg(long = "lr", id = "lr", allow_negative_numbers = true, value_name = "LR", value_parser = number)]
    pub learning_rate: Option<f64>,
    /// L2 penalty on the parameters
    #[arg(long, allow_negative_numbers = true, value_name = "W", value_parser = number)]
    pub weight_decay: Option<f64>,
    /// Graph convolutions, 1 or 2
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Width of the embedding
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Nearest spots in space that are a spot's neighbours
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// How the contrast with all other spots is summed
    #[arg(long, value_enum, value_name = "HOW")]
    pub negatives: Option<NegativesArg>,
    /// Shares of genes missing in the two views: R1,R2, or R for both
    #[arg(long, value_delimiter = ',', num_args = 1, allow_negative_numbers = true, value_name = "R1,R2", value_parser = number)]
    pub feature_mask: Vec<f64>,
    /// Which edges a view drops: expression (between unlike spots), image, or fixed=P
    /// [default: expression; image with --image or --image-key]
    #[arg(long, value_name = "RULE", value_parser = edge_rule)]
    pub edge_rule: Option<Json>,
    /// Image features of the spots: an obsm key, or FILE.npy (one, or one for each input: A.npy,B.npy)
    #[arg(long, value_delimiter = ',', value_name = "KEY|FILE.npy", conflicts_with = "image")]
    pub image_key: Vec<String>,
    /// Classes of image features whose spots are not contrasted; 0: none [default: 0; 40 with --image and one slice;
    /// visium-image 80]
    #[arg(long, value_name = "Q")]
    pub image_classes: Option<usize>,
    /// Graphs drawn for each view, of which half must hold an edge, 1 to 10
    #[arg(long, value_name = "N")]
    pub resamples: Option<usize>,
    /// Average the embeddings of two views, as in the paper's text, instead of one of the whole graph
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub average_views: Option<bool>,
    /// With image classes: the denominator of the authors' code, for comparison
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub released_denominator: Option<bool>,
    /// Train this many networks and report what they agree on, with each spot's stability
    #[arg(long, value_name = "R")]
    pub restarts: Option<usize>,
}

/// The baseline of spatial methods: components of expression averaged over spatial neighbours, then a mixture.
///
/// One slice, or several in one file or several files, as for `staig`.
#[derive(Args, Debug, Serialize)]
pub struct SmoothedPcaCommand {
    /// .h5ad with raw counts, one or several (or .h5mu with gene expression, or what `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Nearest spots in space that expression is averaged over
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub domains: DomainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub expression: ExpressionArgs,
}

/// Domains that several cheap methods agree on: the default road. Each member has a view of its own on expression and
/// surroundings; what they agree on becomes the map, and how sure that is of each spot stands beside it.
///
/// Written are obs["domains"] (0 the largest), obs["domains_entropy"] (0 where all members agree, 1 where every domain is as
/// likely), obsm["domains_probability"] and uns["domains"] with the members' agreement and weights.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann domains tissue.h5ad --out domains.h5ad -k 7\n  \
    brodmann plot domains.h5ad --color domains domains_entropy --out domains.png\n  \
    brodmann domains slice1.h5ad slice2.h5ad --out joined.h5ad -k 7")]
pub struct DomainsCommand {
    /// .h5ad with raw counts, one or several, or .h5mu of any modalities (or what `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Number of domains, or `auto`: the number that the members agree on best [default: auto]
    #[arg(long, short = 'k', value_name = "K|auto", value_parser = cluster_number)]
    pub n_clusters: Option<ClusterNumber>,
    /// Who takes part
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,…")]
    pub members: Vec<MemberArg>,
    /// Write each member's labels too (of its run that agrees best with the others), as obs["domains_MEMBER"]
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub member_labels: Option<bool>,
    /// Of several slices: what takes their differences out of each member's components first (it costs a little where
    /// there are none)
    #[arg(long, value_enum)]
    pub integrate: Option<IntegrationArg>,
    /// Runs of each member, all of which vote
    #[arg(long, value_name = "N")]
    pub restarts: Option<usize>,
    /// Starts of each mixture
    #[arg(long, value_name = "N")]
    pub n_init: Option<usize>,
    /// Covariances of the mixtures, as mclust names them
    #[arg(long, value_enum, value_name = "MODEL")]
    pub gmm_model: Option<GmmModelArg>,
    /// With `-k auto`: the most domains considered
    #[arg(long, value_name = "K")]
    pub max_clusters: Option<usize>,
    /// Each spot follows the majority of its K nearest spots; 0: none
    #[arg(long, value_name = "K")]
    pub refine: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub slide: SlideArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub encoder: EncoderArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub expression: ExpressionArgs,
}

/// A member of `domains`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum MemberArg {
    /// Components of expression averaged over the neighbours
    #[value(name = "smoothed")]
    #[serde(rename = "smoothed")]
    Smoothed,
    /// BANKSY with λ = 0.2: mostly the spot
    #[value(name = "banksy.2")]
    #[serde(rename = "banksy.2")]
    BanksyOwn,
    /// BANKSY with λ = 0.8: mostly its surroundings
    #[value(name = "banksy.8")]
    #[serde(rename = "banksy.8")]
    BanksyAround,
    /// Components of the spot beside their means over one, two and three hops
    #[value(name = "hops")]
    #[serde(rename = "hops")]
    Hops,
    /// Leiden of the neighbours in expression and in space
    #[value(name = "spatialleiden")]
    #[serde(rename = "spatialleiden")]
    SpatialLeiden,
    /// What the picture shows; --image takes it in
    #[value(name = "image")]
    #[serde(rename = "image")]
    Image,
}

/// Domains from what each spot expresses beside what its surroundings do (BANKSY): its own values, the weighted mean of
/// its neighbours and the size of the gradient around it; their principal components, then a mixture.
///
/// One slice, or several in one file or several files, as for `staig`: genes are centred and scaled slice by slice.
/// Written are obsm["X_banksy"], obs["banksy"] (0 the largest domain) and uns["banksy"] with all parameters.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann banksy visium.h5ad --out domains.h5ad -k 7\n  \
    brodmann banksy merfish.h5ad --out domains.h5ad --lambda 0.8 -k 8\n  \
    brodmann banksy slice1.h5ad slice2.h5ad --out joined.h5ad -k 7")]
pub struct BanksyCommand {
    /// .h5ad with raw counts, one or several (or .h5mu with gene expression, or what `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    /// Weight of the surroundings, from 0 (none) to 1 (nothing else): 0.2 tells cell types and the layers of Visium
    /// sections apart, 0.8 the domains of single cells
    #[arg(long = "lambda", id = "lambda_param", allow_negative_numbers = true, value_name = "0..1", value_parser = number)]
    pub lambda_param: Option<f64>,
    /// Nearest spots that the mean is taken over
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    /// Nearest spots that the gradient is taken over; 0 leaves the gradient out
    #[arg(long, value_name = "N")]
    pub n_neighbors_agf: Option<usize>,
    /// Take the gradient around 0 instead of the neighbours' mean, as the Python package does
    #[arg(long = "not-centred", num_args = 0, default_missing_value = "false")]
    pub centred: Option<bool>,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub domains: DomainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub expression: ExpressionArgs,
}

/// The baseline without space: principal components, then a Gaussian mixture ("PCA + mclust").
#[derive(Args, Debug, Serialize)]
pub struct MixtureCommand {
    /// .h5ad or .h5mu with raw counts, or several .h5ad (or what `convert` can read)
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub domains: DomainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub features: FeatureArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

#[derive(Args, Debug, Serialize)]
#[command(mut_arg("cluster", |arg| arg.visible_alias("method").help("Clustering method [default: kmeans]")))]
pub struct ClusterCommand {
    /// .h5ad or .h5mu
    #[serde(skip)]
    pub input: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArgs,
    /// obsm key of the embedding [default: X_pca]
    #[arg(long, value_name = "KEY")]
    pub use_rep: Option<String>,
    /// leiden: neighbours of the kNN graph
    #[arg(long, value_name = "N")]
    pub n_neighbors: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub domains: DomainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub naming: NamingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum SpamiPresetArg {
    /// Simulated tissues, and anything else
    Default,
    /// MISAR-seq: peaks and RNA
    Misar,
    /// Spatial ATAC–RNA-seq: peaks and RNA
    #[value(alias = "atac-rna-brain")]
    AtacRnaBrain,
    /// Stereo-CITE-seq: RNA and proteins
    #[value(alias = "stereo-cite")]
    StereoCite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionArg {
    /// A sum weighted by attention, spot by spot
    Attention,
    /// Side by side
    Concat,
    /// The plain mean
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DenoiseArg {
    /// Where it takes no more than 1 GB
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StaigMethodArg {
    /// The network
    Staig,
    /// Principal components of expression averaged over neighbours: the simple baseline
    #[value(alias = "smoothed-pca")]
    SmoothedPca,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum StaigPresetArg {
    /// The paper's text
    Default,
    /// Visium without its image
    Visium,
    /// Visium with image features
    #[value(alias = "visium-image")]
    VisiumImage,
    /// STARmap: counts of a small panel
    Starmap,
    /// MERFISH
    Merfish,
    /// Slide-seqV2
    #[value(alias = "slide-seq")]
    SlideSeq,
    /// Stereo-seq: those of Slide-seqV2, as none were released
    #[value(alias = "stereo-seq")]
    StereoSeq,
    /// Several slices together
    Integration,
    /// Breast cancer (Visium)
    #[value(alias = "breast-cancer")]
    BreastCancer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NegativesArg {
    /// Exact up to about 5000 spots per slice or a temperature below 1, else by moments
    Auto,
    /// Every pair, O(N²) time
    Exact,
    /// A polynomial of the exponential, O(N) time; the error is bounded and reported
    Moments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
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
