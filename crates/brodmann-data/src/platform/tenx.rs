//! 10x Genomics feature-barcode matrices in HDF5: version 3 (`matrix/features`) and version 2 (one group per genome).

use std::path::Path;
use std::sync::Arc;

use super::table::attach_table;
use super::{Opened, Platform, Source, features, mtx};
use crate::backend::Backend;
use crate::hdf5::Hdf5Reader;
use crate::scverse::{Container, MatrixRows, array_to_column, join};
use crate::store::{Element, NodeKind, Store};
use crate::{AnnData, Column, DataError, DataFrame, keys};
use brodmann_kernels::{CsrMatrix, Opt, OptionError, Silent};

/// Reads a 10x `.h5`.
///
/// Gene expression, antibodies and peaks become the modalities `rna`, `adt`, `atac`; with one of them the answer is
/// AnnData, with several MuData. Control features (of other types) are left out unless there is nothing else.
///
/// # Inputs
/// `genome`: which genome of a version 2 file that holds several.
/// # Returns
/// `X` CSR `f32`, `var` as scanpy names it (`gene_ids`, `feature_types`, `genome`).
/// # Errors
/// [`DataError`]: not HDF5, damaged, not a 10x file, several genomes and none named.
pub fn read_tenx_h5(path: impl AsRef<Path>, genome: Option<&str>) -> Result<Container, DataError> {
    let path = path.as_ref();
    let (adata, _) = counts(path, genome, true)?;
    features::split_modalities(adata, None, &Silent).map(|opened| opened.container)
}

/// A matrix alone, without an instrument's folder around it: `.h5`, or a folder of text files.
pub(super) struct TenX;

impl Platform for TenX {
    fn names(&self) -> &'static [&'static str] {
        &["10x"]
    }

    fn looks_for(&self) -> &'static str {
        "10x (.h5 with a group matrix or one per genome; or matrix.mtx, barcodes.tsv, features.tsv or genes.tsv)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &["genome", "coordinates"]
    }

    fn matches(&self, path: &Path) -> bool {
        if path.is_dir() {
            return mtx::is_mtx(path);
        }
        match Hdf5Reader::open(path) {
            Ok(store) => is_tenx(&store).unwrap_or(false),
            // Named like one: its reader says what is wrong with it.
            Err(_) => path.extension().is_some_and(|e| e == "h5") && path.is_file(),
        }
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let path = source.path;
        let (mut adata, rows) = if path.is_dir() {
            (mtx::folder_matrix(path)?, None)
        } else {
            counts(path, source.options.genome.as_deref(), source.read.x)?
        };
        if let Some(coordinates) = &source.options.table.coordinates {
            super::join::require_unique(adata.obs_names(), path)?;
            attach_table(&mut adata, coordinates, &source.options.table, source.monitor)?;
        }
        features::split_modalities(adata, rows, source.monitor)
    }
}

/// Whether the file is laid out as 10x does.
fn is_tenx(store: &Hdf5Reader) -> Result<bool, DataError> {
    Ok(store.node("matrix/barcodes")?.is_some() || !genomes(store)?.is_empty())
}

fn genomes(store: &Hdf5Reader) -> Result<Vec<String>, DataError> {
    let mut found = Vec::new();
    for name in store.children("")? {
        if store.node(&name)? == Some(NodeKind::Group) && store.node(&join(&name, "gene_names"))?.is_some() {
            found.push(name);
        }
    }
    Ok(found)
}

/// The name of a slide, and what else is said of it.
pub(super) type Library = (Option<String>, Vec<(String, String)>);

/// The attribute `library_ids` and the texts `chemistry_description` and `software_version`, as Visium needs them.
pub(super) fn library(store: &Hdf5Reader) -> Result<Library, DataError> {
    let ids = store.attribute("", "library_ids")?.and_then(|a| a.strings()).unwrap_or_default();
    let mut metadata = Vec::new();
    for key in ["chemistry_description", "software_version"] {
        let text = store.attribute("", key)?.and_then(|a| a.as_str().map(str::to_owned));
        metadata.extend(text.map(|t| (key.to_owned(), t)));
    }
    Ok((ids.into_iter().next(), metadata))
}

