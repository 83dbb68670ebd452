//! All steps in order: counts in, embedding out.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, OptionError, Seed, Slices};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::clr::clr;
use super::column_stats::{row_totals, slices_of};
use super::detect::Scan;
use super::error::PreprocessError;
use super::highly_variable_genes::{
    HvgFlavor, HvgOptions, HvgSelection, HvgTable, Matrix, intersect, measure,
};
use super::log1p::{log1p, log1p_f32};
use super::modality::Modality;
use super::normalize_total::{NormalizeTotalOptions, SizeFactors, scaled, size_factors};
use super::pca::{Pca, PcaOptions, pca, pca_by_slice};
use super::rows::{Kept, RowSource, collect};
use super::scale::{ScaleOptions, Scaling, scale};
use super::select_genes::nonredundant::n_candidates;
use super::select_genes::{Evidence, GeneSelection, select_genes};
use super::survey::{Survey, survey};
use super::tfidf_lsi::{Lsi, LsiOptions, tfidf_lsi};

/// How spots are made comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// The same total in every spot.
    Total,
    /// Centred log-ratio per spot; `log1p` is part of it.
    Clr,
    /// As they are: small targeted panels, or values already normalised.
    None,
}

impl Normalization {
    /// The name in options, records and models: `total`, `clr`, `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Clr => "clr",
            Self::None => "none",
        }
    }
}

impl std::fmt::Display for Normalization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Normalization {
    type Err = PreprocessError;

    fn from_str(s: &str) -> Result<Self, PreprocessError> {
        [Self::Total, Self::Clr, Self::None].into_iter().find(|n| n.name() == s).ok_or_else(|| {
            OptionError::new("normalization", format!("{s:?}"), "one of total, clr and none").into()
        })
    }
}

/// Options of [`preprocess()`]; [`PreprocessOptions::for_modality`] has the defaults of each modality.
///
/// As a serialised value it names every field. A field that is left out takes the default of RNA, whatever
/// `modality` says: start from [`PreprocessOptions::for_modality`] to merge what was said into the defaults of
/// another modality.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreprocessOptions {
    /// What was measured. Peaks go through TF-IDF and LSI and use `n_pcs` and `min_fraction` only.
    pub modality: Modality,
    /// Genes seen in fewer spots are left out (lowered to the number of non-empty spots where
    /// there are fewer).
    pub min_cells: usize,
    /// Peaks open in a smaller share of spots are left out.
    pub min_fraction: f64,
    /// Genes selected; all when `None` or when there are no more than this.
    pub n_top_genes: Option<usize>,
    /// How genes are selected.
    pub select: GeneSelection,
    /// How variability is measured.
    pub hvg_flavor: HvgFlavor,
    /// With several slices: genes that every slice selects, instead of the best combined ones.
    pub intersect_slices: bool,
    /// How spots are made comparable.
    pub normalization: Normalization,
    /// Total of each spot after [`Normalization::Total`]; `None`: the median total.
    pub target_sum: Option<f64>,
    /// Take `ln(1 + x)` (not after [`Normalization::Clr`], which did).
    pub log1p: bool,
    /// Scale genes to unit variance.
    pub scale: Option<ScaleOptions>,
    /// With several slices: centre and scale each on its own, so that what shifts a slice as a whole has no part in the
    /// embedding.
    pub by_slice: bool,
    /// Dimensions of the embedding.
    pub n_pcs: usize,
    /// Return the normalised matrix of all genes too: one more copy of the data.
    pub keep_log_normalised: bool,
}

impl Default for PreprocessOptions {
    fn default() -> Self {
        Self::for_modality(Modality::Rna)
    }
}

