//! `brodmann staig`.

use brodmann::models::staig::{EdgeRule, Negatives, StaigOptions, StaigPreset};
use brodmann::pipeline::checkpoint::CheckpointRequest;
use brodmann::pipeline::embedding_clusters::EmbeddingMethod;
use brodmann::pipeline::request::FeatureRequest;
use brodmann::pipeline::staig::features::Values;
use brodmann::pipeline::staig::request::{BASELINE_NEIGHBORS, CLUSTER_NEIGHBORS};
use brodmann::pipeline::staig::{StaigMethod, StaigRequest, find_staig_domains};

use super::{Context, cluster, requests, summary};
use crate::args::staig::{
    NegativesArg, StaigCommand, StaigDomainArgs, StaigMethodArg, StaigNetworkArgs, StaigPreprocessArgs,
    StaigPresetArg, ValuesArg,
};
use crate::args::{ClusterMethodArg, ClusterNumber};
use crate::failure::Failure;

fn preset(arg: StaigPresetArg) -> StaigPreset {
    match arg {
        StaigPresetArg::Default => StaigPreset::Default,
        StaigPresetArg::Visium => StaigPreset::Visium,
        StaigPresetArg::VisiumImage => StaigPreset::VisiumImage,
        StaigPresetArg::Starmap => StaigPreset::Starmap,
        StaigPresetArg::Merfish => StaigPreset::Merfish,
        StaigPresetArg::SlideSeq => StaigPreset::SlideSeq,
        StaigPresetArg::StereoSeq => StaigPreset::StereoSeq,
        StaigPresetArg::Integration => StaigPreset::Integration,
        StaigPresetArg::BreastCancer => StaigPreset::BreastCancer,
    }
}

/// `expression`, `image` or `fixed=0.2`.
fn edge_rule(text: &str) -> Result<EdgeRule, Failure> {
    let refuse = || {
        Failure::input(format!(
            "--edge-rule is {text:?}, expression, image or fixed=P was expected; write e.g. --edge-rule fixed=0.2"
        ))
    };
    match text.split_once('=') {
        None if text == "expression" => Ok(EdgeRule::Expression),
        None if text == "image" => Ok(EdgeRule::Image),
        Some(("fixed", p)) => p.trim().parse().map(EdgeRule::Fixed).map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}

/// The options of the network: the preset's, with what was given in their place.
fn options(args: &StaigNetworkArgs, method: StaigMethod) -> Result<StaigOptions, Failure> {
    let mut options = StaigOptions::preset(preset(args.preset));
    if method == StaigMethod::SmoothedPca {
        options.n_neighbors = BASELINE_NEIGHBORS;
    }
    let set = |slot: &mut f64, given: Option<f64>| *slot = given.unwrap_or(*slot);
    let set_whole = |slot: &mut usize, given: Option<usize>| *slot = given.unwrap_or(*slot);
    set(&mut options.tau, args.tau);
    set(&mut options.learning_rate, args.lr);
    set(&mut options.weight_decay, args.weight_decay);
    set_whole(&mut options.epochs, args.epochs);
    set_whole(&mut options.layers, args.layers);
    set_whole(&mut options.width, args.width);
    set_whole(&mut options.n_neighbors, args.n_neighbors);
    set_whole(&mut options.image_classes, args.image_classes);
    set_whole(&mut options.resamples, args.resamples);
    options.average_views = args.average_views;
    options.released_denominator = args.released_denominator;
    if let Some(negatives) = args.negatives {
        options.negatives = match negatives {
            NegativesArg::Auto => Negatives::Auto,
            NegativesArg::Exact => Negatives::Exact,
            NegativesArg::Moments => Negatives::Moments,
        };
    }
    if let Some(rates) = &args.feature_mask {
        options.feature_mask = match *rates.as_slice() {
            [both] => [both, both],
            [first, second] => [first, second],
            _ => {
                return Err(Failure::input(format!(
                    "--feature-mask holds {} numbers, one or two were expected; write e.g. --feature-mask 0.1,0.2",
                    rates.len()
                )));
            }
        };
    }
    if let Some(rule) = &args.edge_rule {
        options.edge_rule = edge_rule(rule)?;
    }
    Ok(options)
}

fn domains(args: &StaigDomainArgs) -> Result<EmbeddingMethod, Failure> {
    let given = match args.n_clusters {
        Some(ClusterNumber::Given(k)) => Some(k),
        Some(ClusterNumber::Auto) if args.cluster != ClusterMethodArg::Gmm => {
            return Err(Failure::input(
                "`auto` chooses the number of domains of a Gaussian mixture, another method was asked for; give a \
                 number with --n-clusters K or use --cluster gmm",
            ));
        }
        Some(ClusterNumber::Auto) | None => None,
    };
    Ok(match args.cluster {
        ClusterMethodArg::Gmm => EmbeddingMethod::Gmm {
            n_clusters: given,
            model: cluster::model(args.gmm_model),
            n_init: args.n_init,
            criterion: cluster::criterion(args.select_by),
            max_clusters: args.max_clusters,
        },
        ClusterMethodArg::Leiden => EmbeddingMethod::Leiden {
            n_clusters: given,
            resolution: args.resolution,
            n_neighbors: CLUSTER_NEIGHBORS,
        },
        ClusterMethodArg::Kmeans => EmbeddingMethod::KMeans {
            n_clusters: given.ok_or_else(|| {
                Failure::input("k-means needs a number of clusters; give it with --n-clusters K")
            })?,
            n_init: args.n_init,
        },
    })
}

fn features(args: &StaigPreprocessArgs) -> FeatureRequest {
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

fn request(args: &StaigCommand) -> Result<StaigRequest, Failure> {
    let method = match args.method {
        StaigMethodArg::Staig => StaigMethod::Staig,
        StaigMethodArg::SmoothedPca => StaigMethod::SmoothedPca,
    };
    let (network, outputs) = (&args.network, &args.outputs);
    Ok(StaigRequest {
        method,
        features: features(&args.preprocess),
        values: args.preprocess.values.map(|v| match v {
            ValuesArg::Log => Values::Log,
            ValuesArg::Counts => Values::Counts,
        }),
        spatial_key: args.preprocess.spatial_key.clone(),
        library_key: args.preprocess.library_key.clone(),
        preset: preset(network.preset),
        options: options(network, method)?,
        edge_rule_given: network.edge_rule.is_some(),
        image_classes_given: network.image_classes.is_some(),
        image: network.image_key.clone(),
        restarts: args.domains.restarts,
        cluster: domains(&args.domains)?,
        refine: args.domains.refine,
        umap: outputs.umap,
        save_model: outputs.save_model.clone(),
        load_model: outputs.load_model.clone(),
        checkpoint: outputs.checkpoint.clone().map(|folder| CheckpointRequest {
            folder,
            every: outputs.checkpoint_every,
            resume: outputs.resume,
        }),
        truth: args.truth.clone(),
        key_added: args.key_added.clone(),
    })
}

pub fn run(context: &Context<'_>, args: &StaigCommand) -> Result<(), Failure> {
    let request = request(args)?;
    let destination = requests::destination(&args.output);
    let report = find_staig_domains(&args.inputs, &destination, &request, context.seed, context.terminal)?;
    context.print(&report, || summary::staig(&report))
}
