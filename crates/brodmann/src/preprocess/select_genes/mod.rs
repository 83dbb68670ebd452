//! Which genes should the features rest on?
//!
//! Between normalisation and PCA, one door for all ways to choose: by how much a gene varies, by how it lies in space, by
//! what it is expressed with, or by how little it repeats others.
//!
//! * [`select_genes()`]: the ways behind one call.
//! * [`mod@nonredundant`]: of genes that vary alike, the most variable.
//! * [`mod@mrmr`]: much about the labels, little about each other.

pub mod mrmr;
pub mod nonredundant;
#[cfg(test)]
mod tests;

use brodmann_kernels::{CsrView, Monitor, OptionError, Seed, Slices};
use serde::{Deserialize, Serialize};

use super::coexpression::{Coexpression, CoexpressionOptions, coexpression_modules};
use super::column_stats::slices_of;
use super::error::PreprocessError;
use super::highly_variable_genes::{HvgFlavor, HvgOptions, HvgSelection, highly_variable_genes};
use crate::stats::{AutocorrelationOptions, StatsError, Variables, morans_i};
use nonredundant::{n_candidates, nonredundant};

/// How genes are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneSelection {
    /// The most variable, by the flavour asked for.
    #[default]
    Hvg,
    /// The most variable by binned dispersion, whatever the flavour: mean-variance plot, `seurat`.
    Mvp,
    /// Those with the largest Moran's I on the spatial graph.
    Svg,
    /// Hub genes of co-expression modules.
    Modules,
    /// Variable genes, of those that vary alike only the most variable.
    Nonredundant,
}

impl GeneSelection {
    /// All ways.
    pub const ALL: [Self; 5] = [Self::Hvg, Self::Mvp, Self::Svg, Self::Modules, Self::Nonredundant];

    /// The name in options, records and models.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hvg => "hvg",
            Self::Mvp => "mvp",
            Self::Svg => "svg",
            Self::Modules => "modules",
            Self::Nonredundant => "nonredundant",
        }
    }

    /// What the genes chosen are called in a sentence.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Hvg | Self::Mvp => "highly variable",
            Self::Svg => "spatially variable",
            Self::Modules => "hubs of co-expression modules",
            Self::Nonredundant => "variable and not redundant",
        }
    }

    /// Whether it looks at logarithms of all genes, rather than at means and variances.
    pub const fn reads_expression(self) -> bool {
        matches!(self, Self::Svg | Self::Modules | Self::Nonredundant)
    }

    /// Whether it needs the spatial graph.
    pub const fn needs_graph(self) -> bool {
        matches!(self, Self::Svg)
    }
}

impl std::str::FromStr for GeneSelection {
    type Err = PreprocessError;

    fn from_str(s: &str) -> Result<Self, PreprocessError> {
        let expected = "one of hvg, mvp, svg, modules, nonredundant";
        let found = Self::ALL.into_iter().find(|way| way.name() == s);
        found.ok_or_else(|| OptionError::new("select", format!("{s:?}"), expected).into())
    }
}

/// What a choice may rest on beside expression.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'a> {
    /// `(n_obs, n_obs)` spatial graph; `svg` needs it.
    pub graph: Option<CsrView<'a, f64>>,
    /// Slice of each spot.
    pub slices: Option<&'a Slices>,
    /// How variable each gene is (larger is more; NaN: not at all) for `nonredundant`; measured by the flavour where absent.
    pub variability: Option<Vec<f64>>,
    /// How variability is measured; `hvg` and `nonredundant`.
    pub flavor: HvgFlavor,
}

/// Genes chosen; one entry per gene.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectedGenes {
    /// The verdict.
    pub selected: Vec<bool>,
    /// What it rests on: standardised dispersion, Moran's I, |correlation with the eigengene|; NaN where not defined.
    pub score: Vec<f64>,
    /// The modules, for [`GeneSelection::Modules`].
    pub modules: Option<Coexpression>,
}

