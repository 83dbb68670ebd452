//! What makes features of a patch: textures, or somebody else, whose features are joined by the names of spots.

use std::path::{Path, PathBuf};

use brodmann_data::{DataError, read_named_rows, read_npy};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::pipeline::PipelineError;
use crate::pipeline::tissue::Tissue;

/// What makes features of a patch. In JSON: `texture`, or a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Encoder {
    /// Stain densities, their spread, textures and nuclei: no weights, seconds on a CPU.
    #[default]
    Texture,
    /// Features that were made elsewhere: a table by the names of spots, or a `.npy` in their order.
    Made(PathBuf),
}

const TEXTURE: &str = "texture";

impl From<String> for Encoder {
    fn from(text: String) -> Self {
        if text == TEXTURE { Self::Texture } else { Self::Made(text.into()) }
    }
}

impl From<Encoder> for String {
    fn from(encoder: Encoder) -> Self {
        match encoder {
            Encoder::Texture => TEXTURE.to_owned(),
            Encoder::Made(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// How features are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderOptions {
    /// By what.
    pub encoder: Encoder,
}

impl EncoderOptions {
    /// Refuses what no encoder is.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub fn validate(&self) -> Result<(), PipelineError> {
        let Encoder::Made(path) = &self.encoder else { return Ok(()) };
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
        if ["npy", "csv", "tsv", "txt", "gz", "parquet"].contains(&ending.as_str()) {
            return Ok(());
        }
        let expected = "texture, or features of spots (.npy, .csv, .tsv, .parquet)";
        Err(PipelineError::option("encoder", path.display(), expected))
    }
}

/// Features that were made elsewhere, with the names of their columns.
pub(super) fn made(tissue: &Tissue, path: &Path) -> Result<(Vec<String>, Array2<f64>), PipelineError> {
    let is_npy = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let (names, features) = if is_npy {
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
        ((0..own.ncols()).map(|j| format!("feature_{j}")).collect(), own)
    } else {
        read_named_rows(path, tissue.obs_names(), &tissue.path)?
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
    Ok((names, features))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_a_word_or_a_path() {
        let of = |text: &str| EncoderOptions { encoder: Encoder::from(text.to_owned()) };
        assert_eq!(of("texture").encoder, Encoder::Texture);
        assert!(of("texture").validate().is_ok() && of("uni.parquet").validate().is_ok());
        assert!(of("a.csv.gz").validate().is_ok());
        let message = of("byoll").validate().expect_err("not an encoder").to_string();
        assert!(message.contains("byoll") && message.contains(".parquet"), "{message}");
        assert_eq!(String::from(of("a.npy").encoder), "a.npy");
    }
}