impl PreprocessOptions {
    /// Defaults of a modality.
    ///
    /// RNA: genes in ≥ 3 spots, 3000 highly variable (`seurat_v3`) where there are more, total 1e4, `log1p`,
    /// scaled with centring and clipped at 10, 30 components. Proteins: CLR, scaled, 10 components, no gene left
    /// out (30 and 10 as in the SpatialLeiden vignette: a panel was chosen by hand and is far smaller and more
    /// correlated than a transcriptome). Peaks: LSI with 50 dimensions, peaks in ≥ 0.5 % of spots.
    pub fn for_modality(modality: Modality) -> Self {
        let rna = Self {
            modality,
            min_cells: 3,
            min_fraction: 0.005,
            n_top_genes: Some(3000),
            select: GeneSelection::Hvg,
            hvg_flavor: HvgFlavor::SeuratV3,
            intersect_slices: false,
            normalization: Normalization::Total,
            target_sum: Some(1e4),
            log1p: true,
            scale: Some(ScaleOptions::default()),
            by_slice: false,
            n_pcs: 30,
            keep_log_normalised: false,
        };
        match modality {
            Modality::Rna => rna,
            Modality::Adt => Self {
                min_cells: 0,
                n_top_genes: None,
                normalization: Normalization::Clr,
                log1p: false,
                n_pcs: 10,
                ..rna
            },
            Modality::Atac => Self {
                min_cells: 0,
                n_top_genes: None,
                normalization: Normalization::None,
                log1p: false,
                scale: None,
                n_pcs: 50,
                ..rna
            },
        }
    }

    fn validate(&self) -> Result<(), PreprocessError> {
        let at_least_one = |option| Err(OptionError::new(option, 0, "at least 1").into());
        if self.n_pcs == 0 {
            return at_least_one("n_pcs");
        }
        if self.n_top_genes == Some(0) {
            return at_least_one("n_top_genes");
        }
        Ok(())
    }
}

/// What [`preprocess()`] made. Vectors over variables have one entry per variable of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessed {
    /// What it was treated as.
    pub modality: Modality,
    /// `(n_obs, k)`: principal components, or [`Lsi::scores`] of peaks. At least one column (of zeros where too
    /// few spots allow no component).
    pub embedding: Array2<f64>,
    /// Variables that passed the filter.
    pub kept: Vec<bool>,
    /// Variables the embedding rests on.
    pub highly_variable: Vec<bool>,
    /// What the selection measured, NaN for variables filtered out; `None` when all were taken.
    pub hvg: Option<HvgTable>,
    /// What spots were multiplied by, with [`Normalization::Total`].
    pub size_factors: Option<SizeFactors>,
    /// Scaling of the variables the embedding rests on; `None` where slices were scaled each on its own.
    pub scaling: Option<Scaling>,
    /// Principal components; rows of `components` are the `highly_variable` ones. `None` for peaks.
    pub pca: Option<Pca>,
    /// Latent semantic indexing, for peaks.
    pub lsi: Option<Lsi>,
    /// The normalised matrix of all variables, if asked for. Variables filtered out are scaled with the rest but
    /// do not count in the totals.
    pub log_normalised: Option<CsrMatrix<f32>>,
    /// Spots without any value but 0.
    pub n_empty: usize,
    /// What was done, one line each, for the log.
    pub notes: Vec<String>,
}

/// Preprocesses counts with the steps and defaults of their modality.
///
/// RNA and proteins: filter, normalise, `log1p`, select genes, scale, PCA. Peaks: TF-IDF, LSI. Spots are never
/// dropped; one without counts stays zero and so gets the coordinates of a spot that expresses nothing.
///
/// # Inputs
/// `counts`: `(n_obs, n_vars)` raw counts (anything finite with [`Normalization::None`] and no
/// `log1p`). `slices`: slice of each spot; genes are then selected slice by slice.
/// # Returns
/// The embedding and everything on the way that is worth writing to the file.
/// # Errors
/// `NonFinite`, `Negative`, `NotCounts`, `CountsWhereLogNeeded`, `NothingLeft`, `Empty`,
/// `ShapeMismatch`, `Option`, `Interrupted`.
/// # Cost
/// As [`preprocess_rows()`], and one copy of the selected columns.
/// # Source
/// scanpy's recipe with the steps named in each module.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{PreprocessOptions, preprocess};
/// use brodmann::simulate::{SimulationOptions, simulate};
/// use brodmann_kernels::{Seed, Silent};
///
/// let tissue = simulate(&SimulationOptions { side: 10, n_genes: 60, ..Default::default() }, &Silent)?;
/// let options = PreprocessOptions { n_pcs: 5, ..Default::default() };
/// let done = preprocess(tissue.modalities[0].counts.view(), None, &options, Seed(0), &Silent)?;
/// assert_eq!(done.embedding.dim(), (100, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn preprocess(
    counts: CsrView<'_, f32>,
    slices: Option<&Slices>,
    options: &PreprocessOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Preprocessed, PreprocessError> {
    preprocess_rows(&counts, slices, None, options, seed, monitor)
}

