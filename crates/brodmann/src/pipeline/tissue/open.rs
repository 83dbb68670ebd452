//! A path, or a container in memory, becomes a tissue.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use brodmann_data::{
    AnnData, Array, Column, MatrixRows, MuData, OpenFile, OpenOptions, Opened, ReadOptions, Select, Value,
    coordinate_columns, keys,
};
use brodmann_kernels::{Monitor, Opt};
use indexmap::IndexMap;
use ndarray::Array2;

use super::aside::{self, Kept};
use super::stand_in;
use super::{Container, ModalityInfo, Tissue};
use crate::pipeline::PipelineError;
use crate::pipeline::count_rows::{CountRows, CountRowsError};
use crate::pipeline::qc::GENE_NAMES;
use crate::pipeline::request::{FeatureRequest, Place};
use crate::preprocess::{Modality, guess_modality, mitochondrial, spot_metrics};

/// What a run is on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// One file or folder, or several: a slice each.
    pub paths: Vec<PathBuf>,
    /// What is said of them beside their paths.
    pub options: OpenOptions,
}

impl<P: Into<PathBuf>> From<P> for Inputs {
    fn from(path: P) -> Self {
        Self { paths: vec![path.into()], options: OpenOptions::default() }
    }
}

/// What is held open beside a container, for what was not read of it.
#[derive(Default)]
pub(super) struct Held {
    file: Option<OpenFile>,
    rows: IndexMap<Option<String>, MatrixRows>,
}

impl Held {
    fn matrix_rows(
        &self,
        modality: Option<&str>,
        layer: Option<&str>,
    ) -> Result<Option<MatrixRows>, PipelineError> {
        match &self.file {
            Some(file) => Ok(file.matrix_rows(modality, layer)?),
            None if layer.is_none() => Ok(self.rows.get(&modality.map(str::to_owned)).cloned()),
            None => Ok(None),
        }
    }
}

/// How a tissue is opened.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// What is said of the input beside its path.
    pub source: &'a OpenOptions,
    /// Which parts are read.
    pub read: &'a ReadOptions,
    /// What an AnnData measures; guessed from names when absent.
    pub kind: Option<Modality>,
    /// Which spots take part; all of them without it.
    pub place: Option<&'a Place>,
    /// How counts become features; without it none are read, and nobody asks where they are.
    pub features: Option<&'a FeatureRequest>,
    /// `obs` column without which a spot does not take part.
    pub labelled: Option<&'a str>,
}

impl<'a> Opening<'a> {
    /// All spots, of what is found by looking.
    pub fn of(source: &'a OpenOptions, read: &'a ReadOptions, kind: Option<Modality>) -> Self {
        Self { source, read, kind, place: None, features: None, labelled: None }
    }
}

impl Container {
    pub(super) fn of(container: brodmann_data::Container) -> Self {
        match container {
            brodmann_data::Container::AnnData(a) => Self::Single(Box::new(a)),
            brodmann_data::Container::MuData(m) => Self::Multi(Box::new(m)),
        }
    }

    fn adata(&self, key: Option<&str>) -> Option<&AnnData> {
        match (self, key) {
            (Self::Single(adata), _) => Some(adata),
            (Self::Multi(mdata), Some(key)) => mdata.modalities.get(key),
            (Self::Multi(_), None) => None,
        }
    }

    fn adata_mut(&mut self, key: Option<&str>) -> Option<&mut AnnData> {
        match (self, key) {
            (Self::Single(adata), _) => Some(adata),
            (Self::Multi(mdata), Some(key)) => mdata.modalities.get_mut(key),
            (Self::Multi(_), None) => None,
        }
    }
}

