//! Slices that lie in several places: what every method that trains on them has in common.
//!
//! Each place has its slice, and one place leads: it knows where spots lie and what they are called, holds parameters and
//! optimiser, and no counts. Every sum is taken in the order of the slices, so the bits are the same wherever they lie.

use std::path::Path;

use brodmann_data::{
    Additions, AnnData, Categorical, Column, DataFrame, OpenOptions, Opened, ReadOptions, Reservation, Value,
    keys, open_any,
};
use brodmann_kernels::{Interrupted, Monitor, OptionError};
use indexmap::IndexMap;
use ndarray::{Array2, Axis, concatenate};

use super::PipelineError;
use super::align::places;
use super::checkpoint::Checkpoints;
use super::cohort::parts::Part;
use super::fingerprint::Fingerprint;
use super::request::Naming;
use super::tissue::{Opening, Tissue};
use crate::nn::{Elsewhere, Gradients, Schedule, StateError, Trainer};
use crate::preprocess::Modality;

/// What the lead must know of a slice to name and place its spots.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceFacts {
    /// Observations of the input.
    pub n_all: usize,
    /// Those that take part, where not all do.
    pub kept: Option<Vec<usize>>,
    /// Names of those that take part.
    pub obs_names: Vec<String>,
    /// `(n_obs, n_dims)`.
    pub coordinates: Array2<f64>,
    /// Known domains by the column they are in, if there are any.
    pub truth: Vec<(String, Vec<Option<String>>)>,
    /// Of coordinates and counts.
    pub data_hash: String,
}

impl SliceFacts {
    /// Of a tissue.
    pub(super) fn of(tissue: &Tissue, naming: &Naming, coordinates: Array2<f64>, data_hash: String) -> Self {
        let mut truth = Vec::new();
        for key in naming.truth.clone().into_iter().chain([keys::GROUND_TRUTH.to_owned()]) {
            if let Some(column) = tissue.obs_column(&key).filter(|_| truth.iter().all(|(k, _)| *k != key)) {
                truth.push((key, column.to_strings()));
            }
        }
        Self {
            n_all: tissue.n_all(),
            kept: tissue.kept_rows().map(<[usize]>::to_vec),
            obs_names: tissue.obs_names().to_vec(),
            coordinates,
            truth,
            data_hash,
        }
    }
}

/// What the lead knows of all slices.
#[derive(Default)]
pub(super) struct SlicesApart {
    pub(super) names: Vec<String>,
    pub(super) facts: Vec<SliceFacts>,
    /// The genes that all share.
    pub(super) genes: Vec<String>,
    /// Of each slice, its own genes.
    pub(super) own_genes: Vec<Vec<String>>,
}

impl SlicesApart {
    /// # Errors
    /// [`PipelineError::Option`] for fewer than two slices.
    pub(super) fn new(names: Vec<String>) -> Result<Self, PipelineError> {
        if names.len() < 2 {
            let found = format!("{} slice", names.len());
            return Err(PipelineError::option("slices", found, "two or more; one needs no other place"));
        }
        Ok(Self { names, ..Self::default() })
    }

    /// Takes what is known of each slice.
    pub(super) fn set_facts(&mut self, facts: Vec<SliceFacts>) -> Result<(), PipelineError> {
        check_number(facts.len(), self.names.len())?;
        if facts.iter().any(|f| f.coordinates.nrows() != f.obs_names.len()) {
            return Err(PipelineError::option("slices", "coordinates of other spots", "a row for each spot"));
        }
        self.facts = facts;
        Ok(())
    }

    /// Observations of each slice.
    pub(super) fn sizes(&self) -> Vec<usize> {
        self.facts.iter().map(|f| f.obs_names.len()).collect()
    }

    pub(super) fn n_obs(&self) -> usize {
        self.sizes().iter().sum()
    }

    pub(super) fn data_hash(&self) -> String {
        let hashes = self.facts.iter().map(|f| f.data_hash.as_str());
        hashes.fold(Fingerprint::default(), Fingerprint::text).hex()
    }