/// [`preprocess()`] of a matrix that need not be in memory.
///
/// 1. One pass checks the values and adds up what filter, totals and `seurat_v3` need. A source that may be kept is
///    kept from here on.
/// 2. Genes are selected: without a further pass, with one where counts must be clipped, or with two for the
///    flavours that look at normalised values (three where the filter dropped genes, which changes totals).
/// 3. One pass collects the selected columns, which are normalised, scaled and analysed in memory. What is selected by its
///    logarithms ([`select_genes()`]) is collected with all that it is selected from.
///
/// The result is the same bits whatever the source and its blocks.
///
/// # Inputs
/// `source`: `(n_obs, n_vars)` as for [`preprocess()`]. Peaks, and `keep_log_normalised`, need all of it
/// in memory. `graph`: `(n_obs, n_obs)` spatial graph, for [`GeneSelection::Svg`].
/// # Returns
/// As [`preprocess()`].
/// # Errors
/// As [`preprocess()`], and the source's own when a pass fails.
/// # Cost
/// Two to five passes; 8 bytes per entry of the selected columns, 8 per spot, [`pca()`], one block.
pub fn preprocess_rows<E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    slices: Option<&Slices>,
    graph: Option<CsrView<'_, f64>>,
    options: &PreprocessOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Preprocessed, E> {
    let mvp = (options.select == GeneSelection::Mvp)
        .then(|| PreprocessOptions { hvg_flavor: HvgFlavor::Seurat, ..options.clone() });
    let options = mvp.as_ref().unwrap_or(options);
    // The source may fail in its own way; an interruption is always ours.
    let go_on = || monitor.check().map_err(PreprocessError::from);
    options.validate()?;
    let (n_obs, n_vars) = (source.n_rows(), source.n_cols());
    if n_obs == 0 || n_vars == 0 {
        return Err(PreprocessError::Empty { n_obs, n_vars }.into());
    }
    let named = slices_of(n_obs, slices)?;
    let mut notes = Notes { lines: Vec::new(), monitor };
    if options.modality == Modality::Atac {
        if let Some(counts) = source.in_memory() {
            return Ok(peaks(counts, options, seed, notes)?);
        }
        let (counts, _) = collect(source, None, source.nnz(), None, monitor)?;
        return Ok(peaks(counts.view(), options, seed, notes)?);
    }

    monitor.stage("filter and normalise", 0);
    // Only `seurat_v3` judges slices by their counts.
    let selects = options.n_top_genes.is_some_and(|n| n < n_vars);
    let one = Slices::one(n_obs);
    let by_slice = if selects && options.hvg_flavor == HvgFlavor::SeuratV3 { &named } else { &one };
    let keeps = source.in_memory().is_none() && (options.keep_log_normalised || source.may_be_kept());
    let mut surveyed = survey(source, by_slice, keeps, monitor)?;
    check_input(&surveyed.scan, source, options)?;
    let columns = surveyed.all_columns();
    // With fewer spots than that (empty ones aside) no gene could pass.
    let min_cells = options.min_cells.min(surveyed.n_seen.max(1));
    let kept: Vec<bool> = columns.iter().map(|c| c.seen as usize >= min_cells).collect();
    let genes: Vec<usize> = (0..n_vars).filter(|&j| kept[j]).collect();
    let n_kept = genes.len();
    if n_kept == 0 {
        return Err(PreprocessError::NothingLeft { n_vars, n_obs, min_cells }.into());
    }
    if n_kept < n_vars {
        notes.add(left_out(n_kept, n_vars, min_cells));
    }
    let in_memory = surveyed.kept.take();
    let kept_rows = in_memory.as_ref().map(|counts| Kept::new(counts.view()));
    let rows: &dyn RowSource<Error = E> = kept_rows.as_ref().map_or(source, |kept| kept);

    let by_total = options.normalization == Normalization::Total;
    let total_options = NormalizeTotalOptions { target_sum: options.target_sum };
    // Totals over the columns kept: known already when all are, else from the pass that comes next.
    let mut totals = (by_total && n_kept == n_vars).then(|| std::mem::take(&mut surveyed.totals));
    let hvg_passes =
        options.n_top_genes.is_some_and(|n| n < n_kept) && options.hvg_flavor != HvgFlavor::SeuratV3;
    if by_total && totals.is_none() && (hvg_passes || rows.in_memory().is_some()) {
        totals = Some(match rows.in_memory() {
            Some(counts) => row_totals(counts, Some(&kept)),
            None => kept_totals(rows, &kept, monitor)?,
        });
    }
    let mut factors = totals.map(|t| size_factors(t, &total_options)).transpose()?;
    go_on()?;
    // Hubs of modules and spatially variable genes are looked for among all.
    let by_variability = !matches!(options.select, GeneSelection::Svg | GeneSelection::Modules);
    let hvg = match options.n_top_genes {
        Some(n_top) if n_top < n_kept && by_variability => {
            monitor.stage("highly variable genes", 0);
            let candidates = options.select == GeneSelection::Nonredundant;
            let n_top = if candidates { n_candidates(n_top).min(n_kept) } else { n_top };
            let factor = |i: usize| factors.as_ref().map_or(1.0, |f| f.factors[i]);
            let of = Matrix { source: rows, genes: &genes, slices: &named, counts: &surveyed.columns };
            Some(select_variable(&of, n_top, options, factor, &mut notes, monitor)?)
        }
        _ => None,
    };
    let Survey { n_empty, .. } = surveyed;
    let mut hvg = hvg.map(|table| spread(table, &kept));
    let mut highly_variable =
        hvg.as_ref().map_or_else(|| kept.clone(), |table| table.highly_variable.clone());

    // Copies of the data are made as late and as narrow as possible. CLR divides by a mean over all kept
    // variables, so there the selection comes last.
    let clr_first = options.normalization == Normalization::Clr;
    let first = if clr_first { &kept } else { &highly_variable };
    let collected = columns.iter().zip(first).filter(|(_, f)| **f).map(|(c, _)| c.seen as usize).sum();
    let mask = first.contains(&false).then_some(first.as_slice());
    let mut whole = None;
    let mut selected = match in_memory {
        // The only copy there is loses columns in place, unless all of them are wanted in the end.
        Some(counts) if options.keep_log_normalised && mask.is_some() => {
            let few = counts.view().select_columns(first);
            whole = Some(counts);
            few
        }
        Some(counts) => counts.retain_columns(first),
        None => {
            let over = (by_total && factors.is_none()).then_some(kept.as_slice());
            let (few, totals) = collect(source, mask, collected, over, monitor)?;
            if over.is_some() {
                factors = Some(size_factors(totals, &total_options)?);
            }
            few
        }
    };
    note_normalization(options, factors.as_ref(), &mut notes);
    let normalise = |x: &mut CsrMatrix<f32>| match options.normalization {
        Normalization::Clr => clr(x),
        Normalization::Total | Normalization::None => {
            if let Some(factors) = &factors {
                factors.apply(x);
            }
            if options.log1p {
                log1p(x);
            }
        }
    };
    normalise(&mut selected);
    if clr_first && hvg.is_some() {
        let among: Vec<bool> = genes.iter().map(|&j| highly_variable[j]).collect();
        selected = selected.retain_columns(&among);
    }
    if let Some(n_top) = options.n_top_genes.filter(|n| *n < n_kept && options.select.reads_expression()) {
        let evidence = Evidence {
            graph,
            slices: Some(&named),
            variability: hvg.as_ref().map(|table| picked(&table.normalized, &highly_variable)),
            flavor: options.hvg_flavor,
        };
        let chosen = choose(selected.view(), n_top, options.select, &evidence, seed, &mut notes)?;
        let mut of = chosen.iter();
        for flag in highly_variable.iter_mut().filter(|flag| **flag) {
            *flag = of.next().copied().unwrap_or(false);
        }
        if let Some(table) = &mut hvg {
            table.highly_variable.clone_from(&highly_variable);
        }
        selected = selected.retain_columns(&chosen);
    }
    go_on()?;

    let apart = named.count() > 1 && options.by_slice;
    let scaling = options.scale.as_ref().filter(|_| !apart).map(|o| scale(selected.view(), o)).transpose()?;
    if let Some(s) = &options.scale {
        notes.add(scaled_in_words(s, selected.n_cols(), apart));
    }
    monitor.stage("principal components", 0);
    let of = PcaOptions { n_components: options.n_pcs };
    let found = if apart {
        pca_by_slice(selected.view(), &named, options.scale.as_ref(), &of, seed, monitor)?
    } else {
        pca(selected.view(), scaling.as_ref(), &of, seed, monitor)?
    };
    let share: f64 = found.variance_ratio.iter().sum();
    notes.add(components_in_words(found.n_components(), share));
    notes.add_all(about_components(found.n_components(), options.n_pcs, found.converged));

    // Without filter and selection the matrix of all variables is the one just analysed.
    let log_normalised = if !options.keep_log_normalised {
        drop(selected);
        None
    } else if selected.n_cols() == n_vars {
        Some(selected)
    } else {
        drop(selected);
        let mut all = match (whole, source.in_memory()) {
            (Some(counts), _) => counts,
            (None, Some(counts)) => counts.to_owned(),
            (None, None) => collect(source, None, source.nnz(), None, monitor)?.0,
        };
        normalise(&mut all);
        Some(all)
    };
    Ok(Preprocessed {
        modality: options.modality,
        embedding: at_least_one_column(found.scores.clone()),
        highly_variable,
        kept,
        hvg,
        size_factors: factors,
        scaling,
        pca: Some(found),
        lsi: None,
        log_normalised,
        n_empty,
        notes: notes.lines,
    })
}

