//! Where a start comes from.

use brodmann_kernels::{Interrupted, Monitor, Seed};
use ndarray::{Array2, ArrayView2, Axis};

use super::em::Data;
use super::hierarchy::{Hierarchy, hierarchy};
use super::model::{CovarianceModel, Parameters};
use super::{GmmError, GmmInit, GmmOptions};
use crate::cluster::kmeans::{KMeansOptions, kmeans};

/// Share of the observations in the subsets of later starts, where the first could take all.
const SUBSET_SHARE: f64 = 0.8;

/// What a start is made from, whatever the number of components.
pub(super) enum Source {
    /// A hierarchy of all observations (`rows` is `None`) or of a subset.
    Hierarchy { rows: Option<Vec<usize>>, tree: Hierarchy },
    /// k-means, with a seed of its own.
    KMeans(Seed),
}

impl Source {
    /// The source of start `index`.
    pub(super) fn new(
        data: &Data,
        options: &GmmOptions,
        seed: Seed,
        index: usize,
        monitor: &dyn Monitor,
    ) -> Result<Self, Interrupted> {
        let by_means = match options.init {
            GmmInit::Mixed => index % 2 == 1,
            GmmInit::Hierarchy => false,
            GmmInit::KMeans => true,
        };
        if by_means {
            return Ok(Self::KMeans(seed.derive("cluster/gmm/kmeans", index as u64)));
        }
        let n_obs = data.x.nrows();
        if index == 0 && n_obs <= options.subset {
            return Ok(Self::Hierarchy { rows: None, tree: hierarchy(data.x.view(), monitor)? });
        }
        let share = (SUBSET_SHARE * n_obs as f64).ceil() as usize;
        let size = options.subset.min(share).max(options.n_components + 1).min(n_obs);
        let rows = sample(n_obs, size, seed.derive("cluster/gmm/subset", index as u64));
        let tree = hierarchy(data.x.select(Axis(0), &rows).view(), monitor)?;
        Ok(Self::Hierarchy { rows: Some(rows), tree })
    }

    /// The parameters that a mixture of `k` components begins with.
    pub(super) fn parameters(
        &self,
        data: &Data,
        options: &GmmOptions,
        k: usize,
        monitor: &dyn Monitor,
    ) -> Result<Parameters, GmmError> {
        match self {
            Self::KMeans(seed) => {
                let start = KMeansOptions { n_clusters: k, n_init: 1, ..KMeansOptions::default() };
                let labels = kmeans(data.x.view(), &start, *seed, &Quiet(monitor))?.labels;
                Ok(of_partition(data, &labels, options.model, k, monitor)?)
            }
            Self::Hierarchy { rows: None, tree } => {
                Ok(of_partition(data, &tree.cut(k), options.model, k, monitor)?)
            }
            Self::Hierarchy { rows: Some(rows), tree } => {
                let subset = Data::new(data.x.select(Axis(0), rows), options.regularization, options.model);
                Ok(of_partition(&subset, &tree.cut(k), options.model, k, monitor)?)
            }
        }
    }
}

/// The likeliest parameters of a partition. Where its clusters are too small for the model, a simpler model starts.
fn of_partition(
    data: &Data,
    labels: &[u32],
    model: CovarianceModel,
    k: usize,
    monitor: &dyn Monitor,
) -> Result<Parameters, Interrupted> {
    let mut shares = Array2::<f64>::zeros((labels.len(), k));
    for (mut row, &label) in shares.outer_iter_mut().zip(labels) {
        row[label as usize] = 1.0;
    }
    let of = |model| -> Result<Parameters, Interrupted> {
        Ok(data.maximisation(ArrayView2::from(&shares), model, None, monitor)?.0)
    };
    let simpler: &[CovarianceModel] = match model {
        CovarianceModel::Vvv => &[CovarianceModel::Eee, CovarianceModel::Eei, CovarianceModel::Eii],
        CovarianceModel::Eee | CovarianceModel::Vvi => &[CovarianceModel::Eei, CovarianceModel::Eii],
        _ => &[CovarianceModel::Eii],
    };
    let mut found = of(model)?;
    for &simple in simpler {
        if !found.ridged {
            break;
        }
        found = of(simple)?;
    }
    Ok(found)
}

/// `size` of `0..n`, rising: those with the lowest hashes.
pub(in crate::cluster) fn sample(n: usize, size: usize, seed: Seed) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n).collect();
    if size < n {
        rows.select_nth_unstable_by_key(size, |&i| (seed.word(i as u64), i));
        rows.truncate(size);
        rows.sort_unstable();
    }
    rows
}

/// Passes interruptions on, but not the progress of a stage within a stage.
pub(in crate::cluster) struct Quiet<'a>(pub(in crate::cluster) &'a dyn Monitor);

impl Monitor for Quiet<'_> {
    fn is_interrupted(&self) -> bool {
        self.0.is_interrupted()
    }
}
