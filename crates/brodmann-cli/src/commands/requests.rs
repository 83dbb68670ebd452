//! Flags to requests.

use brodmann::cluster::Quality;
use brodmann::graph::SpatialKind;
use brodmann::pipeline::Destination;
use brodmann::pipeline::request::{FeatureRequest, GraphRequest, PerLayer};
use brodmann::preprocess::{HvgFlavor, Modality};

use crate::args::{GraphArgs, HvgArg, ModalityArg, OutputArgs, PreprocessArgs, QualityArg, SpatialArg};
use crate::failure::Failure;

pub fn destination(args: &OutputArgs) -> Destination {
    // clap asks for exactly one of the two.
    args.out.clone().map_or(Destination::InPlace, Destination::File)
}

pub fn modality(arg: ModalityArg) -> Modality {
    match arg {
        ModalityArg::Rna => Modality::Rna,
        ModalityArg::Adt => Modality::Adt,
        ModalityArg::Atac => Modality::Atac,
    }
}

pub fn flavor(arg: HvgArg) -> HvgFlavor {
    match arg {
        HvgArg::SeuratV3 => HvgFlavor::SeuratV3,
        HvgArg::Seurat => HvgFlavor::Seurat,
        HvgArg::CellRanger => HvgFlavor::CellRanger,
    }
}

pub fn features(args: &PreprocessArgs) -> FeatureRequest {
    FeatureRequest {
        modality: args.modality.map(modality),
        layer: args.layer.clone(),
        n_top_genes: args.n_top_genes,
        flavor: args.hvg.map(flavor),
        n_pcs: args.n_pcs,
        target_sum: args.target_sum,
        min_cells: args.min_cells,
        normalized: args.normalized,
    }
}

pub fn graphs(args: &GraphArgs) -> GraphRequest {
    GraphRequest {
        n_neighbors: args.n_neighbors,
        spatial: args.spatial.map(|s| match s {
            SpatialArg::Knn => SpatialKind::Knn,
            SpatialArg::Radius => SpatialKind::Radius,
            SpatialArg::Delaunay => SpatialKind::Delaunay,
            SpatialArg::Grid => SpatialKind::Grid,
        }),
        n_spatial: args.n_spatial,
        radius: args.radius,
        spatial_key: args.spatial_key.clone(),
        library_key: args.library_key.clone(),
        use_rep: args.use_rep.clone(),
    }
}

pub fn quality(arg: QualityArg) -> Quality {
    match arg {
        QualityArg::Rb => Quality::RbConfiguration,
        QualityArg::Modularity => Quality::Modularity,
        QualityArg::Cpm => Quality::Cpm,
        QualityArg::Rber => Quality::Rber,
    }
}

/// `0.5` for all layers, `rna=0.5,spatial=1` by name, or both: `1,spatial=2`.
pub fn per_layer<T: std::str::FromStr + Copy>(
    option: &str,
    text: Option<&str>,
    expected: &str,
) -> Result<PerLayer<T>, Failure> {
    let mut values = PerLayer::default();
    for part in text.unwrap_or("").split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once('=').map_or((None, part), |(n, v)| (Some(n.trim()), v.trim()));
        let parsed: T = value.parse().map_err(|_| {
            Failure::input(format!(
                "{option} holds {part:?} where {expected} was expected; write e.g. {option} {expected} or {option} \
                 rna={expected},spatial={expected}"
            ))
        })?;
        let twice = match name {
            Some(name) => values.named.insert(name.to_owned(), parsed).is_some(),
            None => values.default.replace(parsed).is_some(),
        };
        if twice {
            return Err(Failure::input(format!(
                "{option} says {} twice; give each layer one value",
                name.unwrap_or("the value for all layers")
            )));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_for_all_layers_and_by_name() {
        let values = per_layer::<f64>("--resolution", Some("1, rna=0.5 ,spatial=2"), "1").expect("valid");
        assert_eq!(values.default, Some(1.0));
        assert_eq!(values.named["rna"], 0.5);
        assert_eq!(values.named["spatial"], 2.0);
        assert_eq!(per_layer::<f64>("--resolution", None, "1").expect("valid"), PerLayer::default());
    }

    #[test]
    fn what_is_no_number_or_said_twice_is_refused() {
        assert!(per_layer::<f64>("--resolution", Some("rna=high"), "1").is_err());
        assert!(per_layer::<f64>("--resolution", Some("rna=1,rna=2"), "1").is_err());
        assert!(per_layer::<bool>("--directed", Some("rna=yes"), "true").is_err());
    }
}
