//! The values that genes are compared by: logarithms, from counts or as they are in the file.

use std::ops::ControlFlow;

use brodmann_kernels::{CsrMatrix, CsrView, Opt, OptionError};
use serde::{Deserialize, Serialize};

use crate::pipeline::PipelineError;
use crate::pipeline::count_rows::{CountRows, CountRowsError};
use crate::pipeline::embedding::LOG_NORMALIZED;
use crate::pipeline::expression::TARGET_SUM;
use crate::pipeline::request::FeatureRequest;
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::preprocess::feature_map::comparable;
use crate::preprocess::{Detected, MatrixContent, Modality, PreprocessError, RowSource, detect_content};
use crate::stats::{ExpressionRows, StatsError, VisitRows};

/// Rows that are looked at to tell counts from logarithms.
const SAMPLE: usize = 512;

/// Which values, of which modality.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValuesRequest {
    /// Of several modalities those of this kind alone; of an AnnData what it measures, where names do not tell.
    pub modality: Option<Modality>,
    /// Layer that holds the values instead of `X`.
    pub layer: Option<String>,
    /// They are logarithms already.
    pub normalized: bool,
    /// Total that the counts of each spot are scaled to; 10,000 where nothing is said.
    pub target_sum: Option<f64>,
}

impl ValuesRequest {
    /// Refuses a total that no spot can be brought to.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        match self.target_sum {
            Some(sum) if !(sum.is_finite() && sum > 0.0) => {
                Err(OptionError::new("target_sum", sum, "a number above 0"))
            }
            _ => Ok(()),
        }
    }

    /// What counts are looked for by when the file is opened.
    pub(in crate::pipeline) fn features(&self) -> FeatureRequest {
        FeatureRequest {
            modality: self.modality,
            layer: self.layer.clone(),
            normalized: self.normalized,
            ..FeatureRequest::default()
        }
    }
}

/// The values of one modality: in memory, or made of a file's blocks as they are read.
pub(in crate::pipeline) struct LogRows<'a> {
    modality: &'a str,
    source: Source,
    /// What they are, for the report.
    pub what: String,
}

enum Source {
    Loaded(CsrMatrix<f32>),
    /// Counts, to be scaled to this total and taken the logarithm of; values as they are without it.
    File(CountRows, Option<f64>),
}

impl<'a> LogRows<'a> {
    /// Opens the values of a modality. Small ones are read, larger ones passed over.
    pub(in crate::pipeline) fn open(
        tissue: &Tissue,
        modality: &'a ModalityInfo,
        request: &ValuesRequest,
        run: &mut Run<'_>,
    ) -> Result<Self, PipelineError> {
        let monitor = run.monitor;
        let logged = request.layer.is_none() && !request.normalized && has_logarithms(tissue, modality);
        let layer = if logged { Some(LOG_NORMALIZED) } else { request.layer.as_deref() };
        if let Some(note) = modality.note(layer) {
            monitor.note(note);
        }
        monitor.stage(&format!("{}: reading values", modality.name), 0);
        let rows = run.timed(Stage::Read, || tissue.count_rows(modality, layer))?;
        let streamed = rows.filter(|rows| !rows.may_be_kept() && modality.kind != Modality::Adt);
        let (source, sample) = if let Some(rows) = streamed {
            let sample = run.timed(Stage::Read, || first_rows(&rows)).map_err(|e| told(e, &modality.name))?;
            (Source::File(rows, None), sample)
        } else {
            let values = run.timed(Stage::Read, || tissue.counts(modality, layer))?;
            let rows: Vec<usize> = (0..values.n_rows().min(SAMPLE)).collect();
            let sample = values.view().select_rows(&rows);
            (Source::Loaded(values), sample)
        };
        let found = detect_content(sample.view());
        let is_counts = found.content == MatrixContent::RawCounts && !logged && !request.normalized;
        let target = request.target_sum.unwrap_or(TARGET_SUM);
        let place = layer.map_or("X".to_owned(), |layer| format!("layers[{layer:?}]"));
        let (source, what) = if is_counts {
            run.timed(Stage::Preprocess, || normalised(source, modality.kind, target))
        } else {
            doubt(&found, &place, request, &modality.name, run);
            (source, format!("{place} as logarithms"))
        };
        monitor.note(&format!("{}: values are {what}", modality.name));
        Ok(Self { modality: &modality.name, source, what })
    }

    /// Some columns: spots in rising order, and their values.
    pub(in crate::pipeline) fn columns(
        &self,
        genes: &[usize],
    ) -> Result<Vec<Vec<(u32, f32)>>, PipelineError> {
        let mut place = vec![u32::MAX; self.n_vars()];
        for (k, &j) in genes.iter().enumerate() {
            place[j] = k as u32;
        }
        let mut columns = vec![Vec::new(); genes.len()];
        self.for_each_block(&mut |first, block| {
            for i in 0..block.n_rows() {
                let (own, values) = block.row(i);
                for (&j, &v) in own.iter().zip(values) {
                    if let Some(column) = columns.get_mut(place[j as usize] as usize) {
                        column.push(((first + i) as u32, v));
                    }
                }
            }
            Ok(())
        })?;
        Ok(columns)
    }

    /// The same, the zeros filled in.
    pub(in crate::pipeline) fn dense_columns(&self, genes: &[usize]) -> Result<Vec<Vec<f64>>, PipelineError> {
        let fill = |column: Vec<(u32, f32)>| {
            let mut values = vec![0.0; self.n_obs()];
            for (i, v) in column {
                values[i as usize] = f64::from(v);
            }
            values
        };
        Ok(self.columns(genes)?.into_iter().map(fill).collect())
    }

