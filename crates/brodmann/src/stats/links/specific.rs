//! Strengths of one domain against the rest, with a permutation null.

use brodmann_kernels::{Monitor, OptionError, ParallelLoop, Seed};
use ndarray::Array2;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::LinksError;
use super::flows::{Flows, PairFlow};
use super::groups::NONE;
use super::masses::Count;
use super::strength::{by_gene, checked_for, domain_sizes};
use super::transport::Transport;
use super::window::LinkPairs;
use crate::stats::benjamini_hochberg;

/// Sums that differ by less than this share are equal: rounding of sums in another order.
const EQUAL: f64 = 1e-12;
/// Domains that labels of one byte tell apart.
const MOST_DOMAINS: usize = 255;

/// Options of [`specific_links`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpecificOptions {
    /// Arrangements of the labels that are drawn.
    pub n_permutations: usize,
}

impl Default for SpecificOptions {
    fn default() -> Self {
        Self { n_permutations: 200 }
    }
}

impl SpecificOptions {
    /// Refuses none and more than a million.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if (1..=1_000_000).contains(&self.n_permutations) {
            return Ok(());
        }
        Err(OptionError::new("n_permutations", self.n_permutations, "a number from 1 to 1000000"))
    }
}

/// Links of one domain against the rest; every table is `(n_pairs, n_domains)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecificLinks {
    /// Mean over the domain's cells of what moves from the peak there to the gene, minus that over the rest.
    pub difference: Array2<f64>,
    /// The difference in standard deviations over all arrangements of the labels, exactly; NaN where there is none.
    pub z_score: Array2<f64>,
    /// One-sided: share of arrangements, the observed one counted, in which the difference is at least as large.
    pub p_value: Array2<f64>,
    /// One-sided tail of the normal distribution beyond `z_score`, Benjamini–Hochberg adjusted over the pairs of each domain:
    /// of so many pairs no affordable number of arrangements tells the smallest apart. 1 where there is no z.
    pub p_adjusted: Array2<f64>,
}

/// Which links are stronger in one domain than elsewhere?
///
/// The plan stays; what moves from a peak to a gene is `ℓᵢ = Σⱼ P_ij`, a number for each cell `i` of the peak, and
/// the statistic the mean of `ℓ` in the domain minus that of the other labelled cells. The labels are dealt to the labelled
/// cells at random, the same arrangements for every pair.
///
/// That a link is specific says that more moves there: because the peak is more accessible, the gene more expressed, or
/// both. Cells near each other in the embedding are alike, which arrangements of single cells do not know of, so that p
/// is a ranking rather than an error rate.
///
/// # Inputs
/// As [`super::link_strengths`].
/// # Errors
/// `Size`, `LabelOutOfRange`, `TooMany` beyond 255 domains, `Option`, `Interrupted`.
/// # Cost
/// O(Σ over pairs of the peak's non-zeros · permutations) time; a byte per cell and permutation, 32 per pair and domain.
pub fn specific_links<T: Count>(
    transport: &Transport<T>,
    pairs: &LinkPairs,
    labels: &[Option<u32>],
    n_domains: usize,
    options: &SpecificOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<SpecificLinks, LinksError> {
    options.validate()?;
    if n_domains > MOST_DOMAINS {
        return Err(LinksError::TooMany { what: "domains", found: n_domains, limit: MOST_DOMAINS });
    }
    let labels = checked_for(transport, pairs, labels, n_domains)?;
    let sizes = domain_sizes(&labels, n_domains);
    let arrangements = arrangements(&labels, options.n_permutations, seed);
    monitor.stage("specific links", pairs.n_genes() as u64);
    let null = Null { labels: &labels, sizes: &sizes, arrangements: &arrangements };
    let mut table = vec![[0.0; 3]; pairs.len() * n_domains];
    by_gene(pairs, &mut table, n_domains)
        .into_par_iter()
        .map_init(
            || (Flows::new(transport, pairs, &labels, n_domains), vec![0.0; n_domains + 1]),
            |(flows, sums), (gene, rows)| {
                let first = pairs.of_gene(gene as usize).start;
                let mut stopped = Ok(());
                flows.of_gene(gene, |flow| {
                    stopped = stopped.and_then(|()| monitor.check());
                    if stopped.is_ok() {
                        let row = &mut rows[(flow.pair - first) * n_domains..][..n_domains];
                        null.test(&flow, sums, row);
                    }
                });
                monitor.advance(1);
                stopped
            },
        )
        .collect::<Result<(), _>>()?;
    let shape = (pairs.len(), n_domains);
    let of = |k: usize| Array2::from_shape_fn(shape, |(pair, domain)| table[pair * n_domains + domain][k]);
    let (z_score, p_value) = (of(1), of(2));
    let tail = |(&z, &p): (&f64, &f64)| match z.is_finite() {
        true => 0.5 * libm::erfc(z / std::f64::consts::SQRT_2),
        // What is not tested at all stays so.
        false if p.is_nan() => f64::NAN,
        false => 1.0,
    };
    let mut p_adjusted = Array2::from_elem(shape, f64::NAN);
    for domain in 0..n_domains {
        let tails: Vec<f64> = z_score.column(domain).iter().zip(p_value.column(domain)).map(tail).collect();
        let adjusted = benjamini_hochberg(&tails);
        p_adjusted.column_mut(domain).iter_mut().zip(adjusted).for_each(|(p, q)| *p = q);
    }
    Ok(SpecificLinks { difference: of(0), z_score, p_value, p_adjusted })
}

/// Labels dealt anew to the labelled cells, one list after the other; 255 for none.
fn arrangements(labels: &[u32], n: usize, seed: Seed) -> Vec<Vec<u8>> {
    let cells: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] != NONE).collect();
    (0..n)
        .into_par_iter()
        .map(|k| {
            let mut rng = seed.stream("links/arrangement", k as u64);
            let mut dealt: Vec<u8> = cells.iter().map(|&i| labels[i] as u8).collect();
            for i in (1..dealt.len()).rev() {
                let j = ((u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64) as usize;
                dealt.swap(i, j);
            }
            let mut all = vec![u8::MAX; labels.len()];
            cells.iter().zip(dealt).for_each(|(&i, label)| all[i] = label);
            all
        })
        .collect_vec()
}

