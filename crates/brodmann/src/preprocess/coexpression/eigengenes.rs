//! One profile per module, modules with nearly the same profile made one, and how near each gene is to it.

use brodmann_kernels::{CsrView, Monitor, ParallelLoop, Seed, Slices};
use kodama::{Method, linkage};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use super::CoexpressionOptions;
use super::network::Network;
use crate::preprocess::column_stats::moments_by_slice;
use crate::preprocess::error::PreprocessError;
use crate::preprocess::pca::{PcaOptions, pca_by_slice};
use crate::preprocess::scale::ScaleOptions;

/// Modules with their profiles.
pub(super) struct Profiles {
    /// Genes, rising; the largest module first, ties by the first gene.
    pub(super) modules: Vec<Vec<usize>>,
    /// `(n_obs, n_modules)`, of length 1.
    pub(super) eigengenes: Array2<f64>,
    pub(super) variance_explained: Vec<f64>,
}

/// A module and its profile.
struct Module {
    genes: Vec<usize>,
    eigengene: Array1<f64>,
    explained: f64,
}

impl Profiles {
    /// Profiles of modules, merged until no two are correlated more closely than `1 − merge_height`.
    pub(super) fn of(
        x: CsrView<'_, f32>,
        slices: &Slices,
        modules: Vec<Vec<usize>>,
        merge_height: f64,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Self, PreprocessError> {
        let profile = |mut genes: Vec<usize>| {
            genes.sort_unstable();
            let (eigengene, explained) = eigengene(x, slices, &genes, seed, monitor)?;
            Ok::<_, PreprocessError>(Module { genes, eigengene, explained })
        };
        let mut found: Vec<Module> = modules.into_iter().map(profile).collect::<Result<_, _>>()?;
        loop {
            let groups = alike(&found, merge_height);
            if groups.len() == found.len() {
                break;
            }
            let mut before: Vec<Option<Module>> = found.into_iter().map(Some).collect();
            found = Vec::with_capacity(groups.len());
            for group in groups {
                let mut members: Vec<Module> = group.iter().filter_map(|&m| before[m].take()).collect();
                found.push(match (members.pop(), members.is_empty()) {
                    (Some(alone), true) => alone,
                    (last, _) => profile(members.into_iter().chain(last).flat_map(|m| m.genes).collect())?,
                });
            }
        }
        found.sort_by_key(|m| (std::cmp::Reverse(m.genes.len()), m.genes.first().copied()));
        let mut eigengenes = Array2::zeros((x.n_rows(), found.len()));
        for (mut column, module) in eigengenes.columns_mut().into_iter().zip(&found) {
            column.assign(&module.eigengene);
        }
        let variance_explained = found.iter().map(|m| m.explained).collect();
        Ok(Self { modules: found.into_iter().map(|m| m.genes).collect(), eigengenes, variance_explained })
    }

    /// The modules without genes far from their profile, and without modules too small for that; `None` where all stay.
    pub(super) fn without_strangers(
        &self,
        membership: &Array2<f64>,
        options: &CoexpressionOptions,
    ) -> Option<Vec<Vec<usize>>> {
        let near = |gene: usize, m: usize| {
            let of = membership[[gene, m]];
            let of = if options.network == Network::Unsigned { of.abs() } else { of };
            of >= options.min_membership
        };
        let fewer: Vec<Vec<usize>> = self
            .modules
            .iter()
            .enumerate()
            .map(|(m, genes)| genes.iter().copied().filter(|&gene| near(gene, m)).collect::<Vec<usize>>())
            .filter(|genes| genes.len() >= options.min_module_size)
            .collect();
        let count = |modules: &[Vec<usize>]| modules.iter().map(Vec::len).sum::<usize>();
        (count(&fewer) < count(&self.modules)).then_some(fewer)
    }

    /// `(n_vars, n_modules)`: correlation of each gene, centred within slices, with each profile.
    pub(super) fn membership(&self, x: CsrView<'_, f32>, slices: &Slices) -> Array2<f64> {
        let moments = moments_by_slice(x, slices, |_, _, v| f64::from(v));
        let by_gene = x.transpose();
        let mut membership = Array2::zeros((x.n_cols(), self.modules.len()));
        let rows: Vec<_> = membership.rows_mut().into_iter().collect();
        rows.into_par_iter().enumerate().each(|(j, mut row)| {
            let each = moments.iter().zip(slices.sizes());
            let squares: f64 = each.map(|(m, &n)| m.variance[j] * (n as f64 - 1.0).max(0.0)).sum();
            // Profiles have mean 0 within slices, so that the gene need not be centred.
            let (spots, values) = by_gene.view().row(j);
            for (&i, &v) in spots.iter().zip(values) {
                row.scaled_add(f64::from(v), &self.eigengenes.row(i as usize));
            }
            row.mapv_inplace(|sum| (sum / squares.sqrt()).clamp(-1.0, 1.0));
        });
        membership
    }
}

/// First principal component of some genes, each scaled to unit variance: of length 1, rising with most of their
/// expression; and the share of the variance it holds.
fn eigengene(
    x: CsrView<'_, f32>,
    slices: &Slices,
    genes: &[usize],
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(Array1<f64>, f64), PreprocessError> {
    let mut keep = vec![false; x.n_cols()];
    for &g in genes {
        keep[g] = true;
    }
    let own = x.select_columns(&keep);
    let scaled = ScaleOptions { zero_center: true, max_value: None };
    let one = PcaOptions { n_components: 1 };
    let found = pca_by_slice(own.view(), slices, Some(&scaled), &one, seed, monitor)?;
    if found.n_components() == 0 {
        return Ok((Array1::zeros(x.n_rows()), 0.0));
    }
    let scores = found.scores.column(0);
    // The mean of scaled genes lies along the component when the loadings sum to more than 0.
    let sign = if found.components.column(0).sum() < 0.0 { -1.0 } else { 1.0 };
    Ok((centred(scores, slices) * sign, found.variance_ratio[0]))
}

/// Centred within each slice, of length 1.
fn centred(scores: ArrayView1<'_, f64>, slices: &Slices) -> Array1<f64> {
    let mut sums = vec![0.0; slices.count()];
    scores.iter().enumerate().for_each(|(i, v)| sums[slices.of(i)] += v);
    let mean = |i: usize| sums[slices.of(i)] / slices.sizes()[slices.of(i)] as f64;
    let values: Array1<f64> = scores.iter().enumerate().map(|(i, v)| v - mean(i)).collect();
    let length = values.dot(&values).sqrt();
    if length > 0.0 { values / length } else { values }
}

/// Modules in groups whose profiles are alike: average linkage of one minus correlation, cut at `height`.
fn alike(modules: &[Module], height: f64) -> Vec<Vec<usize>> {
    let n = modules.len();
    let mut groups: Vec<Option<Vec<usize>>> = (0..n).map(|m| Some(vec![m])).collect();
    if n > 1 {
        let mut distances: Vec<f64> = Vec::with_capacity(n * (n - 1) / 2);
        for (i, one) in modules.iter().enumerate() {
            distances.extend(modules[i + 1..].iter().map(|two| 1.0 - one.eigengene.dot(&two.eigengene)));
        }
        for step in linkage(&mut distances, n, Method::Average).steps() {
            let near = step.dissimilarity < height;
            // What is not near stays as it is, and so does all that would join it.
            let joined = match (&groups[step.cluster1], &groups[step.cluster2]) {
                (Some(a), Some(b)) if near => Some([a.as_slice(), b].concat()),
                _ => None,
            };
            if joined.is_some() {
                (groups[step.cluster1], groups[step.cluster2]) = (None, None);
            }
            groups.push(joined);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_iter().flatten().collect();
    for group in &mut groups {
        group.sort_unstable();
    }
    groups.sort_by_key(|group| group[0]);
    groups
}
