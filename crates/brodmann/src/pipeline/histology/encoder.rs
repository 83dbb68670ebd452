//! What makes features of a patch: textures, a network, or somebody else, whose features are joined by the names of spots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use brodmann_data::{DataError, read_named_rows, read_npy};
use brodmann_kernels::{Opt, Seed};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::request::SlideOptions;
use super::tiles::{of_tiles, store_and_table};
use crate::histology::{
    HistologyError, NetworkKind, NetworkTraining, PatchFiltering, PatchNetwork, PatchNetworks,
};
use crate::pipeline::PipelineError;
use crate::pipeline::tissue::Tissue;

/// What makes features of a patch. In JSON: `texture`, `resnet50`, `byol`, or a path, of which `.onnx` is a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Encoder {
    /// Stain densities, their spread, textures and nuclei: no weights, seconds on a CPU.
    #[default]
    Texture,
    /// ResNet-50 as its weights are.
    Resnet50,
    /// ResNet-50 trained on the patches themselves, without labels (BYOL).
    Byol,
    /// A network that somebody exported to ONNX.
    Onnx(PathBuf),
    /// Features that were made elsewhere: a table by the names of spots, or a `.npy` in their order.
    Made(PathBuf),
}

/// Mean and deviation of the colours of ImageNet, which most networks are trained with.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// Three numbers as an option is written.
fn three(values: [f32; 3]) -> String {
    values.map(|v| v.to_string()).join(",")
}

const TEXTURE: &str = "texture";
const RESNET_50: &str = "resnet50";
const BYOL: &str = "byol";

/// The ending of a file, in small letters.
fn ending(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase()
}

impl From<String> for Encoder {
    fn from(text: String) -> Self {
        match text.as_str() {
            TEXTURE => Self::Texture,
            RESNET_50 => Self::Resnet50,
            BYOL => Self::Byol,
            _ if ending(Path::new(&text)) == "onnx" => Self::Onnx(text.into()),
            _ => Self::Made(text.into()),
        }
    }
}

impl From<Encoder> for String {
    fn from(encoder: Encoder) -> Self {
        match encoder {
            Encoder::Texture => TEXTURE.to_owned(),
            Encoder::Resnet50 => RESNET_50.to_owned(),
            Encoder::Byol => BYOL.to_owned(),
            Encoder::Onnx(path) | Encoder::Made(path) => path.to_string_lossy().into_owned(),
        }
    }
}

impl Encoder {
    /// Whether it is a network that somebody computes here.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Resnet50 | Self::Byol | Self::Onnx(_))
    }
}

/// How features are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderOptions {
    /// By what.
    pub encoder: Encoder,
    /// Weights of ResNet-50 to start from; drawn where nothing is said.
    pub weights: Option<PathBuf>,
    /// What of a patch a network sees; the paper's filter where nothing is said, of an ONNX file colours.
    pub patch_filter: Option<PatchFiltering>,
    /// Side of the patches a network sees, in pixels, where its file does not say it.
    pub encoder_side: usize,
    /// What an ONNX file takes off red, green and blue, each 0 to 1; that of ImageNet where nothing is said.
    pub encoder_mean: Option<[f32; 3]>,
    /// What it divides them by then.
    pub encoder_std: Option<[f32; 3]>,
    /// Components that a network's features are reduced to.
    pub encoder_components: usize,
    /// Training: times each patch is seen.
    pub encoder_epochs: usize,
    /// Training: patches per step.
    pub encoder_batch_size: usize,
    /// Training: learning rate of Adam.
    pub encoder_learning_rate: f64,
    /// Training: folder in which it is saved on the way.
    pub encoder_checkpoint: Option<PathBuf>,
    /// Training: epochs between two savings.
    pub encoder_checkpoint_every: usize,
    /// Training: go on from what is saved there.
    pub encoder_resume: bool,
    /// Where the network's weights go.
    pub save_encoder: Option<PathBuf>,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            encoder: Encoder::default(),
            weights: None,
            patch_filter: None,
            encoder_side: 224,
            encoder_mean: None,
            encoder_std: None,
            encoder_components: 64,
            encoder_epochs: 100,
            encoder_batch_size: 64,
            encoder_learning_rate: 3e-4,
            encoder_checkpoint: None,
            encoder_checkpoint_every: 1,
            encoder_resume: false,
            save_encoder: None,
        }
    }
}

