//! Where results go.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use brodmann_data::{Additions, DataError, Reservation, WriteOptions};
use brodmann_kernels::Monitor;

use super::{Container, Tissue, back};
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
                "a .h5ad or .h5mu input",
            ));
        };
        let expected = match &self.container {
            Container::Single(_) => "h5ad",
            Container::Multi(_) => "h5mu",
        };
        if output.extension().is_none_or(|e| e != expected) {
            return Err(PipelineError::OutputEnding {
                path: output.display().to_string(),
                expected: if expected == "h5ad" {
                    ".h5ad, which one modality needs"
                } else {
                    ".h5mu, which several modalities need"
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
        if let Some(file) = &self.file {
            file.write_with_additions(output, additions, in_place)?;
            return Ok(());
        }
        let options = WriteOptions::default();
        match self.original.unwrap_or(self.container) {
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
                brodmann_data::write_h5ad(&adata, output, &options)?;
            }
            Container::Multi(mut mdata) => {
                mdata.add(additions)?;
                brodmann_data::write_h5mu(&mdata, output, &options)?;
            }
        }
        Ok(())
    }
}
