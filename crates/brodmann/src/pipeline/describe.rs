//! What a file holds, for a person.

use std::path::Path;

use brodmann_data::{AnnData, DataFrame, Matrix, OpenOptions, ReadOptions, Value, Whole, keys};
use brodmann_kernels::Monitor;
use indexmap::IndexMap;
use ndarray::ArrayView2;

use super::PipelineError;
use super::tissue::{Container, Opening, Tissue};

/// Features that are named.
const MOST_NAMED: usize = 50;

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
    /// Features whose names fit what was looked for, where something was.
    pub like: Option<Vec<String>>,
}

/// Describes a file; `like`: also names the features that hold these letters, or fit a pattern with `*` and `?`, in upper or
/// lower case.
///
/// # Errors
/// As the readers.
pub fn describe(
    path: &Path,
    source: &OpenOptions,
    like: Option<&str>,
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
            like: like.map(|like| {
                let names = adata.var_names().iter();
                names.filter(|name| fits(&name.to_lowercase(), &like.to_lowercase())).cloned().collect()
            }),
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
    let file = quoted(&path.display().to_string());
    let next = match (result_of(&elements), space.is_some()) {
        (Some(key), true) => {
            let out = quoted(&format!("{}.png", key.replace('/', "-")));
            format!("brodmann plot {file} --color {} --out {out}", quoted(key))
        }
        (None, true) => format!("brodmann domains {file} --out domains.{ending}"),
        (_, false) => format!("no obsm[\"spatial\"]: brodmann leiden {file} --out clusters.{ending}"),
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

/// A column of domains that a run has left, those that methods agree on first.
fn result_of(elements: &Elements) -> Option<&str> {
    let has_record = |name: &str| elements.uns.iter().any(|(key, _)| key == name);
    let results = || elements.obs.iter().map(|(name, _)| name.as_str()).filter(|name| has_record(name));
    results().find(|name| *name == keys::DOMAINS).or_else(|| results().next())
}

/// A word as a shell takes it.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether a name holds the letters of a pattern, or fits one with `*` and `?`.
fn fits(name: &str, pattern: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return name.contains(pattern);
    }
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    // Where the last star stands, and how far it reaches by now.
    let (mut n, mut p, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => (n, p) = (n + 1, p + 1),
            _ => match &mut star {
                Some((at, reach)) => {
                    *reach += 1;
                    (n, p) = (*reach, *at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
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
            if let Some(like) = &m.like {
                let more = like.len().saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let named = like.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
                let list = if like.is_empty() { String::new() } else { format!(": {named}{more}") };
                let noun = if like.len() == 1 { "feature" } else { "features" };
                lines.push(format!("    {} {noun} of such a name{list}", like.len()));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_patterns_find_names() {
        for (name, pattern, found) in [
            ("cux2os", "ux2", true),
            ("cux2os", "cux?", false),
            ("cux2", "cux?", true),
            ("cux2os", "c*2*", true),
            ("mt-nd1", "mt-*", true),
            ("gmt-1", "mt-*", false),
            ("aab", "*ab", true),
            ("", "*", true),
            ("a", "?*?", false),
        ] {
            assert_eq!(fits(name, pattern), found, "{name} {pattern}");
        }
    }

    #[test]
    fn what_is_next_is_what_a_shell_takes() {
        assert_eq!(quoted("data/a-b_1.h5ad"), "data/a-b_1.h5ad");
        assert_eq!(quoted("my data/it's.h5ad"), r"'my data/it'\''s.h5ad'");
    }

    #[test]
    fn a_result_is_a_column_with_a_record() {
        let named =
            |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), String::new())).collect::<Vec<_>>();
        let of = |obs: &[&str], uns: &[&str]| {
            let elements = Elements { obs: named(obs), uns: named(uns), ..Elements::default() };
            result_of(&elements).map(str::to_owned)
        };
        assert_eq!(
            of(&["truth", "staig", "domains"], &["staig", "domains", "pca"]),
            Some("domains".to_owned())
        );
        assert_eq!(of(&["truth", "staig"], &["staig", "pca"]), Some("staig".to_owned()));
        assert_eq!(of(&["truth"], &["pca"]), None);
    }
}
