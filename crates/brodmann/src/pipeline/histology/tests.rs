//! Networks that are handed in, and tables of tiles.

use std::path::Path;
use std::sync::{Arc, Mutex};

use brodmann_data::{
    AnnData, Array, Container, DataFrame, Matrix, OpenOptions, ReadOptions, Value, keys, write_h5ad,
};
use brodmann_kernels::{Interrupted, Monitor, OptionError, Seed, Silent};
use ndarray::{Array2, Array3, ArrayView4};

use super::*;
use crate::histology::{
    NetworkError, NetworkKind, NetworkTraining, PatchFiltering, PatchNetwork, PatchNetworks, PatchStack,
};
use crate::pipeline::PipelineError;
use crate::pipeline::tissue::{Opening, Tissue};

/// Pixels between two spots of the lattice.
const PITCH: usize = 40;
/// Spots along an edge.
const SIDE: usize = 6;

/// The mean of each channel, times a weight that training changes, and what was asked of it.
#[derive(Default)]
struct Toy {
    weight: f32,
    /// The only side of patches it takes.
    side: Option<usize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl PatchNetworks for Toy {
    fn open(&self, kind: &NetworkKind, seed: Seed) -> Option<Result<Box<dyn PatchNetwork>, NetworkError>> {
        let mut toy = Self { weight: 1.0, asked: Arc::clone(&self.asked), side: None };
        let mut asked = self.asked.lock().expect("one thread");
        match kind {
            NetworkKind::Resnet50 { weights: Some(path) } => {
                return Some(Err(OptionError::new("weights", path.display(), "weights of a toy").into()));
            }
            NetworkKind::Resnet50 { weights: None } => asked.push(format!("drawn from {}", seed.0)),
            NetworkKind::Onnx { path, side, scaling } => {
                asked.push(format!("{} of {side} by {scaling:?}", path.display()));
                (toy.weight, toy.side) = (3.0, Some(40));
            }
        }
        Some(Ok(Box::new(toy)))
    }

    fn computes(&self, _: &NetworkKind) -> bool {
        true
    }
}

impl PatchNetwork for Toy {
    fn name(&self) -> String {
        format!("toy of weight {}", self.weight)
    }

    fn is_random(&self) -> bool {
        self.weight == 1.0
    }

    fn side(&self) -> Option<usize> {
        self.side
    }

    fn embed(&self, patches: ArrayView4<'_, f32>) -> Result<Array2<f32>, NetworkError> {
        let (n, channels, height, _) = patches.dim();
        self.asked.lock().expect("one thread").push(format!("embed {n} of {height}"));
        let mean = |(i, c): (usize, usize)| {
            let plane = patches.index_axis(ndarray::Axis(0), i);
            let plane = plane.index_axis(ndarray::Axis(0), c);
            self.weight * plane.sum() / (height * height) as f32
        };
        Ok(Array2::from_shape_fn((n, channels), mean))
    }

    fn train(
        &self,
        patches: &PatchStack,
        training: &NetworkTraining,
        _: Seed,
        monitor: &dyn Monitor,
    ) -> Result<(Box<dyn PatchNetwork>, Vec<f64>), NetworkError> {
        monitor.check()?;
        self.asked.lock().expect("one thread").push(format!("train on {}", patches.len()));
        let losses = (0..training.epochs).map(|epoch| 4.0 / (epoch + 1) as f64).collect();
        Ok((Box::new(Self { weight: 2.0, asked: Arc::clone(&self.asked), side: None }), losses))
    }

