//! A simulated tissue as a container, with keys as a real one has them.

use std::path::Path;

use brodmann_data::{
    AnnData, Array, Categorical, Column, Container, DataFrame, Matrix, MuData, RowAppender, Value,
    WriteOptions, check_output, keys, write_bytes, write_h5ad, write_h5mu,
};
use brodmann_kernels::{CsrMatrix, Monitor};
use indexmap::IndexMap;
use ndarray::{Array2, ArrayD};

use super::PipelineError;
use crate::simulate::image::draw_image;
use crate::simulate::{
    DOMAIN_NAMES, Regulation, RegulationOptions, SimModality, SimulateError, SimulatedModality, Simulation,
    SimulationOptions, SimulationStream, TrueLink, simulate, simulate_regulation,
};

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
        let mut modalities = to_anndata(simulation, true)?;
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
        expected: if n_modalities == 1 { ".h5ad or .h5mu" } else { ".h5mu, which several modalities need" },
    })
}

/// Simulates a tissue into a file, `rows_per_block` rows in memory at a time.
///
/// The elements are those of [`simulate()`] and [`write_simulation`], whatever the size of
/// the blocks.
///
/// # Errors
/// [`PipelineError::OutputEnding`]; [`PipelineError::Simulate`] for options out of range or when interrupted;
/// [`PipelineError::Data`] when it cannot be written. In each case nothing is left behind.
/// # Cost
/// Memory: names, coordinates and truth of all rows (about 200 bytes each), pictures, and one block.
pub fn stream_simulation(
    options: &SimulationOptions,
    output: &Path,
    rows_per_block: usize,
    monitor: &dyn Monitor,
) -> Result<StreamedSimulation, PipelineError> {
    let stream = SimulationStream::new(options)?;
    check_ending(output, options.modalities.len())?;
    let write = WriteOptions::default();
    let sizes: Vec<(&str, usize)> =
        stream.models().iter().map(|m| (m.modality().name(), m.n_vars())).collect();
    let one = output.extension().is_some_and(|e| e == "h5ad");
    let mut file = if one {
        RowAppender::h5ad(output, sizes[0].1, &write)?
    } else {
        RowAppender::h5mu(output, &sizes, &write)?
    };
    let n_obs = stream.n_obs();
    monitor.stage("simulate", n_obs as u64);
    let mut tissue = Rows::default();
    for block in stream.blocks(rows_per_block) {
        monitor.check().map_err(SimulateError::from)?;
        for (modality, counts) in block.counts.iter().enumerate() {
            file.append(modality, counts.view())?;
        }
        monitor.advance(block.rows.len() as u64);
        tissue.coordinates.extend(block.coordinates);
        tissue.ground_truth.extend(block.ground_truth);
        tissue.library.extend(block.library);
    }
    let images = if options.image {
        monitor.stage("draw pictures", options.slices as u64);
        let mut images = Vec::with_capacity(options.slices);
        for slice in 0..options.slices {
            monitor.check().map_err(SimulateError::from)?;
            images.push(draw_image(options, slice));
            monitor.advance(1);
        }
        images
    } else {
        Vec::new()
    };
    monitor.stage("write", 0);
    let report = StreamedSimulation {
        n_obs,
        modalities: sizes.iter().map(|&(name, n)| (name.to_owned(), n)).collect(),
        domains: DOMAIN_NAMES.iter().map(|&n| n.to_owned()).collect(),
        nnz: file.nnz(),
    };
    // All but the counts, by the same code as in memory: modalities without values.
    let rest = Simulation {
        obs_names: (0..n_obs).map(|row| stream.obs_name(row)).collect(),
        coordinates: Array2::from_shape_vec((n_obs, 2), tissue.coordinates)
            .expect("two coordinates were taken of every row"),
        ground_truth: tissue.ground_truth,
        domain_names: report.domains.clone(),
        library: tissue.library,
        library_names: (0..options.slices).map(|k| stream.library_name(k)).collect(),
        modalities: stream
            .models()
            .iter()
            .enumerate()
            .map(|(k, model)| SimulatedModality {
                kind: model.modality(),
                name: model.modality().name(),
                counts: CsrMatrix::from_rows(0, &[]),
                feature_names: stream.feature_names(k),
                feature_factor: model.factor_of_features(),
            })
            .collect(),
        images,
        spot_diameter: options.spot_pitch,
    };
    let container = if one {
        let (_, adata) = to_anndata(rest, false)?.swap_remove_index(0).expect("a simulation has a modality");
        Container::AnnData(adata)
    } else {
        Container::MuData(into_mudata(rest, false)?)
    };
    file.finish(&container)?;
    Ok(report)
}

/// `obsm`: what an embedding of a tissue with regulation might be.
pub const X_REGULATION: &str = "X_regulation";

