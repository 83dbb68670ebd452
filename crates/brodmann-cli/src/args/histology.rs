//! Flags of the picture: which slide, and what is made of it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
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

/// What makes features of a patch.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Picture")]
pub struct EncoderArgs {
    /// What makes features of a patch: texture; byol (ResNet-50 trained on the slide's own patches, without labels) or
    /// resnet50, both in builds with cargo's feature `histology`; a network that somebody exported (.onnx), in builds with
    /// the feature `onnx`; or features made elsewhere, by the names of spots (.csv, .tsv, .parquet), in their order (.npy),
    /// or of tiles near them (.h5ad, .zarr)
    #[arg(long, value_name = "texture|byol|resnet50|FILE")]
    pub encoder: Option<String>,
    /// Weights that byol starts from and resnet50 has, under torchvision's names (.safetensors, .pth) [default: drawn]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// What of a patch a network sees: low frequencies of its grey (keep, as STAIG's code does), the others (drop), or its
    /// colours (none) [default: keep; of .onnx none]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub patch_filter: Option<PatchFilterArg>,
    /// Side of the patches a network sees, in pixels [default: what an .onnx says, else 224]
    #[arg(long, value_name = "N")]
    pub encoder_side: Option<usize>,
    /// .onnx: what is taken off red, green and blue, each 0 to 1 [default: that of ImageNet, 0.485,0.456,0.406]
    #[arg(long, value_name = "R,G,B", value_parser = three, allow_negative_numbers = true)]
    pub encoder_mean: Option<[f32; 3]>,
    /// .onnx: what they are divided by then [default: that of ImageNet, 0.229,0.224,0.225]
    #[arg(long, value_name = "R,G,B", value_parser = three, allow_negative_numbers = true)]
    pub encoder_std: Option<[f32; 3]>,
    /// Principal components that a network's features are reduced to
    #[arg(long, value_name = "N")]
    pub encoder_components: Option<usize>,
    /// byol: times each patch is seen
    #[arg(long, value_name = "N")]
    pub encoder_epochs: Option<usize>,
    /// byol: patches per step
    #[arg(long, value_name = "N")]
    pub encoder_batch_size: Option<usize>,
    /// byol: learning rate of Adam
    #[arg(long, allow_negative_numbers = true, value_name = "LR", value_parser = number)]
    pub encoder_learning_rate: Option<f64>,
    /// byol: folder in which the training is saved on the way
    #[arg(long, value_name = "DIR")]
    pub encoder_checkpoint: Option<PathBuf>,
    /// byol: epochs between two savings
    #[arg(long, value_name = "N")]
    pub encoder_checkpoint_every: Option<usize>,
    /// byol: go on from what is saved there
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub encoder_resume: Option<bool>,
    /// Write the network's weights, for --weights: .safetensors
    #[arg(long, value_name = "FILE")]
    pub save_encoder: Option<PathBuf>,
}

/// One number for each of red, green and blue.
fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|word| word.trim().parse::<f32>()).collect();
    numbers
        .ok()
        .and_then(|numbers| <[f32; 3]>::try_from(numbers).ok())
        .ok_or_else(|| "expected three numbers, as in 0.5,0.5,0.5".to_owned())
}

/// What of a patch a network sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchFilterArg {
    /// Low frequencies of its grey
    Keep,
    /// The other frequencies of its grey
    Drop,
    /// Its colours
    None,
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
    brodmann image-features visium.h5ad --encoder byol --encoder-checkpoint byol --out image.h5ad\n  \
    brodmann image-features visium.h5ad --image slide.svs --encoder uni.onnx --out image.h5ad\n  \
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
    #[command(flatten)]
    #[serde(flatten)]
    pub encoder: EncoderArgs,
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