impl Tissue {
    /// Opens any supported file or folder.
    ///
    /// # Errors
    /// As the readers; [`brodmann_data::DataError::DifferentObservations`] when modalities hold different observations.
    pub fn open(path: &Path, opening: &Opening<'_>, monitor: &dyn Monitor) -> Result<Self, PipelineError> {
        monitor.stage("reading", 0);
        // Tables of text are read with these at hand: in the others they are looked for in obs, below.
        let mut source = opening.source.clone();
        if let Some(columns) = opening.place.and_then(|place| place.spatial_columns.clone()) {
            source.table.coordinate_columns.get_or_insert(columns);
        }
        let Opened { container, file, library_key, rows } =
            brodmann_data::open_any(path, &source, opening.read, monitor)?;
        let held = Held { file, rows };
        let mut tissue = Self::of(path.to_path_buf(), Container::of(container), held, opening, monitor)?;
        tissue.library_key = library_key;
        Ok(tissue)
    }

    /// A container in memory, its elements all loaded; it has no file, so results are returned rather than written.
    ///
    /// # Errors
    /// [`brodmann_data::DataError::DifferentObservations`] when modalities hold different observations.
    pub fn from_container(
        container: brodmann_data::Container,
        opening: &Opening<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        Self::of(PathBuf::from("the data"), Container::of(container), Held::default(), opening, monitor)
    }

    /// Files joined in memory, which are written as one; the first is named in messages.
    pub(in crate::pipeline) fn joined(
        path: &Path,
        adata: AnnData,
        opening: &Opening<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        Self::of(path.to_path_buf(), Container::Single(Box::new(adata)), Held::default(), opening, monitor)
    }

    fn of(
        path: PathBuf,
        mut container: Container,
        held: Held,
        opening: &Opening<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let join = opening.place.and_then(|place| place.obs);
        let (mut kept, mut modalities) = match &container {
            Container::Single(adata) => {
                (Kept::all(adata.n_obs()), vec![single_modality(adata, opening.kind, monitor)])
            }
            Container::Multi(mdata) => modalities_of(mdata, join, monitor)?,
        };
        if let Some(place) = opening.place {
            find_coordinates(&mut container, held.file.as_ref(), place, monitor)?;
        }
        if let Some(features) = opening.features {
            for info in &mut modalities {
                find_counts(&mut container, info, held.file.as_ref(), features)?;
            }
        }
        if let Some(key) = opening.labelled
            && let Some(column) = whole_column(&container, key, kept.n_all)
        {
            let before = kept.clone();
            aside::unlabelled(&mut kept, key, &column, monitor);
            narrow(&mut modalities, &before, &kept);
        }
        if let Some(place) = opening.place {
            let before = kept.clone();
            if let Some(column) = whole_column(&container, keys::IN_TISSUE, kept.n_all) {
                aside::off_tissue(&mut kept, &column, place, monitor);
            }
            if let Some(features) = opening.features
                && let Some(empty) = empty_spots(&container, &modalities, &held, features, &before)?
            {
                aside::without_counts(&mut kept, &empty, monitor);
            }
            narrow(&mut modalities, &before, &kept);
        }
        if let Some(features) = opening.features.filter(|features| features.sets_aside()) {
            let before = kept.clone();
            let keeps = measured(&container, &modalities, &held, features, &before, monitor)?;
            aside::below_thresholds(&mut kept, &keeps, monitor)?;
            narrow(&mut modalities, &before, &kept);
        }
        let all_names = kept.rows.as_ref().map(|_| match &container {
            Container::Single(adata) => adata.obs.index.clone(),
            Container::Multi(mdata) => mdata.obs.index.clone(),
        });
        let selects = kept.rows.is_some() || modalities.iter().any(|m| m.rows.is_some());
        let (container, original) = if selects {
            let view = aside::view(&container, &kept, &modalities);
            // What is in a file is read of it again, unless it was read already.
            (view, (held.file.is_none() || opening.read.x).then_some(container))
        } else {
            (container, None)
        };
        Ok(Self {
            path,
            container,
            original,
            file: held.file,
            rows: held.rows,
            library_key: None,
            kept,
            all_names,
            reserved: Mutex::default(),
            modalities,
        })
    }
}