/// Totals of the rows over some columns, in a pass of their own.
fn kept_totals<E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    kept: &[bool],
    monitor: &dyn Monitor,
) -> Result<Vec<f64>, E> {
    let none = vec![false; kept.len()];
    Ok(collect(source, Some(&none), 0, Some(kept), monitor)?.1)
}

/// The entries of the columns that are flagged.
fn picked(all: &[f64], flags: &[bool]) -> Vec<f64> {
    all.iter().zip(flags).filter(|(_, flag)| **flag).map(|(v, _)| *v).collect()
}

/// The verdict on each column by what is expressed there; all where none is found.
fn choose(
    x: CsrView<'_, f32>,
    n_top: usize,
    way: GeneSelection,
    evidence: &Evidence<'_>,
    seed: Seed,
    notes: &mut Notes<'_>,
) -> Result<Vec<bool>, PreprocessError> {
    let monitor = notes.monitor;
    monitor.stage("selection of genes", 0);
    let mut found = select_genes(x, way, n_top, evidence, seed, monitor)?;
    if let Some(modules) = &found.modules {
        let (n, power) = (modules.n_modules(), modules.power);
        notes.add(format!("{n} co-expression modules, adjacency to the power {power}"));
    }
    let (n, of, words) = (found.selected.iter().filter(|s| **s).count(), x.n_cols(), way.in_words());
    if n == 0 {
        found.selected.fill(true);
        notes.add(format!("no variables are {words}: all {of} are used"));
    } else {
        notes.add(format!("{n} of {of} variables are {words}"));
    }
    Ok(found.selected)
}

