//! A file opened, whatever its format: one view on AnnData and MuData, and the way results go back.
//!
//! Modalities may list the same observations in another order; they are seen here in the order of the whole, and
//! what is written to a modality goes back in the modality's own order.

use std::path::{Path, PathBuf};

use brodmann_data::{
    Additions, AnnData, Categorical, Column, DataError, Format, Matrix, MatrixRows, MuData, ReadOptions,
    Select, Value, WriteOptions,
};
use brodmann_kernels::{CsrMatrix, Monitor};
use indexmap::IndexMap;
use ndarray::{Array2, Axis};

use super::PipelineError;
use super::count_rows::CountRows;
use crate::preprocess::{Modality, RowSource, guess_modality};

/// What to do about a tissue without coordinates.
const NO_SPACE: &str = "add the spot coordinates, name their key with --spatial-key, or cluster without space with \
                        `brodmann leiden`";

/// Where the result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file beside the input.
    File(PathBuf),
    /// Into the input, atomically.
    InPlace,
}

/// One modality of a tissue.
#[derive(Clone, Debug, PartialEq)]
pub struct ModalityInfo {
    /// Layer name in options and logs: the MuData key, or the kind of an AnnData.
    pub name: String,
    /// Key in the MuData; `None` in an AnnData.
    pub key: Option<String>,
    /// What it measures.
    pub kind: Modality,
    /// Rows of the modality in the order of the whole; `None` when the order is the same.
    rows: Option<Vec<usize>>,
}

/// How much the counts of a modality hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountsSize {
    /// Stored entries.
    pub(super) nnz: usize,
    /// Read block by block.
    pub(super) streamed: bool,
    /// Kept after the first pass over the blocks.
    pub(super) kept: bool,
}

#[derive(Debug)]
pub(super) enum Container {
    Single(Box<AnnData>),
    Multi(Box<MuData>),
}

/// A tissue read from a file, with what the read options asked for.
#[derive(Debug)]
pub struct Tissue {
    path: PathBuf,
    pub(super) container: Container,
    /// Whether the input is a `.h5ad` or `.h5mu` whose copy can be edited.
    editable: bool,
    modalities: Vec<ModalityInfo>,
}

impl Tissue {
    /// Opens any supported file or folder; `kind` overrides what an AnnData is guessed to measure.
    ///
    /// # Errors
    /// As the readers; [`DataError::DifferentObservations`] when modalities hold different observations.
    pub fn open(
        path: &Path,
        options: &ReadOptions,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        monitor.stage("reading", 0);
        let editable = brodmann_data::is_scverse(path);
        let container = match brodmann_data::read_any(path, Format::Auto, options)? {
            brodmann_data::Container::AnnData(a) => Container::Single(Box::new(a)),
            brodmann_data::Container::MuData(m) => Container::Multi(Box::new(m)),
        };
        Self::of(path.to_path_buf(), container, editable, kind, monitor)
    }

    /// A container in memory, its elements all loaded; it has no file, so results are returned rather than written.
    ///
    /// # Errors
    /// [`DataError::DifferentObservations`] when modalities hold different observations.
    pub fn from_container(
        container: brodmann_data::Container,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let container = match container {
            brodmann_data::Container::AnnData(a) => Container::Single(Box::new(a)),
            brodmann_data::Container::MuData(m) => Container::Multi(Box::new(m)),
        };
        Self::of(PathBuf::from("the data"), container, false, kind, monitor)
    }

    fn of(
        path: PathBuf,
        container: Container,
        editable: bool,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let modalities = match &container {
            Container::Single(adata) => vec![single_modality(adata, kind, monitor)],
            Container::Multi(mdata) => modalities_of(mdata, monitor)?,
        };
        Ok(Self { path, container, editable, modalities })
    }

