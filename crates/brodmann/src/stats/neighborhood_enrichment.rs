//! Which labels neighbour each other more often than chance would have it?

use brodmann_kernels::{CsrView, Monitor, ParallelLoop, Slices};
use ndarray::Array2;
use rayon::prelude::*;

use super::autocorrelation::{Tail, normal_p_value};
use super::labels::{MAX_GROUPS, NONE, group_sizes};
use super::{Labels, StatsError, benjamini_hochberg};
use crate::graph::grouped;

#[cfg(test)]
mod tests;

/// Spots counted together, at least; the bits depend on the data alone.
const CHUNK_ROWS: usize = 4096;
/// A variance below this share of the terms it is the difference of is their rounding: it is 0.
const ROUNDING: f64 = 1e-13;

/// Contacts between labels, and what chance would give; every table is `(n_groups, n_groups)`.
///
/// `counts` and `z_score` are what squidpy keeps in `uns["<label>_nhood_enrichment"]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborhoodEnrichment {
    /// Weight of the edges from a spot labelled with the row to one labelled with the column.
    pub counts: Array2<f64>,
    /// Its mean over all arrangements of the labels.
    pub expected: Array2<f64>,
    /// Its variance over them.
    pub variance: Array2<f64>,
    /// `(counts − expected) / √variance`; NaN where every arrangement gives the same.
    pub z_score: Array2<f64>,
    /// Two-sided, normal approximation.
    pub p_value: Array2<f64>,
    /// `p_value`, Benjamini–Hochberg adjusted; in a symmetric graph a pair of labels is one test, not two.
    pub p_adjusted: Array2<f64>,
}

/// Sums over a graph that the variance needs; `A` its weights without the diagonal, over labelled spots alone.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// `Σ Aᵢⱼ`.
    total: f64,
    /// `Σ Aᵢⱼ²`.
    same: f64,
    /// `Σ Aᵢⱼ Aⱼᵢ`.
    reverse: f64,
    /// Edges, and those of them whose reverse has the same weight.
    edges: usize,
    mirrored: usize,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.same += other.same;
        self.reverse += other.reverse;
        self.edges += other.edges;
        self.mirrored += other.mirrored;
    }

    fn is_symmetric(self) -> bool {
        self.edges == self.mirrored
    }
}

/// Contacts between labels on a graph against their exact mean and variance when the labels are dealt to the labelled
/// spots at random: what permutations estimate, without any.
///
/// With `C_ab = Σ Aᵢⱼ [lᵢ = a][lⱼ = b]`, `p(l₁, l₂, …)` the probability that distinct spots carry these labels (drawn
/// without replacement), `oᵢ` and `eᵢ` the weights leaving and entering spot `i`, `T = Σ Aᵢⱼ`, and the pairs of edges
/// told apart by the spots they share,
///
/// ```text
/// same  = Σ Aᵢⱼ²           from a to b, both edges being one
/// rev   = Σ Aᵢⱼ Aⱼᵢ        there and back
/// src   = Σ oᵢ² − same     one source, two targets
/// tgt   = Σ eᵢ² − same     one target, two sources
/// chain = Σ oᵢ eᵢ − rev    one ends where the other begins
/// none  = T² − same − rev − src − tgt − 2 chain
///
/// E[C]  = T p(a,b)
/// E[C²] = same p(a,b) + src p(a,b,b) + tgt p(a,a,b) + none p(a,b,a,b) + [a = b] (rev p(a,a) + 2 chain p(a,a,a))
/// ```
///
/// # Inputs
/// `graph`: `(n_obs, n_obs)`, 0/1 or weighted, directed or not; its diagonal is ignored. `labels`: spots without one are
/// left out with their edges. `slices`: labels are dealt within each slice; counts, means and variances are summed.
/// # Returns
/// [`NeighborhoodEnrichment`].
/// # Errors
/// `ShapeMismatch`, `BadWeight`; `EmptyGraph` without an edge between labelled spots; `LabelCount`, `LabelOutOfRange`,
/// `TooManyGroups`; `CrossingEdge` when an edge joins two slices; `Graph` for the slices of other spots; `Interrupted`.
/// # Cost
/// O(edges + n_slices · n_groups²) time; 28 bytes per spot and O(n_groups²) memory.
/// # Source
/// The statistic: squidpy, Palla et al. 2022, Nat. Methods 19:171, after Schapiro et al. 2017, Nat. Methods 14:873. The
/// moments are those of join counts: Cliff & Ord 1981, Spatial Processes, §1.4–1.5.
/// # Differences
/// squidpy draws permutations, so that its z-scores carry an error of about 1/√(2 · 1000) in the deviation.
///
/// # Example
///
/// ```
/// use brodmann::stats::{Labels, neighborhood_enrichment};
/// use brodmann_kernels::{CsrMatrix, Silent};
/// use ndarray::array;
///
/// // Four spots in a row, two of each label: of six directed edges four join equals.
/// let path = array![[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
/// let path = CsrMatrix::from_dense(path.view());
/// let labels = Labels { codes: &[Some(0), Some(0), Some(1), Some(1)], n_groups: 2 };
/// let found = neighborhood_enrichment(path.view(), labels, None, &Silent)?;
/// assert_eq!(found.counts, array![[2.0, 1.0], [1.0, 2.0]]);
/// // Six pairs of places for the first label; in 3 of them the two are neighbours.
/// assert!((found.expected[[0, 0]] - 1.0).abs() < 1e-12);
/// assert!((found.variance[[0, 0]] - 1.0).abs() < 1e-12);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn neighborhood_enrichment(
    graph: CsrView<'_, f64>,
    labels: Labels<'_>,
    slices: Option<&Slices>,
    monitor: &dyn Monitor,
) -> Result<NeighborhoodEnrichment, StatsError> {
    let n_obs = labels.codes.len();
    check_graph(graph, n_obs)?;
    let codes = labels.checked(n_obs, MAX_GROUPS)?;
    let slices = grouped(n_obs, slices)?;
    check_slices(graph, &slices)?;
    monitor.stage("neighborhood enrichment", n_obs as u64);

    let k = labels.n_groups;
    let mut counts = Array2::<f64>::zeros((k, k));
    let mut expected = Array2::<f64>::zeros((k, k));
    let mut variance = Array2::<f64>::zeros((k, k));
    let (mut total, mut symmetric) = (0.0, true);
    let mut degrees = Degrees { out: vec![0.0; n_obs], into: vec![0.0; n_obs] };
    for rows in slices.rows() {
        let (table, sums) = count(graph, &codes, k, rows, monitor)?;
        degrees.fill(graph, &codes, rows);
        let sizes = group_sizes(rows.iter().map(|&i| codes[i as usize]), k);
        let shape = EdgePairs::new(sums, &degrees, rows);
        for (a, &n_a) in sizes.iter().enumerate() {
            for (b, &n_b) in sizes.iter().enumerate() {
                let chances = Chances::new(n_a, n_b, a == b, sizes.iter().sum());
                counts[[a, b]] += table[a * k + b];
                expected[[a, b]] += sums.total * chances.pair;
                variance[[a, b]] += shape.variance(&chances);
            }
        }
        total += sums.total;
        symmetric &= sums.is_symmetric();
    }
    if total <= 0.0 {
        return Err(StatsError::EmptyGraph { n_obs });
    }
    let mut z_score = &counts - &expected;
    z_score.zip_mut_with(&variance, |z, &v| *z = if v > 0.0 { *z / v.sqrt() } else { f64::NAN });
    let p_value = z_score.mapv(|z| normal_p_value(z, Tail::TwoSided));
    let p_adjusted = adjust(&p_value, symmetric);
    Ok(NeighborhoodEnrichment { counts, expected, variance, z_score, p_value, p_adjusted })
}