struct Null<'a> {
    labels: &'a [u32],
    sizes: &'a [usize],
    arrangements: &'a [Vec<u8>],
}

impl Null<'_> {
    /// Difference, z-score and p of every domain; `sums` holds one number more than there are domains.
    fn test(&self, flow: &PairFlow<'_>, sums: &mut [f64], row: &mut [[f64; 3]]) {
        let n_domains = self.sizes.len();
        let n = self.sizes.iter().sum::<usize>() as f64;
        let mut observed = vec![0.0; n_domains];
        let (mut total, mut squares) = (0.0, 0.0);
        for (&cell, &amount) in flow.cells.iter().zip(flow.all) {
            let label = self.labels[cell as usize];
            if label != NONE {
                observed[label as usize] += amount;
                total += amount;
                squares += amount * amount;
            }
        }
        let variance = (squares / n - (total / n).powi(2)).max(0.0);
        // With the total and the sizes given, the difference rises with the domain's sum.
        let mut at_least = vec![0usize; n_domains];
        if total > 0.0 {
            for arrangement in self.arrangements {
                sums.fill(0.0);
                for (&cell, &amount) in flow.cells.iter().zip(flow.all) {
                    // Cells without a label count in the last place.
                    sums[(arrangement[cell as usize] as usize).min(n_domains)] += amount;
                }
                for (count, (sum, own)) in at_least.iter_mut().zip(sums.iter().zip(&observed)) {
                    *count += usize::from(*sum >= own - EQUAL * total);
                }
            }
        }
        for (domain, result) in row.iter_mut().enumerate() {
            let size = self.sizes[domain] as f64;
            let rest = n - size;
            if size == 0.0 || rest == 0.0 {
                *result = [f64::NAN; 3];
                continue;
            }
            let difference = observed[domain] / size - (total - observed[domain]) / rest;
            let deviation = (variance * size * rest / (n - 1.0)).sqrt();
            let z = (observed[domain] - total * size / n) / deviation;
            let drawn = self.arrangements.len();
            let at_least = if total > 0.0 { at_least[domain] } else { drawn };
            *result = [
                difference,
                if deviation > 0.0 { z } else { f64::NAN },
                (at_least + 1) as f64 / (drawn + 1) as f64,
            ];
        }
    }
}