/// The rows of the modalities that go with those of the whole that are left.
fn narrow(modalities: &mut [ModalityInfo], before: &Kept, kept: &Kept) {
    if before == kept {
        return;
    }
    let Some(rows) = &kept.rows else { return };
    // Where each row of the input was among those before.
    let place: Vec<Option<usize>> = match &before.rows {
        None => (0..before.n_all).map(Some).collect(),
        Some(rows) => super::back::inverse(rows, before.n_all),
    };
    for info in modalities {
        let own = |i: usize| place[i].map(|i| info.rows.as_ref().map_or(i, |rows| rows[i]));
        info.rows = Some(rows.iter().filter_map(|&i| own(i)).collect());
    }
}

/// A column of obs by row of the whole, where the whole or a modality of all its rows has it.
fn whole_column(container: &Container, key: &str, n_all: usize) -> Option<Column> {
    let column = match container {
        Container::Single(adata) => adata.obs.columns.get(key).cloned(),
        Container::Multi(mdata) => mdata.obs.columns.get(key).cloned().or_else(|| {
            mdata.modalities.values().find_map(|adata| {
                let column = adata.obs.columns.get(key)?;
                Some(super::back::column(column, &super::back::by_name(adata.obs_names(), &mdata.obs.index)))
            })
        }),
    };
    column.filter(|c| c.len() == n_all)
}

/// Spots that meet the thresholds, by row of the input; of several modalities gene expression is judged, or the first.
fn measured(
    container: &Container,
    modalities: &[ModalityInfo],
    held: &Held,
    features: &FeatureRequest,
    rows: &Kept,
    monitor: &dyn Monitor,
) -> Result<Vec<bool>, PipelineError> {
    let judged = modalities.iter().find(|m| m.kind == Modality::Rna).or(modalities.first());
    let Some((info, adata)) = judged.and_then(|m| Some((m, container.adata(m.key.as_deref())?))) else {
        return Ok(vec![true; rows.n_all]);
    };
    let layer = info.layer(features.layer.as_deref());
    monitor.stage(&format!("{}: looking at the quality of the spots", info.name), 0);
    let mut mito = mitochondrial(adata.var_names(), None);
    for key in GENE_NAMES.iter().filter(|_| !mito.contains(&true)).copied().collect::<Vec<_>>() {
        let names = adata.var.columns.get(key).map(Column::to_strings).unwrap_or_default();
        let names: Vec<String> = names.into_iter().map(Option::unwrap_or_default).collect();
        let named = mitochondrial(&names, None);
        if named.contains(&true) {
            mito = named;
            break;
        }
    }
    if features.max_mt.is_some() && !mito.contains(&true) {
        monitor.warn(&format!(
            "{}: no gene is known as mitochondrial by its name (MT-, mt-), so {} has no effect",
            info.name,
            Opt("max_mt")
        ));
    }
    let refused = |source| PipelineError::Preprocess { modality: info.name.clone(), source };
    let metrics = if let Some(matrix) = super::counts::loaded(adata, layer) {
        spot_metrics(&matrix.to_csr_f32().view(), &mito, monitor).map_err(refused)?
    } else if let Some(matrix) = held.matrix_rows(info.key.as_deref(), layer)? {
        spot_metrics(&CountRows::new(matrix, None), &mito, monitor).map_err(|error| match error {
            CountRowsError::Data(error) => error.into(),
            CountRowsError::Preprocess(source) => refused(source),
        })?
    } else {
        let read =
            held.file.as_ref().map(|file| super::counts::read_matrix(file, info, layer)).transpose()?;
        let matrix = match read.flatten() {
            Some(matrix) => matrix.into_csr_f32(),
            // With the reader's own message on what there is.
            None => adata.matrix(layer)?.to_csr_f32().into_owned(),
        };
        spot_metrics(&matrix.view(), &mito, monitor).map_err(refused)?
    };
    let own = metrics.kept(features.min_counts, features.min_genes, features.max_mt);
    let mut keeps = vec![true; rows.n_all];
    let whole: Vec<usize> = rows.rows.clone().unwrap_or_else(|| (0..rows.n_all).collect());
    for (k, &i) in whole.iter().enumerate() {
        let row = info.rows.as_ref().map_or(k, |rows| rows[k]);
        keeps[i] = own.get(row).copied().unwrap_or(true);
    }
    Ok(keeps)
}

