//! `brodmann spami`.

use brodmann::cluster::{CovarianceModel, SelectionCriterion};
use brodmann::models::spami::{EarlyStopping, Fusion, SpamiOptions, SpamiPreset};
use brodmann::pipeline::checkpoint::CheckpointRequest;
use brodmann::pipeline::embedding_clusters::EmbeddingMethod;
use brodmann::pipeline::request::FeatureRequest;
use brodmann::pipeline::spami::request::CLUSTER_NEIGHBORS;
use brodmann::pipeline::spami::{Denoise, SpamiRequest, integrate};
use brodmann::preprocess::Modality;
use indexmap::IndexMap;

use super::cluster::{GMM_STARTS, KMEANS_STARTS};
use super::{Context, requests, summary};
use crate::args::{
    ClusterMethodArg, DenoiseArg, FusionArg, SpamiClusterArgs, SpamiCommand, SpamiNetworkArgs,
    SpamiPreprocessArgs, SpamiPresetArg,
};
use crate::failure::Failure;

/// A smaller fall of the loss is none.
const MIN_DELTA: f64 = 1e-4;

fn preset(arg: SpamiPresetArg) -> SpamiPreset {
    match arg {
        SpamiPresetArg::Default => SpamiPreset::Default,
        SpamiPresetArg::Misar => SpamiPreset::Misar,
        SpamiPresetArg::AtacRnaBrain => SpamiPreset::AtacRnaBrain,
        SpamiPresetArg::StereoCite => SpamiPreset::StereoCite,
    }
}

/// The options of the network: the preset's, with what was given in their place.
fn options(args: &SpamiNetworkArgs) -> SpamiOptions {
    let mut options = SpamiOptions::preset(preset(args.preset));
    let set = |slot: &mut f64, given: Option<f64>| *slot = given.unwrap_or(*slot);
    let set_whole = |slot: &mut usize, given: Option<usize>| *slot = given.unwrap_or(*slot);
    set(&mut options.learning_rate, args.lr);
    set(&mut options.dropout, args.dropout);
    set(&mut options.cosine_weight, args.cosine_weight);
    set(&mut options.weight_decay, args.weight_decay);
    set_whole(&mut options.epochs, args.epochs);
    set_whole(&mut options.n_neighbors, args.n_neighbors);
    set_whole(&mut options.hidden, args.hidden);
    set_whole(&mut options.latent, args.latent);
    options.contrast = !args.no_contrast;
    options.cosine = !args.no_cosine;
    options.early_stopping =
        args.early_stopping.map(|patience| EarlyStopping { patience, min_delta: MIN_DELTA });
    if let Some(fusion) = args.fusion {
        options.fusion = match fusion {
            FusionArg::Attention => Fusion::Attention,
            FusionArg::Concat => Fusion::Concat,
            FusionArg::Mean => Fusion::Mean,
        };
    }
    options
}

fn cluster(args: &SpamiClusterArgs) -> Result<EmbeddingMethod, Failure> {
    Ok(match args.cluster {
        ClusterMethodArg::Leiden => EmbeddingMethod::Leiden {
            n_clusters: args.n_clusters,
            resolution: args.resolution,
            n_neighbors: CLUSTER_NEIGHBORS,
        },
        ClusterMethodArg::Kmeans => EmbeddingMethod::KMeans {
            n_clusters: args.n_clusters.ok_or_else(|| {
                Failure::input("k-means needs a number of clusters; give it with --n-clusters K")
            })?,
            n_init: args.n_init.unwrap_or(KMEANS_STARTS),
        },
        ClusterMethodArg::Gmm => EmbeddingMethod::Gmm {
            n_clusters: args.n_clusters,
            model: CovarianceModel::Eee,
            n_init: args.n_init.unwrap_or(GMM_STARTS),
            criterion: SelectionCriterion::Stability,
            max_clusters: 15,
        },
    })
}

fn features(args: &SpamiPreprocessArgs) -> FeatureRequest {
    FeatureRequest {
        modality: args.modality.map(requests::modality),
        layer: args.layer.clone(),
        n_top_genes: args.n_top_genes,
        flavor: args.hvg.map(requests::flavor),
        n_pcs: args.n_pcs,
        target_sum: args.target_sum,
        min_cells: args.min_cells,
        normalized: args.normalized,
    }
}

/// `rna=X_pca,adt=X_pca` by name; without a name for a single modality.
fn named(
    option: &str,
    parts: &[String],
    example: &str,
    alone: bool,
) -> Result<IndexMap<String, String>, Failure> {
    let mut values = IndexMap::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), value.trim()),
            None if alone && parts.len() == 1 => ("", part.trim()),
            None => {
                return Err(Failure::input(format!(
                    "{option} holds {part:?} where NAME=VALUE was expected; write e.g. {option} {example}"
                )));
            }
        };
        if values.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::input(format!("{option} says {name} twice; give each modality one value")));
        }
    }
    Ok(values)
}

fn kinds(parts: &[String]) -> Result<IndexMap<String, Modality>, Failure> {
    named("--modality-kind", parts, "rna=rna,protein=adt", false)?
        .into_iter()
        .map(|(name, kind)| match kind.parse() {
            Ok(kind) => Ok((name, kind)),
            Err(_) => Err(Failure::input(format!(
                "--modality-kind says that {name} is {kind:?}, where rna, adt or atac was expected; adt stands for \
                 proteins, atac for peaks"
            ))),
        })
        .collect()
}

fn request(args: &SpamiCommand) -> Result<SpamiRequest, Failure> {
    let network = &args.network;
    let weights = |option, text: &Option<String>| requests::per_layer(option, text.as_deref(), "1");
    Ok(SpamiRequest {
        modalities: args.modalities.clone(),
        kinds: kinds(&args.modality_kind)?,
        features: features(&args.preprocess),
        use_rep: named("--use-rep", &args.preprocess.use_rep, "rna=X_pca,adt=X_pca", true)?,
        spatial_key: args.preprocess.spatial_key.clone(),
        library_key: args.preprocess.library_key.clone(),
        preset: preset(network.preset),
        options: options(network),
        contrast_weight: weights("--contrast-weight", &network.contrast_weight)?,
        reconstruction_weight: weights("--reconstruction-weight", &network.reconstruction_weight)?,
        balance: network.balance,
        cluster: cluster(&args.cluster)?,
        denoise: match args.outputs.denoise {
            DenoiseArg::Auto => Denoise::Auto,
            DenoiseArg::Always => Denoise::Always,
            DenoiseArg::Never => Denoise::Never,
        },
        umap: args.outputs.umap,
        modality_embeddings: args.outputs.modality_embeddings,
        save_model: args.outputs.save_model.clone(),
        load_model: args.outputs.load_model.clone(),
        checkpoint: args.outputs.checkpoint.clone().map(|folder| CheckpointRequest {
            folder,
            every: args.outputs.checkpoint_every,
            resume: args.outputs.resume,
        }),
        truth: args.truth.clone(),
        key_added: args.key_added.clone(),
    })
}

pub fn run(context: &Context<'_>, args: &SpamiCommand) -> Result<(), Failure> {
    let request = request(args)?;
    let destination = requests::destination(&args.output);
    let report = integrate(&args.input, &destination, &request, context.seed, context.terminal)?;
    context.print(&report, || summary::spami(&report))
}
