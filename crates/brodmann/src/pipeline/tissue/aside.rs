//! Which spots take part: those off the tissue, without any count, or missing from a modality are set aside. They are counted
//! and said, and get no label; they stay in the output.

use std::collections::HashMap;

use brodmann_data::{AnnData, Column, Matrix, MuData, keys};
use brodmann_kernels::{Monitor, Opt};

use super::{Container, ModalityInfo};
use crate::pipeline::PipelineError;
use crate::pipeline::request::{Place, SharedObs};

/// Rows of the input that take part, in the order they are worked on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kept {
    /// Rows of the whole; `None` for all of them.
    pub(super) rows: Option<Vec<usize>>,
    /// Rows of the whole in the input.
    pub(super) n_all: usize,
}

impl Kept {
    pub(super) fn all(n_all: usize) -> Self {
        Self { rows: None, n_all }
    }

    /// How many take part.
    pub(super) fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.n_all, Vec::len)
    }

    /// Those of which `keeps` holds (of a row of the input).
    fn retain(&mut self, keeps: impl Fn(usize) -> bool) {
        let rows: Vec<usize> = match self.rows.take() {
            Some(rows) => rows.into_iter().filter(|&i| keeps(i)).collect(),
            None => (0..self.n_all).filter(|&i| keeps(i)).collect(),
        };
        self.rows = (rows.len() < self.n_all).then_some(rows);
    }
}

/// The observations of the whole that every modality has, and for each modality their rows in it.
///
/// # Errors
/// [`brodmann_data::DataError::DifferentObservations`] where some are missing and that was not asked for.
pub(super) fn shared(
    mdata: &MuData,
    join: Option<SharedObs>,
    monitor: &dyn Monitor,
) -> Result<(Kept, Vec<Vec<usize>>), PipelineError> {
    mdata.obs.require_unique("obs")?;
    let mut kept = Kept::all(mdata.n_obs());
    if join != Some(SharedObs::Intersect) {
        let mut rows = Vec::with_capacity(mdata.modalities.len());
        for (key, adata) in &mdata.modalities {
            let of = mdata.rows_of(key).filter(|rows| rows.len() == adata.n_obs());
            rows.push(of.ok_or_else(|| mdata.mismatch(key, adata))?);
        }
        return Ok((kept, rows));
    }
    let mut places: Vec<HashMap<&str, usize>> = Vec::with_capacity(mdata.modalities.len());
    for adata in mdata.modalities.values() {
        adata.obs.require_unique("obs")?;
        places.push(adata.obs_names().iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect());
    }
    let name = |i: usize| mdata.obs.index[i].as_str();
    kept.retain(|i| places.iter().all(|place| place.contains_key(name(i))));
    if kept.len() < kept.n_all {
        monitor.note(&format!(
            "{} of {} observations are in every modality and take part; the others get no label",
            kept.len(),
            kept.n_all
        ));
    }
    if kept.len() == 0 {
        let error = mdata.modalities.iter().next().map(|(key, adata)| mdata.mismatch(key, adata));
        return Err(error.map_or(PipelineError::TooFewObservations { n_obs: 0, expected: 1 }, Into::into));
    }
    let whole: Vec<usize> = kept.rows.clone().unwrap_or_else(|| (0..kept.n_all).collect());
    let rows = places.iter().map(|place| whole.iter().map(|&i| place[name(i)]).collect()).collect();
    Ok((kept, rows))
}

/// Sets aside what `place` does not want, of a column of truth values by row of the input.
pub(super) fn off_tissue(kept: &mut Kept, column: &Column, place: &Place, monitor: &dyn Monitor) {
    let on: Vec<bool> = match column.to_f64() {
        Some(values) => values.iter().map(|v| *v != 0.0).collect(),
        None => column
            .to_strings()
            .iter()
            .map(|v| !matches!(v.as_deref(), Some("0" | "False" | "FALSE" | "false" | "0.0")))
            .collect(),
    };
    let off = on.iter().filter(|on| !**on).count();
    if off == 0 || on.len() != kept.n_all {
        return;
    }
    if off == on.len() {
        monitor.warn(&format!("obs[{:?}] is 0 for every spot: it is not used", keys::IN_TISSUE));
    } else if place.keep_off_tissue {
        monitor
            .note(&format!("{off} spots off the tissue (obs[{:?}] 0) take part, as asked", keys::IN_TISSUE));
    } else {
        kept.retain(|i| on[i]);
        monitor.note(&format!(
            "{off} spots off the tissue (obs[{:?}] 0) set aside: they get no label ({} says otherwise)",
            keys::IN_TISSUE,
            Opt("keep_off_tissue")
        ));
    }
}