/// Spots that hold no count in any modality, by row of the input; `None` where that cannot be told without reading all.
fn empty_spots(
    container: &Container,
    modalities: &[ModalityInfo],
    held: &Held,
    features: &FeatureRequest,
    rows: &Kept,
) -> Result<Option<Vec<bool>>, PipelineError> {
    let mut empty = vec![true; rows.n_all];
    for info in modalities {
        let Some(adata) = container.adata(info.key.as_deref()) else { return Ok(None) };
        let layer = info.layer(features.layer.as_deref());
        let own = match super::counts::loaded(adata, layer) {
            Some(matrix) => aside::empty_rows(matrix),
            None => match held.matrix_rows(info.key.as_deref(), layer)? {
                Some(matrix) => matrix.empty_rows()?,
                None => return Ok(None),
            },
        };
        let whole: Vec<usize> = rows.rows.clone().unwrap_or_else(|| (0..rows.n_all).collect());
        for (k, &i) in whole.iter().enumerate() {
            let row = info.rows.as_ref().map_or(k, |rows| rows[k]);
            empty[i] &= own.get(row).copied().unwrap_or(false);
        }
    }
    Ok(Some(empty))
}

/// Looks for the counts of a modality where `X` does not hold them.
fn find_counts(
    container: &mut Container,
    info: &mut ModalityInfo,
    file: Option<&OpenFile>,
    features: &FeatureRequest,
) -> Result<(), PipelineError> {
    let key = info.key.clone();
    let Some(adata) = container.adata(key.as_deref()) else { return Ok(()) };
    let place = stand_in::Place { adata, file, key: key.as_deref() };
    let Some(found) = place.counts(features)? else { return Ok(()) };
    if let Some(note) = found.note(&info.name) {
        info.note = Some(note);
        info.stand_in = Some(found.layer);
    }
    if let (Some(var), Some(adata)) = (found.var, container.adata_mut(key.as_deref())) {
        info.own_var = Some(std::mem::replace(&mut adata.var, var).index);
        // Those of the other variables no longer fit.
        adata.varm.clear();
        adata.varp.clear();
        adata.x = None;
        adata.layers.clear();
    }
    Ok(())
}

