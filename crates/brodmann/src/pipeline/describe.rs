//! What a file holds, for a person.

use std::path::Path;

use brodmann_data::{AnnData, DataFrame, ReadOptions, Value, Whole};
use indexmap::IndexMap;

use super::PipelineError;
use super::tissue::{Container, Tissue};

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
    /// What to do with it.
    pub next: String,
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
    /// Layers.
    pub layers: Vec<String>,
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
    /// Its elements, for a modality of a MuData.
    pub elements: Option<Elements>,
}

/// Describes a file.
///
/// # Errors
/// As the readers.
pub fn describe(path: &Path) -> Result<Description, PipelineError> {
    let tissue = Tissue::open(path, &ReadOptions::default(), None, &brodmann_kernels::Silent)?;
    let mut modalities = Vec::new();
    for info in tissue.modalities() {
        let adata = tissue.adata(info);
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
        let elements = info.key.is_some().then(|| elements_of(adata));
        modalities.push(ModalityDescription {
            name: info.name.clone(),
            kind: info.kind.name(),
            n_vars: adata.n_vars(),
            x,
            density,
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
    let has_space = tissue.coordinates(brodmann_data::keys::SPATIAL).is_ok();
    let ending = if container == "AnnData" { "h5ad" } else { "h5mu" };
    let next = if has_space {
        format!("brodmann spatialleiden {} --out domains.{ending}", path.display())
    } else {
        format!("no obsm[\"spatial\"]: brodmann leiden {} --out clusters.{ending}", path.display())
    };
    Ok(Description {
        path: path.display().to_string(),
        container,
        n_obs: tissue.n_obs(),
        elements,
        modalities,
        next,
    })
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
    Elements { layers: adata.layers.keys().cloned().collect(), ..Elements::of(adata.whole()) }
}

impl Description {
    /// Lines for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {} of {} observations", self.path, self.container, self.n_obs)];
        for m in &self.modalities {
            let density = m.density.map_or_else(String::new, |d| format!(", {:.1} % non-zero", 100.0 * d));
            lines.push(format!("  {} ({}): {} features; X {}{density}", m.name, m.kind, m.n_vars, m.x));
            if let Some(elements) = &m.elements {
                lines.extend(elements.lines("    "));
            }
        }
        lines.extend(self.elements.lines("  "));
        lines.push(format!("next: {}", self.next));
        lines
    }
}

impl Elements {
    fn lines(&self, indent: &str) -> Vec<String> {
        let layers: Vec<(String, String)> = self.layers.iter().map(|l| (l.clone(), String::new())).collect();
        let groups = [
            ("obs", &self.obs),
            ("var", &self.var),
            ("obsm", &self.obsm),
            ("varm", &self.varm),
            ("obsp", &self.obsp),
            ("layers", &layers),
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
