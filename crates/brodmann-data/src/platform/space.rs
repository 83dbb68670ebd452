//! `uns["spatial"]`: what scanpy and squidpy need beside the coordinates to draw a slide.

use std::path::Path;

use indexmap::IndexMap;
use ndarray::Array2;

use super::picture;
use super::text::read_all;
use crate::{AnnData, Array, DataError, Value, keys};

/// What one unit of the coordinates is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A micrometre.
    Micrometre,
    /// A pixel of the full picture.
    Pixel,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Micrometre => "micrometre",
            Self::Pixel => "pixel",
        }
    }
}

/// The entry of a slide in `uns["spatial"]`.
pub(super) struct Slide {
    pub(super) images: IndexMap<String, Value>,
    pub(super) scalefactors: IndexMap<String, Value>,
    pub(super) metadata: IndexMap<String, Value>,
    /// Outlines of the cells, where there are any.
    pub(super) boundaries: IndexMap<String, Value>,
}

impl Slide {
    /// One without pictures. `diameter`: of a spot or a typical cell, in units of the coordinates.
    pub(super) fn new(unit: Unit, diameter: Option<f64>) -> Self {
        let mut scalefactors = IndexMap::new();
        if let Some(diameter) = diameter {
            scalefactors.insert(keys::SPOT_DIAMETER_FULLRES.to_owned(), Value::Float(diameter));
        }
        let metadata = [(keys::COORDINATE_UNIT.to_owned(), Value::from(unit.name()))].into_iter().collect();
        Self { images: IndexMap::new(), scalefactors, metadata, boundaries: IndexMap::new() }
    }

    /// Adds it to a container.
    pub(super) fn add(self, adata: &mut AnnData, library: String) {
        let mut slide: IndexMap<String, Value> = IndexMap::new();
        slide.insert(keys::IMAGES.to_owned(), Value::Dict(self.images));
        slide.insert(keys::SCALEFACTORS.to_owned(), Value::Dict(self.scalefactors));
        slide.insert(keys::METADATA.to_owned(), Value::Dict(self.metadata));
        slide.extend(self.boundaries);
        let spatial = adata.uns.entry(keys::SPATIAL.to_owned()).or_insert_with(Value::dict);
        if let Value::Dict(libraries) = spatial {
            libraries.insert(library, Value::Dict(slide));
        }
    }
}

/// The pictures of a Space Ranger folder `spatial/`.
pub(super) fn images(spatial: &Path) -> Result<IndexMap<String, Value>, DataError> {
    let mut images = IndexMap::new();
    for (key, name) in [(keys::HIRES, "tissue_hires_image"), (keys::LOWRES, "tissue_lowres_image")] {
        let found =
            ["png", "jpg", "jpeg"].iter().map(|e| spatial.join(format!("{name}.{e}"))).find(|p| p.is_file());
        if let Some(path) = found {
            images.insert(key.to_owned(), Value::Array(picture::read(&path)?));
        }
    }
    Ok(images)
}

/// A JSON file as a dictionary.
pub(super) fn json(path: &Path) -> Result<IndexMap<String, Value>, DataError> {
    let json: serde_json::Value = serde_json::from_str(&read_all(path)?).map_err(|e| DataError::Table {
        path: path.to_path_buf(),
        line: e.line(),
        found: e.to_string(),
        expected: "JSON".to_owned(),
    })?;
    match Value::from(json) {
        Value::Dict(entries) => Ok(entries),
        other => Err(DataError::Kind {
            element: path.display().to_string(),
            found: other.kind(),
            expected: "a JSON object".to_owned(),
        }),
    }
}

/// Two columns as coordinates; whole numbers where all of them are, as scanpy reads pixels.
pub(super) fn pairs(x: &[f64], y: &[f64]) -> Value {
    let whole = x.iter().chain(y).all(|v| v.fract() == 0.0 && v.abs() < 9e15);
    let pair = |i: usize, j: usize| if j == 0 { x[i] } else { y[i] };
    let shape = (x.len(), 2);
    if whole {
        return Value::Array(Array::from(Array2::from_shape_fn(shape, |(i, j)| pair(i, j) as i64)));
    }
    Array2::from_shape_fn(shape, |(i, j)| pair(i, j)).into()
}

/// The diameter of a disc of the median area.
pub(super) fn typical_diameter(areas: &[f64]) -> Option<f64> {
    let mut areas: Vec<f64> = areas.iter().copied().filter(|a| a.is_finite() && *a > 0.0).collect();
    if areas.is_empty() {
        return None;
    }
    areas.sort_by(f64::total_cmp);
    Some(2.0 * (areas[areas.len() / 2] / std::f64::consts::PI).sqrt())
}