/// Lines for the log, passed on to the monitor as they come.
struct Notes<'a> {
    lines: Vec<String>,
    monitor: &'a dyn Monitor,
}

impl Notes<'_> {
    fn add(&mut self, line: String) {
        self.monitor.note(&line);
        self.lines.push(line);
    }

    fn add_all(&mut self, lines: Vec<String>) {
        for line in lines {
            self.add(line);
        }
    }
}

/// Counts where a step needs them; otherwise what the remaining steps can bear.
pub(super) fn check_input<E: From<PreprocessError>>(
    scan: &Scan,
    source: &dyn RowSource<Error = E>,
    options: &PreprocessOptions,
) -> Result<(), E> {
    let selects = options.n_top_genes.is_some_and(|n| n < source.n_cols());
    let needs_counts = options.normalization != Normalization::None
        || (selects && options.hvg_flavor == HvgFlavor::SeuratV3);
    if needs_counts {
        scan.check(source, true)
    } else if selects && !options.log1p {
        scan.check_log_normalised(source, options.hvg_flavor.name())
    } else if selects || options.log1p {
        scan.check(source, false)
    } else {
        Ok(scan.check_finite()?)
    }
}

fn note_normalization(options: &PreprocessOptions, factors: Option<&SizeFactors>, notes: &mut Notes<'_>) {
    notes.add(normalized_in_words(options, factors.map_or(0.0, |f| f.target_sum)));
    let empty = factors.map_or(0, SizeFactors::n_empty);
    if options.normalization == Normalization::Total && empty > 0 {
        notes.add(format!("{empty} spots have no counts in the variables kept: they stay, as zeros"));
    }
}