/// Coordinates that are not where they are looked for, or are texts.
fn find_coordinates(
    container: &mut Container,
    file: Option<&OpenFile>,
    place: &Place,
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    let key = &place.spatial_key;
    let (obsm, obs) = match container {
        Container::Single(adata) => (&mut adata.obsm, &adata.obs),
        Container::Multi(mdata) => {
            let in_modality = mdata.modalities.values().any(|a| a.obsm.contains_key(key));
            if in_modality && !mdata.obsm.contains_key(key) && place.spatial_columns.is_none() {
                return Ok(());
            }
            (&mut mdata.obsm, &mdata.obs)
        }
    };
    if place.spatial_columns.is_none() && obsm.contains_key(key) {
        let Some(Value::Array(Array::String(texts))) = obsm.get(key) else { return Ok(()) };
        let numbers: Option<Vec<f64>> = texts.iter().map(|text| text.trim().parse().ok()).collect();
        let shape = texts.shape().to_vec();
        let Some(numbers) = numbers.and_then(|n| ndarray::ArrayD::from_shape_vec(shape, n).ok()) else {
            return Ok(());
        };
        monitor.warn(&format!("obsm[{key:?}] holds texts; they are read as numbers"));
        obsm.insert(key.clone(), Value::Array(Array::F64(numbers)));
        return Ok(());
    }
    let mut columns = obs.columns.clone();
    if let Some(file) = file {
        let names = file.element_names(None, "obs")?;
        let wanted = place.spatial_columns.clone().or_else(|| coordinate_columns(&names));
        let Some(wanted) = wanted else { return Ok(()) };
        let read = ReadOptions { obs: Select::Only(wanted), ..ReadOptions::names_only() };
        columns = match file.read(&read)? {
            brodmann_data::Container::AnnData(a) => a.obs.columns,
            brodmann_data::Container::MuData(m) => m.obs.columns,
        };
    }
    let names: Vec<String> = columns.keys().cloned().collect();
    let found = match &place.spatial_columns {
        Some(given) => given.clone(),
        None => match coordinate_columns(&names) {
            Some(found) => found,
            None => return Ok(()),
        },
    };
    let mut axes: Vec<Vec<f64>> = Vec::with_capacity(found.len());
    for name in &found {
        let column = columns.get(name).ok_or_else(|| brodmann_data::DataError::MissingKey {
            container: "obs".to_owned(),
            key: name.clone(),
            place: "the input".to_owned(),
            existing: obs.columns.keys().cloned().collect(),
            named_by: Some(Opt("spatial_columns")),
            otherwise: Vec::new(),
        })?;
        let parsed = column.to_f64().or_else(|| {
            let text = |t: Option<String>| t.and_then(|t| t.trim().parse().ok());
            column.to_strings().into_iter().map(text).collect::<Option<Vec<f64>>>()
        });
        axes.push(parsed.ok_or_else(|| PipelineError::Column {
            element: format!("obs[{name:?}]"),
            found: column.kind(),
            expected: "coordinates",
        })?);
    }
    let n = axes.first().map_or(0, Vec::len);
    let xy = Array2::from_shape_fn((n, axes.len()), |(i, j)| axes[j][i]);
    let list = found.join(",");
    if place.spatial_columns.is_none() {
        monitor.warn(&format!(
            "obsm[{key:?}] is missing: coordinates are taken from the obs columns {list} ({} says so, or names others)",
            Opt("spatial_columns").set(&list)
        ));
    }
    obsm.insert(key.clone(), xy.into());
    Ok(())
}

fn feature_types(adata: &AnnData) -> Vec<String> {
    let column = adata.var.columns.get(keys::FEATURE_TYPES);
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
    ModalityInfo { n_rows: adata.n_obs(), ..ModalityInfo::new(kind.name().to_owned(), None, kind) }
}

fn modalities_of(
    mdata: &MuData,
    join: Option<crate::pipeline::request::SharedObs>,
    monitor: &dyn Monitor,
) -> Result<(Kept, Vec<ModalityInfo>), PipelineError> {
    let (kept, all_rows) = aside::shared(mdata, join, monitor)?;
    let mut modalities = Vec::with_capacity(mdata.modalities.len());
    for ((key, adata), rows) in mdata.modalities.iter().zip(all_rows) {
        let kind = guess_modality(Some(key), adata.var_names(), &feature_types(adata)).unwrap_or_else(|| {
            monitor.warn(&format!("{key}: the kind of measurement is not evident from names: taken as rna"));
            Modality::Rna
        });
        let same = rows.len() == adata.n_obs() && rows.iter().enumerate().all(|(i, &r)| i == r);
        if !same && rows.len() == adata.n_obs() {
            monitor.note(&format!("{key}: observations are in another order; aligned by name"));
        }
        modalities.push(ModalityInfo {
            rows: (!same).then_some(rows),
            n_rows: adata.n_obs(),
            ..ModalityInfo::new(key.clone(), Some(key.clone()), kind)
        });
    }
    Ok((kept, modalities))
}