    /// Where the spots lie, without what was measured.
    pub(super) fn tissue(&self, spatial_key: &str, monitor: &dyn Monitor) -> Result<Tissue, PipelineError> {
        let names = self.facts.iter().zip(&self.names);
        let names = names.flat_map(|(f, name)| f.obs_names.iter().map(move |n| format!("{n}-{name}")));
        let mut obs = DataFrame::new(names.collect());
        let codes = self.sizes().into_iter().enumerate().flat_map(|(s, n)| std::iter::repeat_n(s as i32, n));
        let slices =
            Categorical { codes: codes.collect(), categories: self.names.clone(), ..Categorical::default() };
        obs.columns.insert(keys::LIBRARY_ID.to_owned(), Column::Categorical(slices));
        let mut columns: Vec<&String> = Vec::new();
        for (key, _) in self.facts.iter().flat_map(|f| &f.truth) {
            if !columns.contains(&key) {
                columns.push(key);
            }
        }
        for key in columns {
            let of = |facts: &SliceFacts| {
                let own = facts.truth.iter().find(|(k, _)| k == key).map(|(_, values)| values.clone());
                own.unwrap_or_else(|| vec![None; facts.obs_names.len()])
            };
            let values: Vec<Option<String>> = self.facts.iter().flat_map(of).collect();
            obs.columns.insert(key.clone(), Column::Categorical(Categorical::from_strings(&values)));
        }
        let views: Vec<_> = self.facts.iter().map(|f| f.coordinates.view()).collect();
        let coordinates = concatenate(Axis(0), &views).map_err(|_| {
            PipelineError::option("slices", "coordinates of several dimensions", "as many dimensions in each")
        })?;
        let mut adata = AnnData { obs, var: DataFrame::new(self.genes.clone()), ..AnnData::default() };
        adata.obsm.insert(spatial_key.to_owned(), Value::from(coordinates));
        let (source, read) = (OpenOptions::default(), ReadOptions::default());
        let opening = Opening::of(&source, &read, Some(Modality::Rna));
        Tissue::joined(Path::new("the slices"), adata, &opening, monitor)
    }

    /// What each slice gets of what was found, in the rows of its input.
    pub(super) fn split(&self, mut whole: Additions) -> Result<Vec<Additions>, PipelineError> {
        // What joins spots of several slices has no part in one of them.
        whole.root.obsp.clear();
        let mut first = 0;
        let mut additions = Vec::with_capacity(self.names.len());
        for (index, (facts, name)) in self.facts.iter().zip(&self.names).enumerate() {
            let rows = first..first + facts.obs_names.len();
            first = rows.end;
            let var_names = self.own_genes.get(index).map_or(&[][..], Vec::as_slice);
            let (path, obs_names) = (Path::new(name), &facts.obs_names);
            let mut root = Part { path, rows, obs_names, var_names }.of(&whole, &self.genes)?;
            if let Some(kept) = &facts.kept {
                Tissue::spread(&mut root, kept, facts.n_all);
            }
            additions.push(Additions { root, modalities: IndexMap::new() });
        }
        Ok(additions)
    }
}

/// A training whose gradients come in slice by slice.
pub(super) struct Training<E> {
    pub(super) trainer: Trainer<Elsewhere<E>>,
    sum: Option<Gradients>,
    n_summed: usize,
    /// Two trainings in one folder would each go on from what the other saved.
    _reserved: Option<Reservation>,
}