    fn save(&self, path: &Path) -> Result<(), NetworkError> {
        std::fs::write(path, self.weight.to_string()).map_err(|_| Interrupted.into())
    }
}

/// A lattice of spots over a picture that is red on its left half and blue on its right.
fn tissue() -> AnnData {
    let n = SIDE * SIDE;
    let side = SIDE * PITCH;
    let picture = Array3::from_shape_fn((side, side, 3), |(i, j, c)| {
        // Not quite flat: a picture without a grain is no tissue.
        let grain = ((i * 7 + j * 13) % 11) as u8;
        let is_of_half = if j < side / 2 { c == 0 } else { c == 2 };
        if is_of_half { 180 + grain } else { 60 + grain }
    });
    let place = |(k, axis): (usize, usize)| {
        let lattice = if axis == 0 { k % SIDE } else { k / SIDE };
        (lattice * PITCH + PITCH / 2) as f64
    };
    let names: Vec<String> = (0..n).map(|k| format!("spot{k}")).collect();
    let library = Value::from([
        (keys::IMAGES, Value::from([(keys::HIRES, Value::Array(Array::U8(picture.into_dyn())))])),
        (
            keys::SCALEFACTORS,
            Value::from([
                (keys::TISSUE_HIRES_SCALEF, Value::Float(1.0)),
                (keys::SPOT_DIAMETER_FULLRES, Value::Float(10.0)),
            ]),
        ),
    ]);
    let mut adata = AnnData {
        x: Some(Matrix::DenseF32(Array2::ones((n, 2)))),
        obs: DataFrame { index: names, ..DataFrame::default() },
        var: DataFrame { index: vec!["a".to_owned(), "b".to_owned()], ..DataFrame::default() },
        ..AnnData::default()
    };
    adata.obsm.insert(keys::SPATIAL.to_owned(), Array2::from_shape_fn((n, 2), place).into());
    adata.uns.insert(keys::SPATIAL.to_owned(), Value::from([("slide", library)]));
    adata
}

fn opened(adata: AnnData) -> Tissue {
    let (source, read) = (OpenOptions::default(), ReadOptions::default());
    Tissue::from_container(Container::AnnData(adata), &Opening::of(&source, &read, None), &Silent)
        .expect("a tissue")
}

/// Features by an encoder, with what was asked of the network.
fn made(
    encoder: EncoderOptions,
) -> (Result<crate::pipeline::outputs::Answer<ImageFeaturesReport>, PipelineError>, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let toy = Toy { asked: Arc::clone(&asked), ..Toy::default() };
    let request = ImageFeaturesRequest {
        encoder,
        networks: Networks::new(Arc::new(toy)),
        ..ImageFeaturesRequest::default()
    };
    let answer = image_features_tissue(&opened(tissue()), &request, Seed(3), &Silent);
    let asked = asked.lock().expect("one thread").clone();
    (answer, asked)
}

fn options(encoder: &str) -> EncoderOptions {
    EncoderOptions {
        encoder: encoder.to_owned().into(),
        encoder_side: 32,
        patch_filter: Some(PatchFiltering::None),
        ..EncoderOptions::default()
    }
}

/// `obsm["X_image"]`.
fn x_image(answer: &crate::pipeline::outputs::Answer<ImageFeaturesReport>) -> Array2<f64> {
    let value = &answer.additions.root.obsm["X_image"];
    value.as_array().and_then(Array::to_f64).and_then(|a| a.into_dimensionality().ok()).expect("a table")
}

#[test]
fn components_of_a_network_tell_the_halves_of_a_picture_apart() {
    let (answer, asked) = made(options("resnet50"));
    let answer = answer.expect("features");
    let x = x_image(&answer);
    // Of three channels three components, of which the first holds nearly all.
    assert_eq!(x.dim(), (36, 3));
    let middle = |k: usize| k % SIDE == 2 || k % SIDE == 3;
    let left: Vec<f64> = (0..36).filter(|k| k % SIDE < 2).map(|k| x[(k, 0)]).collect();
    let right: Vec<f64> = (0..36).filter(|k| k % SIDE > 3).map(|k| x[(k, 0)]).collect();
    assert!(left.iter().all(|v| v.signum() == left[0].signum()));
    assert!(right.iter().all(|v| v.signum() == -left[0].signum()));
    assert!((0..36).all(|k| middle(k) || x[(k, 0)].abs() > 0.5));
    assert_eq!(asked[0], "drawn from 3");
    // 36 spots, 16 at a time.
    assert_eq!(asked[1..], ["embed 16 of 32", "embed 16 of 32", "embed 4 of 32"]);
    assert_eq!(answer.report.encoder, "toy of weight 1");
    assert!(answer.report.losses.is_empty());
}

#[test]
fn a_network_is_trained_on_all_patches_and_its_losses_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("toy.safetensors");
    let byol = EncoderOptions { encoder_epochs: 2, save_encoder: Some(saved.clone()), ..options("byol") };
    let (answer, asked) = made(byol);
    let answer = answer.expect("features");
    assert_eq!(asked[1], "train on 36");
    assert_eq!(answer.report.losses, [4.0, 2.0]);
    assert_eq!(answer.report.encoder, "toy of weight 2");
    assert!(answer.report.lines()[1].contains("4.000"), "{:?}", answer.report.lines());
    assert_eq!(std::fs::read_to_string(saved).expect("saved"), "2");
    let untrained = made(options("resnet50")).0.expect("features");
    // Slices are put on one scale, so a factor is nothing.
    assert!((x_image(&answer) - x_image(&untrained)).iter().all(|v| v.abs() < 1e-4));
}