/// Chooses at most `n_top_genes` genes.
///
/// * `hvg`, `mvp`: [`highly_variable_genes()`]; `mvp` is its flavour `seurat`.
/// * `svg`: the largest Moran's I. Of several slices the mean of theirs; a gene silent in one has 0 there.
/// * `modules`: [`coexpression_modules()`] with its defaults; the nearest gene to each eigengene, then the second nearest, and
///   so on until there are enough. Fewer where the modules hold fewer.
/// * `nonredundant`: [`nonredundant()`].
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, log-normalised (raw counts for `hvg` with the flavour `seurat_v3`). `seed`: see
/// [`coexpression_modules()`].
/// # Returns
/// [`SelectedGenes`]; ties go to the gene that comes first.
/// # Errors
/// `NoSpatialGraph` (`svg` without a graph), `Spatial` (a graph of other spots, or without edges), `Option`, and those of the
/// ways themselves.
/// # Cost
/// `svg`: as [`morans_i()`], and of several slices a copy of `x`. The others: as their functions.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{Evidence, GeneSelection, select_genes};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::Array2;
///
/// // A row of spots. Gene 0 is on in its left half, gene 1 in every other spot.
/// let near = Array2::from_shape_fn((8, 8), |(i, j)| f64::from(i.abs_diff(j) == 1));
/// let near = CsrMatrix::from_dense(near.view());
/// let x = Array2::from_shape_fn((8, 2), |(i, j)| if j == 0 { f32::from(i < 4) } else { (i % 2) as f32 });
/// let x = CsrMatrix::from_dense(x.view());
/// let evidence = Evidence { graph: Some(near.view()), ..Default::default() };
/// let found = select_genes(x.view(), GeneSelection::Svg, 1, &evidence, Seed(0), &Silent)?;
/// assert_eq!(found.selected, [true, false]);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn select_genes(
    x: CsrView<'_, f32>,
    way: GeneSelection,
    n_top_genes: usize,
    evidence: &Evidence<'_>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<SelectedGenes, PreprocessError> {
    if n_top_genes == 0 {
        return Err(OptionError::new("n_top_genes", 0, "at least 1").into());
    }
    let (n_obs, n_vars) = (x.n_rows(), x.n_cols());
    if n_obs == 0 || n_vars == 0 {
        return Err(PreprocessError::Empty { n_obs, n_vars });
    }
    match way {
        GeneSelection::Hvg => variable(x, evidence.flavor, n_top_genes, evidence.slices, monitor),
        GeneSelection::Mvp => variable(x, HvgFlavor::Seurat, n_top_genes, evidence.slices, monitor),
        GeneSelection::Svg => {
            let graph = evidence.graph.ok_or(PreprocessError::NoSpatialGraph)?;
            let score = mean_morans_i(x, graph, &slices_of(n_obs, evidence.slices)?, seed, monitor)?;
            let selected = top(&score, n_top_genes);
            Ok(SelectedGenes { selected, score, modules: None })
        }
        GeneSelection::Modules => {
            let options = CoexpressionOptions::default();
            let found = coexpression_modules(x, evidence.slices, &options, seed, monitor)?;
            let selected = hub_genes(&found, n_top_genes);
            let score = (0..n_vars).map(|j| found.own_membership(j).abs()).collect();
            Ok(SelectedGenes { selected, score, modules: Some(found) })
        }
        GeneSelection::Nonredundant => {
            let score = match &evidence.variability {
                Some(given) if given.len() == n_vars => given.clone(),
                Some(given) => {
                    return Err(PreprocessError::ShapeMismatch {
                        what: "the list of variabilities",
                        found: given.len(),
                        expected: n_vars,
                        per: "variable",
                    });
                }
                None => {
                    let n = n_candidates(n_top_genes).min(n_vars);
                    variable(x, evidence.flavor, n, evidence.slices, monitor)?.score
                }
            };
            let slices = slices_of(n_obs, evidence.slices)?;
            let selected = nonredundant(x, &slices, &score, n_top_genes, monitor)?;
            Ok(SelectedGenes { selected, score, modules: None })
        }
    }
}

fn variable(
    x: CsrView<'_, f32>,
    flavor: HvgFlavor,
    n_top: usize,
    slices: Option<&Slices>,
    monitor: &dyn Monitor,
) -> Result<SelectedGenes, PreprocessError> {
    let options = HvgOptions { flavor, selection: HvgSelection::Top(n_top), ..HvgOptions::default() };
    let table = highly_variable_genes(x, slices, &options, monitor)?;
    Ok(SelectedGenes { selected: table.highly_variable, score: table.normalized, modules: None })
}

/// Moran's I of each gene, mean over the slices with edges; NaN where a gene varies in none.
fn mean_morans_i(
    x: CsrView<'_, f32>,
    graph: CsrView<'_, f64>,
    slices: &Slices,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>, PreprocessError> {
    let n_obs = x.n_rows();
    let options = AutocorrelationOptions::default();
    if slices.count() == 1 {
        return Ok(morans_i(Variables::Sparse(x), graph, &options, seed, monitor)?.statistic);
    }
    if graph.n_rows() != n_obs || graph.n_cols() != n_obs {
        let (rows, columns) = (graph.n_rows(), graph.n_cols());
        return Err(StatsError::ShapeMismatch { rows, columns, n_obs }.into());
    }
    let (mut sums, mut varies) = (vec![0.0; x.n_cols()], vec![false; x.n_cols()]);
    let mut n_slices = 0u32;
    for rows in slices.rows() {
        let mut own = vec![false; n_obs];
        for &i in rows {
            own[i as usize] = true;
        }
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let edges = graph.select_rows(&rows).view().select_columns(&own);
        let values = x.select_rows(&rows);
        match morans_i(Variables::Sparse(values.view()), edges.view(), &options, seed, monitor) {
            Ok(found) => {
                n_slices += 1;
                for (j, &value) in found.statistic.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    sums[j] += value;
                    varies[j] = true;
                }
            }
            Err(StatsError::EmptyGraph { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if n_slices == 0 {
        return Err(StatsError::EmptyGraph { n_obs }.into());
    }
    let mean = |(sum, varies): (f64, bool)| if varies { sum / f64::from(n_slices) } else { f64::NAN };
    Ok(sums.into_iter().zip(varies).map(mean).collect())
}

/// The `n` largest scores; NaN is never among them.
pub(crate) fn top(score: &[f64], n: usize) -> Vec<bool> {
    let mut selected = vec![false; score.len()];
    ranked(score).into_iter().take(n).for_each(|j| selected[j] = true);
    selected
}

/// Places of the scores that are numbers, largest first.
fn ranked(score: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..score.len()).filter(|&j| !score[j].is_nan()).collect();
    order.sort_by(|&a, &b| score[b].total_cmp(&score[a]));
    order
}

/// The first hub of each module, then the second of each, and so on; modules in order of size.
fn hub_genes(found: &Coexpression, n: usize) -> Vec<bool> {
    let hubs = found.hubs();
    let mut selected = vec![false; found.module.len()];
    let deepest = hubs.iter().map(Vec::len).max().unwrap_or(0);
    (0..deepest)
        .flat_map(|rank| hubs.iter().filter_map(move |module| module.get(rank)))
        .take(n)
        .for_each(|&gene| selected[gene] = true);
    selected
}
