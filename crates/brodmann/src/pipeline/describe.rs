//! What a file holds, for a person.

use std::path::Path;

use brodmann_data::{AnnData, DataFrame, Matrix, OpenOptions, ReadOptions, Value, Whole, keys};
use brodmann_kernels::Monitor;
use indexmap::IndexMap;
use ndarray::ArrayView2;

use super::PipelineError;
use super::tissue::{Container, Opening, Tissue};

/// What a file holds, for a person.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Description {
    /// The path.
    pub path: String,
    /// `AnnData` or `MuData`.
    pub container: &'static str,
    /// Observations.
    pub n_obs: usize,
    /// Elements of the whole.
    pub elements: Elements,
    /// Modalities, or the one of an AnnData.
    pub modalities: Vec<ModalityDescription>,
    /// What the coordinates are; nothing without any.
    pub space: Option<String>,
    /// What was set aside or chosen on the way in.
    pub notes: Vec<String>,
    /// What to do with it.
    pub next: String,
}

/// Hears what a reader says, for the description.
struct Heard<'a> {
    lines: std::sync::Mutex<Vec<String>>,
    also: &'a dyn Monitor,
}

impl Monitor for Heard<'_> {
    fn stage(&self, name: &str, total: u64) {
        self.also.stage(name, total);
    }

    fn note(&self, message: &str) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.push(message.to_owned());
        }
    }

    fn warn(&self, message: &str) {
        self.also.warn(message);
    }

    fn is_interrupted(&self) -> bool {
        self.also.is_interrupted()
    }
}

/// Names of what a container holds.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Elements {
    /// Columns of obs with their kind.
    pub obs: Vec<(String, String)>,
    /// Columns of var with their kind.
    pub var: Vec<(String, String)>,
    /// obsm with what each is.
    pub obsm: Vec<(String, String)>,
    /// varm with what each is.
    pub varm: Vec<(String, String)>,
    /// obsp with their numbers of stored entries.
    pub obsp: Vec<(String, String)>,
    /// Layers with what each seems to hold.
    pub layers: Vec<(String, String)>,
    /// uns with what each is.
    pub uns: Vec<(String, String)>,
}

/// One modality.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ModalityDescription {
    /// Name.
    pub name: String,
    /// `rna`, `adt` or `atac`, as guessed.
    pub kind: &'static str,
    /// Features.
    pub n_vars: usize,
    /// What `X` seems to hold, and why.
    pub x: String,
    /// Share of `X` that is not zero.
    pub density: Option<f64>,
    /// Of `raw`, where it is there: its variables and what it seems to hold.
    pub raw: Option<String>,
    /// Its elements, for a modality of a MuData.
    pub elements: Option<Elements>,
}

/// Describes a file.
///
/// # Errors
/// As the readers.
pub fn describe(
    path: &Path,
    source: &OpenOptions,
    monitor: &dyn Monitor,
) -> Result<Description, PipelineError> {
    let heard = Heard { lines: std::sync::Mutex::default(), also: monitor };
    let tissue = Tissue::open(path, &Opening::of(source, &ReadOptions::default(), None), &heard)?;
    let mut modalities = Vec::new();
    for info in tissue.modalities() {
        let adata = tissue.original(info);
        let (x, density) = match adata.x.as_ref() {
            None => ("absent".to_owned(), None),
            Some(matrix) => {
                let csr = matrix.to_csr_f32();
                let evidence = crate::preprocess::detect_content(csr.view()).evidence;
                let storage = if matrix.is_sparse() { "sparse" } else { "dense" };
                let cells = (matrix.n_rows() * matrix.n_cols()).max(1) as f64;
                (format!("{storage}, {evidence}"), Some(csr.nnz() as f64 / cells))
            }
        };
        let raw = adata.raw.as_ref().map(|raw| {
            let held = raw.x.as_ref().map_or_else(|| "no matrix".to_owned(), content);
            format!("{} features, {held}", raw.var.n_rows())
        });
        let elements = info.key.is_some().then(|| elements_of(adata));
        modalities.push(ModalityDescription {
            name: info.name.clone(),
            kind: info.kind.name(),
            n_vars: adata.n_vars(),
            x,
            density,
            raw,
            elements,
        });
    }
    let (container, elements) = match &tissue.container {
        Container::Single(adata) => ("AnnData", elements_of(adata)),
        // Columns and matrices of variables are told with their modalities.
        Container::Multi(m) => {
            let whole = Elements::of(m.whole());
            ("MuData", Elements { var: Vec::new(), varm: Vec::new(), ..whole })
        }
    };
    let space = tissue.coordinates(keys::SPATIAL).ok().map(|at| space_of(&tissue, at.view()));
    let ending = if container == "AnnData" { "h5ad" } else { "h5mu" };
    let next = if space.is_some() {
        format!("brodmann domains {} --out domains.{ending}", path.display())
    } else {
        format!("no obsm[\"spatial\"]: brodmann leiden {} --out clusters.{ending}", path.display())
    };
    Ok(Description {
        path: path.display().to_string(),
        container,
        n_obs: tissue.n_obs(),
        elements,
        modalities,
        space,
        notes: heard.lines.into_inner().unwrap_or_default(),
        next,
    })
}