/// What stands beside the matrix, and where it lies.
fn names(store: &Hdf5Reader, path: &Path, genome: Option<&str>) -> Result<(AnnData, String), DataError> {
    let version3 = store.node("matrix/barcodes")?.is_some();
    let root = if version3 {
        "matrix".to_owned()
    } else {
        let genomes = genomes(store)?;
        match (genome, genomes.as_slice()) {
            (Some(g), _) if genomes.iter().any(|n| n == g) => g.to_owned(),
            (None, [one]) => one.clone(),
            (None, []) => {
                return Err(DataError::Kind {
                    element: path.display().to_string(),
                    found: format!("an HDF5 file with {}", store.children("")?.join(", ")),
                    expected: "a 10x matrix (a group matrix, or one per genome)".to_owned(),
                });
            }
            (None, several) => {
                let found = format!("not given for {}, which holds {}", path.display(), several.join(", "));
                return Err(OptionError::new("genome", found, "one of these").into());
            }
            (wanted, _) => {
                return Err(DataError::MissingKey {
                    container: "genome".to_owned(),
                    key: wanted.unwrap_or_default().to_owned(),
                    place: path.display().to_string(),
                    existing: genomes,
                    named_by: Some(Opt("genome")),
                    otherwise: Vec::new(),
                });
            }
        }
    };
    let at = |name: &str| join(&root, name);
    let shape = store.numbers::<usize>(&at("shape"))?;
    let [n_features, n_cells] = shape[..] else {
        return Err(DataError::Kind {
            element: at("shape"),
            found: format!("{shape:?}"),
            expected: "two numbers".to_owned(),
        });
    };
    let texts = |name: &str| -> Result<Vec<String>, DataError> {
        store.array(&at(name))?.to_strings().ok_or_else(|| DataError::Kind {
            element: at(name),
            found: "numbers".to_owned(),
            expected: "texts".to_owned(),
        })
    };
    let mut obs = DataFrame::new(texts("barcodes")?);
    // Probe matrices of Visium mark the spots and probes that count.
    if version3 && store.node(&at("filtered_barcodes"))? == Some(NodeKind::Array) {
        let column = array_to_column(store.array(&at("filtered_barcodes"))?);
        if column.len() == n_cells {
            obs.columns.insert("filtered_barcodes".to_owned(), column);
        }
    }
    let mut var;
    if version3 {
        var = DataFrame::new(texts("features/name")?);
        let probes = store.node(&at("features/gene_id"))?.is_some();
        let ids = if probes {
            [("probe_ids", "id"), (keys::GENE_IDS, "gene_id")].as_slice()
        } else {
            &[(keys::GENE_IDS, "id")]
        };
        let described = [(keys::FEATURE_TYPES, "feature_type"), (keys::GENOME, "genome")];
        for &(key, name) in ids.iter().chain(&described) {
            if store.node(&at(&format!("features/{name}")))?.is_some() {
                let values = texts(&format!("features/{name}"))?.into_iter().map(Some).collect();
                var.columns.insert(key.to_owned(), Column::String(values));
            }
        }
        for name in store.children(&at("features"))? {
            let path = at(&format!("features/{name}"));
            if ["id", "gene_id", "name", "feature_type", "genome", "_all_tag_keys"].contains(&name.as_str())
                || store.node(&path)? != Some(NodeKind::Array)
            {
                continue;
            }
            let info = store.info(&path)?;
            let readable = !matches!(info.element, Element::Record(_) | Element::Other(_));
            if info.shape == [n_features] && readable {
                var.columns.insert(name, array_to_column(store.array(&path)?));
            }
        }
    } else {
        var = DataFrame::new(texts("gene_names")?);
        let ids = texts("genes")?.into_iter().map(Some).collect();
        var.columns.insert(keys::GENE_IDS.to_owned(), Column::String(ids));
    }
    let adata = AnnData { obs, var, ..AnnData::default() };
    adata.validate()?;
    // Names that do not fit the matrix would otherwise be noticed only where it is read.
    for (axis, found, expected) in
        [("barcodes", adata.n_obs(), n_cells), ("features", adata.n_vars(), n_features)]
    {
        if found != expected {
            return Err(DataError::Shape {
                element: at(axis),
                found: vec![found],
                expected: format!("{expected}, as the matrix has"),
            });
        }
    }
    Ok((adata, root))
}

/// Counts of a 10x file: the container, and where `X` was not asked for and can be read block by block, its rows.
pub(super) fn counts(
    path: &Path,
    genome: Option<&str>,
    whole: bool,
) -> Result<(AnnData, Option<MatrixRows>), DataError> {
    let backend = Arc::new(Backend::open(path)?);
    let Backend::Hdf5(store) = &*backend else {
        return Err(DataError::NotHdf5 { path: path.to_path_buf() });
    };
    let (mut adata, root) = names(store, path, genome)?;
    let shape = (adata.n_obs(), adata.n_vars());
    if !whole && let Some(rows) = MatrixRows::tenx(&backend, &root, shape)? {
        return Ok((adata, Some(rows)));
    }
    let at = |name: &str| join(&root, name);
    // Stored by column, features x cells: exactly the CSR of cells x features.
    let x = CsrMatrix::try_new(
        shape.0,
        shape.1,
        store.numbers::<usize>(&at("indptr"))?,
        store.numbers::<u32>(&at("indices"))?,
        store.numbers::<f32>(&at("data"))?,
    )
    .map_err(|source| DataError::Sparse { element: root.clone(), source })?;
    adata.x = Some(x.into());
    Ok((adata, None))
}
