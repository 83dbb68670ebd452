//! Flags of the picture: which slide, and what is made of it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::explain::{GroupArgs, ResultArgs};
use super::said::number;
use super::{PlaceArgs, SourceArgs};

/// The slide, and how the spots lie on it.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Picture")]
pub struct SlideArgs {
    /// The slide (.png, .jpg, .tif, .ome.tif, .svs), one, or one per slice: A.tif,B.tif; or `file`: the picture that the
    /// file keeps
    #[arg(long, value_delimiter = ',', value_name = "FILE.tif|file")]
    pub image: Vec<String>,
    /// Pixels of the slide per unit of the coordinates [default: by the sizes of the pictures, else 1]
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub image_scale: Option<f64>,
    /// File with the matrix (three numbers in each of two or three rows) that takes coordinates to pixels of the slide,
    /// or Xenium's *imagealignment.csv
    #[arg(long, value_name = "FILE")]
    pub image_transform: Option<PathBuf>,
    /// Diameter of a spot in units of the coordinates [default: what the file says, else the distance of two spots]
    #[arg(long, allow_negative_numbers = true, value_name = "D", value_parser = number)]
    pub spot_diameter: Option<f64>,
    /// Side of the patch around a spot, in spot diameters
    #[arg(long, allow_negative_numbers = true, value_name = "X", value_parser = number)]
    pub patch_size: Option<f64>,
}

/// Features of the picture around each spot: how dark and how even the stains are, how dense and large the nuclei, how
/// rough and how directed the texture.
///
/// Without --image the picture that the file keeps is taken. Written are obsm["X_image"] (on one scale, for
/// `cluster --use-rep X_image` and `staig --image-key X_image`), obsm["image_features"] (as measured, by name),
/// obs["on_background"], and uns["image_features"] with what each feature tells. Of domains, where there are any, it says
/// what they look like. Spots that do not lie on the tissue are warned of; --plot shows how they lie.
#[derive(Args, Debug, Serialize)]
#[command(after_help = "Examples:\n  \
    brodmann image-features visium.h5ad --out image.h5ad --plot overlay.png\n  \
    brodmann image-features visium.h5ad --image slide.tif --out image.h5ad --patches patches.png\n  \
    brodmann image-features domains.h5ad --groupby domains --table features.csv\n  \
    brodmann cluster image.h5ad --use-rep X_image -k 5 --out image-domains.h5ad")]
pub struct ImageFeaturesCommand {
    /// .h5ad or .h5mu with coordinates (or a folder or file `convert` can read)
    #[serde(skip)]
    pub input: PathBuf,
    #[command(flatten)]
    #[serde(skip)]
    pub output: ResultArgs,
    /// Write a sheet of patches to look at, as they are and as STAIG's filter leaves them: .png
    #[arg(long, value_name = "SHEET")]
    #[serde(skip)]
    pub patches: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub source: SourceArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub slide: SlideArgs,
    /// What makes features of a patch: texture, or features made elsewhere, as a table by the names of spots (.csv, .tsv,
    /// .parquet) or a .npy in their order
    #[arg(long, value_name = "texture|FILE")]
    pub encoder: Option<String>,
    /// Features that are drawn
    #[arg(long, value_name = "N")]
    pub n_top: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: PlaceArgs,
}