impl<E: From<Interrupted> + From<StateError>> Training<E> {
    /// Begins, from the checkpoint where that is asked for.
    ///
    /// # Errors
    /// As [`Checkpoints`].
    pub(super) fn begin(
        mut trainer: Trainer<Elsewhere<E>>,
        checkpoints: &Checkpoints<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError>
    where
        PipelineError: From<E>,
    {
        let files = std::slice::from_ref(&checkpoints.file);
        let reserved = checkpoints.request.map(|request| request.prepare(files)).transpose()?;
        if let Some(state) = checkpoints.resume(monitor)? {
            trainer.resume(&state, checkpoints.last)?;
        }
        Ok(Self { trainer, sum: None, n_summed: 0, _reserved: reserved })
    }

    /// Writes the checkpoint, where one is due.
    ///
    /// # Errors
    /// As [`Checkpoints`].
    pub(super) fn save_if_due(&self, checkpoints: &Checkpoints<'_>) -> Result<(), PipelineError> {
        let epoch = self.trainer.history().len();
        match checkpoints.request.filter(|request| request.is_due(epoch, checkpoints.last)) {
            Some(request) => checkpoints.file.write(&request.folder, &checkpoints.run, self.trainer.state()),
            None => Ok(()),
        }
    }

    /// The parameters that travel.
    pub(super) fn parameters(&self) -> Vec<f32> {
        self.trainer.parameters().flat()
    }

    /// Adds the gradients of the next slice, in the order of the slices.
    ///
    /// # Errors
    /// `State` when they are another network's.
    pub(super) fn add(&mut self, values: &[f32], numbers: &[f64]) -> Result<(), E> {
        let (parameters, columns) = (self.trainer.parameters(), self.trainer.columns());
        let next = Gradients::from_flat(values, numbers, parameters, columns)?;
        match &mut self.sum {
            None => self.sum = Some(next),
            Some(sum) => sum.add(&next),
        }
        self.n_summed += 1;
        Ok(())
    }

    /// Steps along the sum, once all slices are in it; the loss, and whether training ended, and then whether early.
    ///
    /// # Errors
    /// [`PipelineError::Option`] while slices are missing.
    pub(super) fn step(
        &mut self,
        n_slices: usize,
        schedule: &Schedule,
    ) -> Result<(f64, Option<bool>), PipelineError> {
        check_number(std::mem::take(&mut self.n_summed), n_slices)?;
        let Some(sum) = self.sum.take() else { return Err(too_early("gradients have come in")) };
        self.trainer.apply(&sum);
        let loss = sum.numbers().first().copied().unwrap_or(f64::NAN);
        Ok((loss, self.trainer.ended(schedule)))
    }
}

/// Writes a copy of the file of a slice, or the file itself where `out` is it, with what was found.
///
/// # Errors
/// [`PipelineError::Option`] for what is no `.h5ad`, `.h5mu` or `.zarr`; as
/// [`OpenFile::write_with_additions`](brodmann_data::OpenFile::write_with_additions).
pub fn write_copy(
    path: &Path,
    out: &Path,
    additions: &Additions,
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    monitor.stage(&format!("writing {}", out.display()), 0);
    let read = ReadOptions::names_only();
    let Opened { file, .. } = open_any(path, &OpenOptions::default(), &read, monitor)?;
    let Some(file) = file else {
        let found = format!("a folder for a copy of {}", path.display());
        return Err(PipelineError::option("out", found, "slices that are .h5ad, .h5mu or .zarr"));
    };
    brodmann_data::check_output(path, out)?;
    let _reserved = Reservation::of(out)?;
    Ok(file.write_with_additions(out, additions, false)?)
}

/// The names that all lists hold, in the order of the first.
pub(super) fn names_in_common(lists: &[&[String]]) -> Vec<String> {
    let Some((first, others)) = lists.split_first() else { return Vec::new() };
    let mut shared = vec![true; first.len()];
    for other in others {
        for (flag, place) in shared.iter_mut().zip(places(first, other)) {
            *flag &= place.is_some();
        }
    }
    first.iter().zip(shared).filter(|(_, shared)| *shared).map(|(name, _)| name.clone()).collect()
}

/// The columns of a slice, called `name` in messages, that features are in.
///
/// # Errors
/// [`PipelineError::MissingFeatures`] for those it does not have.
pub(super) fn columns_of(
    features: &[String],
    own: &[String],
    name: &str,
) -> Result<Vec<usize>, PipelineError> {
    let found = places(features, own);
    let columns: Vec<usize> = found.iter().flatten().copied().collect();
    if columns.len() == features.len() {
        return Ok(columns);
    }
    let missing = features.iter().zip(&found).filter(|(_, f)| f.is_none());
    Err(PipelineError::MissingFeatures {
        modality: name.to_owned(),
        n_missing: features.len() - columns.len(),
        n_expected: features.len(),
        examples: missing.take(5).map(|(feature, _)| feature.clone()).collect(),
    })
}

/// A step before its time.
pub(super) fn too_early(before: &'static str) -> PipelineError {
    PipelineError::option("slices", "a slice asked for more than it has", before)
}

/// As many as there are slices.
pub(super) fn check_number(found: usize, expected: usize) -> Result<(), PipelineError> {
    if found == expected {
        return Ok(());
    }
    Err(OptionError::new("slices", format!("{found} at hand"), format!("all {expected}")).into())
}
