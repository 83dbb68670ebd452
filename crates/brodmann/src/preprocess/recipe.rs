//! All steps in order: counts in, embedding out.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed};
use ndarray::Array2;

use super::clr::clr;
use super::column_stats::row_totals;
use super::detect::{check_counts, check_finite, check_log_normalised, check_non_negative};
use super::error::PreprocessError;
use super::filter_genes::{FilterGenesOptions, filter_genes};
use super::highly_variable_genes::{
    HvgFlavor, HvgOptions, HvgSelection, HvgTable, count_slices, intersect, measure,
};
use super::log1p::log1p_f32;
use super::modality::Modality;
use super::normalize_total::{NormalizeTotalOptions, SizeFactors, size_factors};
use super::pca::{Pca, PcaOptions, pca};
use super::scale::{ScaleOptions, Scaling, scale};
use super::tfidf_lsi::{Lsi, LsiOptions, tfidf_lsi};

/// How spots are made comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// The same total in every spot.
    Total,
    /// Centred log-ratio per spot; `log1p` is part of it.
    Clr,
    /// As they are: small targeted panels, or values already normalised.
    None,
}

/// Options of [`preprocess()`]; [`PreprocessOptions::for_modality`] has the defaults of each modality.
#[derive(Clone, Debug, PartialEq)]
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
            hvg_flavor: HvgFlavor::SeuratV3,
            intersect_slices: false,
            normalization: Normalization::Total,
            target_sum: Some(1e4),
            log1p: true,
            scale: Some(ScaleOptions::default()),
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
        let at_least_one = |option| {
            Err(PreprocessError::InvalidOption { option, found: "0".into(), expected: "at least 1" })
        };
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
    /// Scaling of the variables the embedding rests on.
    pub scaling: Option<Scaling>,
    /// Principal components; rows of `components` are the `highly_variable` ones. `None` for peaks.
    pub pca: Option<Pca>,
    /// Latent semantic indexing, for peaks.
    pub lsi: Option<Lsi>,
    /// The normalised matrix of all variables, if asked for. Variables filtered out are scaled with the rest but
    /// do not count in the totals.
    pub log_normalised: Option<CsrMatrix<f32>>,
    /// What was done, one line each, for the log.
    pub notes: Vec<String>,
}

