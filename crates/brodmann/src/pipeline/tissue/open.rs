//! A path, or a container in memory, becomes a tissue.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use brodmann_data::{AnnData, MuData, OpenFile, ReadOptions};
use brodmann_kernels::{Monitor, Opt};

use super::{Container, ModalityInfo, Tissue};
use crate::pipeline::PipelineError;
use crate::preprocess::{Modality, guess_modality};

impl Container {
    fn of(container: brodmann_data::Container) -> Self {
        match container {
            brodmann_data::Container::AnnData(a) => Self::Single(Box::new(a)),
            brodmann_data::Container::MuData(m) => Self::Multi(Box::new(m)),
        }
    }
}

impl Tissue {
    /// Opens any supported file or folder; `kind` overrides what an AnnData is guessed to measure.
    ///
    /// # Errors
    /// As the readers; [`brodmann_data::DataError::DifferentObservations`] when modalities hold different observations.
    pub fn open(
        path: &Path,
        options: &ReadOptions,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        monitor.stage("reading", 0);
        let (container, file) = brodmann_data::open_any(path, options)?;
        Self::of(path.to_path_buf(), Container::of(container), file, kind, monitor)
    }

    /// A container in memory, its elements all loaded; it has no file, so results are returned rather than written.
    ///
    /// # Errors
    /// [`brodmann_data::DataError::DifferentObservations`] when modalities hold different observations.
    pub fn from_container(
        container: brodmann_data::Container,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        Self::of(PathBuf::from("the data"), Container::of(container), None, kind, monitor)
    }

    fn of(
        path: PathBuf,
        container: Container,
        file: Option<OpenFile>,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let modalities = match &container {
            Container::Single(adata) => vec![single_modality(adata, kind, monitor)],
            Container::Multi(mdata) => modalities_of(mdata, monitor)?,
        };
        Ok(Self { path, container, file, reserved: Mutex::default(), modalities })
    }

    /// Files joined in memory, which are written as one; the first is named in messages.
    pub(in crate::pipeline) fn joined(
        path: &Path,
        adata: AnnData,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Self {
        let modalities = vec![single_modality(&adata, kind, monitor)];
        let container = Container::Single(Box::new(adata));
        Self { path: path.to_path_buf(), container, file: None, reserved: Mutex::default(), modalities }
    }
}

fn feature_types(adata: &AnnData) -> Vec<String> {
    let column = adata.var.columns.get(brodmann_data::keys::FEATURE_TYPES);
    column.map_or_else(Vec::new, |c| c.to_strings().into_iter().map(Option::unwrap_or_default).collect())
}

fn single_modality(adata: &AnnData, kind: Option<Modality>, monitor: &dyn Monitor) -> ModalityInfo {
    let guess = guess_modality(None, adata.var_names(), &feature_types(adata));
    let kind = kind.or(guess).unwrap_or_else(|| {
        monitor.warn(&format!(
            "the kind of measurement is not evident from names: taken as rna ({} says otherwise)",
            Opt("modality")
        ));
        Modality::Rna
    });
    ModalityInfo { name: kind.name().to_owned(), key: None, kind, rows: None }
}

fn modalities_of(mdata: &MuData, monitor: &dyn Monitor) -> Result<Vec<ModalityInfo>, PipelineError> {
    mdata.obs.require_unique("obs")?;
    let mut modalities = Vec::with_capacity(mdata.modalities.len());
    for (key, adata) in &mdata.modalities {
        let Some(rows) = mdata.rows_of(key).filter(|rows| rows.len() == adata.n_obs()) else {
            return Err(mdata.mismatch(key, adata).into());
        };
        let kind = guess_modality(Some(key), adata.var_names(), &feature_types(adata)).unwrap_or_else(|| {
            monitor.warn(&format!("{key}: the kind of measurement is not evident from names: taken as rna"));
            Modality::Rna
        });
        let same_order = rows.iter().enumerate().all(|(i, &r)| i == r);
        if !same_order {
            monitor.note(&format!("{key}: observations are in another order; aligned by name"));
        }
        modalities.push(ModalityInfo {
            name: key.clone(),
            key: Some(key.clone()),
            kind,
            rows: (!same_order).then_some(rows),
        });
    }
    Ok(modalities)
}