#[test]
fn the_filter_leaves_three_equal_planes() {
    let filtered = EncoderOptions { patch_filter: None, ..options("resnet50") };
    let x = x_image(&made(filtered).0.expect("features"));
    // Grey: of three equal columns one component is left.
    assert!(x.column(0).iter().any(|v| v.abs() > 0.1));
    assert!(x.column(1).iter().all(|v| v.abs() < 1e-3));
}

#[test]
fn a_network_of_a_file_sees_colours_of_the_side_it_is_made_for() {
    let usual = EncoderOptions {
        encoder_side: EncoderOptions::default().encoder_side,
        patch_filter: None,
        ..options("a.onnx")
    };
    let (answer, asked) = made(usual.clone());
    assert_eq!(asked[0], "a.onnx of 224 by [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]");
    assert_eq!(asked[1], "embed 16 of 40");
    // Three channels that differ: no filter made them grey.
    assert!(x_image(&answer.expect("features")).column(1).iter().any(|v| v.abs() > 0.1));
    let scaled = EncoderOptions { encoder_std: Some([0.5; 3]), encoder_side: 40, ..usual.clone() };
    assert_eq!(made(scaled).1[0], "a.onnx of 40 by [[0.485, 0.456, 0.406], [0.5, 0.5, 0.5]]");
    let error = made(EncoderOptions { encoder_side: 64, ..usual }).0.expect_err("another side").to_string();
    assert!(error.contains("64") && error.contains("40, the only one"), "{error}");
}

#[test]
fn the_error_of_a_network_comes_through_with_its_advice() {
    let with = EncoderOptions { weights: Some("other.pth".into()), ..options("resnet50") };
    let error = made(with).0.expect_err("no weights of a toy");
    assert!(error.to_string().contains("other.pth"), "{error}");
    assert!(brodmann_kernels::Diagnosis::advice(&error).is_some_and(|a| a.contains("weights")));
}

/// A table of tiles as another program leaves it.
fn tiles(folder: &Path, names: &str, shift: f64) -> std::path::PathBuf {
    let own = tissue();
    let n = own.obs.index.len();
    let x = Array2::from_shape_fn((n, 2), |(i, j)| (i * (j + 1)) as f64);
    let mut table = AnnData {
        x: Some(Matrix::DenseF64(x)),
        obs: DataFrame { index: (0..n).map(|k| format!("{names}{k}")).collect(), ..DataFrame::default() },
        var: DataFrame { index: vec!["uni_0".to_owned(), "uni_1".to_owned()], ..DataFrame::default() },
        ..AnnData::default()
    };
    let places = own.obsm[keys::SPATIAL].as_array().and_then(Array::to_f64).expect("coordinates");
    table.obsm.insert(keys::SPATIAL.to_owned(), Value::Array(places.mapv(|v| v + shift).into()));
    let path = folder.join(format!("{names}{shift}.h5ad"));
    write_h5ad(&table, &path, &brodmann_data::WriteOptions::default()).expect("written");
    path
}

#[test]
fn tiles_are_joined_by_name_or_by_place_and_refused_where_a_spot_has_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |path: &Path, scale: Option<f64>| {
        let request = ImageFeaturesRequest {
            slide: SlideOptions { image_scale: scale, ..ImageFeaturesRequest::default().slide },
            encoder: EncoderOptions {
                encoder: path.display().to_string().into(),
                ..EncoderOptions::default()
            },
            ..ImageFeaturesRequest::default()
        };
        image_features_tissue(&opened(tissue()), &request, Seed(0), &Silent)
    };
    let by_name = of(&tiles(folder.path(), "spot", 1e6), None).expect("by name");
    let by_place = of(&tiles(folder.path(), "tile", 12.0), None).expect("by place");
    assert_eq!(x_image(&by_name), x_image(&by_place));
    assert_eq!(x_image(&by_name).ncols(), 2);
    let error = of(&tiles(folder.path(), "tile", 4.0 * PITCH as f64), None).expect_err("too far").to_string();
    assert!(error.contains("have no tile within 40.0") && error.contains("image_scale"), "{error}");
    assert!(of(&tiles(folder.path(), "tile", 12.0), Some(50.0)).is_err());
    let error = of(&folder.path().join("none.h5ad"), None).expect_err("missing").to_string();
    assert!(error.contains("none.h5ad"), "{error}");
}