impl EncoderOptions {
    /// Refuses what no encoder is, and options of another one.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub fn validate(&self) -> Result<(), PipelineError> {
        if let Encoder::Made(path) = &self.encoder
            && !MADE.contains(&ending(path).as_str())
            && store_and_table(path).is_none()
        {
            let expected = "texture, byol, resnet50, a network (.onnx), or features of spots (.npy, .csv, .tsv, .parquet) or tiles (.h5ad, .zarr)";
            return Err(PipelineError::option("encoder", path.display(), expected));
        }
        let at_least = [
            ("encoder_side", self.encoder_side, 32, 1024),
            ("encoder_components", self.encoder_components, 1, 4096),
            ("encoder_epochs", self.encoder_epochs, 1, 1_000_000),
            // One patch has no deviation from its mean.
            ("encoder_batch_size", self.encoder_batch_size, 2, 65_536),
            ("encoder_checkpoint_every", self.encoder_checkpoint_every, 1, 1_000_000),
        ];
        if let Some((name, found, least, most)) =
            at_least.into_iter().find(|(_, found, least, most)| !(least..=most).contains(&found))
        {
            return Err(PipelineError::option(name, found, format!("{least} to {most}")));
        }
        if !(self.encoder_learning_rate > 0.0 && self.encoder_learning_rate <= 1.0) {
            let found = self.encoder_learning_rate;
            return Err(PipelineError::option("encoder_learning_rate", found, "a number above 0, at most 1"));
        }
        if let Some(std) = self.encoder_std
            && !std.iter().all(|v| *v > 0.0 && v.is_finite())
        {
            return Err(PipelineError::option("encoder_std", three(std), "three numbers above 0"));
        }
        if let Some(mean) = self.encoder_mean
            && !mean.iter().all(|v| v.is_finite())
        {
            return Err(PipelineError::option("encoder_mean", three(mean), "three finite numbers"));
        }
        let (trains, is_network) = (self.encoder == Encoder::Byol, self.encoder.is_network());
        let is_onnx = matches!(self.encoder, Encoder::Onnx(_));
        let is_resnet = is_network && !is_onnx;
        let given = [
            ("weights", self.weights.is_some(), is_resnet, "byol or resnet50"),
            ("patch_filter", self.patch_filter.is_some(), is_network, "byol, resnet50 or a file of ONNX"),
            ("encoder_mean", self.encoder_mean.is_some(), is_onnx, "a file of ONNX"),
            ("encoder_std", self.encoder_std.is_some(), is_onnx, "a file of ONNX"),
            ("save_encoder", self.save_encoder.is_some(), is_resnet, "byol or resnet50"),
            ("encoder_checkpoint", self.encoder_checkpoint.is_some(), trains, "byol"),
            ("encoder_resume", self.encoder_resume, trains, "byol"),
        ];
        if let Some((option, _, _, whose)) = given.into_iter().find(|(_, given, fits, _)| *given && !fits) {
            let found = format!("given beside the encoder {}", String::from(self.encoder.clone()));
            return Err(PipelineError::option(option, found, format!("{whose} as {}", Opt("encoder"))));
        }
        if let Some(path) = &self.save_encoder
            && ending(path) != "safetensors"
        {
            let path = path.display().to_string();
            return Err(PipelineError::OutputEnding { path, expected: ".safetensors" });
        }
        if self.encoder_resume && self.encoder_checkpoint.is_none() {
            let expected = format!("the folder to go on from, with {}", Opt("encoder_checkpoint"));
            return Err(PipelineError::option("encoder_resume", "given without a folder", expected));
        }
        Ok(())
    }

    /// The same, where a slide may be missing.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub(in crate::pipeline) fn validate_beside(&self, has_slide: bool) -> Result<(), PipelineError> {
        if !has_slide && self.encoder != Encoder::default() {
            let expected = format!("a slide beside it, with {}", Opt("image"));
            return Err(PipelineError::option("encoder", "given without a slide", expected));
        }
        self.validate()
    }

    /// What of a patch the network sees.
    pub(super) fn filtering(&self) -> PatchFiltering {
        let usual = match self.encoder {
            Encoder::Onnx(_) => PatchFiltering::None,
            _ => PatchFiltering::default(),
        };
        self.patch_filter.unwrap_or(usual)
    }

    /// The network, where the encoder is one.
    fn network(&self) -> Option<NetworkKind> {
        match &self.encoder {
            Encoder::Texture | Encoder::Made(_) => None,
            Encoder::Resnet50 | Encoder::Byol => {
                Some(NetworkKind::Resnet50 { weights: self.weights.clone() })
            }
            Encoder::Onnx(path) => Some(NetworkKind::Onnx {
                path: path.clone(),
                side: self.encoder_side,
                scaling: [self.encoder_mean.unwrap_or(IMAGENET[0]), self.encoder_std.unwrap_or(IMAGENET[1])],
            }),
        }
    }

    /// How the network is trained, where it is.
    pub(super) fn training(&self) -> Option<NetworkTraining> {
        (self.encoder == Encoder::Byol).then(|| NetworkTraining {
            epochs: self.encoder_epochs,
            batch_size: self.encoder_batch_size,
            learning_rate: self.encoder_learning_rate,
            checkpoint: self.encoder_checkpoint.clone(),
            checkpoint_every: self.encoder_checkpoint_every,
            resume: self.encoder_resume,
        })
    }
}