    /// The whole matrix; read now where it is not in memory.
    pub(in crate::pipeline) fn into_matrix(self) -> Result<CsrMatrix<f32>, PipelineError> {
        match self.source {
            Source::Loaded(values) => Ok(values),
            Source::File(..) => {
                let mut all = CsrMatrix::with_capacity(self.n_vars(), self.n_obs(), self.nnz());
                self.for_each_block(&mut |_, block| {
                    for i in 0..block.n_rows() {
                        let (columns, values) = block.row(i);
                        all.push_row(columns.iter().copied().zip(values.iter().copied()));
                    }
                    Ok(())
                })?;
                Ok(all)
            }
        }
    }
}

/// In how many spots each feature has a value other than 0.
pub(super) fn spots_with(values: CsrView<'_, f32>) -> Vec<usize> {
    let mut seen = vec![0; values.n_cols()];
    for (&j, _) in values.indices().iter().zip(values.data()).filter(|(_, v)| **v != 0.0) {
        seen[j as usize] += 1;
    }
    seen
}

/// Whether a modality has the layer that preprocessing leaves, on the variables that are looked at.
fn has_logarithms(tissue: &Tissue, modality: &ModalityInfo) -> bool {
    modality.layer(None).is_none() && tissue.layer_names(modality).iter().any(|name| name == LOG_NORMALIZED)
}

/// The first rows of a file.
fn first_rows(rows: &CountRows) -> Result<CsrMatrix<f32>, CountRowsError> {
    let mut sample = CsrMatrix::with_capacity(rows.n_cols(), 0, 0);
    rows.for_each_block(&mut |block| {
        let own: Vec<usize> = (0..block.rows.n_rows().min(SAMPLE)).collect();
        sample = block.rows.select_rows(&own);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(sample)
}

/// Counts as what their kind is compared by, and what that is called.
fn normalised(source: Source, kind: Modality, target: f64) -> (Source, String) {
    if kind == Modality::Adt {
        return match source {
            Source::Loaded(counts) => {
                let loaded = Source::Loaded(comparable(counts, kind, target));
                (loaded, "counts, centred log-ratios (CLR)".to_owned())
            }
            file @ Source::File(..) => (file, "as they are".to_owned()),
        };
    }
    // Peaks as genes: a mean of log TF-IDF says nothing of how much more often a peak is open.
    let source = match source {
        Source::Loaded(counts) => Source::Loaded(comparable(counts, Modality::Rna, target)),
        Source::File(rows, _) => Source::File(rows, Some(target)),
    };
    (source, format!("counts, scaled to {target} per spot, logarithms of 1 + x"))
}

/// Says what makes values that are not counts doubtful as logarithms.
fn doubt(found: &Detected, place: &str, request: &ValuesRequest, name: &str, run: &Run<'_>) {
    let expected = format!("name counts or logarithms with {}", Opt("layer"));
    let evidence = &found.evidence;
    match found.content {
        MatrixContent::Scaled => run.monitor.warn(&format!(
            "{name}: {place} holds values below zero ({evidence}), of which fold changes mean little; {expected}"
        )),
        MatrixContent::Normalised { .. } => run.monitor.warn(&format!(
            "{name}: {place} does not look like logarithms ({evidence}), so fold changes are too large; {expected}"
        )),
        MatrixContent::RawCounts if request.normalized => run.monitor.warn(&format!(
            "{name}: {place} holds whole numbers ({evidence}) and is taken for logarithms, as {} says",
            Opt("normalized").set(true)
        )),
        _ => {}
    }
}

/// A failed pass in terms of the modality.
fn told(error: CountRowsError, modality: &str) -> PipelineError {
    match error {
        CountRowsError::Data(error) => error.into(),
        CountRowsError::Preprocess(source) => {
            PipelineError::Preprocess { modality: modality.to_owned(), source }
        }
    }
}

impl ExpressionRows for LogRows<'_> {
    type Value = f32;
    type Error = PipelineError;

    fn n_obs(&self) -> usize {
        match &self.source {
            Source::Loaded(values) => values.n_rows(),
            Source::File(rows, _) => rows.n_rows(),
        }
    }

    fn n_vars(&self) -> usize {
        match &self.source {
            Source::Loaded(values) => values.n_cols(),
            Source::File(rows, _) => rows.n_cols(),
        }
    }

    fn nnz(&self) -> usize {
        match &self.source {
            Source::Loaded(values) => values.nnz(),
            Source::File(rows, _) => rows.nnz(),
        }
    }

    fn in_memory(&self) -> Option<CsrView<'_, f32>> {
        match &self.source {
            Source::Loaded(values) => Some(values.view()),
            Source::File(..) => None,
        }
    }

    fn for_each_block(&self, visit: &mut VisitRows<'_, f32>) -> Result<(), PipelineError> {
        let (rows, target) = match &self.source {
            Source::Loaded(values) => return Ok(visit(0, values.view())?),
            Source::File(rows, target) => (rows, *target),
        };
        // The source's own visitor fails with errors of preprocessing alone.
        let mut refused: Option<StatsError> = None;
        let passed = rows.for_each_block(&mut |block| {
            let visited = match target {
                None => visit(block.first, block.rows),
                Some(target) => {
                    let own = comparable(block.rows.to_owned(), Modality::Rna, target);
                    visit(block.first, own.view())
                }
            };
            Ok::<_, PreprocessError>(match visited {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    refused = Some(error);
                    ControlFlow::Break(())
                }
            })
        });
        passed.map_err(|e| told(e, self.modality))?;
        refused.map_or(Ok(()), |error| Err(error.into()))
    }
}
