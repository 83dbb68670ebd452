//! Where results go.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use brodmann_data::{
    Additions, DataError, MatrixRows, ReadOptions, Reservation, RowAppender, Value, WriteOptions,
};
use brodmann_kernels::Monitor;
use indexmap::IndexMap;

use super::{Container, Tissue, back, counts};
use crate::pipeline::PipelineError;

/// Where the result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file beside the input.
    File(PathBuf),
    /// Into the input, atomically.
    InPlace,
}

impl Tissue {
    /// Brings additions in the order of the observations here to the rows of the input they belong to; what was set
    /// aside gets missing values.
    pub fn place(&self, additions: &mut Additions) {
        if let Some(rows) = &self.kept.rows {
            let of = back::inverse(rows, self.kept.n_all);
            back::spread_obs(&mut additions.root, &of);
            // A table carries the names of its rows.
            for value in additions.root.obsm.values_mut() {
                if let (Value::Frame(frame), Some(names)) = (value, &self.all_names) {
                    frame.index.clone_from(names);
                }
            }
        }
        for info in &self.modalities {
            let Some(target) = back::target(additions, info.key.as_deref()) else { continue };
            // Of a single modality the rows are those of the whole.
            if let (Some(rows), Some(_)) = (&info.rows, &info.key) {
                back::spread_obs(target, &back::inverse(rows, info.n_rows));
            }
            if let Some(own) = &info.own_var {
                back::spread_var(target, &back::by_name(self.var_names(info), own));
            }
        }
    }

    /// Refuses, before any work, a destination that cannot take the result, and reserves it: two runs that write one
    /// file would lose one result.
    ///
    /// # Errors
    /// [`DataError::OutputIsInput`](brodmann_data::DataError), `Write`, `Busy`, and `Changed` when the input was replaced
    /// before it could be reserved; [`PipelineError::OutputEnding`].
    pub fn check_destination(&self, destination: &Destination) -> Result<(), PipelineError> {
        let Destination::File(output) = destination else {
            if let Some(file) = &self.file {
                brodmann_data::check_writable(&self.path)?;
                self.reserve(&self.path)?;
                // The run before may have put its result in place since the file was opened.
                file.check_unchanged()?;
                return Ok(());
            }
            return Err(PipelineError::option(
                "in_place",
                format!("used with {}", self.path.display()),
                "an input that is a .h5ad, .h5mu or .zarr",
            ));
        };
        let expected = match &self.container {
            Container::Single(_) => "h5ad",
            Container::Multi(_) => "h5mu",
        };
        if output.extension().is_none_or(|e| e != expected && e != ZARR) {
            return Err(PipelineError::OutputEnding {
                path: output.display().to_string(),
                expected: if expected == "h5ad" {
                    ".h5ad or .zarr, which one modality needs"
                } else {
                    ".h5mu or .zarr, which several modalities need"
                },
            });
        }
        brodmann_data::check_output(&self.path, output)?;
        self.reserve(output)
    }

    fn reserve(&self, output: &Path) -> Result<(), PipelineError> {
        // A panic elsewhere leaves nothing half done here.
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        // Let go of first: the same destination may be checked twice.
        *reserved = None;
        *reserved = Some(Reservation::of(output)?);
        Ok(())
    }