pub(super) fn normalized_in_words(options: &PreprocessOptions, target_sum: f64) -> String {
    let log = if options.log1p { ", then log1p" } else { "" };
    match options.normalization {
        Normalization::Total => format!("scaled every spot to a total of {target_sum}{log}"),
        Normalization::Clr => "centred log-ratio (CLR) per spot".into(),
        Normalization::None if options.log1p => "log1p, without normalising".into(),
        Normalization::None => "values taken as they are, without normalising".into(),
    }
}

fn select_variable<E: From<PreprocessError>>(
    of: &Matrix<'_, E>,
    n_top: usize,
    options: &PreprocessOptions,
    factor: impl Fn(usize) -> f64 + Sync + Send,
    notes: &mut Notes<'_>,
    monitor: &dyn Monitor,
) -> Result<HvgTable, E> {
    let hvg_options = hvg_options(options, n_top);
    let mut table = measure(of, &hvg_options, value_to_measure(options, factor), monitor)?;
    let n_slices = of.slices.count();
    if options.intersect_slices && n_slices > 1 {
        intersect(&mut table, n_slices);
    }
    notes.add(selected_in_words(&mut table.highly_variable, n_slices, options));
    Ok(table)
}

/// How the best `n_top` genes are found.
pub(super) fn hvg_options(options: &PreprocessOptions, n_top: usize) -> HvgOptions {
    HvgOptions { flavor: options.hvg_flavor, selection: HvgSelection::Top(n_top), ..HvgOptions::default() }
}

/// What the flavours that look at normalised values see of a stored one; `factor`: of each spot.
pub(super) fn value_to_measure(
    options: &PreprocessOptions,
    factor: impl Fn(usize) -> f64 + Sync + Send,
) -> impl Fn(usize, f32) -> f64 + Sync + Send {
    // Without any transformation of ours the values are logarithms already (checked above).
    let given_as_log = options.normalization == Normalization::None && !options.log1p;
    let (linear, takes_log) = (options.hvg_flavor == HvgFlavor::Seurat, options.log1p);
    move |i, v| {
        if given_as_log {
            return if linear { f64::from(v).exp_m1() } else { f64::from(v) };
        }
        // Rounded as `SizeFactors::apply` stores it.
        let normalised = f64::from(scaled(v, factor(i)));
        if linear || !takes_log { normalised } else { f64::from(log1p_f32(normalised)) }
    }
}

/// How many genes were selected; where none were, all are.
pub(super) fn selected_in_words(
    selected: &mut [bool],
    n_slices: usize,
    options: &PreprocessOptions,
) -> String {
    let how = match (n_slices, options.intersect_slices) {
        (1, _) => String::new(),
        (n, true) => format!(", intersected over {n} slices"),
        (n, false) => format!(", combined over {n} slices"),
    };
    let (n, of) = (selected.iter().filter(|s| **s).count(), selected.len());
    if n == 0 {
        // Nothing in common, or no gene with a score: better all genes than none.
        selected.fill(true);
        return format!("no highly variable genes found{how}: all {of} variables are used");
    }
    format!("{n} of {of} variables are highly variable ({}{how})", options.hvg_flavor.name())
}