/// Refuses a graph of other spots, and weights that are none.
pub(super) fn check_graph(graph: CsrView<'_, f64>, n_obs: usize) -> Result<(), StatsError> {
    let (rows, columns) = (graph.n_rows(), graph.n_cols());
    if rows != n_obs || columns != n_obs {
        return Err(StatsError::ShapeMismatch { rows, columns, n_obs });
    }
    let bad = graph.data().iter().position(|w| !(w.is_finite() && *w >= 0.0));
    bad.map_or(Ok(()), |at| {
        let row = graph.indptr().partition_point(|&end| end <= at) - 1;
        Err(StatsError::BadWeight { row, weight: graph.data()[at].to_string() })
    })
}

/// Refuses an edge from one slice to another.
pub(super) fn check_slices(graph: CsrView<'_, f64>, slices: &Slices) -> Result<(), StatsError> {
    if slices.count() == 1 {
        return Ok(());
    }
    for row in 0..graph.n_rows() {
        let crossing = |&&j: &&u32| slices.of(j as usize) != slices.of(row);
        if let Some(&column) = graph.row(row).0.iter().find(crossing) {
            return Err(StatsError::CrossingEdge { row, column: column as usize });
        }
    }
    Ok(())
}

/// Contacts and sums over the spots `rows`.
fn count(
    graph: CsrView<'_, f64>,
    codes: &[u32],
    k: usize,
    rows: &[u32],
    monitor: &dyn Monitor,
) -> Result<(Vec<f64>, Sums), StatsError> {
    // A chunk has a table of its own: no fewer spots than the table has cells.
    let parts: Vec<(Vec<f64>, Sums)> = rows
        .par_chunks(CHUNK_ROWS.max(k * k))
        .map(|rows| {
            monitor.check()?;
            let (mut table, mut sums) = (vec![0.0; k * k], Sums::default());
            for &i in rows {
                let a = codes[i as usize];
                if a == NONE {
                    continue;
                }
                let (columns, weights) = graph.row(i as usize);
                for (&j, &w) in columns.iter().zip(weights) {
                    let b = codes[j as usize];
                    if b == NONE || j == i || w == 0.0 {
                        continue;
                    }
                    table[a as usize * k + b as usize] += w;
                    sums.total += w;
                    sums.same += w * w;
                    sums.edges += 1;
                    // An edge and its reverse meet once, at the lower spot: rows elsewhere are what costs time here.
                    if i < j {
                        let back = graph.get(j as usize, i as usize).unwrap_or(0.0);
                        sums.reverse += 2.0 * w * back;
                        sums.mirrored += 2 * usize::from(w == back);
                    }
                }
            }
            monitor.advance(rows.len() as u64);
            Ok((table, sums))
        })
        .try_collect_vec::<_, StatsError>()?;
    let (mut table, mut sums) = (vec![0.0; k * k], Sums::default());
    for (part, of_part) in parts {
        for (t, p) in table.iter_mut().zip(part) {
            *t += p;
        }
        sums.add(of_part);
    }
    Ok((table, sums))
}

