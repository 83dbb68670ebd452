//! Fitting the map of slices that lie apart: questions that each slice answers for itself, and what the answers add up to.
//!
//! | question | a slice answers with | what they add up to |
//! |---|---|---|
//! | columns | in how many spots each is seen | columns that are kept, document frequencies |
//! | variability | how variable each kept gene is | genes selected |
//! | moments | means and variances of these, normalised | scaling |
//! | sums | products of the columns, normalised and scaled | components |
//! | product | `AᵀA V` for some vectors | components of more peaks than can be multiplied with each other |
//! | extremes | the score farthest from zero along each | signs |
//!
//! Answers are put together in the order of the slices, so that the map has the same bits wherever the slices lie; several
//! slices in one place are asked the same questions.

use brodmann_kernels::spmm::csr_dense;
use brodmann_kernels::{CsrMatrix, CsrView, Monitor, OptionError, Seed, Slices};
use ndarray::{Array2, ArrayView2};

use super::reduced::{direct, direct_in_words};
use super::scaled::Quiet;
use super::{FeatureMap, Projection};
use crate::preprocess::highly_variable_genes::{Matrix, SliceScores, measure_slice, select_over_slices};
use crate::preprocess::normalize_total::size_factors;
use crate::preprocess::pca_sums::MAX_SUMMED_COLUMNS;
use crate::preprocess::recipe::{
    about_components, check_input, components_in_words, hvg_options, left_out, lsi_in_words,
    normalized_in_words, scaled_in_words, selected_in_words, value_to_measure,
};
use crate::preprocess::scale::ColumnMap;
use crate::preprocess::survey::{Survey, survey};
use crate::preprocess::svd::gram::{Plain, apply_gram};
use crate::preprocess::svd::krylov::{EigenOptions, Growth, leading_eigenpairs};
use crate::preprocess::svd::{STREAMED_STEPS, STREAMED_TOLERANCE};
use crate::preprocess::{
    ColumnMoments, GeneSelection, HvgFlavor, LsiOptions, Modality, Normalization, NormalizeTotalOptions,
    PcaSums, PreprocessError, PreprocessOptions, Scaling, check_counts, check_non_negative, column_moments,
    row_totals,
};

/// A variance below this share of the squared mean is rounding, from means of slices that are not exact.
const ROUNDING: f64 = 1e-20;

/// What is asked of every slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What of it.
    pub kind: QuestionKind,
    /// As far as it is known: which columns are meant, and what is done to them.
    pub map: FeatureMap,
    /// `(n_selected, k)`, for [`QuestionKind::Product`] and [`QuestionKind::Extremes`].
    pub vectors: Array2<f64>,
}

/// What of a slice is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionKind {
    /// In how many spots each column is seen.
    Columns,
    /// How variable each kept gene is.
    Variability,
    /// Means and variances of the selected columns.
    Moments,
    /// Sums and products of the selected columns.
    Sums,
    /// `AᵀA` times the vectors, of the selected columns.
    Product,
    /// The score that is farthest from zero along each vector.
    Extremes,
}

impl QuestionKind {
    const ALL: [Self; 6] =
        [Self::Columns, Self::Variability, Self::Moments, Self::Sums, Self::Product, Self::Extremes];

    /// The name it travels under.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Variability => "variability",
            Self::Moments => "moments",
            Self::Sums => "sums",
            Self::Product => "product",
            Self::Extremes => "extremes",
        }
    }

    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a slice answers: lists of numbers, and a table where vectors were asked about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// One per thing that was asked for; counts are whole numbers.
    pub lists: Vec<Vec<f64>>,
    /// `(n_selected, k)`; empty otherwise.
    pub table: Array2<f64>,
}

/// Asks all slices; the answers in their order.
pub type Ask<'a, E> = dyn FnMut(&Question) -> Result<Vec<Answer>, E> + 'a;