/// The networks that the front end brought along, or none.
#[derive(Clone, Default)]
pub struct Networks(Option<Arc<dyn PatchNetworks>>);

impl Networks {
    /// Those that `networks` opens.
    pub fn new(networks: Arc<dyn PatchNetworks>) -> Self {
        Self(Some(networks))
    }

    /// Refuses an encoder that is a network where there is none, before any work.
    ///
    /// # Errors
    /// [`HistologyError::NoNetworks`].
    pub(in crate::pipeline) fn check(&self, options: &EncoderOptions) -> Result<(), PipelineError> {
        let Some(kind) = options.network() else { return Ok(()) };
        if self.0.as_ref().is_some_and(|networks| networks.computes(&kind)) {
            return Ok(());
        }
        let feature = if let NetworkKind::Onnx { .. } = kind { "onnx" } else { "histology" };
        Err(HistologyError::NoNetworks { encoder: options.encoder.clone().into(), feature }.into())
    }

    /// The network of these options; `None` where the encoder is none.
    ///
    /// # Errors
    /// As [`Networks::check`]; those of the network's file.
    pub(super) fn open(
        &self,
        options: &EncoderOptions,
        seed: Seed,
    ) -> Result<Option<Box<dyn PatchNetwork>>, PipelineError> {
        self.check(options)?;
        let kind = options.network();
        let opened = kind.zip(self.0.as_ref()).and_then(|(kind, networks)| networks.open(&kind, seed));
        let Some(network) = opened.transpose().map_err(HistologyError::from)? else { return Ok(None) };
        let usual = EncoderOptions::default().encoder_side;
        if let Some(side) = network.side().filter(|side| ![usual, *side].contains(&options.encoder_side)) {
            let expected = format!("{side}, the only one that {} takes", network.name());
            return Err(PipelineError::option("encoder_side", options.encoder_side, expected));
        }
        Ok(Some(network))
    }
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Networks(some)" } else { "Networks(none)" })
    }
}

impl PartialEq for Networks {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() == other.0.is_some()
    }
}

/// Endings of features of spots that were made elsewhere; those of tiles are in AnnData.
const MADE: [&str; 6] = ["npy", "csv", "tsv", "txt", "gz", "parquet"];

/// Features that were made elsewhere.
pub(super) struct Made {
    /// Names of the columns.
    pub names: Vec<String>,
    /// A row per spot.
    pub features: Array2<f64>,
    /// How they were joined to the spots.
    pub joined: String,
}