/// Preprocesses counts with the steps and defaults of their modality.
///
/// RNA and proteins: filter, normalise, `log1p`, select genes, scale, PCA. Peaks: TF-IDF, LSI. Spots are never
/// dropped; one without counts stays zero and so gets the coordinates of a spot that expresses nothing.
///
/// # Inputs    `counts`: `(n_obs, n_vars)` raw counts (anything finite with [`Normalization::None`] and no
///   `log1p`). `slices`: slice of each spot; genes are then selected slice by slice.
/// # Returns   The embedding and everything on the way that is worth writing to the file.
/// # Errors    `NonFinite`, `Negative`, `NotCounts`, `CountsWhereLogNeeded`, `NothingLeft`, `Empty`,
///   `ShapeMismatch`, `InvalidOption`, `Interrupted`.
/// # Cost      About ten passes and one copy of the selected columns; see [`pca()`].
/// # Source    scanpy's recipe with the steps named in each module.
pub fn preprocess(
    counts: CsrView<'_, f32>,
    slices: Option<&[u32]>,
    options: &PreprocessOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Preprocessed, PreprocessError> {
    options.validate()?;
    let (n_obs, n_vars) = (counts.n_rows(), counts.n_cols());
    if n_obs == 0 || n_vars == 0 {
        return Err(PreprocessError::Empty { n_obs, n_vars });
    }
    if let Some(s) = slices.filter(|s| s.len() != n_obs) {
        return Err(PreprocessError::ShapeMismatch {
            what: "the list of slices",
            found: s.len(),
            expected: n_obs,
            per: "spot",
        });
    }
    let mut notes = Notes { lines: Vec::new(), monitor };
    if options.modality == Modality::Atac {
        return peaks(counts, options, seed, notes);
    }

    monitor.stage("filter and normalise", 0);
    check_input(counts, options)?;
    monitor.check()?;
    // With fewer spots than that (empty ones aside) no gene could pass.
    let n_seen = (0..n_obs).filter(|&i| counts.row(i).1.iter().any(|v| *v > 0.0)).count();
    let min_cells = options.min_cells.min(n_seen.max(1));
    let filtered = filter_genes(counts, &FilterGenesOptions { min_cells, min_counts: None })?;
    let n_kept = filtered.n_kept();
    if n_kept == 0 {
        return Err(PreprocessError::NothingLeft { n_vars, n_obs, min_cells });
    }
    if n_kept < n_vars {
        notes.add(format!(
            "left out {} of {n_vars} variables seen in fewer than {min_cells} spots",
            n_vars - n_kept
        ));
    }
    let kept = filtered.keep;
    let factors = match options.normalization {
        Normalization::Total => {
            let totals = row_totals(counts, (n_kept < n_vars).then_some(&kept));
            Some(size_factors(totals, &NormalizeTotalOptions { target_sum: options.target_sum })?)
        }
        Normalization::Clr | Normalization::None => None,
    };
    note_normalization(options, factors.as_ref(), &mut notes);

    // Copies of the data are made as late and as narrow as possible: here only if the filter dropped anything.
    let narrowed = (n_kept < n_vars).then(|| counts.select_columns(&kept));
    let kept_counts = narrowed.as_ref().map_or(counts, CsrMatrix::view);
    monitor.check()?;
    let factor = |i: usize| factors.as_ref().map_or(1.0, |f| f.factors[i]);
    let hvg = match options.n_top_genes {
        Some(n_top) if n_top < n_kept => {
            monitor.stage("highly variable genes", 0);
            let table = select_genes(kept_counts, slices, n_top, options, factor, &mut notes, monitor)?;
            Some(table)
        }
        _ => None,
    };
    monitor.check()?;

    let normalise = |x: &mut CsrMatrix<f32>| match options.normalization {
        Normalization::Clr => clr(x),
        _ => x.for_each_row_mut(|i, _, values| {
            let by = factor(i);
            for v in values {
                // Rounded to f32 between the steps, as normalize_total and log1p do when called in turn.
                let scaled = (f64::from(*v) * by) as f32;
                *v = if options.log1p { log1p_f32(f64::from(scaled)) } else { scaled };
            }
        }),
    };
    // CLR divides by a mean over all kept variables, so it comes before any selection.
    let clr_first = options.normalization == Normalization::Clr;
    let selected = match &hvg {
        Some(table) if clr_first => {
            let mut all = kept_counts.to_owned();
            normalise(&mut all);
            Some(all.view().select_columns(&table.highly_variable))
        }
        Some(table) => {
            let mut few = kept_counts.select_columns(&table.highly_variable);
            normalise(&mut few);
            Some(few)
        }
        None => None,
    };
    let selected = if let Some(selected) = selected {
        drop(narrowed);
        selected
    } else {
        let mut all = narrowed.unwrap_or_else(|| counts.to_owned());
        normalise(&mut all);
        all
    };
    monitor.check()?;

    let scaling = options.scale.as_ref().map(|o| scale(selected.view(), o)).transpose()?;
    if let Some(s) = &scaling {
        let clip = s.options.max_value.map_or(String::new(), |m| format!(", clipped at {m}"));
        let centre = if s.options.zero_center { "with" } else { "without" };
        notes.add(format!("scaled {} variables to unit variance, {centre} centring{clip}", s.sd.len()));
    }
    monitor.stage("principal components", 0);
    let found =
        pca(selected.view(), scaling.as_ref(), &PcaOptions { n_components: options.n_pcs }, seed, monitor)?;
    let share: f64 = found.variance_ratio.iter().sum();
    notes.add(format!("PCA: {} components, {:.1} % of the variance", found.n_components(), 100.0 * share));
    note_components(found.n_components(), options.n_pcs, found.converged, &mut notes);

    // Without filter and selection the matrix of all variables is the one just analysed.
    let log_normalised = options.keep_log_normalised.then(|| {
        if selected.n_cols() == n_vars {
            selected
        } else {
            let mut all = counts.to_owned();
            normalise(&mut all);
            all
        }
    });
    let hvg = hvg.map(|table| spread(table, &kept));
    let highly_variable = hvg.as_ref().map_or_else(|| kept.clone(), |t| t.highly_variable.clone());
    Ok(Preprocessed {
        modality: options.modality,
        embedding: at_least_one_column(found.scores.clone()),
        kept,
        highly_variable,
        hvg,
        size_factors: factors,
        scaling,
        pca: Some(found),
        lsi: None,
        log_normalised,
        notes: notes.lines,
    })
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
}

/// Counts where a step needs them; otherwise what the remaining steps can bear.
fn check_input(x: CsrView<'_, f32>, options: &PreprocessOptions) -> Result<(), PreprocessError> {
    let selects = options.n_top_genes.is_some_and(|n| n < x.n_cols());
    let needs_counts = options.normalization != Normalization::None
        || (selects && options.hvg_flavor == HvgFlavor::SeuratV3);
    if needs_counts {
        check_counts(x)
    } else if selects && !options.log1p {
        check_log_normalised(x, options.hvg_flavor.name())
    } else if selects || options.log1p {
        check_non_negative(x)
    } else {
        check_finite(x)
    }
}

fn note_normalization(options: &PreprocessOptions, factors: Option<&SizeFactors>, notes: &mut Notes<'_>) {
    let log = if options.log1p { ", then log1p" } else { "" };
    match options.normalization {
        Normalization::Total => {
            let target = factors.map_or(0.0, |f| f.target_sum);
            notes.add(format!("scaled every spot to a total of {target}{log}"));
            let empty = factors.map_or(0, SizeFactors::n_empty);
            if empty > 0 {
                notes.add(format!("{empty} spots have no counts in the variables kept: they stay, as zeros"));
            }
        }
        Normalization::Clr => notes.add("centred log-ratio (CLR) per spot".into()),
        Normalization::None if options.log1p => notes.add("log1p, without normalising".into()),
        Normalization::None => notes.add("values taken as they are, without normalising".into()),
    }
}

fn select_genes(
    x: CsrView<'_, f32>,
    slices: Option<&[u32]>,
    n_top: usize,
    options: &PreprocessOptions,
    factor: impl Fn(usize) -> f64 + Sync,
    notes: &mut Notes<'_>,
    monitor: &dyn Monitor,
) -> Result<HvgTable, PreprocessError> {
    let hvg_options = HvgOptions {
        flavor: options.hvg_flavor,
        selection: HvgSelection::Top(n_top),
        ..HvgOptions::default()
    };
    // Without any transformation of ours the values are logarithms already (checked above).
    let given_as_log = options.normalization == Normalization::None && !options.log1p;
    let linear = options.hvg_flavor == HvgFlavor::Seurat;
    let value = |i: usize, v: f32| {
        if given_as_log {
            return if linear { f64::from(v).exp_m1() } else { f64::from(v) };
        }
        let normalised = f64::from((f64::from(v) * factor(i)) as f32);
        if linear || !options.log1p { normalised } else { f64::from(log1p_f32(normalised)) }
    };
    let mut table = measure(x, slices, &hvg_options, value, monitor)?;
    let n_slices = count_slices(slices);
    if options.intersect_slices && n_slices > 1 {
        intersect(&mut table, n_slices);
    }
    let how = match (n_slices, options.intersect_slices) {
        (1, _) => String::new(),
        (n, true) => format!(", intersected over {n} slices"),
        (n, false) => format!(", combined over {n} slices"),
    };
    let n_selected = table.n_selected();
    if n_selected == 0 {
        // Nothing in common, or no gene with a score: better all genes than none.
        table.highly_variable.fill(true);
        notes.add(format!("no highly variable genes found{how}: all {} variables are used", x.n_cols()));
    } else {
        let name = options.hvg_flavor.name();
        notes.add(format!("{n_selected} of {} variables are highly variable ({name}{how})", x.n_cols()));
    }
    Ok(table)
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
    let n_kept = found.keep.iter().filter(|k| **k).count();
    notes.add(format!(
        "TF-IDF of {n_kept} of {} peaks (open in at least {} % of spots), LSI with {} dimensions, the first dropped",
        counts.n_cols(),
        100.0 * options.min_fraction,
        found.singular_values.len(),
    ));
    note_components(found.embedding.ncols(), options.n_pcs, found.converged, &mut notes);
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
        notes: notes.lines,
    })
}

fn note_components(found: usize, wanted: usize, converged: bool, notes: &mut Notes<'_>) {
    if found < wanted {
        notes.add(format!("only {found} of {wanted} components exist for so few spots or variables"));
    }
    if !converged {
        notes.add("the trailing components are approximate: they hardly stand out from the noise".into());
    }
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
