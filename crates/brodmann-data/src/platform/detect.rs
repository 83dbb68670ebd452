//! What a path holds, found out by looking.

use std::path::Path;

use super::table::{TableOptions, read_table};
use super::{mtx, tenx, visium};
use crate::hdf5::Hdf5Reader;
use crate::scverse::{self, Container, OpenFile};
use crate::{DataError, ReadOptions};

/// The formats that are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Whatever it looks like.
    #[default]
    Auto,
    /// AnnData.
    H5ad,
    /// MuData.
    H5mu,
    /// 10x matrix, `.h5` or folder.
    TenX,
    /// Visium folder.
    Visium,
    /// A table of counts.
    Table,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Ok(match s {
            "auto" => Self::Auto,
            "h5ad" => Self::H5ad,
            "h5mu" => Self::H5mu,
            "10x" => Self::TenX,
            "visium" => Self::Visium,
            "table" => Self::Table,
            other => {
                return Err(format!("the format {other:?}, expected auto, h5ad, h5mu, 10x, visium or table"));
            }
        })
    }
}

/// Reads whatever lies at `path`.
///
/// # Inputs
/// `options` applies to `.h5ad` and `.h5mu`; the others are read whole.
/// # Errors
/// [`DataError::UnknownFormat`] listing what was looked for; the errors of each reader.
pub fn read_any(
    path: impl AsRef<Path>,
    format: Format,
    options: &ReadOptions,
) -> Result<Container, DataError> {
    let path = path.as_ref();
    match format {
        Format::Auto => open_any(path, options).map(|(container, _)| container),
        Format::H5ad => scverse::read_h5ad(path, options).map(Container::AnnData),
        Format::H5mu => scverse::read_h5mu(path, options).map(Container::MuData),
        Format::TenX if path.is_dir() => mtx::read_tenx_mtx(path),
        Format::TenX => tenx::read_tenx_h5(path, None),
        Format::Visium => visium::read_visium(path, None),
        Format::Table => read_table(path, &TableOptions::default()).map(Container::AnnData),
    }
}

/// Reads whatever lies at `path`, and hands on the opened file where it is a `.h5ad` or `.h5mu`, whatever its name:
/// what was left out can be read of it later, and results go into a copy of it.
///
/// # Errors
/// As [`read_any`].
pub fn open_any(
    path: impl AsRef<Path>,
    options: &ReadOptions,
) -> Result<(Container, Option<OpenFile>), DataError> {
    let path = path.as_ref();
    let whole = |read: Result<Container, DataError>| read.map(|container| (container, None));
    if path.is_dir() {
        if visium::locate(path).is_some() {
            return whole(visium::read_visium(path, None));
        }
        if mtx::is_mtx(path) {
            return whole(mtx::read_tenx_mtx(path));
        }
        return Err(DataError::UnknownFormat {
            path: path.to_path_buf(),
            looked_for:
                "Visium (spatial/tissue_positions* beside *feature_bc_matrix.h5 or its folder, here or in \
                         outs/), 10x (matrix.mtx, barcodes.tsv, features.tsv or genes.tsv)"
                    .to_owned(),
        });
    }
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    if [".csv", ".tsv", ".txt", ".parquet"].iter().any(|e| plain.ends_with(e)) {
        return whole(read_table(path, &TableOptions::default()).map(Container::AnnData));
    }
    let store = match Hdf5Reader::open(path) {
        Err(DataError::NotHdf5 { .. }) if !name.contains(".h5") => {
            return Err(DataError::UnknownFormat {
                path: path.to_path_buf(),
                looked_for:
                    "HDF5 (.h5ad, .h5mu, 10x .h5), tables (.csv, .tsv, .txt, .parquet, also .gz), folders \
                             of Visium or 10x"
                        .to_owned(),
            });
        }
        other => other?,
    };
    if scverse::is_mudata(&store)? || scverse::is_anndata(&store)? {
        let file = OpenFile::of(store);
        return Ok((file.read(options)?, Some(file)));
    }
    if tenx::is_tenx(&store)? {
        return whole(tenx::read_opened(&store, None));
    }
    Err(DataError::UnknownFormat {
        path: path.to_path_buf(),
        looked_for: "AnnData (obs, var), MuData (mod), 10x (matrix, or one group per genome)".to_owned(),
    })
}