/// Features that were made elsewhere, of spots or of tiles near them.
pub(super) fn made(
    tissue: &Tissue,
    path: &Path,
    slide: &SlideOptions,
    spatial_key: &str,
) -> Result<Made, PipelineError> {
    let is_npy = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let (names, features, joined) = if store_and_table(path).is_some() {
        of_tiles(tissue, path, slide, spatial_key)?
    } else if is_npy {
        let all = read_npy(path)?;
        let own = match tissue.kept_rows() {
            // Of all spots of the file, or of those that take part.
            Some(rows) if all.nrows() == tissue.n_all() => all.select(ndarray::Axis(0), rows),
            _ => all,
        };
        if own.nrows() != tissue.n_obs() {
            return Err(DataError::Shape {
                element: path.display().to_string(),
                found: vec![own.nrows(), own.ncols()],
                expected: format!("{} rows, one per spot in the order of the input", tissue.n_obs()),
            }
            .into());
        }
        let names = (0..own.ncols()).map(|j| format!("feature_{j}")).collect();
        (names, own, "in the order of the spots".to_owned())
    } else {
        let (names, features) = read_named_rows(path, tissue.obs_names(), &tissue.path)?;
        (names, features, "by the names of the spots".to_owned())
    };
    if features.ncols() == 0 {
        return Err(PipelineError::option(
            "encoder",
            format!("{} without columns", path.display()),
            "features",
        ));
    }
    if let Some(bad) = features.rows().into_iter().position(|row| !row.iter().all(|v| v.is_finite())) {
        return Err(PipelineError::Column {
            element: format!("{} in the row of {:?}", path.display(), tissue.obs_names()[bad]),
            found: "NaN or infinity".to_owned(),
            expected: "finite image features of every spot",
        });
    }
    Ok(Made { names, features, joined })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> EncoderOptions {
        EncoderOptions { encoder: Encoder::from(text.to_owned()), ..EncoderOptions::default() }
    }

    #[test]
    fn an_encoder_is_a_word_or_a_path() {
        assert_eq!(of("texture").encoder, Encoder::Texture);
        assert_eq!((of("byol").encoder, of("resnet50").encoder), (Encoder::Byol, Encoder::Resnet50));
        assert!(of("texture").validate().is_ok() && of("uni.parquet").validate().is_ok());
        assert!(of("a.csv.gz").validate().is_ok() && of("s.zarr/tables/uni").validate().is_ok());
        let message = of("byoll").validate().expect_err("not an encoder").to_string();
        assert!(message.contains("byoll") && message.contains(".parquet"), "{message}");
        assert_eq!(of("uni.ONNX").encoder, Encoder::Onnx("uni.ONNX".into()));
        for text in ["a.npy", "texture", "byol", "resnet50", "b.onnx"] {
            assert_eq!(String::from(of(text).encoder), text);
        }
    }

    #[test]
    fn options_of_another_encoder_are_refused() {
        let with = |text: &str, change: &dyn Fn(&mut EncoderOptions)| {
            let mut options = of(text);
            change(&mut options);
            options.validate().map_err(|error| error.to_string())
        };
        assert!(with("byol", &|o| o.weights = Some("a.pth".into())).is_ok());
        let message = with("texture", &|o| o.weights = Some("a.pth".into())).expect_err("no weights");
        assert!(message.contains("weights") && message.contains("resnet50"), "{message}");
        assert!(with("resnet50", &|o| o.encoder_checkpoint = Some("c".into())).is_err());
        let message = with("byol", &|o| o.encoder_resume = true).expect_err("no folder");
        assert!(message.contains("encoder_checkpoint"), "{message}");
        assert!(with("a.onnx", &|o| o.encoder_std = Some([0.5; 3])).is_ok());
        assert!(with("a.onnx", &|o| o.patch_filter = Some(PatchFiltering::Keep)).is_ok());
        let message = with("a.onnx", &|o| o.encoder_std = Some([0.5, 0.0, 0.5])).expect_err("a zero");
        assert!(message.contains("0.5,0,0.5") && message.contains("above 0"), "{message}");
        assert!(with("byol", &|o| o.encoder_mean = Some([0.5; 3])).is_err());
        assert!(with("a.onnx", &|o| o.weights = Some("a.pth".into())).is_err());
        assert!(with("byol", &|o| o.encoder_batch_size = 1).is_err());
        assert!(with("byol", &|o| o.encoder_learning_rate = f64::NAN).is_err());
        assert!(of("byol").validate_beside(false).is_err() && of("texture").validate_beside(false).is_ok());
    }

    #[test]
    fn a_network_is_refused_with_the_way_to_get_it_where_none_is_computed() {
        let none = Networks::default();
        assert!(none.check(&of("texture")).is_ok() && none.check(&of("a.csv")).is_ok());
        let error = none.check(&of("byol")).expect_err("no networks");
        let advice = brodmann_kernels::Diagnosis::advice(&error).unwrap_or_default();
        assert!(
            error.to_string().contains("byol") && advice.contains("--features histology"),
            "{error} {advice}"
        );
        let error = none.check(&of("uni.onnx")).expect_err("no networks");
        let advice = brodmann_kernels::Diagnosis::advice(&error).unwrap_or_default();
        assert!(
            error.to_string().contains("uni.onnx") && advice.contains("--features onnx"),
            "{error} {advice}"
        );
    }
}