    /// Writes the input with `additions` to `destination`.
    ///
    /// # Errors
    /// As [`OpenFile::write_with_additions`](brodmann_data::OpenFile::write_with_additions); nothing is left behind then.
    pub fn write(
        self,
        destination: &Destination,
        additions: &Additions,
        monitor: &dyn Monitor,
    ) -> Result<(), PipelineError> {
        monitor.stage("writing", 0);
        let (output, in_place) = match destination {
            Destination::File(output) => (output.as_path(), false),
            Destination::InPlace => (self.path.as_path(), true),
        };
        let to_zarr = is_zarr(output);
        let options = WriteOptions::default();
        if let Some(file) = &self.file {
            if file.is_zarr() == to_zarr || in_place {
                file.write_with_additions(output, additions, in_place)?;
                return Ok(());
            }
            // From one kind of file into the other: there is no copy to add to.
            file.check_unchanged()?;
            let mut whole = file.read(&ReadOptions::default())?;
            match &mut whole {
                brodmann_data::Container::AnnData(adata) => adata.add(&additions.root),
                brodmann_data::Container::MuData(mdata) => mdata.add(additions)?,
            }
            file.check_unchanged()?;
            write_container(&whole, output, &options)?;
            return Ok(());
        }
        let rows = self.rows;
        let whole = match self.original.unwrap_or(self.container) {
            Container::Single(mut adata) => {
                if let Some(name) = additions.modalities.keys().next() {
                    return Err(DataError::MissingKey {
                        container: "mod".to_owned(),
                        key: name.clone(),
                        place: self.path.display().to_string(),
                        existing: Vec::new(),
                        named_by: None,
                        otherwise: vec!["add to the one modality there is".to_owned()],
                    }
                    .into());
                }
                adata.add(&additions.root);
                brodmann_data::Container::AnnData(*adata)
            }
            Container::Multi(mut mdata) => {
                mdata.add(additions)?;
                brodmann_data::Container::MuData(*mdata)
            }
        };
        if rows.is_empty() {
            write_container(&whole, output, &options)?;
            return Ok(());
        }
        if to_zarr {
            write_container(&with_matrices(whole, &rows)?, output, &options)?;
            return Ok(());
        }
        append(&whole, &rows, output, &options)
    }
}

/// The ending of a Zarr store.
const ZARR: &str = "zarr";

/// Whether an output is to be a Zarr store.
pub(in crate::pipeline) fn is_zarr(output: &Path) -> bool {
    output.extension().is_some_and(|e| e == ZARR)
}

fn write_container(
    container: &brodmann_data::Container,
    output: &Path,
    options: &WriteOptions,
) -> Result<(), DataError> {
    if is_zarr(output) {
        return brodmann_data::write_zarr(container, output, options);
    }
    match container {
        brodmann_data::Container::AnnData(adata) => brodmann_data::write_h5ad(adata, output, options),
        brodmann_data::Container::MuData(mdata) => brodmann_data::write_h5mu(mdata, output, options),
    }
}

/// Matrices by modality, where they are still in an instrument's files.
type Rows = IndexMap<Option<String>, MatrixRows>;

/// A container with the matrices that were left in the files.
fn with_matrices(
    mut container: brodmann_data::Container,
    rows: &Rows,
) -> Result<brodmann_data::Container, PipelineError> {
    for (key, rows) in rows {
        let x = Some(counts::whole(rows)?.into());
        match (&mut container, key) {
            (brodmann_data::Container::AnnData(adata), _) => adata.x = x,
            (brodmann_data::Container::MuData(mdata), Some(key)) => {
                if let Some(adata) = mdata.modalities.get_mut(key) {
                    adata.x = x;
                }
            }
            (brodmann_data::Container::MuData(_), None) => {}
        }
    }
    Ok(container)
}

/// Writes a container whose matrices go from file to file block by block.
fn append(
    container: &brodmann_data::Container,
    rows: &Rows,
    output: &Path,
    options: &WriteOptions,
) -> Result<(), PipelineError> {
    let mut file = match container {
        brodmann_data::Container::AnnData(adata) => RowAppender::h5ad(output, adata.n_vars(), options)?,
        brodmann_data::Container::MuData(mdata) => {
            let sizes: Vec<(&str, usize)> =
                mdata.modalities.iter().map(|(name, a)| (name.as_str(), a.n_vars())).collect();
            RowAppender::h5mu(output, &sizes, options)?
        }
    };
    for (modality, rows) in rows.values().enumerate() {
        for block in rows.blocks()? {
            file.append(modality, block?.rows.view())?;
        }
    }
    Ok(file.finish(container)?)
}