/// The counts of a slice, to answer from.
pub struct SliceCounts {
    counts: CsrMatrix<f32>,
    /// The selected columns of the last question about vectors, which are asked about many times.
    made: Option<(FeatureMap, CsrMatrix<f32>)>,
}

impl SliceCounts {
    /// Takes the counts.
    pub fn new(counts: CsrMatrix<f32>) -> Self {
        Self { counts, made: None }
    }

    /// `(n_obs, n_vars)`.
    pub fn view(&self) -> CsrView<'_, f32> {
        self.counts.view()
    }

    /// Answers a question.
    ///
    /// # Errors
    /// As [`preprocess()`](super::super::preprocess()); `ShapeMismatch` for a question about other columns.
    /// # Cost
    /// A pass or two over the counts; the products of the columns as in [`PcaSums::of`].
    pub fn answer(
        &mut self,
        question: &Question,
        options: &PreprocessOptions,
        monitor: &dyn Monitor,
    ) -> Result<Answer, PreprocessError> {
        let (counts, map) = (self.counts.view(), &question.map);
        if map.n_vars() != counts.n_cols() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the list of variables asked about",
                found: map.n_vars(),
                expected: counts.n_cols(),
                per: "variable",
            });
        }
        let lists = |lists| Answer { lists, table: Array2::zeros((0, 0)) };
        match question.kind {
            QuestionKind::Columns => columns(counts, options, monitor).map(lists),
            QuestionKind::Variability => variability(counts, map, options, monitor).map(lists),
            QuestionKind::Moments => {
                let ColumnMoments { mean, variance } = column_moments(map.normalised(counts)?.view());
                Ok(lists(vec![mean, variance]))
            }
            QuestionKind::Sums => {
                let x = map.normalised(counts)?;
                let sums = match scaling_of(map).map(Scaling::split) {
                    None => PcaSums::of(x.view(), monitor)?,
                    Some(columns) => PcaSums::of_entries(
                        x.view(),
                        |_: usize, j: usize, v: f32| columns.value(j, v),
                        monitor,
                    )?,
                };
                Ok(lists(vec![sums.sums, sums.products]))
            }
            QuestionKind::Product => {
                let vectors = vectors_of(question)?;
                let x = self.made(map)?;
                Ok(Answer { lists: Vec::new(), table: apply_gram(x, &Plain, vectors) })
            }
            QuestionKind::Extremes => {
                let vectors = vectors_of(question)?;
                let scores = csr_dense(self.made(map)?, vectors);
                let extreme = |column: ndarray::ArrayView1<'_, f64>| {
                    column.iter().fold(0.0f64, |best, &v| if v.abs() > best.abs() { v } else { best })
                };
                let found = scores.columns().into_iter().map(extreme).collect();
                self.made = None;
                Ok(lists(vec![found]))
            }
        }
    }

    fn made(&mut self, map: &FeatureMap) -> Result<CsrView<'_, f32>, PreprocessError> {
        if self.made.as_ref().is_none_or(|(of, _)| of != map) {
            self.made = Some((map.clone(), map.normalised(self.counts.view())?));
        }
        Ok(self.made.as_ref().map_or_else(|| self.counts.view(), |(_, x)| x.view()))
    }
}

fn vectors_of(question: &Question) -> Result<ArrayView2<'_, f64>, PreprocessError> {
    let (found, expected) = (question.vectors.nrows(), question.map.n_selected());
    if found == expected {
        return Ok(question.vectors.view());
    }
    Err(PreprocessError::ShapeMismatch { what: "the vectors", found, expected, per: "variable" })
}