pub(super) fn left_out(n_kept: usize, n_vars: usize, min_cells: usize) -> String {
    format!("left out {} of {n_vars} variables seen in fewer than {min_cells} spots", n_vars - n_kept)
}

pub(super) fn scaled_in_words(scale: &ScaleOptions, n_vars: usize, within_slices: bool) -> String {
    let clip = scale.max_value.map_or(String::new(), |m| format!(", clipped at {m}"));
    let centre = if scale.zero_center { "with" } else { "without" };
    let within = if within_slices { " within each slice" } else { "" };
    format!("scaled {n_vars} variables to unit variance{within}, {centre} centring{clip}")
}

pub(super) fn components_in_words(n_components: usize, share: f64) -> String {
    format!("PCA: {n_components} components, {:.1} % of the variance", 100.0 * share)
}

/// `n_kept` of how many peaks became how many dimensions.
pub(super) fn lsi_in_words(
    n_kept: usize,
    n_vars: usize,
    n_dimensions: usize,
    options: &PreprocessOptions,
) -> String {
    format!(
        "TF-IDF of {n_kept} of {n_vars} peaks (open in at least {} % of spots), LSI with {n_dimensions} dimensions, the \
         first dropped",
        100.0 * options.min_fraction,
    )
}

/// Peaks: TF-IDF and LSI.
fn peaks(
    counts: CsrView<'_, f32>,
    options: &PreprocessOptions,
    seed: Seed,
    mut notes: Notes<'_>,
) -> Result<Preprocessed, PreprocessError> {
    let monitor = notes.monitor;
    monitor.stage("TF-IDF and LSI", 0);
    let lsi_options = LsiOptions {
        n_components: options.n_pcs,
        min_fraction: options.min_fraction,
        ..LsiOptions::default()
    };
    let found = tfidf_lsi(counts, &lsi_options, seed, monitor)?;
    let n_empty = (0..counts.n_rows()).filter(|&i| counts.row(i).1.iter().all(|v| *v == 0.0)).count();
    let n_kept = found.keep.iter().filter(|k| **k).count();
    notes.add(lsi_in_words(n_kept, counts.n_cols(), found.singular_values.len(), options));
    notes.add_all(about_components(found.embedding.ncols(), options.n_pcs, found.converged));
    Ok(Preprocessed {
        modality: options.modality,
        embedding: at_least_one_column(found.scores.clone()),
        kept: found.keep.clone(),
        highly_variable: found.keep.clone(),
        hvg: None,
        size_factors: None,
        scaling: None,
        pca: None,
        lsi: Some(found),
        log_normalised: None,
        n_empty,
        notes: notes.lines,
    })
}

pub(super) fn about_components(found: usize, wanted: usize, converged: bool) -> Vec<String> {
    let few = (found < wanted)
        .then(|| format!("only {found} of {wanted} components exist for so few spots or variables"));
    let approximate = (!converged)
        .then(|| "the trailing components are approximate: they hardly stand out from the noise".to_owned());
    few.into_iter().chain(approximate).collect()
}

/// A table over the kept variables, spread over all of them.
fn spread(table: HvgTable, kept: &[bool]) -> HvgTable {
    let places: Vec<usize> = (0..kept.len()).filter(|&j| kept[j]).collect();
    let numbers = |values: Vec<f64>| {
        let mut full = vec![f64::NAN; kept.len()];
        places.iter().zip(values).for_each(|(&j, v)| full[j] = v);
        full
    };
    let mut n_slices = vec![0; kept.len()];
    let mut highly_variable = vec![false; kept.len()];
    for (at, &j) in places.iter().enumerate() {
        n_slices[j] = table.n_slices[at];
        highly_variable[j] = table.highly_variable[at];
    }
    HvgTable {
        flavor: table.flavor,
        means: numbers(table.means),
        dispersions: numbers(table.dispersions),
        normalized: numbers(table.normalized),
        rank: table.rank.map(numbers),
        n_slices,
        highly_variable,
    }
}

fn at_least_one_column(embedding: Array2<f64>) -> Array2<f64> {
    if embedding.ncols() > 0 { embedding } else { Array2::zeros((embedding.nrows(), 1)) }
}