/// Leaves out spots without a label.
pub(super) fn unlabelled(kept: &mut Kept, key: &str, column: &Column, monitor: &dyn Monitor) {
    let labels = column.to_strings();
    let missing = labels.iter().filter(|label| label.is_none()).count();
    // All of them: refused with a better reason by whoever needs a label.
    if missing == 0 || missing == labels.len() {
        return;
    }
    kept.retain(|i| labels[i].is_some());
    monitor.note(&format!("{missing} spots without a label in obs[{key:?}] are left out"));
}

/// Sets aside spots without a count. `empty`: by row of the input; nothing where that is all of them.
pub(super) fn without_counts(kept: &mut Kept, empty: &[bool], monitor: &dyn Monitor) {
    let before = kept.len();
    let n_empty = match &kept.rows {
        Some(rows) => rows.iter().filter(|&&i| empty[i]).count(),
        None => empty.iter().filter(|e| **e).count(),
    };
    if n_empty == 0 || n_empty == before {
        return;
    }
    kept.retain(|i| !empty[i]);
    monitor.note(&format!("{n_empty} spots without any count set aside: they get no label"));
}

/// Sets aside what does not meet the thresholds of quality, by row of the input.
pub(super) fn below_thresholds(
    kept: &mut Kept,
    keeps: &[bool],
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    let before = kept.len();
    kept.retain(|i| keeps[i]);
    if kept.len() == 0 {
        let found = format!(
            "above what any of {before} spots reaches, alone or with {} and {}",
            Opt("min_genes"),
            Opt("max_mt")
        );
        return Err(PipelineError::option("min_counts", found, "thresholds that leave some spots"));
    }
    let n = before - kept.len();
    if n > 0 {
        monitor.note(&format!("{n} spots below the thresholds of quality set aside: they get no label"));
    }
    Ok(())
}

/// Rows of a matrix that hold nothing.
pub(super) fn empty_rows(matrix: &Matrix) -> Vec<bool> {
    match matrix {
        Matrix::CsrF32(m) => (0..m.n_rows()).map(|i| m.view().row(i).1.iter().all(|v| *v == 0.0)).collect(),
        Matrix::CsrF64(m) => (0..m.n_rows()).map(|i| m.view().row(i).1.iter().all(|v| *v == 0.0)).collect(),
        Matrix::DenseF32(a) => a.rows().into_iter().map(|row| row.iter().all(|v| *v == 0.0)).collect(),
        Matrix::DenseF64(a) => a.rows().into_iter().map(|row| row.iter().all(|v| *v == 0.0)).collect(),
        Matrix::DenseI64(a) => a.rows().into_iter().map(|row| row.iter().all(|v| *v == 0)).collect(),
    }
}

/// The part of a container that is worked on, without its matrices: those are read from the whole of it.
pub(super) fn view(container: &Container, kept: &Kept, modalities: &[ModalityInfo]) -> Container {
    let light = |adata: &AnnData| AnnData {
        x: None,
        layers: indexmap::IndexMap::new(),
        raw: None,
        obs: adata.obs.clone(),
        var: adata.var.clone(),
        obsm: adata.obsm.clone(),
        varm: adata.varm.clone(),
        obsp: adata.obsp.clone(),
        varp: adata.varp.clone(),
        uns: adata.uns.clone(),
    };
    match container {
        Container::Single(adata) => {
            let all: Vec<usize> = kept.rows.clone().unwrap_or_else(|| (0..kept.n_all).collect());
            Container::Single(Box::new(light(adata).select_obs(&all)))
        }
        Container::Multi(mdata) => {
            let all: Vec<usize> = kept.rows.clone().unwrap_or_else(|| (0..kept.n_all).collect());
            let mut view = MuData {
                modalities: indexmap::IndexMap::new(),
                obs: mdata.obs.select_rows(&all),
                var: mdata.var.clone(),
                obsm: mdata.obsm.iter().map(|(k, v)| (k.clone(), v.select_rows(&all))).collect(),
                varm: mdata.varm.clone(),
                obsp: mdata
                    .obsp
                    .iter()
                    .map(|(k, m)| (k.clone(), m.select_rows(&all).select_columns(&all)))
                    .collect(),
                varp: mdata.varp.clone(),
                uns: mdata.uns.clone(),
                obsmap: indexmap::IndexMap::new(),
                varmap: mdata.varmap.clone(),
                axis: mdata.axis,
            };
            for info in modalities {
                let Some((key, adata)) = info.key.as_ref().and_then(|k| mdata.modalities.get_key_value(k))
                else {
                    continue;
                };
                let rows: Vec<usize> = info.rows.clone().unwrap_or_else(|| (0..adata.n_obs()).collect());
                view.modalities.insert(key.clone(), light(adata).select_obs(&rows));
                view.obsmap.insert(key.clone(), (1..=rows.len() as u32).collect());
            }
            Container::Multi(Box::new(view))
        }
    }
}