/// Spots each column is seen in; then spots, and those that hold any count.
fn columns(
    counts: CsrView<'_, f32>,
    options: &PreprocessOptions,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f64>>, PreprocessError> {
    if counts.n_rows() == 0 || counts.n_cols() == 0 {
        return Err(PreprocessError::Empty { n_obs: counts.n_rows(), n_vars: counts.n_cols() });
    }
    let found = survey(&counts, &Slices::one(counts.n_rows()), false, monitor)?;
    check_surveyed(counts, &found, options)?;
    let seen = found.columns[0].iter().map(|c| f64::from(c.seen)).collect();
    Ok(vec![seen, vec![counts.n_rows() as f64, found.n_seen as f64]])
}

/// Whether the values are of the kind that the steps need.
fn check_surveyed(
    counts: CsrView<'_, f32>,
    found: &Survey,
    options: &PreprocessOptions,
) -> Result<(), PreprocessError> {
    match (direct(counts.n_cols(), options), options.modality) {
        (Some(Projection::Clr), _) => check_counts(counts),
        (Some(_), _) | (None, Modality::Atac) => check_non_negative(counts),
        (None, _) => check_input(&found.scan, &counts, &as_measured(options)),
    }
}

/// Standardised variance of each kept gene; and with the flavours that look at logarithms, 1 for genes that are selected.
fn variability(
    counts: CsrView<'_, f32>,
    map: &FeatureMap,
    options: &PreprocessOptions,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f64>>, PreprocessError> {
    let options = &as_measured(options);
    let genes: Vec<usize> = (0..map.n_vars()).filter(|&j| map.kept[j]).collect();
    let n_top = options.n_top_genes.unwrap_or(genes.len());
    let one = Slices::one(counts.n_rows());
    let surveyed = survey(&counts, &one, false, monitor)?;
    let of = Matrix { source: &counts, genes: &genes, slices: &one, counts: &surveyed.columns };
    let totals = options.normalization == Normalization::Total && options.hvg_flavor != HvgFlavor::SeuratV3;
    let factors = totals.then(|| {
        let of = NormalizeTotalOptions { target_sum: options.target_sum };
        size_factors(row_totals(counts, Some(&map.kept)), &of)
    });
    let factors = factors.transpose()?;
    let factor = |i: usize| factors.as_ref().map_or(1.0, |f| f.factors[i]);
    let value = value_to_measure(options, factor);
    let found = measure_slice(&of, &hvg_options(options, n_top), value, monitor)?;
    let flags = found.selected.iter().map(|s| f64::from(u8::from(*s))).collect();
    Ok(vec![found.normalized, flags])
}

/// The options with what a way of selecting says of the flavour.
fn as_measured(options: &PreprocessOptions) -> PreprocessOptions {
    let mvp = options.select == GeneSelection::Mvp;
    PreprocessOptions {
        hvg_flavor: if mvp { HvgFlavor::Seurat } else { options.hvg_flavor },
        ..options.clone()
    }
}

fn scaling_of(map: &FeatureMap) -> Option<&Scaling> {
    match &map.projection {
        Projection::Pca { scaling, .. } => scaling.as_ref(),
        _ => None,
    }
}

/// Refuses options that need all slices in one place.
///
/// # Errors
/// `Option`, with the option that does.
pub fn check_apart(n_vars: usize, options: &PreprocessOptions) -> Result<(), PreprocessError> {
    if options.select.reads_expression() {
        let expected = "hvg or mvp where slices lie apart";
        return Err(OptionError::new("select", options.select.name(), expected).into());
    }
    if options.normalization == Normalization::Total && options.target_sum.is_none() {
        return Err(
            OptionError::new("target_sum", "the median total", "a number where slices lie apart").into()
        );
    }
    if direct(n_vars, options).is_some() || options.modality == Modality::Atac {
        return Ok(());
    }
    let n_selected = options.n_top_genes.map_or(n_vars, |n| n.min(n_vars));
    if n_selected > MAX_SUMMED_COLUMNS {
        let expected = format!("at most {MAX_SUMMED_COLUMNS}, whose products are formed slice by slice,");
        return Err(OptionError::new("n_top_genes", n_selected, expected).into());
    }
    if options.by_slice || options.intersect_slices || options.keep_log_normalised {
        let found = "each slice scaled or intersected on its own";
        return Err(OptionError::new("slices", found, "slices pooled where they lie apart").into());
    }
    Ok(())
}

/// Fits the map of several slices in one place, by asking each.
pub(super) fn fit_slices(
    counts: CsrView<'_, f32>,
    slices: &Slices,
    options: &PreprocessOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<FeatureMap, PreprocessError> {
    // Here for the whole, so that an error names its row.
    check_surveyed(counts, &survey(&counts, &Slices::one(counts.n_rows()), false, monitor)?, options)?;
    let mut parts: Vec<SliceCounts> = Vec::with_capacity(slices.count());
    for rows in slices.rows() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        parts.push(SliceCounts::new(counts.select_rows(&rows)));
    }
    let mut ask = |question: &Question| -> Result<Vec<Answer>, PreprocessError> {
        parts.iter_mut().map(|part| part.answer(question, options, &Quiet(monitor))).collect()
    };
    fit_apart(counts.n_cols(), options, &mut ask, seed, monitor)
}

/// Fits a map to slices, wherever they lie.
///
/// # Inputs
/// `n_vars`: columns that all slices share. `ask`: asks each slice, which answers by [`SliceCounts::answer`] with the same
/// options.
/// # Returns
/// The map, which is the same bits wherever the slices are.
/// # Errors
/// As [`FeatureMap::fit`], [`check_apart`], and those of `ask`.
pub fn fit_apart<E: From<PreprocessError>>(
    n_vars: usize,
    options: &PreprocessOptions,
    ask: &mut Ask<'_, E>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<FeatureMap, E> {
    check_apart(n_vars, options)?;
    if options.n_pcs == 0 {
        return Err(PreprocessError::from(OptionError::new("n_pcs", 0, "at least 1")).into());
    }
    if options.n_top_genes == Some(0) {
        return Err(PreprocessError::from(OptionError::new("n_top_genes", 0, "at least 1")).into());
    }
    let all = vec![true; n_vars];
    let kind = options.modality;
    let projection = direct(n_vars, options).unwrap_or_else(|| undecided(options));
    let map = FeatureMap { kind, kept: all.clone(), selected: all, projection };
    let is_direct = matches!(map.projection, Projection::Clr | Projection::Identity);
    let question = Question { kind: QuestionKind::Columns, map, vectors: Array2::zeros((0, 0)) };
    let mut seen = vec![0.0; n_vars];
    let mut sizes = Vec::new();
    let mut n_seen = 0.0;
    for answer in ask(&question)? {
        let [own, numbers] = checked_lists(&answer, [n_vars, 2])?;
        seen.iter_mut().zip(own).for_each(|(a, b)| *a += b);
        sizes.push(numbers[0]);
        n_seen += numbers[1];
    }
    let n_obs: f64 = sizes.iter().sum();
    if is_direct {
        monitor.note(direct_in_words(&question.map.projection));
        return Ok(question.map);
    }
    let fitting = Fitting { options, sizes, n_obs: n_obs as usize, seed, monitor };
    let map = question.map;
    if kind == Modality::Atac {
        fitting.peaks(map, &seen, ask)
    } else {
        fitting.components(map, &seen, n_seen as usize, ask)
    }
}

/// The steps of a modality, as far as they are known before anybody was asked.
fn undecided(options: &PreprocessOptions) -> Projection {
    let components = Array2::zeros((0, 0));
    if options.modality == Modality::Atac {
        let scale_factor = LsiOptions::default().scale_factor;
        return Projection::Lsi { scale_factor, idf: Vec::new(), components, singular_values: Vec::new() };
    }
    Projection::Pca {
        normalization: options.normalization,
        target_sum: match options.normalization {
            Normalization::Total => options.target_sum.unwrap_or(0.0),
            _ => 0.0,
        },
        log1p: options.log1p,
        scaling: None,
        mean: Vec::new(),
        components,
    }
}

/// What has travelled has the length that was asked for.
fn checked_lists<const K: usize>(
    answer: &Answer,
    lengths: [usize; K],
) -> Result<[&[f64]; K], PreprocessError> {
    let mut found: [&[f64]; K] = [&[]; K];
    for (k, expected) in lengths.into_iter().enumerate() {
        let list = answer.lists.get(k).map_or(&[][..], Vec::as_slice);
        if list.len() != expected {
            let (what, found) = ("the answer of a slice", list.len());
            return Err(PreprocessError::ShapeMismatch { what, found, expected, per: "variable" });
        }
        found[k] = list;
    }
    Ok(found)
}

struct Fitting<'a> {
    options: &'a PreprocessOptions,
    /// Spots of each slice.
    sizes: Vec<f64>,
    n_obs: usize,
    seed: Seed,
    monitor: &'a dyn Monitor,
}

impl Fitting<'_> {
    fn asked(kind: QuestionKind, map: &FeatureMap) -> Question {
        Question { kind, map: map.clone(), vectors: Array2::zeros((0, 0)) }
    }

    /// Genes and proteins: filter, selection, scaling, principal components.
    fn components<E: From<PreprocessError>>(
        &self,
        mut map: FeatureMap,
        seen: &[f64],
        n_seen: usize,
        ask: &mut Ask<'_, E>,
    ) -> Result<FeatureMap, E> {
        let (options, monitor, n_vars) = (self.options, self.monitor, seen.len());
        let min_cells = options.min_cells.min(n_seen.max(1));
        map.kept = seen.iter().map(|s| *s >= min_cells as f64).collect();
        let n_kept = map.kept.iter().filter(|k| **k).count();
        if n_kept == 0 {
            let n_obs = self.n_obs;
            return Err(PreprocessError::NothingLeft { n_vars, n_obs, min_cells }.into());
        }
        if n_kept < n_vars {
            monitor.note(&left_out(n_kept, n_vars, min_cells));
        }
        map.selected.clone_from(&map.kept);
        if let Some(n_top) = options.n_top_genes.filter(|n| *n < n_kept) {
            monitor.stage("highly variable genes", 0);
            let mut chosen = self.variable(&map, n_kept, n_top, ask)?.into_iter();
            map.selected = map.kept.iter().map(|&k| k && chosen.next().unwrap_or(false)).collect();
        }
        let Projection::Pca { target_sum, .. } = &map.projection else { return Ok(map) };
        monitor.note(&normalized_in_words(options, *target_sum));
        if let Some(scale) = &options.scale {
            let moments = self.moments(&map, ask)?;
            monitor.note(&scaled_in_words(scale, map.n_selected(), false));
            let found = Scaling::of(moments, scale);
            if let Projection::Pca { scaling, .. } = &mut map.projection {
                *scaling = Some(found);
            }
        }
        monitor.stage("principal components", 0);
        let sums = self.sums(&map, ask)?;
        let (axes, values) = sums.leading(options.n_pcs, true, self.seed, monitor)?;
        let free = (self.n_obs.max(2) - 1) as f64;
        let explained: f64 = values.iter().map(|v| v.max(0.0) / free).sum();
        let total = sums.total_variance();
        let share = if total > 0.0 { explained / total } else { 0.0 };
        monitor.note(&components_in_words(values.len(), share));
        for line in about_components(values.len(), options.n_pcs, true) {
            monitor.note(&line);
        }
        let offset = scaling_of(&map).map(Scaling::split).map(|columns: ColumnMap| columns.offset);
        if let Projection::Pca { mean, components, .. } = &mut map.projection {
            *mean = match offset {
                None => axes.mean,
                Some(offset) => axes.mean.iter().zip(offset).map(|(mean, zero)| mean + zero).collect(),
            };
            *components = axes.components;
        }
        Ok(map)
    }

    /// The verdict on each kept gene.
    fn variable<E: From<PreprocessError>>(
        &self,
        map: &FeatureMap,
        n_kept: usize,
        n_top: usize,
        ask: &mut Ask<'_, E>,
    ) -> Result<Vec<bool>, E> {
        let options = &as_measured(self.options);
        let mut scores = Vec::with_capacity(self.sizes.len());
        for answer in ask(&Self::asked(QuestionKind::Variability, map))? {
            let n_flags = if options.hvg_flavor == HvgFlavor::SeuratV3 { 0 } else { n_kept };
            let [normalized, flags] = checked_lists(&answer, [n_kept, n_flags])?;
            let selected = flags.iter().map(|f| *f > 0.0).collect();
            scores.push(SliceScores { normalized: normalized.to_vec(), selected });
        }
        let n_slices = scores.len();
        let mut chosen = select_over_slices(scores, options.hvg_flavor, n_top);
        self.monitor.note(&selected_in_words(&mut chosen, n_slices, options));
        Ok(chosen)
    }

    /// Means and variances over all slices.
    fn moments<E: From<PreprocessError>>(
        &self,
        map: &FeatureMap,
        ask: &mut Ask<'_, E>,
    ) -> Result<ColumnMoments, E> {
        let n_selected = map.n_selected();
        let answers = ask(&Self::asked(QuestionKind::Moments, map))?;
        let own: Vec<[&[f64]; 2]> =
            answers.iter().map(|a| checked_lists(a, [n_selected; 2])).collect::<Result<_, _>>()?;
        let n = self.n_obs as f64;
        let mut moments = ColumnMoments { mean: vec![0.0; n_selected], variance: vec![0.0; n_selected] };
        for j in 0..n_selected {
            let sized = || own.iter().zip(&self.sizes);
            let mean = sized().map(|([means, _], size)| size * means[j]).sum::<f64>() / n;
            let within = sized().map(|([_, variances], size)| (size - 1.0).max(0.0) * variances[j]);
            let between = sized().map(|([means, _], size)| size * (means[j] - mean).powi(2));
            let squares = within.sum::<f64>() + between.sum::<f64>();
            moments.mean[j] = mean;
            moments.variance[j] =
                if squares <= ROUNDING * n * mean * mean { 0.0 } else { squares / (n - 1.0) };
        }
        Ok(moments)
    }

    /// Sums and products over all slices.
    fn sums<E: From<PreprocessError>>(&self, map: &FeatureMap, ask: &mut Ask<'_, E>) -> Result<PcaSums, E> {
        let n_selected = map.n_selected();
        let n_products = n_selected * (n_selected + 1) / 2;
        let mut total: Option<PcaSums> = None;
        for (mut answer, size) in ask(&Self::asked(QuestionKind::Sums, map))?.into_iter().zip(&self.sizes) {
            checked_lists(&answer, [n_selected, n_products])?;
            let (products, sums) =
                (answer.lists.pop().unwrap_or_default(), answer.lists.pop().unwrap_or_default());
            let next = PcaSums { n_obs: *size as usize, sums, products };
            match &mut total {
                None => total = Some(next),
                Some(total) => total.add(&next)?,
            }
        }
        let none = PcaSums { n_obs: 0, sums: Vec::new(), products: Vec::new() };
        Ok(total.unwrap_or(none))
    }

    /// Peaks: TF-IDF and latent semantic indexing.
    fn peaks<E: From<PreprocessError>>(
        &self,
        mut map: FeatureMap,
        open: &[f64],
        ask: &mut Ask<'_, E>,
    ) -> Result<FeatureMap, E> {
        let (options, monitor, n_vars) = (self.options, self.monitor, open.len());
        monitor.stage("TF-IDF and LSI", 0);
        let n = self.n_obs as f64;
        let needed = (options.min_fraction * n).max(1.0);
        map.kept = open.iter().map(|c| *c >= needed).collect();
        map.selected.clone_from(&map.kept);
        let n_kept = map.n_selected();
        if n_kept == 0 {
            let (n_obs, min_cells) = (self.n_obs, needed.ceil() as usize);
            return Err(PreprocessError::NothingLeft { n_vars, n_obs, min_cells }.into());
        }
        if let Projection::Lsi { idf, components, .. } = &mut map.projection {
            *idf = open.iter().zip(&map.kept).filter(|(_, k)| **k).map(|(c, _)| n / c).collect();
            *components = Array2::zeros((n_kept, 0));
        }
        let k = (options.n_pcs + 1).min(self.n_obs).min(n_kept);
        let (mut vectors, values, converged) = if n_kept <= MAX_SUMMED_COLUMNS {
            let (axes, values) = self.sums(&map, ask)?.leading(k, false, self.seed, monitor)?;
            (axes.components, values, true)
        } else {
            self.streamed(&map, k, ask)?
        };
        // The largest left singular vector's entry of each is positive: the standardising of rows mixes components.
        let question = Question { kind: QuestionKind::Extremes, map, vectors: vectors.clone() };
        let mut extremes = vec![0.0f64; vectors.ncols()];
        for answer in ask(&question)? {
            let [own] = checked_lists(&answer, [extremes.len()])?;
            for (best, &v) in extremes.iter_mut().zip(own) {
                *best = if v.abs() > best.abs() { v } else { *best };
            }
        }
        for (mut column, extreme) in vectors.columns_mut().into_iter().zip(extremes) {
            if extreme < 0.0 {
                column.mapv_inplace(|v| -v);
            }
        }
        let mut map = question.map;
        monitor.note(&lsi_in_words(n_kept, n_vars, values.len(), options));
        let n_left = values.len().saturating_sub(1);
        for line in about_components(n_left, options.n_pcs, converged) {
            monitor.note(&line);
        }
        if let Projection::Lsi { components, singular_values, .. } = &mut map.projection {
            *components = vectors;
            *singular_values = values.iter().map(|v| v.max(0.0).sqrt()).collect();
        }
        Ok(map)
    }

    /// The leading eigenpairs of the product of more columns than are multiplied with each other.
    fn streamed<E: From<PreprocessError>>(
        &self,
        map: &FeatureMap,
        k: usize,
        ask: &mut Ask<'_, E>,
    ) -> Result<(Array2<f64>, Vec<f64>, bool), E> {
        let size = map.n_selected();
        let options =
            EigenOptions { tolerance: STREAMED_TOLERANCE, max_steps: STREAMED_STEPS, growth: Growth::Wide };
        // The iteration knows errors of preprocessing alone: that of a slice is kept beside it.
        let mut failed: Option<E> = None;
        let mut question = Self::asked(QuestionKind::Product, map);
        let mut apply = |v: ArrayView2<'_, f64>| {
            self.monitor.check()?;
            question.vectors = v.to_owned();
            let mut total = Array2::zeros(v.dim());
            match ask(&question) {
                Ok(answers) => {
                    for answer in answers {
                        if answer.table.dim() != v.dim() {
                            return Err(PreprocessError::ShapeMismatch {
                                what: "the answer of a slice",
                                found: answer.table.nrows(),
                                expected: v.nrows(),
                                per: "variable",
                            });
                        }
                        total += &answer.table;
                    }
                    Ok(total)
                }
                Err(error) => {
                    failed = Some(error);
                    Err(PreprocessError::Empty { n_obs: 0, n_vars: size })
                }
            }
        };
        let found = leading_eigenpairs(size, k, &mut apply, &options, self.seed);
        match (failed, found) {
            (Some(error), _) => Err(error),
            (None, found) => {
                let pairs = found?;
                Ok((pairs.vectors, pairs.values, pairs.converged))
            }
        }
    }
}