/// What a matrix seems to hold, by its first rows.
fn content(matrix: &Matrix) -> String {
    let rows: Vec<usize> = (0..matrix.n_rows().min(512)).collect();
    crate::preprocess::detect_content(matrix.select_rows(&rows).to_csr_f32().view()).evidence
}

/// Extents, spacing and unit of coordinates.
fn space_of(tissue: &Tissue, at: ArrayView2<'_, f64>) -> String {
    let spans: Vec<String> = at
        .columns()
        .into_iter()
        .map(|axis| {
            let finite = axis.iter().copied().filter(|v| v.is_finite());
            let (low, high) =
                finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
            format!("{low:.1} to {high:.1}")
        })
        .collect();
    let unit = tissue.coordinate_unit();
    let spacing = crate::graph::spatial_knn(at, None, 1, false).ok().and_then(|graph| {
        let mut distances: Vec<f64> = graph.distances.data().to_vec();
        distances.sort_by(f64::total_cmp);
        distances.get(distances.len() / 2).copied()
    });
    let spacing = spacing.map_or_else(String::new, |d| format!(", nearest spots {d:.2} apart (median)"));
    let unit =
        unit.map_or_else(|| ", unit not recorded".to_owned(), |unit| format!(", in units of a {unit}"));
    format!("{}{unit}{spacing}", spans.join(" x "))
}

impl Elements {
    fn of(whole: Whole<'_>) -> Self {
        let columns = |frame: &DataFrame| frame.columns.iter().map(|(k, c)| (k.clone(), c.kind())).collect();
        let values = |map: &IndexMap<String, Value>| map.iter().map(|(k, v)| (k.clone(), v.kind())).collect();
        Self {
            obs: columns(whole.obs),
            obsm: values(whole.obsm),
            obsp: whole.obsp.iter().map(|(k, m)| (k.clone(), format!("{} entries", m.nnz()))).collect(),
            uns: values(whole.uns),
            var: columns(whole.var),
            varm: values(whole.varm),
            layers: Vec::new(),
        }
    }
}

fn elements_of(adata: &AnnData) -> Elements {
    let layers = adata.layers.iter().map(|(name, matrix)| (name.clone(), content(matrix))).collect();
    Elements { layers, ..Elements::of(adata.whole()) }
}

impl Description {
    /// Lines for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} of {} observations", self.path, self.container, self.n_obs)];
        for m in &self.modalities {
            let density = m.density.map_or_else(String::new, |d| format!(", {:.1} % non-zero", 100.0 * d));
            lines.push(format!("  {} ({}): {} features; X {}{density}", m.name, m.kind, m.n_vars, m.x));
            lines.extend(m.raw.iter().map(|raw| format!("    raw: {raw}")));
            if let Some(elements) = &m.elements {
                lines.extend(elements.lines("    "));
            }
        }
        lines.extend(self.elements.lines("  "));
        lines.extend(self.space.iter().map(|space| format!("  space: {space}")));
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.push(format!("next: {}", self.next));
        lines
    }
}

impl Elements {
    fn lines(&self, indent: &str) -> Vec<String> {
        let groups = [
            ("obs", &self.obs),
            ("var", &self.var),
            ("obsm", &self.obsm),
            ("varm", &self.varm),
            ("obsp", &self.obsp),
            ("layers", &self.layers),
            ("uns", &self.uns),
        ];
        groups
            .into_iter()
            .filter(|(_, entries)| !entries.is_empty())
            .map(|(name, entries)| {
                let list: Vec<String> = entries
                    .iter()
                    .map(|(k, kind)| if kind.is_empty() { k.clone() } else { format!("{k} ({kind})") })
                    .collect();
                format!("{indent}{name}: {}", list.join(", "))
            })
            .collect()
    }
}