/// Simulates genes, and peaks that regulate them in one domain each, on the grid of `options`; the positions of the genes go
/// to `genes` as BED, the true links to `uns["true_links"]`.
///
/// # Errors
/// As [`stream_simulation`].
pub fn write_regulation(
    options: &SimulationOptions,
    regulation: &RegulationOptions,
    (output, genes): (&Path, &Path),
    monitor: &dyn Monitor,
) -> Result<StreamedSimulation, PipelineError> {
    if output.extension().is_none_or(|ending| ending != "h5mu") {
        let path = output.display().to_string();
        return Err(PipelineError::OutputEnding {
            path,
            expected: ".h5mu, since genes and peaks are simulated",
        });
    }
    check_output(output, genes)?;
    // The grid alone is needed of it: a gene is the least it makes.
    let grid = SimulationOptions { modalities: vec![SimModality::Rna], n_genes: 1, ..options.clone() };
    let mut tissue = simulate(&grid, monitor)?;
    let made = simulate_regulation(&tissue.ground_truth, tissue.domain_names.len(), regulation, monitor)?;
    let (bed, embedding, links) =
        (made.bed(), made.embedding.clone(), true_links(&made, &tissue.domain_names));
    let modality =
        |kind: SimModality, counts: CsrMatrix<f32>, feature_names: Vec<String>| SimulatedModality {
            kind,
            name: kind.name(),
            feature_factor: vec![0; feature_names.len()],
            counts,
            feature_names,
        };
    let names = made.genes.into_iter().map(|gene| gene.name).collect();
    tissue.modalities = vec![
        modality(SimModality::Rna, made.rna, names),
        modality(SimModality::Atac, made.atac, made.peak_names),
    ];
    let report = StreamedSimulation {
        n_obs: tissue.obs_names.len(),
        modalities: tissue.modalities.iter().map(|m| (m.name.to_owned(), m.feature_names.len())).collect(),
        domains: tissue.domain_names.clone(),
        nnz: tissue.modalities.iter().map(|m| m.counts.nnz()).sum(),
    };
    let mut mdata = to_mudata(tissue)?;
    mdata.obsm.insert(X_REGULATION.to_owned(), Value::Array(Array::F64(embedding.into_dyn())));
    mdata.uns.insert("true_links".to_owned(), links);
    write_h5mu(&mdata, output, &WriteOptions::default())?;
    write_bytes(genes, bed.as_bytes())?;
    Ok(report)
}

fn true_links(made: &Regulation, domains: &[String]) -> Value {
    let text = |of: &dyn Fn(&TrueLink) -> String| {
        Column::String(made.truth.iter().map(|link| Some(of(link))).collect())
    };
    let columns = [
        ("gene", text(&|link| made.genes[link.gene as usize].name.clone())),
        ("peak", text(&|link| made.peak_names[link.peak as usize].clone())),
        ("domain", text(&|link| domains[link.domain as usize].clone())),
    ];
    let index = (0..made.truth.len()).map(|i| i.to_string()).collect();
    let columns = columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
    Value::Frame(DataFrame { index, columns, ..DataFrame::default() })
}

/// Rows whose counts, were none of them zero, fill 64 MB: a block that is small beside any program.
pub fn default_rows_per_block(options: &SimulationOptions) -> usize {
    const ENTRIES: usize = 1 << 23;
    let features: usize = options.modalities.iter().map(|&m| options.n_vars(m)).sum();
    (ENTRIES / features.max(1)).clamp(256, 1 << 14)
}

/// What [`stream_simulation`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamedSimulation {
    /// Spots of all slices.
    pub n_obs: usize,
    /// Keys and numbers of features.
    pub modalities: Vec<(String, usize)>,
    /// Names of the domains.
    pub domains: Vec<String>,
    /// Non-zero counts of all modalities.
    pub nnz: usize,
}

/// What is kept of every block.
#[derive(Default)]
struct Rows {
    coordinates: Vec<f64>,
    ground_truth: Vec<u32>,
    library: Vec<u32>,
}

/// Each modality as an AnnData of its own, with coordinates, truth, slices and pictures, and its counts or none.
fn to_anndata(simulation: Simulation, with_x: bool) -> Result<IndexMap<String, AnnData>, PipelineError> {
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
        let mut adata = AnnData { obs: obs.clone(), var, ..AnnData::default() };
        if with_x {
            adata.x = Some(Matrix::CsrF32(modality.counts));
        }
        adata.validate()?;
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
    into_mudata(simulation, true)
}

fn into_mudata(simulation: Simulation, with_x: bool) -> Result<MuData, PipelineError> {
    let obs = obs_of(&simulation);
    let spatial = Value::Array(Array::F64(simulation.coordinates.clone().into_dyn()));
    let pictures = pictures_of(&simulation);
    let mut modalities = to_anndata(simulation, with_x)?;
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

#[cfg(test)]
mod tests;