    /// Files joined in memory, which are written as one; the first is named in messages.
    pub(super) fn joined(path: &Path, adata: AnnData, kind: Option<Modality>, monitor: &dyn Monitor) -> Self {
        let modalities = vec![single_modality(&adata, kind, monitor)];
        let container = Container::Single(Box::new(adata));
        Self { path: path.to_path_buf(), container, editable: false, modalities }
    }

    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        match &self.container {
            Container::Single(a) => a.n_obs(),
            Container::Multi(m) => m.n_obs(),
        }
    }

    /// The modalities, in the file's order.
    pub fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    /// Names of the features of a modality.
    pub fn var_names(&self, modality: &ModalityInfo) -> &[String] {
        self.adata(modality).var_names()
    }

    pub(super) fn adata(&self, modality: &ModalityInfo) -> &AnnData {
        match (&self.container, &modality.key) {
            (Container::Single(adata), _) => adata,
            (Container::Multi(mdata), key) => {
                let key = key.as_deref().expect("modalities of a MuData have a key");
                mdata.modalities.get(key).expect("the list of modalities comes from this MuData")
            }
        }
    }

    /// Layers of a modality in the file.
    pub fn layer_names(&self, modality: &ModalityInfo) -> Vec<String> {
        if !self.editable {
            return self.adata(modality).layers.keys().cloned().collect();
        }
        brodmann_data::layer_names(&self.path, modality.key.as_deref()).unwrap_or_default()
    }

    /// The counts of a modality (`X` or `layer`), rows in the order of the whole; read now, not kept.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming the layers there are.
    pub fn counts(
        &self,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<CsrMatrix<f32>, PipelineError> {
        let loaded = self.adata(modality).matrix(layer).ok().map(Matrix::to_csr_f32);
        let counts = match loaded {
            Some(counts) => counts.into_owned(),
            None if self.editable => self.read_matrix(modality, layer)?.into_csr_f32(),
            None => self.adata(modality).matrix(layer)?.to_csr_f32().into_owned(),
        };
        Ok(match &modality.rows {
            None => counts,
            Some(rows) => counts.view().select_rows(rows),
        })
    }

    /// Whether the counts of a modality are still to be read from a file whose parts can be read one by one.
    pub(super) fn is_in_file(&self, modality: &ModalityInfo, layer: Option<&str>) -> bool {
        self.editable && self.adata(modality).matrix(layer).is_err()
    }

    /// The counts of a modality as rows to be read block by block; `None` where they are in memory already, in another
    /// order than the whole, or stored so that they can only be read whole ([`Tissue::counts`]).
    ///
    /// # Errors
    /// [`DataError`] when the file cannot be opened or its headers cannot be followed.
    pub(super) fn count_rows(
        &self,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<Option<CountRows>, PipelineError> {
        let adata = self.adata(modality);
        if modality.rows.is_some() || !self.is_in_file(modality, layer) {
            return Ok(None);
        }
        let found = MatrixRows::open(&self.path, modality.key.as_deref(), layer)?;
        let fits = |m: &MatrixRows| (m.n_rows(), m.n_cols()) == (adata.n_obs(), adata.n_vars());
        Ok(found.filter(fits).map(CountRows::new))
    }

    /// How much the counts of a modality hold, and how they will be read; `None` where there are none.
    pub(super) fn counts_size(
        &self,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<Option<CountsSize>, PipelineError> {
        if let Ok(matrix) = self.adata(modality).matrix(layer) {
            return Ok(Some(CountsSize { nnz: matrix.nnz(), streamed: false, kept: false }));
        }
        if let Some(rows) = self.count_rows(modality, layer)? {
            let (nnz, kept) = (rows.nnz(), rows.may_be_kept());
            return Ok(Some(CountsSize { nnz, streamed: true, kept }));
        }
        if !self.editable {
            return Ok(None);
        }
        let nnz = brodmann_data::stored_entries(&self.path, modality.key.as_deref(), layer)?;
        Ok(nnz.map(|nnz| CountsSize { nnz, streamed: false, kept: false }))
    }

    /// Stored edges of `obsp[key]` of a modality, where it is there.
    pub(super) fn graph_edges(&self, modality: &ModalityInfo, key: &str) -> Option<usize> {
        self.adata(modality).obsp.get(key).map(Matrix::nnz)
    }

    /// Stored edges of `obsp[key]` of the whole tissue, where it is there.
    pub(super) fn whole_graph_edges(&self, key: &str) -> Option<usize> {
        match &self.container {
            Container::Single(adata) => adata.obsp.get(key).map(Matrix::nnz),
            Container::Multi(mdata) => mdata.obsp.get(key).map(Matrix::nnz),
        }
    }

    /// Columns of `obsm[key]` of a modality or of the whole, where it is there.
    pub(super) fn embedding_width(&self, modality: &ModalityInfo, key: &str) -> Option<usize> {
        let whole = match &self.container {
            Container::Single(_) => None,
            Container::Multi(mdata) => mdata.obsm.get(key),
        };
        let value = self.adata(modality).obsm.get(key).or(whole)?;
        value.shape().and_then(|shape| shape.get(1).copied())
    }

    fn read_matrix(&self, modality: &ModalityInfo, layer: Option<&str>) -> Result<Matrix, PipelineError> {
        let mut options = ReadOptions::names_only();
        match layer {
            None => options.x = true,
            Some(layer) => options.layers = Select::only([layer]),
        }
        let mut adata = match &modality.key {
            None => brodmann_data::read_h5ad(&self.path, &options)?,
            Some(key) => {
                options.modalities = Select::only([key]);
                let mut mdata = brodmann_data::read_h5mu(&self.path, &options)?;
                mdata.modalities.swap_remove(key).unwrap_or_default()
            }
        };
        // Asks again so that a missing key gives the reader's own message, with the keys there are.
        adata.matrix(layer).map_err(|e| self.with_existing(e, modality.key.as_deref()))?;
        let matrix = match layer {
            None => adata.x.take(),
            Some(layer) => adata.layers.swap_remove(layer),
        };
        Ok(matrix.expect("just found"))
    }

    /// `obsm[key]` of a modality, rows in the order of the whole; `None` when it is absent.
    ///
    /// # Errors
    /// When it is there but not numbers of the right shape.
    pub fn embedding(
        &self,
        modality: &ModalityInfo,
        key: &str,
    ) -> Result<Option<Array2<f64>>, PipelineError> {
        let adata = self.adata(modality);
        if !adata.obsm.contains_key(key) {
            return Ok(None);
        }
        let matrix = adata.obsm_f64(key)?;
        Ok(Some(match &modality.rows {
            None => matrix,
            Some(rows) => matrix.select(Axis(0), rows),
        }))
    }

    /// `obsm[key]` of the whole or, failing that, of the first modality that has it.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming what there is.
    pub fn any_embedding(&self, key: &str) -> Result<Array2<f64>, PipelineError> {
        if let Container::Multi(mdata) = &self.container
            && mdata.obsm.contains_key(key)
        {
            return Ok(mdata.obsm_f64(key)?);
        }
        for modality in &self.modalities {
            if let Some(embedding) = self.embedding(modality, key)? {
                return Ok(embedding);
            }
        }
        let missing = DataError::MissingKey {
            container: "obsm".to_owned(),
            key: key.to_owned(),
            place: self.path.display().to_string(),
            existing: Vec::new(),
            hint: "name one of these with --use-rep, or make an embedding with `brodmann preprocess`"
                .to_owned(),
        };
        // Where the whole has no embedding, those of the modality that is looked into first are named.
        let whole = self.with_existing(missing, None);
        Err(match (&whole, self.modalities.first().and_then(|m| m.key.as_deref())) {
            (DataError::MissingKey { existing, .. }, Some(first)) if existing.is_empty() => {
                self.with_existing(whole, Some(first))
            }
            _ => whole,
        }
        .into())
    }

    /// `obsp[key]` of a modality, rows and columns in the order of the whole; `None` when it is absent.
    ///
    /// # Errors
    /// When it is there but not `(n_obs, n_obs)`.
    pub fn graph(&self, modality: &ModalityInfo, key: &str) -> Result<Option<CsrMatrix<f64>>, PipelineError> {
        let adata = self.adata(modality);
        if !adata.obsp.contains_key(key) {
            return Ok(None);
        }
        let graph = adata.obsp_csr(key)?;
        Ok(Some(match &modality.rows {
            None => graph.into_owned(),
            Some(rows) => {
                Matrix::CsrF64(graph.into_owned()).select_rows(rows).select_columns(rows).into_csr_f64()
            }
        }))
    }

    /// `obsp[key]` of the whole tissue: of the MuData, or of the AnnData.
    ///
    /// # Errors
    /// When it is there but not `(n_obs, n_obs)`.
    pub fn whole_graph(&self, key: &str) -> Result<Option<CsrMatrix<f64>>, PipelineError> {
        match &self.container {
            Container::Single(_) => self.graph(&self.modalities[0], key),
            Container::Multi(mdata) if mdata.obsp.contains_key(key) => {
                Ok(Some(mdata.obsp_csr(key)?.into_owned()))
            }
            Container::Multi(_) => Ok(None),
        }
    }

    /// `obsm[key]` of the whole, or of the first modality that has it, with the names of its columns (numbers from
    /// 0 where it has none), rows in the order of the whole; `None` where it is absent or holds no numbers.
    pub fn table(&self, key: &str) -> Option<(Vec<String>, Array2<f64>)> {
        let of = |value: &Value| {
            let numbers = value.to_matrix_f64()?;
            let names = match value {
                Value::Frame(frame) => frame.columns.keys().cloned().collect(),
                _ => (0..numbers.ncols()).map(|j| j.to_string()).collect(),
            };
            Some((names, numbers))
        };
        if let Container::Multi(mdata) = &self.container
            && let Some(value) = mdata.obsm.get(key)
        {
            return of(value).filter(|(_, numbers)| numbers.nrows() == self.n_obs());
        }
        self.modalities.iter().find_map(|modality| {
            let (names, numbers) = of(self.adata(modality).obsm.get(key)?)?;
            let numbers = match &modality.rows {
                None => numbers,
                Some(rows) => numbers.select(Axis(0), rows),
            };
            Some((names, numbers)).filter(|(_, numbers)| numbers.nrows() == self.n_obs())
        })
    }

    /// A column of `var` of a modality.
    pub fn var_column(&self, modality: &ModalityInfo, key: &str) -> Option<&Column> {
        self.adata(modality).var.columns.get(key)
    }

    /// Names of the entries of `obsm` of the whole, or of every modality where the whole has none.
    pub fn obsm_names(&self) -> Vec<String> {
        if !self.editable {
            return self.modalities.iter().flat_map(|m| self.adata(m).obsm.keys().cloned()).collect();
        }
        brodmann_data::element_names(&self.path, None, "obsm").unwrap_or_default()
    }

    /// Whether `obsm[key]` is there, in the whole or in a modality, whatever it holds.
    pub fn has_embedding(&self, key: &str) -> bool {
        let whole = match &self.container {
            Container::Single(_) => false,
            Container::Multi(mdata) => mdata.obsm.contains_key(key),
        };
        whole || self.modalities.iter().any(|m| self.adata(m).obsm.contains_key(key))
    }

    /// Spot centres.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming what `obsm` holds and how to add coordinates.
    pub fn coordinates(&self, key: &str) -> Result<Array2<f64>, PipelineError> {
        match &self.container {
            Container::Single(adata) if adata.obsm.contains_key(key) => Ok(adata.obsm_f64(key)?),
            Container::Single(adata) => {
                let missing = DataError::MissingKey {
                    container: "obsm".to_owned(),
                    key: key.to_owned(),
                    place: self.path.display().to_string(),
                    existing: adata.obsm.keys().cloned().collect(),
                    hint: NO_SPACE.to_owned(),
                };
                Err(self.with_existing(missing, None).into())
            }
            Container::Multi(mdata) => mdata.coordinates(key).map_err(|e| self.with_existing(e, None).into()),
        }
    }

    /// An obs column of the whole, or of the first modality that has it, in the order of the whole.
    pub fn obs_column(&self, key: &str) -> Option<Column> {
        match &self.container {
            Container::Single(adata) => adata.obs.columns.get(key).cloned(),
            Container::Multi(mdata) => mdata.obs.columns.get(key).cloned().or_else(|| {
                self.modalities.iter().find_map(|modality| {
                    let column = self.adata(modality).obs.columns.get(key)?;
                    Some(match &modality.rows {
                        None => column.clone(),
                        Some(rows) => column.select_rows(rows),
                    })
                })
            }),
        }
    }

    /// Names of the obs columns of the whole.
    pub fn obs_columns(&self) -> Vec<String> {
        match &self.container {
            Container::Single(adata) => adata.obs.columns.keys().cloned().collect(),
            Container::Multi(mdata) => mdata.obs.columns.keys().cloned().collect(),
        }
    }

    /// An obs column as categories.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming the columns there are.
    pub fn labels(&self, key: &str) -> Result<Categorical, PipelineError> {
        self.obs_column(key).map(|c| c.to_categorical()).ok_or_else(|| {
            let missing = DataError::MissingKey {
                container: "obs".to_owned(),
                key: key.to_owned(),
                place: self.path.display().to_string(),
                existing: self.obs_columns(),
                hint: "name one of these columns".to_owned(),
            };
            self.with_existing(missing, None).into()
        })
    }

    /// A missing key, with all the keys the file has beside it: only those that are needed were read.
    fn with_existing(&self, error: DataError, modality: Option<&str>) -> DataError {
        match error {
            DataError::MissingKey { container, key, existing, hint, .. } => {
                let group = if container == "adata" { "layers" } else { container.as_str() };
                let all = if self.editable {
                    brodmann_data::element_names(&self.path, modality, group).unwrap_or_default()
                } else {
                    Vec::new()
                };
                let existing = if all.is_empty() { existing } else { all };
                // There is nothing to choose from.
                let hint = match hint.strip_prefix("name one of these") {
                    Some(_) if existing.is_empty() && group == "layers" => {
                        "leave --layer out to take the counts from X".to_owned()
                    }
                    Some(rest) if existing.is_empty() => {
                        rest.split_once(", or ").map_or(hint.clone(), |(_, other)| other.to_owned())
                    }
                    _ => hint,
                };
                let place = self.path.display().to_string();
                DataError::MissingKey { container, key, place, existing, hint }
            }
            other => other,
        }
    }

    /// The slice of each observation; missing names are refused.
    ///
    /// # Errors
    /// As [`Tissue::labels`]; [`PipelineError::Column`] when a spot has no slice.
    pub fn slices(&self, library_key: Option<&str>) -> Result<Option<Vec<u32>>, PipelineError> {
        let Some(key) = library_key else { return Ok(None) };
        let labels = self.labels(key)?;
        labels.codes.iter().map(|&c| u32::try_from(c)).collect::<Result<Vec<u32>, _>>().map(Some).map_err(
            |_| PipelineError::Column {
                element: format!("obs[{key:?}]"),
                found: "missing values".to_owned(),
                expected: "the slice of every spot",
            },
        )
    }

    /// `uns[key]` of the whole or of the first modality that has it.
    pub fn uns(&self, key: &str) -> Option<&Value> {
        match &self.container {
            Container::Single(adata) => adata.uns.get(key),
            Container::Multi(mdata) => {
                mdata.uns.get(key).or_else(|| mdata.modalities.values().find_map(|adata| adata.uns.get(key)))
            }
        }
    }

    /// Brings rows of the whole into a modality's own order, for writing.
    pub fn to_modality_rows<T: Clone>(&self, modality: &ModalityInfo, values: Array2<T>) -> Array2<T> {
        match modality.own_order() {
            None => values,
            Some(order) => values.select(Axis(0), &order),
        }
    }

    /// Brings a matrix of the whole into a modality's own order, for writing.
    pub fn to_modality_matrix(&self, modality: &ModalityInfo, values: Matrix) -> Matrix {
        match modality.own_order() {
            None => values,
            Some(order) => values.select_rows(&order),
        }
    }

    /// Names of the observations of the whole.
    pub fn obs_names(&self) -> &[String] {
        match &self.container {
            Container::Single(adata) => adata.obs_names(),
            Container::Multi(mdata) => mdata.obs_names(),
        }
    }

    /// Brings a graph of the whole into a modality's own order, for writing.
    pub fn to_modality_graph(&self, modality: &ModalityInfo, graph: Matrix) -> Matrix {
        match modality.own_order() {
            None => graph,
            Some(order) => graph.select_rows(&order).select_columns(&order),
        }
    }

    /// Brings counts of the whole into a modality's own order, for writing.
    pub fn to_modality_counts(&self, modality: &ModalityInfo, counts: CsrMatrix<f32>) -> CsrMatrix<f32> {
        match modality.own_order() {
            None => counts,
            Some(order) => counts.view().select_rows(&order),
        }
    }

    /// Refuses, before any work, a destination that cannot take the result.
    ///
    /// # Errors
    /// [`DataError::OutputIsInput`], [`DataError::Write`], [`PipelineError::OutputEnding`].
    pub fn check_destination(&self, destination: &Destination) -> Result<(), PipelineError> {
        let Destination::File(output) = destination else {
            if self.editable {
                return Ok(());
            }
            return Err(PipelineError::Option {
                option: "--in-place",
                found: format!("used with {}", self.path.display()),
                expected: "a .h5ad or .h5mu input",
            });
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
        Ok(())
    }

    /// Writes the input with `additions` to `destination`.
    ///
    /// # Errors
    /// As [`brodmann_data::write_with_additions`]; nothing is left behind then.
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
        if self.editable {
            brodmann_data::write_with_additions(&self.path, output, additions, in_place)?;
            return Ok(());
        }
        let options = WriteOptions::default();
        match self.container {
            Container::Single(mut adata) => {
                adata.add(&additions.root);
                brodmann_data::write_h5ad(&adata, output, &options)?;
            }
            Container::Multi(mut mdata) => {
                mdata.add(additions);
                brodmann_data::write_h5mu(&mdata, output, &options)?;
            }
        }
        Ok(())
    }
}

impl ModalityInfo {
    /// For each row of the modality, its row in the whole; `None` when the order is the same.
    fn own_order(&self) -> Option<Vec<usize>> {
        let rows = self.rows.as_ref()?;
        let mut order = vec![0; rows.len()];
        for (whole, &own) in rows.iter().enumerate() {
            order[own] = whole;
        }
        Some(order)
    }
}

fn feature_types(adata: &AnnData) -> Vec<String> {
    let column = adata.var.columns.get(brodmann_data::keys::FEATURE_TYPES);
    column.map_or_else(Vec::new, |c| c.to_strings().into_iter().map(Option::unwrap_or_default).collect())
}

fn single_modality(adata: &AnnData, kind: Option<Modality>, monitor: &dyn Monitor) -> ModalityInfo {
    let guess = guess_modality(None, adata.var_names(), &feature_types(adata));
    let kind = kind.or(guess).unwrap_or_else(|| {
        monitor.note(
            "the kind of measurement is not evident from names: taken as rna (--modality says otherwise)",
        );
        Modality::Rna
    });
    ModalityInfo { name: kind.name().to_owned(), key: None, kind, rows: None }
}

fn modalities_of(mdata: &MuData, monitor: &dyn Monitor) -> Result<Vec<ModalityInfo>, PipelineError> {
    mdata.obs.require_unique("obs")?;
    let mut modalities = Vec::with_capacity(mdata.modalities.len());
    for (key, adata) in &mdata.modalities {
        let Some(rows) = mdata.rows_of(key).filter(|rows| rows.len() == adata.n_obs()) else {
            // Names differ as sets; `align` words the difference.
            let mut names = IndexMap::new();
            names.insert("mdata".to_owned(), AnnData { obs: mdata.obs.clone(), ..AnnData::default() });
            names.insert(key.clone(), AnnData { obs: adata.obs.clone(), ..AnnData::default() });
            MuData::new(names)?;
            return Err(PipelineError::Column {
                element: format!("mod[{key:?}].obs"),
                found: "other observations than the whole".to_owned(),
                expected: "the same observations in every modality",
            });
        };
        let kind = guess_modality(Some(key), adata.var_names(), &feature_types(adata)).unwrap_or_else(|| {
            monitor.note(&format!("{key}: the kind of measurement is not evident from names: taken as rna"));
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
