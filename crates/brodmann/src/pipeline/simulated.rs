//! A simulated tissue as a container, with keys as a real one has them.

use std::path::Path;

use brodmann_data::{
    AnnData, Array, Categorical, Column, DataFrame, Matrix, MuData, Value, WriteOptions, keys, write_h5ad,
    write_h5mu,
};
use indexmap::IndexMap;
use ndarray::ArrayD;

use super::PipelineError;
use crate::simulate::Simulation;

/// `obs` column that names the slice of a simulated cohort.
pub const LIBRARY_KEY: &str = "library_id";

/// Writes a simulated tissue: `.h5ad` for one modality, `.h5mu` for any number.
///
/// # Errors
/// [`PipelineError::OutputEnding`] when the ending does not fit; [`PipelineError::Data`] when it cannot be written.
pub fn write_simulation(simulation: Simulation, output: &Path) -> Result<(), PipelineError> {
    let options = WriteOptions::default();
    let ending = output.extension().and_then(|e| e.to_str()).unwrap_or("");
    check_ending(output, simulation.modalities.len())?;
    if ending == "h5ad" {
        let mut modalities = to_anndata(simulation)?;
        let (_, adata) = modalities.swap_remove_index(0).expect("a simulation has a modality");
        write_h5ad(&adata, output, &options)?;
    } else {
        write_h5mu(&to_mudata(simulation)?, output, &options)?;
    }
    Ok(())
}

/// Refuses an output name that does not fit the number of modalities.
///
/// # Errors
/// [`PipelineError::OutputEnding`].
pub fn check_ending(output: &Path, n_modalities: usize) -> Result<(), PipelineError> {
    let ending = output.extension().and_then(|e| e.to_str()).unwrap_or("");
    if ending == "h5mu" || (ending == "h5ad" && n_modalities == 1) {
        return Ok(());
    }
    Err(PipelineError::OutputEnding {
        path: output.display().to_string(),
        expected: if n_modalities == 1 {
            ".h5ad or .h5mu"
        } else {
            ".h5mu, which several modalities need (--modalities rna gives one)"
        },
    })
}

/// Each modality as an AnnData of its own, with coordinates, truth, slices and pictures.
fn to_anndata(simulation: Simulation) -> Result<IndexMap<String, AnnData>, PipelineError> {
    let obs = obs_of(&simulation);
    let spatial = Value::Array(Array::F64(simulation.coordinates.clone().into_dyn()));
    let pictures = pictures_of(&simulation);
    let domains = simulation.domain_names.clone();
    let mut modalities = IndexMap::new();
    for modality in simulation.modalities {
        let mut var = DataFrame::new(modality.feature_names);
        let of: Vec<Option<&str>> =
            modality.feature_factor.iter().map(|&f| domains.get(f as usize).map(String::as_str)).collect();
        var.columns.insert("factor".to_owned(), Column::Categorical(Categorical::from_strings(&of)));
        let mut adata = AnnData::new(Matrix::CsrF32(modality.counts), obs.clone(), var)?;
        adata.obsm.insert(keys::SPATIAL.to_owned(), spatial.clone());
        if let Some(pictures) = &pictures {
            adata.uns.insert(keys::SPATIAL.to_owned(), pictures.clone());
        }
        modalities.insert(modality.name.to_owned(), adata);
    }
    Ok(modalities)
}

/// All modalities in one MuData; coordinates, truth and pictures stand at the whole, as for a measured tissue.
///
/// # Errors
/// [`PipelineError::Data`] when the container refuses the parts.
pub fn to_mudata(simulation: Simulation) -> Result<MuData, PipelineError> {
    let obs = obs_of(&simulation);
    let spatial = Value::Array(Array::F64(simulation.coordinates.clone().into_dyn()));
    let pictures = pictures_of(&simulation);
    let mut modalities = to_anndata(simulation)?;
    for adata in modalities.values_mut() {
        adata.obs = DataFrame::new(obs.index.clone());
        adata.obsm.clear();
        adata.uns.clear();
    }
    let mut mdata = MuData::new(modalities)?;
    mdata.obs = obs;
    mdata.obsm.insert(keys::SPATIAL.to_owned(), spatial);
    if let Some(pictures) = pictures {
        mdata.uns.insert(keys::SPATIAL.to_owned(), pictures);
    }
    Ok(mdata)
}

fn obs_of(simulation: &Simulation) -> DataFrame {
    let mut obs = DataFrame::new(simulation.obs_names.clone());
    let named = |codes: &[u32], names: &[String]| {
        Column::Categorical(Categorical {
            codes: codes.iter().map(|&c| c as i32).collect(),
            categories: names.to_vec(),
            ..Categorical::default()
        })
    };
    obs.columns
        .insert(keys::GROUND_TRUTH.to_owned(), named(&simulation.ground_truth, &simulation.domain_names));
    if simulation.library_names.len() > 1 {
        obs.columns.insert(LIBRARY_KEY.to_owned(), named(&simulation.library, &simulation.library_names));
    }
    obs
}

/// `uns["spatial"]` as scanpy's and squidpy's readers write it; spot sizes are there even without a picture.
fn pictures_of(simulation: &Simulation) -> Option<Value> {
    let mut libraries = IndexMap::new();
    for (i, name) in simulation.library_names.iter().enumerate() {
        let mut library = IndexMap::new();
        let mut factors = IndexMap::new();
        if let Some(image) = simulation.images.get(i) {
            let pixels =
                ArrayD::from_shape_vec(vec![image.height, image.width, 3], image.rgb.clone()).ok()?;
            let mut images = IndexMap::new();
            images.insert(keys::HIRES.to_owned(), Value::Array(Array::U8(pixels)));
            library.insert(keys::IMAGES.to_owned(), Value::Dict(images));
            factors.insert(keys::TISSUE_HIRES_SCALEF.to_owned(), Value::Float(image.scale));
        }
        factors.insert(keys::SPOT_DIAMETER_FULLRES.to_owned(), Value::Float(simulation.spot_diameter));
        library.insert(keys::SCALEFACTORS.to_owned(), Value::Dict(factors));
        libraries.insert(name.clone(), Value::Dict(library));
    }
    Some(Value::Dict(libraries))
}