/// Weight that leaves, and that enters, each spot.
struct Degrees {
    out: Vec<f64>,
    into: Vec<f64>,
}

impl Degrees {
    fn fill(&mut self, graph: CsrView<'_, f64>, codes: &[u32], rows: &[u32]) {
        for &i in rows.iter().filter(|&&i| codes[i as usize] != NONE) {
            let (columns, weights) = graph.row(i as usize);
            let edges = columns.iter().zip(weights).filter(|(j, _)| **j != i && codes[**j as usize] != NONE);
            let mut out = 0.0;
            for (&j, &w) in edges {
                out += w;
                self.into[j as usize] += w;
            }
            self.out[i as usize] = out;
        }
    }
}

/// Weight of all pairs of edges, by the spots they share.
struct EdgePairs {
    same: f64,
    reverse: f64,
    source: f64,
    target: f64,
    chain: f64,
    none: f64,
}

impl EdgePairs {
    fn new(sums: Sums, degrees: &Degrees, rows: &[u32]) -> Self {
        let sum = |a: &[f64], b: &[f64]| rows.iter().map(|&i| a[i as usize] * b[i as usize]).sum::<f64>();
        let source = sum(&degrees.out, &degrees.out) - sums.same;
        let target = sum(&degrees.into, &degrees.into) - sums.same;
        let chain = sum(&degrees.out, &degrees.into) - sums.reverse;
        let none = sums.total * sums.total - sums.same - sums.reverse - source - target - 2.0 * chain;
        Self { same: sums.same, reverse: sums.reverse, source, target, chain, none }
    }

    /// `E[C²] − E[C]²`. The weights of the pairs sum to `T²`, so `E[C]² = T² p(a,b)²` is taken off each: terms that
    /// cancel are then small, and exactly 0 where there is a single label.
    fn variance(&self, chances: &Chances) -> f64 {
        let square = chances.pair * chances.pair;
        let terms = [
            (self.same, chances.pair),
            (self.reverse, chances.reverse),
            (self.source, chances.source),
            (self.target, chances.target),
            (2.0 * self.chain, chances.chain),
            (self.none, chances.none),
        ];
        let variance: f64 = terms.iter().map(|(weight, chance)| weight * (chance - square)).sum();
        let largest: f64 = terms.iter().map(|(weight, chance)| weight.abs() * chance.max(square)).sum();
        if variance > ROUNDING * largest { variance } else { 0.0 }
    }
}

/// Probability that the spots of two edges from label a to label b carry these labels, by what the edges share.
struct Chances {
    pair: f64,
    reverse: f64,
    source: f64,
    target: f64,
    chain: f64,
    none: f64,
}

impl Chances {
    /// Of `n` labelled spots, `n_a` and `n_b` carry the two labels.
    fn new(n_a: usize, n_b: usize, equal: bool, n: usize) -> Self {
        // n (n − 1) … of `count` factors; 0 once the spots are used up, and then no such edges exist.
        let falling =
            |n: usize, count: usize| (0..count).map(|i| n.saturating_sub(i) as f64).product::<f64>();
        let chance = |of_a: usize, of_b: usize| {
            let ways =
                if equal { falling(n_a, of_a + of_b) } else { falling(n_a, of_a) * falling(n_b, of_b) };
            let all = falling(n, of_a + of_b);
            if all > 0.0 { ways / all } else { 0.0 }
        };
        let only_equal = |chance: f64| if equal { chance } else { 0.0 };
        Self {
            pair: chance(1, 1),
            reverse: only_equal(chance(1, 1)),
            source: chance(1, 2),
            target: chance(2, 1),
            chain: only_equal(chance(2, 1)),
            none: chance(2, 2),
        }
    }
}

/// Adjusted over all pairs, or over those of the upper triangle where the lower one repeats them.
fn adjust(p_value: &Array2<f64>, symmetric: bool) -> Array2<f64> {
    let k = p_value.nrows();
    let tests: Vec<(usize, usize)> =
        (0..k).flat_map(|a| (if symmetric { a } else { 0 }..k).map(move |b| (a, b))).collect();
    let p_values: Vec<f64> = tests.iter().map(|&at| p_value[at]).collect();
    let mut adjusted = Array2::from_elem((k, k), f64::NAN);
    for (&(a, b), q) in tests.iter().zip(benjamini_hochberg(&p_values)) {
        adjusted[[a, b]] = q;
        if symmetric {
            adjusted[[b, a]] = q;
        }
    }
    adjusted
}
